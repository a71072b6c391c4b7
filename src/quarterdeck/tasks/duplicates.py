"""The same operation twice: which run a new one would repeat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from quarterdeck.core.errors import Conflict
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.states import TERMINAL, RunState

_LOOK_BACK: Final = 1_000
"""How many of a task's newest runs may have ended a moment ago; the index leads to them."""
_RUNS_AT_ONCE: Final = 20
_NAMED_HOSTS: Final = 3


@dataclass(frozen=True, slots=True)
class Overlap:
    """A run that does, or just did, the same on some of the same hosts."""

    run_id: str
    started_by: str
    started_at: datetime
    is_active: bool
    hosts: tuple[str, ...]
    """The names of the hosts in common."""

    def conflict(self, *, is_open: bool) -> Conflict:
        """Return the refusal of a run that would repeat this one; says nothing of it where it is not open."""
        more = len(self.hosts) - _NAMED_HOSTS
        where = ", ".join(self.hosts[:_NAMED_HOSTS]) + (f" and {more} more" if more > 0 else "")
        word = "is running" if self.is_active else "was just run"
        if not is_open:
            return Conflict(
                f"The same {word} on {where}, in a run that is not open to you. Wait, or run it anyway.",
                duplicate_of=None,
                started_by=None,
                started_at=None,
                is_active=self.is_active,
                hosts=list(self.hosts),
            )
        return Conflict(
            f"The same {word} on {where}, started by {self.started_by}. Join it, or run it anyway.",
            duplicate_of=self.run_id,
            started_by=self.started_by,
            started_at=self.started_at.isoformat(),
            is_active=self.is_active,
            hosts=list(self.hosts),
        )


def find_overlap(
    session: Session, print_: str, host_ids: Iterable[str], *, ended_after: datetime
) -> Overlap | None:
    """Return the newest run of the same task that is at work on a common host, or has just ended there.

    Call it in the transaction that inserts the new run: two who press at once then see each other.
    """
    wanted = set(host_ids)
    run_ids = sorted(_active(session, print_) | _just_ended(session, print_, ended_after), reverse=True)
    for start in range(0, len(run_ids), _RUNS_AT_ONCE):
        some = run_ids[start : start + _RUNS_AT_ONCE]
        if shared := _shared_hosts(session, some, wanted, ended_after):
            newest = max(shared)
            return _overlap(session, newest, shared[newest])
    return None


def _active(session: Session, print_: str) -> set[str]:
    return set(session.scalars(select(Run.id).where(Run.is_active, Run.fingerprint == print_)))


def _just_ended(session: Session, print_: str, ended_after: datetime) -> set[str]:
    """Return the runs that have ended since then; also those with a host that ended before the whole did."""
    newest = (
        select(Run.id, Run.finished_at)
        .where(Run.fingerprint == print_)
        .order_by(Run.created_at.desc())
        .limit(_LOOK_BACK)
        .subquery()
    )
    return set(session.scalars(select(newest.c.id).where(newest.c.finished_at >= ended_after)))


def _shared_hosts(
    session: Session, run_ids: Sequence[str], wanted: set[str], ended_after: datetime
) -> dict[str, list[str]]:
    """Return by run the names of the wanted hosts where it is at work or has just ended."""
    is_busy = RunHost.state.not_in([str(state) for state in TERMINAL])
    # What failed without having begun did nothing there; trying it again repeats nothing.
    did_nothing = and_(RunHost.state == RunState.FAILED, RunHost.started_at.is_(None))
    rows = session.execute(
        select(RunHost.run_id, RunHost.host_id, RunHost.name)
        .where(RunHost.run_id.in_(run_ids))
        .where(or_(is_busy, and_(RunHost.finished_at >= ended_after, ~did_nothing)))
        .order_by(RunHost.run_id, RunHost.position)
    )
    shared: dict[str, list[str]] = {}
    for run_id, host_id, name in rows:
        if host_id in wanted:
            shared.setdefault(run_id, []).append(name)
    return shared


def _overlap(session: Session, run_id: str, hosts: list[str]) -> Overlap:
    run = session.get_one(Run, run_id)
    return Overlap(run.id, run.actor, run.created_at, run.is_active, tuple(hosts))
