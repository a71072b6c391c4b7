"""Who may read a run, and whether its starter may still go on: asked again when each host's turn comes."""

from collections.abc import Callable, Iterable
from typing import Final

from quarterdeck.access.permissions import bounds_of, may
from quarterdeck.core.actors import Actor, ActorKind, Target
from quarterdeck.history.service import History
from quarterdeck.hosts.models import HostRecord
from quarterdeck.tasks.dispatch.jobs import Job

PersonNow = Callable[[str], Actor | None]
"""From the id of a person to who she is by now; None when she is disabled."""
BARRED: Final = "Not begun: who started it is disabled, or may no longer run anything here."


def may_read(actor: Actor, targets: Callable[[], Iterable[Target]]) -> bool:
    """Tell whether somebody may read a run, by its hosts, which are looked up only where they decide."""
    if bounds_of(actor, "run.read") is None:
        return True
    return all(may(actor, "run.read", target) for target in targets())


class StartingRights:
    """Judges starters anew; the node itself and its nodes have no account that could have changed."""

    def __init__(self, person_now: PersonNow, history: History) -> None:
        self._person_now = person_now
        self._history = history

    def fault(self, job: Job, host: HostRecord) -> str:
        """Return why the run must not begin on this host, with the refusal on record; empty when it may."""
        if job.person_id is None:
            return ""
        person = self._person_now(job.person_id)
        if person is not None and may(person, "run.start", host.target):
            return ""
        refused = person or Actor(ActorKind.PERSON, job.actor, person_id=job.person_id)
        self._history.denied(refused, "run.start", f"run:{job.run_id}")
        return BARRED
