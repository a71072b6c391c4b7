"""Changes of files as the edges use them: begun, edited, compared, committed, proposed, ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.files.changes.beginning import Beginning, Begun
from quarterdeck.files.changes.cleaning import Cleaning
from quarterdeck.files.changes.committing import Committing, CommitWish
from quarterdeck.files.changes.conflicts import Conflicts
from quarterdeck.files.changes.drafts import Drafts, current, original_text_of, text_of
from quarterdeck.files.changes.first import FirstCommits
from quarterdeck.files.changes.originals import MOST_READ, Wanted
from quarterdeck.files.changes.proposing import ProposalWish, Proposing
from quarterdeck.files.changes.records import ChangeRecord, DraftRecord
from quarterdeck.files.changes.rights import ChangeRights, is_administrator, is_own, person_of
from quarterdeck.files.changes.store import ChangePage, ChangeQuery, ChangeStore, Visible
from quarterdeck.files.models import DraftAction, PlaceRecord
from quarterdeck.files.places.place import Author
from quarterdeck.files.register import Places, repository_of, target_of
from quarterdeck.files.text import differences, texts
from quarterdeck.history.service import History


@dataclass(frozen=True, slots=True)
class FileDifference:
    """What a change does with one file; ``difference`` is None where there is no text to compare."""

    path: str
    new_path: str
    action: DraftAction
    version: int
    difference: differences.Difference | None
    size_before: int | None
    size_after: int | None
    is_waiting: bool

    @property
    def final_path(self) -> str:
        return self.new_path or self.path


@dataclass(frozen=True, slots=True)
class Editor:
    """Somebody else who has the same file in an open change."""

    person: str
    since: datetime
    change_id: str
    """Empty where it is not open to whoever asks."""


class Changes:
    """The verbs of changes; what one of them needs of another is in the parts that it is made of."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        places: Places,
        *,
        branch_hours: int,
        author_of: Callable[[Actor], Author],
        forget: Callable[[PlaceRecord, str], object] = lambda _record, _ref: None,
    ) -> None:
        self._store = ChangeStore(db, clock)
        self._rights = ChangeRights(self._store, places)
        self._history, self._author_of = history, author_of
        self._places, self._forget = places, forget
        self.beginning = Beginning(self._store, self._rights, history)
        self.first = FirstCommits(self._rights, history, author_of, forget)
        self.drafts = Drafts(self._store, self._rights)
        self.committing = Committing(self._store, self._rights, history, self.beginning, author_of)
        self.conflicts = Conflicts(self._store, self._rights)
        self.proposing = Proposing(self._store, self._rights, history, clock)
        self.cleaning = Cleaning(
            self._store,
            self._rights,
            history,
            self.committing,
            self.proposing,
            branch_hours=branch_hours,
        )

    # Reading

    def get(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Return a change; raises NotFound where it is not open to somebody."""
        return self._rights.readable(actor, change_id)

    def list(self, actor: Actor, query: ChangeQuery) -> ChangePage:
        """Return changes of places that somebody may read, and their own; newest first."""
        return self._store.page(query, self._rights.visible(actor))

    def own(self, actor: Actor, query: ChangeQuery) -> ChangePage:
        """Return changes of somebody's own."""
        return self._store.page(query, Visible(frozenset(), actor.person_id or "-"))

    def record_of(self, change: ChangeRecord) -> PlaceRecord | None:
        """Return the place of a change; None when it was removed."""
        return self._rights.record_of(change)

    def refreshed(self, actor: Actor, change_id: str) -> tuple[ChangeRecord, str]:
        """Return a change as it stands now, and why that could not be found out, where it could not.

        An end that is not known is looked for, and an open pull request is asked for at times.
        """
        change = self._rights.readable(actor, change_id)
        try:
            if change.is_unsure:
                change = self.committing.look(change.id)
            return self.proposing.refresh(change), ""
        except QuarterdeckError as error:
            return self._store.get(change.id), error.message

    def may_edit(self, actor: Actor, change: ChangeRecord) -> bool:
        """Tell whether somebody goes on with a change; for what pages offer."""
        return is_own(actor, change)

    def may_end(self, actor: Actor, change: ChangeRecord) -> bool:
        """Tell whether somebody may discard a change; for what pages offer."""
        return is_own(actor, change) or is_administrator(actor)

    def editors_of(self, actor: Actor, place_id: str, path: str) -> Sequence[Editor]:
        """Return who else has a file in an open change, the latest first."""
        others = [
            Editor(change.person, file.updated_at, change.id)
            for change, file in self._store.editing(place_id, path)
            if not is_own(actor, change)
        ]
        return sorted(others, key=lambda each: each.since, reverse=True)

    def link_to_branch(self, change: ChangeRecord) -> str:
        """Return the address of the branch at its place; empty where there is none."""
        try:
            _, place = self._rights.open(change)
        except QuarterdeckError:
            return ""
        return place.link_to_branch(change.branch) if change.has_branch and change.tip else ""

    def differences(
        self, actor: Actor, change_id: str, *, ignores_space: bool = False, context: int = 3
    ) -> Sequence[FileDifference]:
        """Return what a change does with each of its files, without a call."""
        change = self._rights.readable(actor, change_id)
        drafts = self._store.drafts(change.id)
        return [_difference(draft, ignores_space=ignores_space, context=context) for draft in drafts]

    def patch(self, actor: Actor, change_id: str) -> str:
        """Return a change as a patch that git applies; files that are no text are left out."""
        change = self._rights.readable(actor, change_id)
        return "".join(_patch(draft) for draft in self._store.drafts(change.id))

    # Verbs

    def begin(self, actor: Actor, place_name: str, wanted: Wanted) -> Begun:
        """See ``Beginning.begin``."""
        return self.beginning.begin(actor, place_name, wanted)

    def save_draft(
        self, actor: Actor, change_id: str, path: str, text: str, version: int | None = None
    ) -> DraftRecord:
        """See ``Drafts.save_text``."""
        return self.drafts.save_text(actor, change_id, path, text, version)

    def save_file(self, actor: Actor, change_id: str, path: str, content: bytes) -> DraftRecord:
        """See ``Drafts.save_bytes``; whatever is stored is written over."""
        return self.drafts.save_bytes(actor, change_id, path, content)

    def commit(self, actor: Actor, change_id: str, wish: CommitWish) -> ChangeRecord:
        """See ``Committing.commit``."""
        change = self.committing.commit(actor, change_id, wish)
        self.proposing.put_off(change.id)
        self._moved(change, change.branch)
        return change

    def propose(self, actor: Actor, change_id: str, wish: ProposalWish) -> ChangeRecord:
        """See ``Proposing.propose``."""
        return self.proposing.propose(actor, change_id, wish)

    def merge(self, actor: Actor, change_id: str) -> ChangeRecord:
        """See ``Proposing.merge``."""
        change = self.proposing.merge(actor, change_id, self._author_of(actor))
        self._moved(change, change.target)
        return change

    def _moved(self, change: ChangeRecord, branch: str) -> None:
        """Whoever looks at the branch next sees what was just done, not what was known a moment ago."""
        record = self._places.by_id(change.place_id)
        if record is not None:
            self._forget(record, branch)

    def discard(self, actor: Actor, change_id: str) -> ChangeRecord:
        """See ``Cleaning.discard``."""
        return self.cleaning.discard(actor, change_id)

    def download(self, actor: Actor, change_id: str, path: str) -> tuple[DraftRecord, bytes]:
        """Return the bytes of a draft, recorded; a file that was too large to be kept is read anew."""
        change = self._rights.readable(actor, change_id)
        draft = self._store.draft(change.id, path)
        detail: dict[str, object] = {"change": change.id, "branch": change.branch, "path": draft.final_path}
        record = self._rights.record_of(change)
        if record is not None:
            detail["repository"] = repository_of(record)
        object_ = target_of(record).name if record else f"place:{change.place}"
        with self._history.action(actor, "file.download", object_, detail=detail) as outcome:
            content = current(draft)
            if content is None:
                _, place = self._rights.open(change)
                content = place.read(draft.base, draft.path, most_bytes=MOST_READ)
            outcome["bytes"] = len(content)
        return draft, content

    def tidy(self) -> None:
        """See ``Cleaning.tidy``."""
        self.cleaning.tidy()


def author_for(actor: Actor, display_name: str, host: str) -> Author:
    """Return who a commit is by: the person's name, and an address made up at this installation's host."""
    person = person_of(actor)
    name = "".join(each for each in display_name or person if each.isprintable() and each not in "<>")
    return Author(name.strip() or "somebody", f"{quote(person, safe='')}@{host}")


def _difference(draft: DraftRecord, *, ignores_space: bool, context: int) -> FileDifference:
    before, after = original_text_of(draft).text, text_of(draft).text
    if draft.action is DraftAction.DELETE:
        after = ""
    compared = None
    if before is not None and after is not None:
        compared = differences.difference(before, after, context=context, ignores_space=ignores_space)
    wanted = None if draft.action is DraftAction.DELETE else current(draft)
    return FileDifference(
        draft.path,
        draft.new_path,
        draft.action,
        draft.version,
        compared,
        None if draft.original is None else len(draft.original),
        None if wanted is None else len(wanted),
        draft.is_waiting,
    )


def _patch(draft: DraftRecord) -> str:
    is_new, is_gone = draft.action is DraftAction.NEW, draft.action is DraftAction.DELETE
    try:
        before = "" if is_new else _exact(draft.original, draft.encoding)
        after = "" if is_gone else _exact(current(draft), draft.encoding)
    except texts.NotText:
        return ""
    paths = "" if is_new else draft.path, "" if is_gone else draft.final_path
    return differences.unified_text(before, after, *paths)


def _exact(content: bytes | None, encoding: str) -> str:
    if content is None:
        raise texts.NotText("too-large")
    return texts.decode_exactly(content, encoding=encoding)
