"""The begin of a change: a temporary branch, and on it the files that are to be edited.

What is stored goes first, with an empty tip, then the branch is made, then its tip is written down: after a
crash between any two of them, the next step looks whether the branch is there, and makes it if not.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.ids import new_id
from quarterdeck.files import paths
from quarterdeck.files.changes.originals import Wanted, checked, exists, read_original
from quarterdeck.files.changes.records import ChangeRecord, DraftRecord
from quarterdeck.files.changes.rights import ChangeRights, is_own, person_of
from quarterdeck.files.changes.states import check_open
from quarterdeck.files.changes.store import ChangeStore, new_draft
from quarterdeck.files.models import (
    ChangeState,
    DraftAction,
    FileDraft,
    FileEdit,
    PlaceRecord,
)
from quarterdeck.files.places.place import Exists, Missing, Place, PlaceError, Unanswered, Unsupported
from quarterdeck.files.register import repository_of, target_of
from quarterdeck.history.service import History

_TRIES: Final = 3
_SHORT: Final = 8


@dataclass(frozen=True, slots=True)
class Begun:
    """``is_new`` is False when the person has this file open in a change already."""

    change: ChangeRecord
    path: str
    is_new: bool = True


class Beginning:
    """Begins changes, adds files to them, and takes up discarded ones again."""

    def __init__(self, store: ChangeStore, rights: ChangeRights, history: History) -> None:
        self._store, self._rights, self._history = store, rights, history
        self._busy = Turns()

    def begin(self, actor: Actor, place_name: str, wanted: Wanted) -> Begun:
        """Make a temporary branch from the commit shown, and a draft of the file.

        Where the place does not answer whether the branch was made, the change stands nevertheless; its
        next step finds out. Raises Invalid, Missing, Exists and other PlaceErrors; then nothing was done.
        """
        record = self._rights.writable(actor, place_name)
        wanted = checked(record, wanted)
        check_possible(record, wanted.action)
        with self._busy.turn(f"{actor.person_id or actor.name}\n{record.id}\n{wanted.path}"):
            place = self._rights.open_place(record)
            target = wanted.target or record.default_branch or place.default_branch()
            base = wanted.base or place.tip(target)
            if kept := self._kept(actor, record, wanted, target, base):
                return kept
            draft = _draft_of("", wanted, base)
            read_original(place, draft)
            change = self._branched(actor, record, place, _Start(target, base, [draft]))
        return Begun(change, wanted.path)

    def target_of(self, actor: Actor, place_name: str, ref: str, commit: str) -> tuple[str, str]:
        """Return the branch that a change of what somebody looks at is for, and its base.

        A tag or a commit has no branch: then it is the place's own, as it is now.
        """
        record = self._rights.writable(actor, place_name)
        if ref in ("", record.default_branch):
            return ref, commit
        place = self._rights.open_place(record)
        try:
            if not _is_default(place, ref):
                place.tip(paths.read_ref(ref))
        except ValueError as error:
            raise Invalid({"ref": str(error)}) from error
        except Missing:
            return "", ""
        return ref, commit

    def add_file(self, actor: Actor, change_id: str, wanted: Wanted) -> DraftRecord:
        """Add a file to an open change, as it is at the change's base; one that it holds is returned.

        Raises Conflict when the change has ended, Invalid, Missing and Exists.
        """
        change = self._rights.own(actor, change_id)
        check_open(change.state)
        record, place = self._rights.open(change)
        wanted = checked(record, wanted)
        check_possible(record, wanted.action)
        for file in change.files:
            if wanted.path in (file.path, file.new_path):
                return self._again(change, file.path, wanted, place)
        draft = _draft_of(change.id, wanted, change.base)
        read_original(place, draft)
        return self._store.add_draft(draft)

    def resume(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Begin a new change with the texts of a discarded one, from where that began."""
        old = self._rights.own(actor, change_id)
        if old.state is not ChangeState.DISCARDED:
            raise Conflict("Only a discarded change is taken up again.")
        record, place = self._rights.open(old)
        drafts = [_copy(draft) for draft in self._store.drafts(old.id)]
        return self._branched(actor, record, place, _Start(old.target, old.base, drafts))

    def confirm(self, change: ChangeRecord, place: Place) -> ChangeRecord:
        """Return a change whose branch is known to be there; makes it when it was not."""
        if change.tip:
            return change
        tip = ensure_branch(place, change.branch, change.base)
        if change.former_branch:
            self._store.restart_drafts(change.id, change.base)
        return self._store.put(change.id, tip=tip)

    def move(self, actor: Actor, change: ChangeRecord, place: Place, base: str) -> ChangeRecord:
        """Begin the branch of a change anew at a later commit of its target; its files wait for their commit.

        The branch before is remembered, to be removed once they are committed. Raises PlaceError.
        """
        record, _ = self._rights.open(change)
        name = fresh_name(change.person, change.paths[0] if change.paths else "change")
        detail = told(change, record) | {"branch": name, "former": change.branch, "before": base}
        with self._history.action(actor, "file.branch", target_of(record).name, detail=detail) as outcome:
            moved = self._store.put(
                change.id,
                branch=name,
                base=base,
                tip="",
                former_branch=change.branch,
                former_tip=change.tip,
            )
            try:
                moved = self.confirm(moved, place)
            except Unanswered:
                raise
            except PlaceError:
                self._store.put(
                    change.id,
                    branch=change.branch,
                    base=change.base,
                    tip=change.tip,
                    former_branch="",
                    former_tip="",
                )
                raise
            outcome["after"] = moved.tip
        return moved

    def _kept(
        self, actor: Actor, record: PlaceRecord, wanted: Wanted, target: str, base: str
    ) -> Begun | None:
        """Return the change in which the person has this file open already, unless that is only older."""
        for change, file in self._store.editing(record.id, wanted.path):
            is_same = is_own(actor, change) and change.target == target and file.action is wanted.action
            if is_same and change.state is ChangeState.OPEN and (file.version > 1 or change.base == base):
                return Begun(change, file.path, is_new=False)
        return None

    def _branched(self, actor: Actor, record: PlaceRecord, place: Place, start: "_Start") -> ChangeRecord:
        path = start.drafts[0].path if start.drafts else "change"
        change = self._row(actor, record, start, path)
        detail = {
            "change": change.id,
            "repository": repository_of(record),
            "branch": change.branch,
            "target": start.target,
            "path": path,
            "before": start.base,
        }
        with self._history.action(actor, "file.branch", target_of(record).name, detail=detail) as outcome:
            for draft in start.drafts:
                draft.change_id = change.id
            made = self._store.add(change, start.drafts)
            made = self._make_branch(made, place, path)
            outcome |= {"branch": made.branch, "after": made.tip or "not known yet"}
        return made

    def _row(self, actor: Actor, record: PlaceRecord, start: "_Start", path: str) -> FileEdit:
        now = self._store.now()
        return FileEdit(
            id=new_id(),
            place_id=record.id,
            place=record.name,
            state=ChangeState.OPEN.value,
            branch=fresh_name(person_of(actor), path),
            target=start.target,
            base=start.base,
            tip="",
            has_branch=True,
            pending="",
            former_branch="",
            former_tip="",
            person_id=actor.person_id or "",
            person=person_of(actor),
            proposal_id="",
            proposal_url="",
            created_at=now,
            updated_at=now,
            ended_at=None,
        )

    def _make_branch(self, change: ChangeRecord, place: Place, path: str) -> ChangeRecord:
        """Make the branch and write its tip down; what surely failed leaves nothing behind."""
        for last in (False, False, True):
            try:
                return self._store.put(change.id, tip=ensure_branch(place, change.branch, change.base))
            except Unanswered:
                return change
            except Exists:
                if last:
                    self._store.remove(change.id)
                    raise
                change = self._store.put(change.id, branch=fresh_name(change.person, path))
            except PlaceError:
                self._store.remove(change.id)
                raise
        raise AssertionError("the last try returns or raises")

    def _again(self, change: ChangeRecord, path: str, wanted: Wanted, place: Place) -> DraftRecord:
        """Return a file that the change holds, turned into a rename or a deletion where that is wanted."""
        draft = self._store.draft(change.id, path)
        if draft.action is wanted.action and draft.new_path == wanted.new_path:
            return draft
        is_plain = draft.action is DraftAction.UPDATE and draft.path == wanted.path
        if not is_plain or wanted.action not in (DraftAction.RENAME, DraftAction.DELETE):
            raise Conflict(f"This change holds {wanted.path} already, to {draft.action} it.")
        if wanted.new_path:
            if any(wanted.new_path in (file.path, file.new_path) for file in change.files):
                raise Conflict(f"This change holds {wanted.new_path} already.")
            if exists(place, change.base, wanted.new_path):
                raise Exists(f"There is a file {wanted.new_path} already. Choose another path.")

        def turn(row: FileDraft) -> None:
            row.action, row.new_path, row.is_waiting = wanted.action.value, wanted.new_path, True

        return self._store.change_draft(change.id, path, turn, version=draft.version)


@dataclass(frozen=True, slots=True)
class _Start:
    target: str
    base: str
    drafts: list[FileDraft]


class Turns:
    """One at a time for each key: what is asked for twice at once in this process is done once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Wait until nobody else has this key."""
        with self._lock:
            lock, waiting = self._kept.get(key, (threading.Lock(), 0))
            self._kept[key] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, waiting = self._kept.pop(key)
                if waiting > 1:
                    self._kept[key] = (lock, waiting - 1)


def ensure_branch(place: Place, branch: str, base: str) -> str:
    """Make a branch, or find that it was made, and return its tip.

    Raises Exists for a branch of that name elsewhere than at ``base``.
    """
    try:
        place.create_branch(branch, base)
    except (Exists, Unanswered) as error:
        try:
            tip = place.tip(branch)
        except Missing:
            raise error from None
        if tip != base:
            raise Exists(f"There is a branch {branch} already, and it is not of this change.") from error
        return tip
    return base


def told(change: ChangeRecord, record: PlaceRecord) -> dict[str, object]:
    """Return what the history shows of a change."""
    return {
        "change": change.id,
        "repository": repository_of(record),
        "branch": change.branch,
        "target": change.target,
        "path": change.paths[0] if len(change.paths) == 1 else list(change.paths),
    }


def fresh_name(person: str, path: str) -> str:
    """Return the name of a branch that there hardly is already."""
    return paths.branch_name(person, path, new_id()[-_SHORT:])


def _is_default(place: Place, ref: str) -> bool:
    """Tell whether a ref is the branch that the place begins from, whose name it keeps."""
    try:
        return ref == place.default_branch()
    except Missing:
        return False


def check_possible(record: PlaceRecord, action: DraftAction) -> None:
    """Raise Unsupported before anything is typed for what the place's API has no call for."""
    if action in (DraftAction.RENAME, DraftAction.DELETE) and not record.kind.can_remove:
        raise Unsupported(
            "Bitbucket Data Center has no call that removes or renames a file. Do it there, or by git."
        )


def _draft_of(change_id: str, wanted: Wanted, base: str) -> FileDraft:
    draft = new_draft(change_id, wanted.path, wanted.action, base)
    draft.new_path, draft.encoding = wanted.new_path, wanted.encoding
    return draft


def _copy(draft: DraftRecord) -> FileDraft:
    row = new_draft("", draft.path, draft.action, draft.base)
    row.new_path, row.encoding, row.is_executable = draft.new_path, draft.encoding, draft.is_executable
    row.original, row.content, row.is_waiting = draft.original, draft.content, draft.is_changed
    row.version = draft.version
    return row
