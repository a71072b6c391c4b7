"""What a restart finds: runs that were under way when the master ended."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import NotFound
from quarterdeck.hosts.models import HostRecord, HostState
from quarterdeck.protocol.orders import Order
from quarterdeck.protocol.tasks import Task
from quarterdeck.tasks.dispatch.jobs import Job, JobHost
from quarterdeck.tasks.dispatch.reach import clock_text, expiry_of
from quarterdeck.tasks.drafts import HIDDEN
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.states import RunState, overall

RESTARTED: Final = "The master was restarted while it ran; whether it ended there is not known."
NOT_BEGUN: Final = "The master was restarted before it began; it did not run."
HOST_REVOKED: Final = "The worker was revoked while it ran; whether it ended there is not known."
HOST_REMOVED: Final = "The host was removed while it ran."
_MARK: Final = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be done after a start: jobs to take up again, and run ids to conclude in the history."""

    jobs: tuple[Job, ...]
    unrecorded: tuple[str, ...]


class Recovery:
    """Brings the stored runs in line with the truth, before anything new begins."""

    def __init__(self, db: Database, output: OutputStore, clock: Clock) -> None:
        self._db, self._output, self._clock = db, output, clock

    def look(self, hosts: Mapping[str, HostRecord]) -> Found:
        """End as lost what nobody can know of any more, and return the rest; ``hosts`` are by id."""
        with self._db.write() as session:
            active = session.scalars(select(Run).where(Run.is_active)).all()
            jobs = [self._take_up(session, run, hosts) for run in active]
            session.flush()
            unrecorded = session.scalars(
                select(Run.id).where(Run.is_recorded.is_(False), Run.is_active.is_(False)).order_by(Run.id)
            ).all()
        return Found(tuple(job for job in jobs if job is not None), tuple(unrecorded))

    def _take_up(self, session: Session, run: Run, hosts: Mapping[str, HostRecord]) -> Job | None:
        """Return the job of what goes on on workers and SSH hosts; None when nothing is left of a run."""
        rows = session.scalars(
            select(RunHost).where(RunHost.run_id == run.id).order_by(RunHost.position)
        ).all()
        going_on = [row for row in rows if self._waits_on(run, row, hosts) or self._goes_on(row, hosts)]
        states = Counter(RunState(row.state) for row in rows)
        state = overall(states)
        run.state, run.tally = str(state), {str(each): count for each, count in states.items()}
        if not going_on:
            run.is_active, run.finished_at = False, self._clock.now()
            return None
        return _job(run, rows, going_on, hosts)

    def _waits_on(self, run: Run, row: RunHost, hosts: Mapping[str, HostRecord]) -> bool:
        """Tell whether a part still waits for its host: queued it surely never began (see ``reach.py``)."""
        options = msgspec.convert(run.options, RunOptions)
        expires_at = expiry_of(run.created_at, options.expires_seconds)
        if expires_at is None or row.state != RunState.QUEUED or row.host_id not in hosts:
            return False
        if HIDDEN in run.task.get("headers", {}).values():
            return False  # what was left out of the database can't be sent
        now = self._clock.now()
        if expires_at <= now:
            row.state, row.finished_at = str(RunState.TIMED_OUT), now
            row.message = f"Expired: {row.name} could not be reached until {clock_text(expires_at, now)}."
        return expires_at > now

    def _goes_on(self, row: RunHost, hosts: Mapping[str, HostRecord]) -> bool:
        if RunState(row.state).is_terminal:
            return False
        host = hosts.get(row.host_id)
        goes_on_alone = row.order is not None or bool(_mark_of(row))
        if goes_on_alone and host is not None and host.state is not HostState.REVOKED:
            row.message = ""  # what was said of it while it ran, such as that its host is away
            return True
        if goes_on_alone:
            self._lose(row, HOST_REVOKED if host is not None else HOST_REMOVED)
        else:
            self._lose(row, NOT_BEGUN if row.state == RunState.QUEUED else RESTARTED)
        return False

    def _lose(self, row: RunHost, message: str) -> None:
        try:
            sizes = self._output.sizes(row.run_id, row.name)
            row.out_bytes, row.err_bytes = sizes.out, sizes.err
        except NotFound:
            row.out_bytes = row.err_bytes = 0  # a name from before names were checked: there are no files
        row.state, row.message, row.finished_at = str(RunState.LOST), message, self._clock.now()


def _mark_of(row: RunHost) -> str:
    """Return by what a host knows a kept command; empty for all others."""
    mark = str((row.remote or {}).get("mark", ""))
    return mark if _MARK.match(mark) else ""


def _job(
    run: Run, rows: Sequence[RunHost], going_on: Sequence[RunHost], hosts: Mapping[str, HostRecord]
) -> Job:
    ended = Counter(RunState(row.state) for row in rows if RunState(row.state).is_terminal)
    options = msgspec.convert(run.options, RunOptions)
    first = [(row.name, RunState(row.state)) for row in rows[: options.canary]]
    return Job(
        run_id=run.id,
        title=run.title,
        task=msgspec.convert(run.task, Task),
        fingerprint=run.fingerprint,
        hosts=tuple(
            JobHost(
                host=hosts[row.host_id],
                order=msgspec.convert(row.order, Order | None),
                kept_mark=_mark_of(row),
                is_taken_up=options.expires_seconds is None or row.state != RunState.QUEUED,
                state=RunState(row.state),
                started_at=row.started_at,
            )
            for row in going_on
        ),
        actor=run.actor,
        person_id=run.person_id,
        request_id=run.request_id,
        intent_id=run.intent_id,
        timeout_seconds=run.timeout_seconds,
        created_at=run.created_at,
        options=options,
        started_at=run.started_at,
        ended=dict(ended),
        canaries=tuple((name, state) for name, state in first if state.is_terminal),
    )
