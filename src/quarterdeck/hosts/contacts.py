"""What the last contact with each host said, and the news that come of a change."""

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import or_, select, update

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.history.service import History
from quarterdeck.hosts.changes import Changes
from quarterdeck.hosts.models import Host, HostRecord, HostState

MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Transition:
    """A host's state before and after a contact that changed it."""

    name: str
    before: HostState
    after: HostState
    reason: str


class Contacts:
    """Notes contacts from any thread. Times of healthy ones stay in memory until ``save_times``."""

    def __init__(self, db: Database, history: History, clock: Clock, changes: Changes) -> None:
        self._db, self._history, self._clock, self._changes = db, history, clock, changes
        self._lock = threading.Lock()
        self._seen: dict[str, datetime] = {}
        self._unsaved: set[str] = set()

    def with_times(self, records: Iterable[HostRecord]) -> list[HostRecord]:
        """Return the records with the latest times of contact, which the tables learn later."""
        return [
            replace(record, last_seen=seen) if (seen := self._seen.get(record.id)) else record
            for record in records
        ]

    def note(self, host_id: str, state: HostState, reason: str = "", version: str = "") -> Transition | None:
        """Take in the result of a contact; returns the change of state, if it is one.

        Losing a host and having it back are events of the history, once each. An unknown host is
        passed over: it was removed while somebody was talking to it. So is a revoked one.
        """
        columns = select(Host.name, Host.state, Host.state_reason, Host.version).where(Host.id == host_id)
        with self._db.read() as session:
            row = session.execute(columns).one_or_none()
        reason = reason[:MAX_REASON]
        version = version[:40] or (row.version if row else "")
        if row is None or row.state == HostState.REVOKED:
            return None
        if state is HostState.WELL:
            self._note_seen(host_id)
        if (row.state, row.state_reason, row.version) == (state, reason, version):
            return None
        transition = Transition(row.name, HostState(row.state), state, reason)
        self._record(transition)
        self._write(host_id, {"state": state, "state_reason": reason, "version": version})
        return transition if transition.before is not state else None

    def note_well(self, host_ids: Collection[str]) -> None:
        """Take in that all of these answered: one read, and one write for those that had not before."""
        for host_id in host_ids:
            self._note_seen(host_id)
        query = select(Host.id, Host.name, Host.state).where(
            Host.id.in_(host_ids), or_(Host.state != HostState.WELL, Host.state_reason != "")
        )
        with self._db.read() as session:
            rows = session.execute(query).all()
        if not rows:
            return
        for row in rows:
            self._record(Transition(row.name, HostState(row.state), HostState.WELL, ""))
        changed = [row.id for row in rows]
        values = {"state": HostState.WELL, "state_reason": "", "last_seen": self._clock.now()}
        with self._db.write() as session:
            session.execute(update(Host).where(Host.id.in_(changed)).values(**values))
        self._changes.note(changed)

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

    def _note_seen(self, host_id: str) -> None:
        with self._lock:
            self._seen[host_id] = self._clock.now()
            self._unsaved.add(host_id)

    def _record(self, transition: Transition) -> None:
        if transition.after is HostState.LOST and transition.before is not HostState.LOST:
            detail = {"host": transition.name, "reason": transition.reason}
            self._history.event(SYSTEM, "host.lost", f"host:{transition.name}", detail=detail)
        if transition.before is HostState.LOST and transition.after is HostState.WELL:
            self._history.event(
                SYSTEM, "host.back", f"host:{transition.name}", detail={"host": transition.name}
            )

    def _write(self, host_id: str, values: dict[str, Any]) -> None:  # Any: values of columns
        if seen := self._seen.get(host_id):
            values["last_seen"] = seen
        with self._db.write() as session:
            session.execute(update(Host).where(Host.id == host_id).values(**values))
        self._changes.note([host_id])
