"""Silences: while a host or a tag is worked on, its states and alerts ring nobody; they are still shown."""

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.history.service import History
from quarterdeck.hosts import store
from quarterdeck.hosts.changes import Changes
from quarterdeck.hosts.models import Host, HostRecord, HostTag, Silence, SilencePhase, SilenceRecord

USUAL: Final = timedelta(hours=2)
LONGEST: Final = timedelta(days=90)
MOST_SHOWN: Final = 200
_MAX_REASON: Final = 500
_MAX_LABEL: Final = 160
_LATEST_BEGIN: Final = timedelta(days=366)
_REFRESH_SECONDS: Final = 10.0
"""After so long the tables are read again: another process may have changed them."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class SilenceDraft:
    """What is asked for: of a host or of a tag; from now on for two hours where nothing else is said."""

    host: str = ""
    tag: str = ""
    reason: str = ""
    begins_at: datetime | None = None
    ends_at: datetime | None = None


class Silences:
    """Adds, lists and ends silences, and knows in memory who is silenced now; safe for threads."""

    def __init__(self, db: Database, history: History, clock: Clock, changes: Changes) -> None:
        self._db, self._history, self._clock, self._changes = db, history, clock, changes
        self._loading = threading.Lock()
        self._spans: dict[str, list[Span]] = {}
        self._read_at = -_REFRESH_SECONDS
        changes.listen(self._note_changed)

    # Who is silenced

    def until(self, host_id: str) -> datetime | None:
        """Return when a host's silence ends, None while it has none; memory alone, also for the loop."""
        now = self._clock.now()
        ends = [end for begin, end in self._spans.get(host_id, ()) if begin <= now < end]
        return max(ends, default=None)

    def is_silenced(self, host_id: str) -> bool:
        """Tell whether what happens to a host rings nobody now; in threads, for it may read the tables."""
        self._catch_up()
        return self.until(host_id) is not None

    def silenced(self) -> set[str]:
        """Return the ids of all hosts that are silenced now; memory alone."""
        return {host_id for host_id in list(self._spans) if self.until(host_id)}

    def with_silences(self, records: Iterable[HostRecord]) -> list[HostRecord]:
        """Return the records with the ends of their silences."""
        self._catch_up()
        if not self._spans:
            return list(records)
        return [
            replace(record, silenced_until=until) if (until := self.until(record.id)) else record
            for record in records
        ]

    def refresh(self) -> None:
        """Read anew who is silenced, now and later."""
        with self._loading:
            self._read_at = self._clock.monotonic()
            with self._db.read() as session:
                self._spans = _spans(session, self._clock.now())

    def _catch_up(self) -> None:
        if self._clock.monotonic() - self._read_at >= _REFRESH_SECONDS:
            self.refresh()

    def _note_changed(self, _host_ids: list[str]) -> None:
        """Have the tables read again once somebody asks: perhaps tags have changed."""
        self._read_at = -_REFRESH_SECONDS

    def now(self) -> datetime:
        """Return the time by which silences begin and end."""
        return self._clock.now()

    # The list

    def select(self, phases: Collection[str] = (), within: Within = None) -> list[SilenceRecord]:
        """Return the silences of hosts and tags that somebody gets at: the latest to end first."""
        now = self._clock.now()
        statement = (
            select(Silence, Host.name)
            .outerjoin(Host, Host.id == Silence.host_id)
            .where(*_of_phases(phases, now))
            .order_by(Silence.ends_at.desc(), Silence.id.desc())
            .limit(MOST_SHOWN)
        )
        with self._db.read() as session:
            if within is not None:
                tags = list(store.all_tags(session, within))
                statement = statement.where(
                    or_(Silence.tag.in_(tags), Host.id.in_(select(Host.id).where(*store.inside(within))))
                )
            return [_record(row.Silence, row.name) for row in session.execute(statement)]

    # Verbs

    def add(self, actor: Actor, draft: SilenceDraft, within: Within = None) -> SilenceRecord:
        """Silence a host, or all hosts with a tag; ``within`` is what the actor may operate.

        A tag is for whoever may operate all that has it or will have it. Raises Invalid.
        """
        now = self._clock.now()
        draft = _checked(draft, now)
        with self._db.read() as session:
            host_id, ids = _meant(session, draft, within)
        record = SilenceRecord(
            new_id(),
            draft.host,
            draft.tag,
            draft.reason,
            draft.begins_at or now,
            draft.ends_at or now + USUAL,
            now,
            actor.label[:_MAX_LABEL],
        )
        with self._history.action(actor, "silence.add", record.of, detail=_told(record)):
            with self._db.write() as session:
                session.add(
                    Silence(
                        id=record.id,
                        host_id=host_id,
                        tag=record.tag,
                        reason=record.reason,
                        begins_at=record.begins_at,
                        ends_at=record.ends_at,
                        created_at=now,
                        created_by=record.created_by,
                    )
                )
            self.refresh()
            self._changes.note(ids)
        return record

    def end(self, actor: Actor, silence_id: str, within: Within = None) -> SilenceRecord:
        """End a silence; one that is to come never begins. Raises NotFound, or Conflict when it is over."""
        now = self._clock.now()
        with self._db.read() as session:
            record, ids = _find(session, silence_id, within)
        if record.phase(now) is SilencePhase.OVER:
            raise Conflict("This silence is over already.")
        ended = replace(record, ends_at=now, ended_by=actor.label[:_MAX_LABEL])
        detail = _told(record) | {"silence": record.id}
        with self._history.action(actor, "silence.end", record.of, detail=detail):
            with self._db.write() as session:
                row = session.get_one(Silence, record.id)
                row.ends_at, row.ended_by = ended.ends_at, ended.ended_by
            self.refresh()
            self._changes.note(ids)
        return ended


def may_silence_tag(within: Within, tag: str) -> bool:
    """Tell whether somebody may operate every host that has a tag or will have it."""
    return within is None or all(tag in bounds.tags for bounds in within)


def _spans(session: Session, now: datetime) -> dict[str, list[Span]]:
    rows = session.execute(
        select(Silence.host_id, Silence.tag, Silence.begins_at, Silence.ends_at).where(Silence.ends_at > now)
    ).all()
    spans: dict[str, list[Span]] = {}
    for row in rows:
        if row.host_id:
            spans.setdefault(row.host_id, []).append((row.begins_at, row.ends_at))
    tags = {row.tag for row in rows if row.tag}
    if tags:
        for host_id, tag in session.execute(
            select(HostTag.host_id, HostTag.tag).where(HostTag.tag.in_(tags))
        ):
            spans.setdefault(host_id, []).extend(
                (row.begins_at, row.ends_at) for row in rows if row.tag == tag
            )
    return spans


def _of_phases(phases: Collection[str], now: datetime) -> list[ColumnElement[bool]]:
    if not phases:
        return []
    conditions: dict[str, ColumnElement[bool]] = {
        SilencePhase.OVER: Silence.ends_at <= now,
        SilencePhase.PLANNED: (Silence.begins_at > now) & (Silence.ends_at > now),
        SilencePhase.ACTIVE: (Silence.begins_at <= now) & (Silence.ends_at > now),
    }
    return [or_(*(conditions[phase] for phase in phases))]


def _meant(session: Session, draft: SilenceDraft, within: Within) -> tuple[str | None, list[str]]:
    """Return the host's id, or None for a tag, and the ids of all that are silenced; raises Invalid."""
    if draft.host:
        found = session.scalar(select(Host.id).where(Host.name == draft.host, *store.inside(within)))
        if found is None:
            raise Invalid({"host": f"There is no host named “{draft.host[:63]}” that you may silence."})
        return found, [found]
    if draft.tag not in store.all_tags(session, within):
        raise Invalid({"tag": f"No host that you may silence has the tag “{draft.tag[:40]}”."})
    if not may_silence_tag(within, draft.tag):
        raise Invalid({"tag": "You may silence single hosts only, or tags that were granted to you."})
    return None, _tagged(session, draft.tag)


def _find(session: Session, silence_id: str, within: Within) -> tuple[SilenceRecord, list[str]]:
    """Return a silence that somebody may end, with the ids of its hosts; raises NotFound."""
    row = session.execute(
        select(Silence, Host.name).outerjoin(Host, Host.id == Silence.host_id).where(Silence.id == silence_id)
    ).one_or_none()
    if row is not None:
        host_id, tag = row.Silence.host_id, row.Silence.tag
        inside = select(Host.id).where(Host.id == host_id, *store.inside(within))
        if session.scalar(inside) if host_id else may_silence_tag(within, tag):
            return _record(row.Silence, row.name), [host_id] if host_id else _tagged(session, tag)
    raise NotFound("There is no silence of this id that you may end.")


def _tagged(session: Session, tag: str) -> list[str]:
    return list(session.scalars(select(HostTag.host_id).where(HostTag.tag == tag)))


def _record(row: Silence, host: str | None) -> SilenceRecord:
    return SilenceRecord(
        row.id,
        host or "",
        row.tag,
        row.reason,
        row.begins_at,
        row.ends_at,
        row.created_at,
        row.created_by,
        row.ended_by,
    )


def _checked(draft: SilenceDraft, now: datetime) -> SilenceDraft:
    """Return the draft with its times filled in; raises Invalid with all that is wrong."""
    faults: dict[str, str] = {}
    reason = " ".join(draft.reason.split())
    if not reason:
        faults["reason"] = "Say why, for whoever looks at it in the night."
    elif len(reason) > _MAX_REASON:
        faults["reason"] = f"Use at most {_MAX_REASON} characters."
    if bool(draft.host) == bool(draft.tag):
        faults["host"] = "Name a host or a tag, one of both."
    begins = max(draft.begins_at or now, now)
    if begins > now + _LATEST_BEGIN:
        faults["begins_at"] = "This is more than a year ahead."
        begins = now
    ends = draft.ends_at or begins + USUAL
    if ends <= begins:
        faults["ends_at"] = "It must end after it begins, and later than now."
    elif ends - begins > LONGEST:
        faults["ends_at"] = f"A silence lasts {LONGEST.days} days at most."
    if faults:
        raise Invalid(faults)
    return replace(draft, reason=reason, begins_at=begins, ends_at=ends)


def _told(record: SilenceRecord) -> dict[str, Any]:  # Any: JSON
    """Return what the history shows of a silence."""
    facts = {
        "host": record.host,
        "tag": record.tag,
        "from": record.begins_at.isoformat(),
        "until": record.ends_at.isoformat(),
        "reason": record.reason,
    }
    return {name: value for name, value in facts.items() if value}
