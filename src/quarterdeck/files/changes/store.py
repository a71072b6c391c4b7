"""Changes and drafts in the tables."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.files.changes.records import (
    ChangeFile,
    ChangeRecord,
    DraftRecord,
    change_record,
    draft_record,
)
from quarterdeck.files.changes.states import FINAL, NOT_FINAL, following
from quarterdeck.files.models import ChangeState, DraftAction, FileDraft, FileEdit

MOST_FILES: Final = 50
MOST_OPEN: Final = 200
"""Changes of one person that have not come to their end."""
_GONE: Final = "There is no such change, or it is not open to you."


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Which changes to list: newest first, those that were begun before ``before`` (an id)."""

    states: tuple[ChangeState, ...] = ()
    person: str = ""
    place: str = ""
    q: str = ""
    before: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ChangePage:
    """``older`` is the ``before`` of the next page, empty on the last one."""

    changes: tuple[ChangeRecord, ...]
    older: str = ""


@dataclass(frozen=True, slots=True)
class Visible:
    """Whose changes somebody gets at: those of these places, and their own."""

    place_ids: frozenset[str]
    person_id: str = ""


class ChangeStore:
    """Reads and writes rows; what may be done with them is decided elsewhere."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock

    # Changes

    def add(self, change: FileEdit, drafts: Sequence[FileDraft]) -> ChangeRecord:
        """Store a new change; raises Conflict when the person has too many that are open."""
        with self._db.write() as session:
            mine = (FileEdit.person_id == change.person_id, FileEdit.state.in_(NOT_FINAL))
            if (session.scalar(select(func.count()).where(*mine)) or 0) >= MOST_OPEN:
                raise Conflict(f"You have {MOST_OPEN} open changes; end some of them first.")
            session.add(change)
            session.flush()
            for draft in drafts:
                draft.updated_at = change.updated_at
            session.add_all(drafts)
        return self.get(change.id)

    def get(self, change_id: str) -> ChangeRecord:
        """Return a change with its files; raises NotFound."""
        with self._db.read() as session:
            return _loaded(session, _find(session, change_id))

    def put(self, change_id: str, **values: Any) -> ChangeRecord:  # Any: columns of the table
        """Write some columns, also of a change that has ended."""
        with self._db.write() as session:
            row = _find(session, change_id)
            for name, value in values.items():
                setattr(row, name, value)
            row.updated_at = self._clock.now()
            session.flush()
            return _loaded(session, row)

    def step(self, change_id: str, state: ChangeState, **values: Any) -> ChangeRecord:  # Any: columns
        """Take a change to another state, and write some columns with it; raises Conflict."""
        with self._db.write() as session:
            row = _find(session, change_id)
            row.state = following(ChangeState(row.state), state)
            row.updated_at = self._clock.now()
            if state in FINAL:
                row.ended_at = row.ended_at or row.updated_at
            for name, value in values.items():
                setattr(row, name, value)
            session.flush()
            return _loaded(session, row)

    def remove(self, change_id: str) -> None:
        """Forget a change of which nothing was done."""
        with self._db.write() as session:
            session.execute(delete(FileDraft).where(FileDraft.change_id == change_id))
            session.execute(delete(FileEdit).where(FileEdit.id == change_id))

    def page(self, query: ChangeQuery, visible: Visible | None) -> ChangePage:
        """Return changes, newest first; ``visible`` None is all of them."""
        statement = select(FileEdit).where(*_conditions(query, visible)).order_by(FileEdit.id.desc())
        with self._db.read() as session:
            rows = session.scalars(statement.limit(query.limit + 1)).all()
            shown = rows[: query.limit]
            files = _files(session, [row.id for row in shown])
            records = tuple(change_record(row, tuple(files.get(row.id, ()))) for row in shown)
        return ChangePage(records, shown[-1].id if len(rows) > len(shown) else "")

    def select(self, *conditions: ColumnElement[bool], limit: int) -> list[ChangeRecord]:
        """Return the changes that fit, those first that nothing was done with for the longest time."""
        statement = select(FileEdit).where(*conditions).order_by(FileEdit.updated_at, FileEdit.id)
        with self._db.read() as session:
            rows = session.scalars(statement.limit(limit)).all()
            files = _files(session, [row.id for row in rows])
            return [change_record(row, tuple(files.get(row.id, ()))) for row in rows]

    def editing(self, place_id: str, path: str) -> list[tuple[ChangeRecord, ChangeFile]]:
        """Return the open changes that hold a file, each with that file."""
        held = select(FileDraft.change_id).where(
            or_(FileDraft.path_key == key_of(path), FileDraft.new_path == path)
        )
        open_ = (FileEdit.place_id == place_id, FileEdit.state.in_(NOT_FINAL), FileEdit.id.in_(held))
        return [
            (change, file)
            for change in self.select(*open_, limit=100)
            for file in change.files
            if path in (file.path, file.new_path)
        ]

    # Drafts

    def drafts(self, change_id: str) -> list[DraftRecord]:
        """Return the files of a change with their contents, in the order added."""
        with self._db.read() as session:
            rows = session.scalars(
                select(FileDraft).where(FileDraft.change_id == change_id).order_by(FileDraft.id)
            )
            return [draft_record(row) for row in rows]

    def draft(self, change_id: str, path: str) -> DraftRecord:
        """Return a file of a change by the path that it had, or has; raises NotFound."""
        with self._db.read() as session:
            return draft_record(_find_draft(session, change_id, path))

    def add_draft(self, draft: FileDraft) -> DraftRecord:
        """Add a file to a change; raises Conflict for one that it holds, and when it holds too many."""
        with self._db.write() as session:
            change = _find(session, draft.change_id)
            files = _files(session, [change.id]).get(change.id, [])
            check_room(files, draft)
            session.add(draft)
            change.updated_at = draft.updated_at = self._clock.now()
        return draft_record(draft)

    def change_draft(
        self, change_id: str, path: str, apply: Callable[[FileDraft], None], *, version: int | None = None
    ) -> DraftRecord:
        """Change a draft in one step and count its version up; with a version, only while it is that one.

        Raises StaleDraft with what is stored.
        """
        with self._db.write() as session:
            row = _find_draft(session, change_id, path, locked=True)
            if version is not None and row.version != version:
                raise StaleDraft(draft_record(row))
            apply(row)
            row.version += 1
            row.updated_at = self._clock.now()
            _find(session, change_id).updated_at = row.updated_at
            session.flush()
            return draft_record(row)

    def mark_sent(self, sent: Mapping[str, str]) -> None:
        """Write down what is about to be committed: digests by the ids of drafts."""
        with self._db.write() as session:
            for draft_id, digest in sent.items():
                session.execute(update(FileDraft).where(FileDraft.id == draft_id).values(sent=digest))

    def mark_committed(self, done: Sequence[DraftRecord], tip: str, *, waiting: Collection[str] = ()) -> None:
        """Write down that drafts are committed; ids in ``waiting``, and what was saved meanwhile, wait on."""
        with self._db.write() as session:
            for draft in done:
                row = session.get(FileDraft, draft.id)
                if row is None:
                    continue
                row.committed, row.seen = tip, ""
                row.is_waiting = row.version != draft.version or row.id in waiting

    def restart_drafts(self, change_id: str, base: str) -> None:
        """Have every draft wait for its commit on a branch that begins anew at ``base``."""
        with self._db.write() as session:
            for row in session.scalars(select(FileDraft).where(FileDraft.change_id == change_id)):
                row.base, row.seen, row.committed = base, "", ""
                row.is_waiting = draft_record(row).is_changed

    def drop_draft(self, change_id: str, path: str) -> None:
        """Take a file out of a change."""
        with self._db.write() as session:
            session.delete(_find_draft(session, change_id, path))
            _find(session, change_id).updated_at = self._clock.now()

    def forget_merged(self, before: datetime) -> None:
        """Drop the contents of changes that were merged before a time."""
        merged = select(FileEdit.id).where(
            FileEdit.state == ChangeState.MERGED.value, FileEdit.ended_at < before
        )
        with self._db.write() as session:
            session.execute(
                update(FileDraft)
                .where(FileDraft.change_id.in_(merged), FileDraft.content.is_not(None))
                .values(original=None, content=None)
            )

    def now(self) -> datetime:
        """Return the time by which changes grow old."""
        return self._clock.now()


class StaleDraft(Exception):
    """The draft was saved elsewhere meanwhile; ``stored`` is what stands there."""

    def __init__(self, stored: DraftRecord) -> None:
        super().__init__("The draft was saved elsewhere meanwhile.")
        self.stored = stored


def new_draft(change_id: str, path: str, action: DraftAction, base: str) -> FileDraft:
    """Return a row for a file of a change, as it is before anything was typed."""
    return FileDraft(
        id=new_id(),
        change_id=change_id,
        path=path,
        path_key=key_of(path),
        new_path="",
        action=action.value,
        base=base,
        original=None,
        content=None,
        encoding="",
        seen="",
        committed="",
        sent="",
        is_waiting=action is not DraftAction.UPDATE,
        is_executable=False,
        version=1,
    )


def check_room(files: Sequence[ChangeFile], draft: FileDraft) -> None:
    """Raise Conflict when a change holds a path of the draft already, or as many files as it may."""
    taken = {path for file in files for path in (file.path, file.new_path) if path}
    for path in (draft.path, draft.new_path):
        if path in taken:
            raise Conflict(f"This change holds {path} already.")
    if len(files) >= MOST_FILES:
        raise Conflict(f"A change holds at most {MOST_FILES} files. Begin another one.")


def key_of(path: str) -> str:
    """Return by what a path is unique within a change."""
    return hashlib.sha256(path.encode()).hexdigest()


def _find(session: Session, change_id: str) -> FileEdit:
    row = session.get(FileEdit, change_id)
    if row is None:
        raise NotFound(_GONE)
    return row


def _find_draft(session: Session, change_id: str, path: str, *, locked: bool = False) -> FileDraft:
    statement = select(FileDraft).where(
        FileDraft.change_id == change_id, or_(FileDraft.path_key == key_of(path), FileDraft.new_path == path)
    )
    row = session.scalar(statement.with_for_update() if locked else statement)
    if row is None:
        raise NotFound("This change does not hold that file.")
    return row


def _loaded(session: Session, row: FileEdit) -> ChangeRecord:
    return change_record(row, tuple(_files(session, [row.id]).get(row.id, ())))


def _files(session: Session, change_ids: Sequence[str]) -> dict[str, list[ChangeFile]]:
    """Return the files of changes by their ids, without the contents."""
    rows = session.execute(
        select(
            FileDraft.change_id,
            FileDraft.path,
            FileDraft.new_path,
            FileDraft.action,
            FileDraft.is_waiting,
            FileDraft.committed,
            FileDraft.version,
            FileDraft.updated_at,
        )
        .where(FileDraft.change_id.in_(change_ids))
        .order_by(FileDraft.id)
    )
    found: dict[str, list[ChangeFile]] = {}
    for row in rows:
        file = ChangeFile(
            row.path,
            row.new_path,
            DraftAction(row.action),
            row.is_waiting,
            bool(row.committed),
            row.version,
            row.updated_at,
        )
        found.setdefault(row.change_id, []).append(file)
    return found


def _conditions(query: ChangeQuery, visible: Visible | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if visible is not None:
        of_places = FileEdit.place_id.in_(visible.place_ids)
        own = FileEdit.person_id == visible.person_id
        conditions.append(or_(of_places, own) if visible.person_id else of_places)
    if query.states:
        conditions.append(FileEdit.state.in_(query.states))
    if query.person:
        conditions.append(FileEdit.person == query.person)
    if query.place:
        conditions.append(FileEdit.place == query.place)
    if query.before:
        conditions.append(FileEdit.id < query.before)
    if query.q:
        held = select(FileDraft.change_id).where(
            or_(FileDraft.path.icontains(query.q, autoescape=True),
                FileDraft.new_path.icontains(query.q, autoescape=True))
        )  # fmt: skip
        named = FileEdit.branch.icontains(query.q, autoescape=True)
        conditions.append(or_(FileEdit.id.in_(held), named))
    return conditions
