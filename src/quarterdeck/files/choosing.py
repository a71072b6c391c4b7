"""Choosing a file: where a branch stands, what is in a folder, what fits a question, what was used lately."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select

from quarterdeck.access.permissions import may
from quarterdeck.core.actors import Actor
from quarterdeck.core.db import Database
from quarterdeck.files.models import ChangeState, FileDraft, FileEdit, PlaceRecord
from quarterdeck.files.places.place import Budget, Entry, Missing, Place, PlaceError, Ref
from quarterdeck.files.recent import MOST_OF_ONE, Recent
from quarterdeck.files.register import Places, target_of
from quarterdeck.files.tree.listing import Level, Listing
from quarterdeck.files.tree.trees import Standing, Trees

MOST_FOUND: Final = 200
MOST_IN_FOLDER: Final = 1_000
MOST_REFS: Final = 100
_UNENDED: Final = (ChangeState.OPEN, ChangeState.COMMITTED, ChangeState.PROPOSED)


@dataclass(frozen=True, slots=True)
class OwnDraft:
    """A file that somebody is changing."""

    path: str
    change_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What can be chosen at a ref. ``standing`` and what hangs on it are None where ``trouble`` says why."""

    place: PlaceRecord
    can_write: bool
    ref: str
    question: str = ""
    folder: str = ""
    standing: Standing | None = None
    listing: Listing | None = None
    level: Level | None = None
    """None also when there is no such folder."""
    found: tuple[Entry, ...] = ()
    recent: tuple[Entry, ...] = ()
    drafts: tuple[OwnDraft, ...] = ()
    budget: Budget | None = None
    trouble: PlaceError | None = None
    is_empty: bool = False
    """The repository has no commit: the first file is to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: a ref (the default branch when empty), words, a folder, and how many answers at most."""

    ref: str = ""
    words: str = ""
    folder: str = ""
    limit: int = MOST_FOUND


class Choosing:
    """Answers what can be chosen in the places that somebody may read."""

    def __init__(self, db: Database, places: Places, trees: Trees, recent: Recent) -> None:
        self._db, self._places, self._trees, self._recent = db, places, trees, recent

    def choose(self, actor: Actor, name: str, asked: Question) -> Choice:
        """Return the choice; raises NotFound for a place that is not open, and no PlaceError."""
        record = self._places.get(actor, name)
        place = self._places.open(record)
        ref = asked.ref
        try:
            ref = ref or self._trees.default_branch(record, place)
            standing, listing = self._trees.latest(record, place, ref)
        except PlaceError as error:
            return self._without(actor, record, place, ref, error)
        return self._choice(actor, record, place, standing, listing, asked)

    def refs(self, actor: Actor, name: str, text: str, *, limit: int = MOST_REFS) -> list[Ref]:
        """Return branches and tags whose name holds the text; raises NotFound and PlaceError."""
        record = self._places.get(actor, name)
        return self._trees.refs(record, self._places.open(record), text, limit=limit)

    def _choice(
        self,
        actor: Actor,
        record: PlaceRecord,
        place: Place,
        standing: Standing,
        listing: Listing,
        asked: Question,
    ) -> Choice:
        recent = (listing.get(path) for path in self._recent.paths(actor, record))
        return Choice(
            place=record,
            can_write=may(actor, "file.write", target_of(record)),
            ref=standing.ref,
            question=asked.words,
            folder=asked.folder,
            standing=standing,
            listing=listing,
            level=listing.level(asked.folder, limit=MOST_IN_FOLDER),
            found=tuple(listing.find(asked.words, limit=asked.limit)),
            recent=tuple(entry for entry in recent if entry is not None),
            drafts=self._drafts(actor, record),
            budget=place.budget(),
        )

    def _without(
        self, actor: Actor, record: PlaceRecord, place: Place, ref: str, trouble: PlaceError
    ) -> Choice:
        return Choice(
            place=record,
            can_write=may(actor, "file.write", target_of(record)),
            ref=ref,
            drafts=self._drafts(actor, record),
            budget=place.budget(),
            trouble=trouble,
            is_empty=isinstance(trouble, Missing) and self._is_empty(record, place),
        )

    def _is_empty(self, record: PlaceRecord, place: Place) -> bool:
        try:
            return not self._trees.refs(record, place, limit=MOST_REFS)
        except PlaceError:
            return False

    def _drafts(self, actor: Actor, record: PlaceRecord) -> tuple[OwnDraft, ...]:
        """Return what the actor is changing here and has not committed as it is, the latest first."""
        if actor.person_id is None:
            return ()
        query = (
            select(FileDraft.path, FileEdit.id)
            .join(FileEdit, FileEdit.id == FileDraft.change_id)
            .where(FileEdit.place_id == record.id, FileEdit.person_id == actor.person_id)
            .where(FileEdit.state.in_(_UNENDED), or_(FileDraft.is_waiting, FileDraft.committed == ""))
            .order_by(FileDraft.updated_at.desc())
            .limit(MOST_OF_ONE)
        )
        with self._db.read() as session:
            return tuple(OwnDraft(path, change_id) for path, change_id in session.execute(query))
