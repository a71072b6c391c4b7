"""Three versions of one file: what it was, one's own text, and what others made of it meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.files.changes import comparing
from quarterdeck.files.changes.beginning import check_possible
from quarterdeck.files.changes.drafts import DraftClash, current, encoded, shown, text_of
from quarterdeck.files.changes.originals import content_at
from quarterdeck.files.changes.records import ChangeRecord, DraftRecord
from quarterdeck.files.changes.rights import ChangeRights
from quarterdeck.files.changes.states import check_open
from quarterdeck.files.changes.store import ChangeStore, StaleDraft, key_of
from quarterdeck.files.models import ChangeState, DraftAction, FileDraft
from quarterdeck.files.places.place import Missing, Place
from quarterdeck.files.text import merging, texts


class Side(StrEnum):
    """Where others changed the file."""

    TARGET = "target"
    BRANCH = "branch"


class Keep(StrEnum):
    """How a file is taken in that can't be merged line by line."""

    MINE = "mine"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class FileConflict:
    """What there is to decide about one file; None is a file that is not there."""

    path: str
    side: Side
    ref: str
    commit: str
    """Where the others' version was read: it is taken in as it is there, whatever comes later."""
    base: bytes | None
    mine: bytes | None
    theirs: bytes | None
    draft: DraftRecord
    merge: merging.Merge | None
    """None where one of the versions is no text, or is not there."""

    @property
    def is_taken(self) -> bool:
        """A rename goes to where others put a file meanwhile."""
        return self.draft.action is DraftAction.RENAME and self.theirs == self.base


@dataclass(frozen=True, slots=True)
class Decision:
    """How a conflict is solved: whole (``keep``), by hunk (``choices``), or by a text of one's own."""

    commit: str
    side: Side
    version: int | None = None
    keep: Keep | None = None
    choices: Mapping[int, str] = field(default_factory=dict)
    own: Mapping[int, str] = field(default_factory=dict)
    text: str | None = None


class Conflicts:
    """Shows where others changed the same files, and takes their changes in, into the drafts alone."""

    def __init__(self, store: ChangeStore, rights: ChangeRights) -> None:
        self._store, self._rights = store, rights

    def find(self, actor: Actor, change_id: str) -> list[str]:
        """Return the paths of which others have another version by now; asks the place."""
        change = self._rights.own(actor, change_id)
        check_open(change.state)
        _, place = self._rights.open(change)
        tips = _Tips(change, place)
        return [draft.path for draft in self._store.drafts(change.id) if tips.side_of(draft)]

    def get(self, actor: Actor, change_id: str, path: str) -> FileConflict:
        """Return the versions of a file; raises NotFound where others did not change it."""
        change = self._rights.own(actor, change_id)
        check_open(change.state)
        _, place = self._rights.open(change)
        draft = self._store.draft(change.id, path)
        tips = _Tips(change, place)
        side = tips.side_of(draft)
        if side is None:
            raise NotFound(f"Nobody else has changed {draft.path} meanwhile: commit as you like.")
        return _versions(change, place, draft, side, tips.of(side))

    def resolve(self, actor: Actor, change_id: str, path: str, decision: Decision) -> DraftRecord:
        """Take the others' version into the draft; what is decided is committed with the next commit only.

        Raises Undecided's Invalid while a hunk has no choice, and DraftClash when the draft was saved
        meanwhile.
        """
        change = self._rights.own(actor, change_id)
        check_open(change.state)
        record, place = self._rights.open(change)
        draft = self._store.draft(change.id, path)
        conflict = _versions(change, place, draft, decision.side, decision.commit)
        content, is_theirs = _decided(conflict, decision)

        onto = _onto_target if decision.side is Side.TARGET else _onto_branch
        if onto is _onto_target and change.state is ChangeState.PROPOSED:
            onto = _within_proposal
            if is_theirs and content is None and draft.committed:
                check_possible(record, DraftAction.DELETE)

        def put(row: FileDraft) -> None:
            onto(row, conflict, content, is_theirs=is_theirs)

        try:
            return self._store.change_draft(change.id, draft.path, put, version=decision.version)
        except StaleDraft as stale:
            raise DraftClash(stale.stored, text_of(stale.stored).text) from stale


class _Tips:
    """The tips of a change's branches, asked for once, and only when they are needed."""

    def __init__(self, change: ChangeRecord, place: Place) -> None:
        self._change, self._place = change, place
        self._known: dict[Side, str] = {}

    def of(self, side: Side) -> str:
        if side not in self._known:
            branch = self._change.branch if side is Side.BRANCH else self._change.target
            self._known[side] = self._place.tip(branch)
        return self._known[side]

    def side_of(self, draft: DraftRecord) -> Side | None:
        """Return where others changed the file of a draft: the branch first, for it is committed to."""
        if draft.is_waiting and self._is_moved_on_branch(draft):
            return Side.BRANCH
        return None if comparing.is_as_before(self._place, self.of(Side.TARGET), draft) else Side.TARGET

    def _is_moved_on_branch(self, draft: DraftRecord) -> bool:
        known = draft.seen or self._change.tip
        if not known:
            return False
        try:
            tip = self.of(Side.BRANCH)
        except Missing:
            return False  # it is made anew with the commit
        if known == tip or comparing.is_same_at(self._place, known, tip, draft):
            return False
        found = comparing.digest_at(self._place, tip, draft.final_path)
        return found not in (draft.sent, comparing.wanted_digest(self._place, draft))


def _versions(
    change: ChangeRecord, place: Place, draft: DraftRecord, side: Side, commit: str
) -> FileConflict:
    mine = None if draft.action is DraftAction.DELETE else current(draft)
    if side is Side.BRANCH:
        path = draft.final_path
        base = content_at(place, draft.seen or change.tip or change.base, path)
    else:
        path, base = draft.path, draft.original
    theirs = content_at(place, commit, path)
    return FileConflict(
        path=draft.path,
        side=side,
        ref=change.branch if side is Side.BRANCH else change.target,
        commit=commit,
        base=base,
        mine=mine,
        theirs=theirs,
        draft=draft,
        merge=_merged(draft, base, mine, theirs),
    )


def _merged(
    draft: DraftRecord, base: bytes | None, mine: bytes | None, theirs: bytes | None
) -> merging.Merge | None:
    if mine is None or theirs is None:
        return None
    three = [shown(content, draft.encoding).text for content in (base or b"", mine, theirs)]
    if any(text is None or len(text) > texts.MOST_BYTES for text in three):
        return None
    return merging.merge(*(text or "" for text in three))


def _decided(conflict: FileConflict, decision: Decision) -> tuple[bytes | None, bool]:
    """Return the contents decided on, and whether they are the others' as they are."""
    if decision.keep is Keep.MINE:
        return conflict.mine, False
    if decision.keep is Keep.THEIRS:
        return conflict.theirs, True
    if decision.text is not None:
        return _encoded(conflict, decision.text), False
    if conflict.merge is None:
        raise Invalid({"keep": "These versions can't be merged line by line: keep yours or take theirs."})
    try:
        text = conflict.merge.text(decision.choices, decision.own)
    except merging.Undecided as error:
        raise Invalid({f"conflict-{number}": "Choose one of these." for number in error.numbers}) from error
    return _encoded(conflict, text), False


def _encoded(conflict: FileConflict, text: str) -> bytes:
    """Return a merged text in the manner of the others' version, which goes on from there."""
    draft = conflict.draft
    if conflict.theirs is None or shown(conflict.theirs, draft.encoding).text is None:
        return encoded(draft, text)
    style = shown(conflict.theirs, draft.encoding).style
    try:
        return texts.encode_like(conflict.theirs, text, style)
    except texts.Unwritable as error:
        raise Invalid({"text": str(error)}) from error


def _onto_target(row: FileDraft, conflict: FileConflict, content: bytes | None, *, is_theirs: bool) -> None:
    """Have a draft go on from the others' version."""
    if conflict.is_taken and not is_theirs:
        raise Conflict(f"There is a file {row.new_path} by now. Choose another path for yours first.")
    row.base, row.seen = conflict.commit, ""
    row.original = _kept(conflict.theirs)
    there = conflict.theirs is not None
    if is_theirs or (row.action == DraftAction.DELETE and not there):
        row.action = DraftAction.UPDATE.value
        row.content, row.new_path, row.is_waiting = None, "", False
        return
    if row.action == DraftAction.DELETE:
        row.is_waiting = True
        return
    if not there:
        if row.new_path:  # renamed here, removed there: what is left is a new file
            row.path, row.path_key, row.new_path = row.new_path, key_of(row.new_path), ""
        row.action = DraftAction.NEW.value
    elif row.action == DraftAction.NEW:
        row.action = DraftAction.UPDATE.value
    row.content = content
    row.is_waiting = row.action != DraftAction.UPDATE or content != row.original


def _within_proposal(
    row: FileDraft, conflict: FileConflict, content: bytes | None, *, is_theirs: bool
) -> None:
    """Have a draft go on from the others' version on the branch where it is: the pull request is of that."""
    action, mine, theirs = conflict.draft.action, conflict.mine, conflict.theirs
    if action is DraftAction.RENAME and (conflict.is_taken or theirs is None):
        raise Conflict(
            "The pull request renames this file, and that can't be taken back in it. Commit without it, so "
            "that whoever merges decides, or decline the pull request and begin anew."
        )
    row.base, row.original = conflict.commit, _kept(theirs)
    if action is DraftAction.DELETE and not is_theirs:
        return
    if is_theirs and theirs is None:
        row.content, row.is_waiting = None, bool(row.committed)
        if row.committed:
            row.action = DraftAction.DELETE.value
        return
    if action is DraftAction.DELETE:
        row.action = DraftAction.UPDATE.value
    row.content = content
    is_plain = row.action == DraftAction.UPDATE and not row.committed
    row.is_waiting = content != row.original if is_plain else row.is_waiting or content != mine


def _onto_branch(row: FileDraft, conflict: FileConflict, content: bytes | None, *, is_theirs: bool) -> None:
    """Have a draft go on from what others pushed to its branch; what they have there needs no commit."""
    row.content = content
    row.is_waiting = not is_theirs
    row.seen = "" if is_theirs else conflict.commit
    if is_theirs:
        row.committed = conflict.commit
    if content is None:
        row.action, row.new_path = DraftAction.DELETE.value, ""
    elif row.action == DraftAction.DELETE:
        row.action = DraftAction.UPDATE.value


def _kept(content: bytes | None) -> bytes | None:
    return content if content is None or len(content) <= texts.MOST_BYTES else None
