"""The register of places: which repositories there are, who may use which, and the adapter of each."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from quarterdeck.access.grants import drop_grants_on, move_grants
from quarterdeck.access.permissions import judge, may
from quarterdeck.core.actors import Actor, Level, Target
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Busy, Conflict, Forbidden, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.core.loop import Loop
from quarterdeck.core.vault import Vault
from quarterdeck.files.models import FilePlace, PlaceRecord, place_record
from quarterdeck.files.place_drafts import (
    PLAIN_FIELDS,
    PlaceDraft,
    check_token_stays,
    checked,
    differences,
    told,
)
from quarterdeck.files.places.opening import Opener, close_place
from quarterdeck.files.places.place import Check, Place
from quarterdeck.history.service import History

_TICK: Final = timedelta(microseconds=1)
_MOST: Final = 1_000


class Places:
    """Adds, changes, removes, lists and opens places; a token never leaves but for a call of its place."""

    def __init__(
        self,
        db: Database,
        history: History,
        vault: Vault,
        clock: Clock,
        loop: Loop,
        *,
        rights_changed: Callable[[], None] = lambda: None,
        opener: Opener | None = None,
        home: Path | None = None,
    ) -> None:
        self._db, self._history, self._vault, self._clock = db, history, vault, clock
        self._rights_changed = rights_changed
        self._opener = opener or Opener(loop, clock, home)
        self._lock = threading.Lock()
        self._open: dict[str, tuple[PlaceRecord, Place]] = {}

    # Reading

    def list_places(self, actor: Actor, verb: str = "file.read") -> list[PlaceRecord]:
        """Return the places on which somebody may do this, by name."""
        return [record for record in self.all() if may(actor, verb, target_of(record))]

    def all(self) -> list[PlaceRecord]:
        """Return every place by name, whoever may see it."""
        with self._db.read() as session:
            rows = session.scalars(select(FilePlace).order_by(func.lower(FilePlace.name)))
            return [place_record(row) for row in rows]

    def get(self, actor: Actor, name: str, verb: str = "file.read") -> PlaceRecord:
        """Return a place; raises NotFound when it may not be read, else Forbidden for a refused verb."""
        record = self.named(name)
        if record is None:
            raise NotFound(_missing(name))
        target = target_of(record)
        if not may(actor, "file.read", target):
            self._history.denied(actor, verb, target.name)
            raise NotFound(_missing(name))
        verdict = judge(actor, verb, target)
        if not verdict.is_allowed:
            self._history.denied(actor, verb, target.name)
            raise Forbidden(f"You may not do this ({verb}). {verdict.reason}")
        return record

    def named(self, name: str) -> PlaceRecord | None:
        """Return the place of that name, whoever may see it."""
        with self._db.read() as session:
            row = _find(session, name)
            return place_record(row) if row else None

    def by_id(self, id_: str) -> PlaceRecord | None:
        """Return the place of that id, whoever may see it; None when it is gone."""
        with self._db.read() as session:
            row = session.get(FilePlace, id_)
            return place_record(row) if row else None

    def targets(self, name: str) -> list[Target]:
        """Return the place of that name as the judge sees it; nothing when there is none."""
        record = self.named(name)
        return [target_of(record)] if record else []

    def open(self, record: PlaceRecord) -> Place:
        """Return the adapter of a place, the same one as long as nothing of the place changes.

        Raises Conflict when it was changed since the record was read, and Busy when its token can't be
        decrypted.
        """
        with self._lock:
            kept = self._open.get(record.id)
            if kept is not None and kept[0] == record:
                return kept[1]
            place = self._opener.open(record, self._token_of(record))
            self._open[record.id] = (record, place)
        if kept is not None:
            close_place(kept[1])
        return place

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            kept, self._open = self._open, {}
        for _, place in kept.values():
            close_place(place)

    # Verbs

    def add(self, actor: Actor, draft: PlaceDraft) -> PlaceRecord:
        """Add a place; raises Invalid for bad fields and Conflict for a name in use."""
        return self._add(actor, checked(draft), from_settings=False)

    def change(self, actor: Actor, name: str, draft: PlaceDraft) -> PlaceRecord:
        """Change a place; a token not given anew is kept. Raises NotFound, Invalid and Conflict."""
        before = self.get(actor, name, "place.write")
        if before.from_settings:
            raise Conflict(f"{name} is defined in the settings; change it there and start anew.")
        return self._change(actor, before, checked(draft))

    def remove(self, actor: Actor, name: str) -> None:
        """Forget a place with its token and the grants on it; the repository stays as it is.

        Raises NotFound, and Conflict for one that the settings define.
        """
        before = self.get(actor, name, "place.write")
        if before.from_settings:
            raise Conflict(f"{name} is defined in the settings; take it out there and start anew.")
        self._remove(actor, before)

    def test(self, actor: Actor, name: str) -> list[Check]:
        """Try a place, also whether one can write there; what is wrong is a result, not an error."""
        record = self.get(actor, name, "place.write")
        with self._history.action(actor, "place.test", _object(name)) as outcome:
            checks = self.open(record).check(for_writing=True)
            failed = [check for check in checks if not check.is_ok]
            outcome |= {"passed": not failed, "failed": [check.name for check in failed]}
        return checks

    def define(self, actor: Actor, drafts: Sequence[PlaceDraft]) -> None:
        """Make the places of the settings exactly these, which are checked; what is so already stays.

        One that people added under the same name is taken over, with its grants.
        """
        stored = {record.name.lower(): record for record in self.all()}
        for draft in drafts:
            before = stored.get(draft.name)
            if before is None:
                self._add(actor, draft, from_settings=True)
            elif self._differs(before, draft):
                self._change(actor, before, draft, from_settings=True)
        names = {draft.name for draft in drafts}
        for record in stored.values():
            if record.from_settings and record.name not in names:
                self._remove(actor, record)

    def _differs(self, before: PlaceRecord, draft: PlaceDraft) -> bool:
        plain = [name for name in differences(before, draft) if name != "token"]
        try:
            return bool(plain) or not before.from_settings or self._token_of(before) != (draft.token or "")
        except Busy:  # sealed with another key file: the settings have it still
            return True

    def _add(self, actor: Actor, draft: PlaceDraft, *, from_settings: bool) -> PlaceRecord:
        detail = told(draft) | {"from_settings": from_settings}
        with self._history.action(actor, "place.add", _object(draft.name), detail=detail) as outcome:
            now = self._clock.now()
            row = FilePlace(id=new_id(), from_settings=from_settings, created_at=now, updated_at=now)
            self._put(row, draft)
            with self._db.write() as session:
                _check_free(session, draft.name)
                _check_room(session)
                session.add(row)
            outcome["id"] = row.id
        self._rights_changed()
        return self._now(row.id)

    def _change(
        self, actor: Actor, before: PlaceRecord, draft: PlaceDraft, *, from_settings: bool = False
    ) -> PlaceRecord:
        check_token_stays(before, draft)
        changed = differences(before, draft)
        old = {name: str(getattr(before, name)) for name in changed if name in PLAIN_FIELDS}
        new = {name: str(getattr(draft, name)) for name in old}
        detail = {"changed": changed, "before": old, "after": new}
        with self._history.action(actor, "place.change", _object(before.name), detail=detail):
            with self._db.write() as session:
                row = session.get(FilePlace, before.id)
                if row is None:
                    raise NotFound(_missing(before.name))
                if draft.name.lower() != row.name.lower():
                    _check_free(session, draft.name)
                if draft.name != row.name:
                    move_grants(session, _object(row.name), _object(draft.name))
                self._put(row, draft)
                row.from_settings = from_settings
                row.updated_at = max(self._clock.now(), _later(row.updated_at))
            self._forget(before.id)
        return self._now(before.id)

    def _remove(self, actor: Actor, before: PlaceRecord) -> None:
        detail = {"kind": before.kind.value, "url": before.url, "repository": repository_of(before)}
        with self._history.action(actor, "place.remove", _object(before.name), detail=detail) as outcome:
            with self._db.write() as session:
                row = session.get(FilePlace, before.id)
                if row is None:
                    raise NotFound(_missing(before.name))
                session.delete(row)
                outcome["grants"] = drop_grants_on(session, _object(before.name))
            self._forget(before.id)

    def _now(self, place_id: str) -> PlaceRecord:
        record = self.by_id(place_id)
        if record is None:
            raise NotFound("The place was removed just now.")
        return record

    def _forget(self, place_id: str) -> None:
        with self._lock:
            kept = self._open.pop(place_id, None)
        if kept is not None:
            close_place(kept[1])
        self._rights_changed()

    def _put(self, row: FilePlace, draft: PlaceDraft) -> None:
        for name in PLAIN_FIELDS:
            setattr(row, name, getattr(draft, name))
        row.allowed_paths = list(draft.allowed_paths)
        if draft.token is not None:
            row.token = self._vault.seal(draft.token, _purpose(row.id)) if draft.token else None

    def _token_of(self, record: PlaceRecord) -> str:
        """Return the token; it is not handed to an adapter of what the place was before a change."""
        with self._db.read() as session:
            row = session.get(FilePlace, record.id)
            if row is None or place_record(row) != record:
                raise Conflict(f"{record.name} was changed or removed just now; load the page again.")
            return self._vault.open(row.token, _purpose(row.id)) if row.token is not None else ""


def target_of(record: PlaceRecord) -> Target:
    """Return a place as the judge sees it."""
    roles = ((Level.READ, record.read_role), (Level.WRITE, record.write_role))
    return Target(_object(record.name), roles=roles)


def repository_of(record: PlaceRecord) -> str:
    """Return the repository in a word, for the history and for people."""
    return f"{record.project}/{record.repository}" if record.project else record.url


def _object(name: str) -> str:
    return f"place:{name}"


def _purpose(place_id: str) -> str:
    return f"place:{place_id}:token"


def _missing(name: str) -> str:
    return f"There is no place of files named “{name[:63]}”, or it is not open to you."


def _later(moment: datetime) -> datetime:
    """Return a time by which a change can be told, also where the clock has not moved on."""
    return moment + _TICK


def _find(session: Session, name: str) -> FilePlace | None:
    return session.scalar(select(FilePlace).where(FilePlace.name == name))


def _check_free(session: Session, name: str) -> None:
    if taken := session.scalar(select(FilePlace.name).where(func.lower(FilePlace.name) == name.lower())):
        message = f"There is already a place of files named “{taken}”."
        raise Conflict(message, errors={"name": message})


def _check_room(session: Session) -> None:
    if (session.scalar(select(func.count()).select_from(FilePlace)) or 0) >= _MOST:
        raise Conflict(f"There are {_MOST:,} places already; remove one that nobody needs.", errors={})
