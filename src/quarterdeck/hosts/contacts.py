"""What the last contact with each host said, and the news that come of a change."""

import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import or_, select, update

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.history.service import History
from quarterdeck.hosts.changes import Changes
from quarterdeck.hosts.models import Host, HostRecord, HostState
from quarterdeck.hosts.standing import FLAPPING_CHANGES, Flapping, after_change, is_steady

MAX_REASON: Final = 500
_AT_ONCE: Final = 500
"""Hosts of one statement."""
_MOST_NEWS: Final = 10_000
_COUNTED: Final = frozenset({HostState.WELL, HostState.LATE, HostState.LOST})
"""A change between these counts as flapping; the others are decided by people."""
_COLUMNS: Final = (
    Host.id,
    Host.name,
    Host.state,
    Host.state_reason,
    Host.state_since,
    Host.version,
    Host.flapping_since,
    Host.clock_skew_seconds,
    Host.last_seen,
)

Row = Any  # Any: a row of the columns above; the library's type of it names each by its place


class Flap(StrEnum):
    """How a change stands to flapping."""

    NO = "no"
    BEGINS = "begins"
    GOES_ON = "goes on"
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class Report:
    """What one contact said. Without a version the known one stays, without ``knows_clock`` its clock."""

    host_id: str
    state: HostState
    reason: str = ""
    version: str = ""
    clock_skew_seconds: float | None = None
    knows_clock: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A host's state before and after a contact that changed it; the same when flapping ends."""

    host_id: str
    name: str
    before: HostState
    after: HostState
    reason: str
    flap: Flap = Flap.NO


class Contacts:
    """Notes contacts from any thread. Times of healthy ones stay in memory until ``save_times``."""

    def __init__(self, db: Database, history: History, clock: Clock, changes: Changes) -> None:
        self._db, self._history, self._clock, self._changes = db, history, clock, changes
        self._lock = threading.Lock()
        self._seen: dict[str, datetime] = {}
        self._unsaved: set[str] = set()
        self._flapping: dict[str, Flapping] = {}
        self._news: deque[Transition] = deque(maxlen=_MOST_NEWS)

    def with_times(self, records: Iterable[HostRecord]) -> list[HostRecord]:
        """Return the records with the latest times of contact, which the tables learn later."""
        return [
            replace(record, last_seen=seen) if (seen := self._seen.get(record.id)) else record
            for record in records
        ]

    def see(self, host_id: str) -> None:
        """Take in that a host answered, and nothing else: a write into memory, callable a lot."""
        with self._lock:
            self._seen[host_id] = self._clock.now()
            self._unsaved.add(host_id)

    def note(self, host_id: str, state: HostState, reason: str = "", version: str = "") -> Transition | None:
        """Take in the result of one contact; returns the change of state, if it is one. See ``note_all``."""
        return next(iter(self.note_all([Report(host_id, state, reason, version)])), None)

    def note_all(self, reports: Collection[Report]) -> list[Transition]:
        """Take in the results of contacts in one go; returns the changes of state.

        Each of them is an event of the history. An unknown host is passed over: it was removed while
        somebody was talking to it. So is a revoked one.
        """
        by_id = {report.host_id: report for report in reports}
        rows = [row for row in self._rows(list(by_id)) if row.state != HostState.REVOKED]
        for row in rows:
            if by_id[row.id].state is HostState.WELL:
                self.see(row.id)
        changed = [row for row in rows if _differs(row, by_id[row.id])]
        transitions = [
            Transition(row.id, row.name, HostState(row.state), report.state, report.reason[:MAX_REASON], flap)
            for row in changed
            if (report := by_id[row.id]).state != row.state
            for flap in (self._count(row, report.state),)
        ]
        self._record(transitions)
        flaps = {each.host_id: each.flap for each in transitions}
        self._write([self._values(row, by_id[row.id], flaps.get(row.id)) for row in changed])
        return transitions

    def note_well(self, host_ids: Collection[str]) -> None:
        """Take in that all of these answered: one read, and one write for those that had not before."""
        for host_id in host_ids:
            self.see(host_id)
        is_unwell = or_(Host.state != HostState.WELL, Host.state_reason != "")
        unwell: list[str] = []
        with self._db.read() as session:
            for ids in _pieces(list(host_ids)):
                unwell += session.scalars(select(Host.id).where(Host.id.in_(ids), is_unwell))
        if unwell:
            self.note_all([Report(host_id, HostState.WELL) for host_id in unwell])

    def settle(self) -> None:
        """End the flapping of hosts whose state has not changed for a while."""
        now = self._clock.monotonic()
        with self._lock:
            steady = [host_id for host_id, each in self._flapping.items() if is_steady(each, now)]
            on = [host_id for host_id in steady if self._flapping[host_id].is_on]
            for host_id in steady:
                del self._flapping[host_id]
        if not on:
            return
        rows = [row for row in self._rows(on) if row.flapping_since]
        transitions = [
            Transition(
                row.id, row.name, HostState(row.state), HostState(row.state), row.state_reason, Flap.ENDS
            )
            for row in rows
        ]
        self._record(transitions)
        self._write([{"id": row.id, "flapping_since": None} for row in rows])

    def recall_flapping(self, host_ids: Iterable[str]) -> None:
        """Take over hosts that flapped when another process watched them; they are steady after a while."""
        with self._lock:
            for host_id in host_ids:
                if host_id not in self._flapping:
                    self._flapping[host_id] = Flapping((self._clock.monotonic(),), is_on=True)

    def take_news(self) -> list[Transition]:
        """Return the changes of state since the last call, oldest first."""
        news = []
        while self._news:
            news.append(self._news.popleft())
        return news

    def save_times(self) -> None:
        """Write the times of contact that only memory holds, in one go."""
        with self._lock:
            rows = [{"id": host_id, "last_seen": self._seen[host_id]} for host_id in self._unsaved]
            self._unsaved.clear()
        if rows:
            with self._db.write() as session:
                session.execute(update(Host), rows)

    def forget(self, host_id: str) -> None:
        """Drop what memory holds of a removed host."""
        with self._lock:
            self._seen.pop(host_id, None)
            self._unsaved.discard(host_id)
            self._flapping.pop(host_id, None)

    def _rows(self, host_ids: list[str]) -> list[Row]:
        with self._db.read() as session:
            return [
                row
                for ids in _pieces(host_ids)
                for row in session.execute(select(*_COLUMNS).where(Host.id.in_(ids)))
            ]

    def _count(self, row: Row, after: HostState) -> Flap:
        """Count a change of state; returns how it stands to flapping."""
        if not {HostState(row.state), after} <= _COUNTED:
            return Flap.GOES_ON if row.flapping_since else Flap.NO
        with self._lock:
            before = self._flapping.get(row.id, Flapping(is_on=row.flapping_since is not None))
            now = self._flapping[row.id] = after_change(before, self._clock.monotonic())
        if not now.is_on:
            return Flap.NO
        return Flap.GOES_ON if before.is_on else Flap.BEGINS

    def _values(self, row: Row, report: Report, flap: Flap | None) -> dict[str, Any]:  # Any: columns
        is_same = report.state == row.state
        now = self._clock.now()
        return {
            "id": row.id,
            "state": report.state,
            "state_reason": report.reason[:MAX_REASON],
            "state_since": row.state_since if is_same else now,
            "version": report.version[:40] or row.version,
            "flapping_since": now if flap is Flap.BEGINS else row.flapping_since,
            "clock_skew_seconds": _skew(row, report),
            "last_seen": self._seen.get(row.id, row.last_seen),
        }

    def _record(self, transitions: Sequence[Transition]) -> None:
        events: list[tuple[str, str, dict[str, Any]]] = []  # Any: JSON
        for each in transitions:
            detail = {"host": each.name, "before": each.before, "reason": each.reason}
            object_ = f"host:{each.name}"
            if each.flap is not Flap.ENDS:
                events.append((_action(each), object_, {name: text for name, text in detail.items() if text}))
            if each.flap is Flap.BEGINS:
                more = {"host": each.name, "changes": FLAPPING_CHANGES, "within": "10 min"}
                events.append(("host.flapping", object_, more))
            if each.flap is Flap.ENDS:
                events.append(("host.steady", object_, {"host": each.name, "state": each.after}))
        if events:
            self._history.events(SYSTEM, events)
            self._news.extend(transitions)

    def _write(self, rows: list[dict[str, Any]]) -> None:  # Any: values of columns
        if not rows:
            return
        with self._db.write() as session:
            session.execute(update(Host), rows)
        self._changes.note(row["id"] for row in rows)


def _differs(row: Row, report: Report) -> bool:
    known = (row.state, row.state_reason, row.version, row.clock_skew_seconds)
    version = report.version[:40] or row.version
    return known != (report.state, report.reason[:MAX_REASON], version, _skew(row, report))


def _skew(row: Row, report: Report) -> float | None:
    skew: float | None = report.clock_skew_seconds if report.knows_clock else row.clock_skew_seconds
    return skew


def _action(transition: Transition) -> str:
    """Return what the history calls a change; back is only who was late or lost."""
    if transition.after is HostState.WELL and transition.before in (HostState.LATE, HostState.LOST):
        return "host.back"
    return f"host.{transition.after}"


def _pieces(host_ids: list[str]) -> Iterable[list[str]]:
    return (host_ids[first : first + _AT_ONCE] for first in range(0, len(host_ids), _AT_ONCE))
