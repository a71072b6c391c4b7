"""Reading runs: one of them, its hosts, a page of many, and the counts of the landing page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import Target
from quarterdeck.core.db import Database
from quarterdeck.core.errors import NotFound
from quarterdeck.hosts.models import Host, HostTag
from quarterdeck.hosts.store import inside
from quarterdeck.protocol.tasks import BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.states import RunState

RunId = InstrumentedAttribute[str]
PAGE_SIZE: Final = 50
SHOWN: Final = (
    RunHost.host_id,
    RunHost.name,
    RunHost.kind,
    RunHost.state,
    RunHost.message,
    RunHost.exit_status,
    RunHost.started_at,
    RunHost.finished_at,
    RunHost.out_bytes,
    RunHost.err_bytes,
    RunHost.gone,
    RunHost.details,
    RunHost.out_hash,
    RunHost.err_hash,
)
"""The columns of a host that a record has: entities, with the order of each, cost three times as much."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it stands; its hosts are read apart."""

    id: str
    kind: str
    title: str
    task: Task
    fingerprint: str
    state: RunState
    tally: Mapping[str, int]
    targets: str
    host_count: int
    actor: str
    person_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    timeout_seconds: int
    options: RunOptions
    forced_reason: str | None
    duplicate_of: str | None
    request_id: str
    intent_id: str

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal


@dataclass(frozen=True, slots=True)
class RunHostRecord:
    """What a run did, or does, on one host."""

    host_id: str
    name: str
    kind: str
    state: RunState
    message: str
    exit_status: int | None
    started_at: datetime | None
    finished_at: datetime | None
    out_bytes: int
    err_bytes: int
    gone: bool | None
    details: Mapping[str, Any]  # Any: facts of one kind of task
    out_hash: str
    err_hash: str

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal

    @property
    def bytes(self) -> int:
        return self.out_bytes + self.err_bytes


@dataclass(frozen=True, slots=True)
class RunQuery:
    """What a list of runs shows; empty fields don't filter. ``before`` is a run's id, the cursor."""

    state: str = ""
    actor: str = ""
    host: str = ""
    kind: str = ""
    q: str = ""
    before: str = ""
    limit: int = PAGE_SIZE
    within: Within = None
    """What the one who asks gets at: runs with a host elsewhere are left out. None is everything."""


@dataclass(frozen=True, slots=True)
class RunPage:
    runs: tuple[RunRecord, ...]
    next_cursor: str
    """The ``before`` of the next page; empty on the last one."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What the landing page says about runs."""

    active: int
    today: int
    failed_today: int


class RunRecords:
    """The reading half of runs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, run_id: str) -> RunRecord:
        """Return a run; raises NotFound."""
        with self._db.read() as session:
            row = session.get(Run, run_id)
        if row is None:
            raise NotFound("There is no such run; it may have been removed.")
        return record_of(row)

    def hosts(self, run_id: str, *, state: str = "", offset: int = 0, limit: int = -1) -> list[RunHostRecord]:
        """Return the run's hosts in the order of the start; a negative limit means all."""
        query = select(*SHOWN).where(RunHost.run_id == run_id).order_by(RunHost.position)
        return self._host_records(query, state, offset, limit)

    def hosts_worst_first(
        self, run_id: str, *, state: str = "", offset: int = 0, limit: int = -1
    ) -> list[RunHostRecord]:
        """Return the run's hosts, those that did not succeed before the others."""
        query = (
            select(*SHOWN)
            .where(RunHost.run_id == run_id)
            .order_by(RunHost.state == RunState.SUCCEEDED, RunHost.position)
        )
        return self._host_records(query, state, offset, limit)

    def _host_records(
        self,
        query: Select[Any],  # Any: the columns of a host, whose types are in RunHost
        state: str,
        offset: int,
        limit: int,
    ) -> list[RunHostRecord]:
        if state:
            query = query.where(RunHost.state == state)
        if limit >= 0:
            query = query.offset(offset).limit(limit)
        with self._db.read() as session:
            return [host_record(row) for row in session.execute(query)]

    def host(self, run_id: str, name: str) -> RunHostRecord:
        """Return one host of a run; raises NotFound."""
        query = select(RunHost).where(RunHost.run_id == run_id, RunHost.name == name)
        with self._db.read() as session:
            row = session.scalars(query).first()
        if row is None:
            raise NotFound(f"The run has no host named {name}.")
        return host_record(row)

    def has(self, run_id: str) -> bool:
        """Tell whether there is such a run."""
        with self._db.read() as session:
            return session.scalar(select(Run.id).where(Run.id == run_id)) is not None

    def host_of_order(self, run_id: str, host_id: str, order_id: str) -> RunHostRecord:
        """Return the host of a run that was given this order; raises NotFound."""
        with self._db.read() as session:
            row = session.get(RunHost, (run_id, host_id))
        if row is None or row.order is None or row.order["id"] != order_id:
            raise NotFound("No such order was given to this worker.")
        return host_record(row)

    def page(self, query: RunQuery) -> RunPage:
        """Return the newest runs that fit, and where the next page begins."""
        # The ids first: a filter then reads an index alone, however wide the rows are.
        wanted = _filtered(query).order_by(Run.id.desc()).limit(query.limit + 1)
        with self._db.read() as session:
            ids = session.scalars(wanted).all()
            found = session.scalars(select(Run).where(Run.id.in_(ids)).order_by(Run.id.desc()))
            rows = [record_of(row) for row in found]
        shown = rows[: query.limit]
        return RunPage(tuple(shown), shown[-1].id if len(rows) > query.limit else "")

    def targets(self, run_id: str) -> list[Target]:
        """Return the hosts of a run as the judge sees them: those that are gone have no tags."""
        query = (
            select(RunHost.host_id, Host.name, HostTag.tag)
            .outerjoin(Host, Host.id == RunHost.host_id)
            .outerjoin(HostTag, HostTag.host_id == Host.id)
            .where(RunHost.run_id == run_id)
        )
        tags: dict[str, set[str]] = {}
        names = {}
        with self._db.read() as session:
            for host_id, name, tag in session.execute(query):
                names[host_id] = f"host:{name or ''}"
                tags.setdefault(host_id, set()).update([tag] if tag else [])
        return [Target(names[host_id], frozenset(found)) for host_id, found in tags.items()]

    def counts(self, since: datetime, within: Within = None) -> RunCounts:
        """Count what is under way, and what began since a time."""
        is_bad = Run.state.in_((RunState.FAILED, RunState.TIMED_OUT, RunState.LOST))
        began = select(func.count(), func.sum(case((is_bad, 1), else_=0))).where(
            Run.created_at >= since, *runs_inside(Run.id, within)
        )
        under_way = select(func.count()).select_from(Run).where(Run.is_active, *runs_inside(Run.id, within))
        with self._db.read() as session:
            active = session.scalar(under_way) or 0
            today, failed = session.execute(began).one()
        return RunCounts(active, today, failed or 0)


def title_of(task: Task) -> str:
    """Return the one line by which people know a task."""
    match task:
        case CommandTask():
            lines = task.command.strip().splitlines() or [""]
            text = lines[0] if len(lines) == 1 else f"{lines[0]} …"
        case CallTask():
            text = f"{task.method.upper()} {task.url}"
        case BuiltinTask():
            text = str(task.name)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _filtered(query: RunQuery) -> Select[str]:
    statement = select(Run.id)
    if query.state == "active":
        statement = statement.where(Run.is_active)
    elif query.state:
        statement = statement.where(Run.state == query.state)
    if query.actor:
        statement = statement.where(Run.actor == query.actor)
    if query.kind:
        statement = statement.where(Run.kind == query.kind)
    if query.host:
        statement = statement.where(Run.id.in_(select(RunHost.run_id).where(RunHost.name == query.host)))
    if query.q:
        statement = statement.where(Run.title.icontains(query.q, autoescape=True))
    if query.before:
        statement = statement.where(Run.id < query.before)
    return statement.where(*runs_inside(Run.id, query.within))


def runs_inside(run_id: RunId, within: Within) -> list[ColumnElement[bool]]:
    """Return the conditions on runs, by the column with their id, of what somebody gets at.

    A run is in it when each of its hosts is; hosts that are gone never are.
    """
    if within is None:
        return []
    part = aliased(RunHost)
    open_hosts = select(Host.id).where(*inside(within))
    elsewhere = select(part.run_id).where(part.run_id == run_id, part.host_id.not_in(open_hosts))
    return [~elsewhere.exists()]


def record_of(row: Run) -> RunRecord:
    """Return a stored run as a value."""
    return RunRecord(
        id=row.id,
        kind=row.kind,
        title=row.title,
        task=msgspec.convert(row.task, Task),
        fingerprint=row.fingerprint,
        state=RunState(row.state),
        tally=row.tally,
        targets=row.targets,
        host_count=row.host_count,
        actor=row.actor,
        person_id=row.person_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        timeout_seconds=row.timeout_seconds,
        options=msgspec.convert(row.options, RunOptions),
        forced_reason=row.forced_reason,
        duplicate_of=row.duplicate_of,
        request_id=row.request_id,
        intent_id=row.intent_id,
    )


def host_record(row: Any) -> RunHostRecord:  # Any: a RunHost, or a row of the columns in SHOWN
    """Return a stored host of a run as a value."""
    return RunHostRecord(
        host_id=row.host_id,
        name=row.name,
        kind=row.kind,
        state=RunState(row.state),
        message=row.message,
        exit_status=row.exit_status,
        started_at=row.started_at,
        finished_at=row.finished_at,
        out_bytes=row.out_bytes,
        err_bytes=row.err_bytes,
        gone=row.gone,
        details=row.details,
        out_hash=row.out_hash,
        err_hash=row.err_hash,
    )
