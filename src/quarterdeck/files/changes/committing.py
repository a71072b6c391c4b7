"""The commit of a change, once and on what its author saw.

The branch's tip that is known here is the lock of each commit. Where a commit is refused for it, or where it
was not answered, the branch is looked at: a file that stands there as it was sent is committed, whoever asked
how often; one that others changed is a conflict. The target is looked at as well, before anything is sent.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict, Invalid, NotFound, QuarterdeckError
from quarterdeck.files.changes import comparing
from quarterdeck.files.changes.beginning import Beginning, Turns, told
from quarterdeck.files.changes.records import ChangeRecord, DraftRecord
from quarterdeck.files.changes.rights import ChangeRights
from quarterdeck.files.changes.states import after_commit, check_open
from quarterdeck.files.changes.store import ChangeStore
from quarterdeck.files.models import ChangeState, PlaceRecord
from quarterdeck.files.places.place import (
    Author,
    Exists,
    Missing,
    PartlyCommitted,
    Place,
    PlaceError,
    Stale,
    Unanswered,
    Unchanged,
)
from quarterdeck.files.register import target_of
from quarterdeck.history.service import History

logger = logging.getLogger(__name__)

MOST_MESSAGE: Final = 10_000
_TRIES: Final = 3
_MOVED: Final = (Stale, Unchanged, Exists)
"""What a place answers when something is on the branch that was not known here."""
_NOTHING: Final = "Nothing differs from what is committed already."


class FilesMoved(Conflict):
    """Others changed files of this change meanwhile; ``paths`` are to be looked at, one by one."""

    title = "A file has changed meanwhile"

    def __init__(self, paths: Sequence[str], *, ref: str, is_target: bool) -> None:
        files = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        super().__init__(
            f"{ref} has moved, and there {files} changed since you began. Your text is kept: take the other "
            "changes in, then commit again.",
            paths=list(paths),
            ref=ref,
            cause="target-moved" if is_target else "stale",
        )
        self.paths, self.ref, self.is_target = tuple(paths), ref, is_target


@dataclass(frozen=True, slots=True)
class CommitWish:
    """What a commit is asked for with."""

    message: str
    tip: str = ""
    """The branch's tip that its author saw; a second click finds it moved on, and does nothing more."""
    despite_target: bool = False
    """Commit also where the target has another version of a file by now."""


class Committing:
    """Commits, and finds out how commits ended that nobody was told of."""

    def __init__(
        self,
        store: ChangeStore,
        rights: ChangeRights,
        history: History,
        beginning: Beginning,
        author_of: Callable[[Actor], Author],
    ) -> None:
        self._store, self._rights, self._history = store, rights, history
        self._beginning, self._author_of = beginning, author_of
        self._turns = Turns()

    def commit(self, actor: Actor, change_id: str, wish: CommitWish) -> ChangeRecord:
        """Commit what waits, in one commit where the place can.

        Raises Invalid without a message, Unchanged, FilesMoved with the files to look at, Conflict for a
        change that has ended, and any PlaceError; the drafts are kept whatever happens.
        """
        message = checked_message(wish.message)
        with self._turns.turn(change_id):
            change = self._rights.own(actor, change_id)
            if wish.tip and change.tip not in ("", wish.tip) and not change.waiting:
                return change
            check_open(change.state)
            record, place = self._rights.open(change)
            change = self._beginning.confirm(change, place)
            if change.pending:
                change = self._look(change, place)
                if not change.waiting:
                    return change
            change = self._on_target(actor, change, place, wish)
            return self._commit(_Order(actor, change.id, record, place, message), change)

    def look(self, change_id: str) -> ChangeRecord:
        """Find out what became of a branch, or of a commit, of which no end is known; raises PlaceError."""
        with self._turns.turn(change_id):
            change = self._store.get(change_id)
            if not change.is_unsure:
                return change
            _, place = self._rights.open(change)
            change = self._beginning.confirm(change, place)
            return self._look(change, place) if change.pending else change

    def remove_former(self, change: ChangeRecord) -> ChangeRecord:
        """Remove the branch that a change was on before; raises PlaceError."""
        if not change.former_branch or not change.tip:
            return change
        _, place = self._rights.open(change)
        try:
            place.delete_branch(change.former_branch, tip=change.former_tip)
        except Stale:
            logger.warning("%s is left: somebody has pushed to it", change.former_branch)
        return self._store.put(change.id, former_branch="", former_tip="")

    def _on_target(self, actor: Actor, change: ChangeRecord, place: Place, wish: CommitWish) -> ChangeRecord:
        """Return the change on a branch that its files can be committed on; raises FilesMoved.

        A pull request that is open keeps its branch: what was taken in is a further commit on it.
        """
        drafts = self._store.drafts(change.id)
        if not any(_waits(draft) for draft in drafts):
            raise Unchanged(_NOTHING)
        is_proposed = change.state is ChangeState.PROPOSED
        moves = not is_proposed and any(draft.base != change.base for draft in drafts)
        if wish.despite_target and not moves:
            return change
        tip = place.tip(change.target)
        if moved := [draft for draft in drafts if not comparing.is_as_before(place, tip, draft)]:
            raise FilesMoved([draft.path for draft in moved], ref=change.target, is_target=True)
        if not moves:
            return change
        self.remove_former(change)
        return self._beginning.move(actor, change, place, tip)

    def _commit(self, order: "_Order", change: ChangeRecord) -> ChangeRecord:
        for is_last in (False, False, True):
            waiting = [draft for draft in self._store.drafts(change.id) if _waits(draft)]
            if not waiting:
                raise Unchanged(_NOTHING)
            try:
                return self._sent(order, change, waiting)
            except Missing:
                change = self._made_again(change, order.place)
                if is_last:
                    raise
            except _MOVED as error:
                looked = self._look(change, order.place)
                if not looked.waiting:
                    return self._tidied(looked)
                if is_last or looked.tip == change.tip:
                    raise error
                change = looked
        raise AssertionError("the last try returns or raises")

    def _made_again(self, change: ChangeRecord, place: Place) -> ChangeRecord:
        """Make the branch anew when somebody has removed it; raises Missing for what else is not there."""
        try:
            place.tip(change.branch)
        except Missing:
            if change.state is ChangeState.PROPOSED:
                raise
            self._store.restart_drafts(change.id, change.base)
            return self._beginning.confirm(self._store.put(change.id, tip=""), place)
        raise Missing(f"A file that this change is about is not on {change.branch} any more.")

    def _sent(self, order: "_Order", change: ChangeRecord, drafts: Sequence[DraftRecord]) -> ChangeRecord:
        """Send one commit, with its intent written down before, and what became of it after."""
        place = order.place
        changes = [each for draft in drafts for each in comparing.changes_of(place, draft)]
        detail = told(change, order.record) | {
            "path": _one_or_all([draft.final_path for draft in drafts]),
            "before": change.tip,
            "message": order.message,
        }
        self._store.mark_sent({draft.id: comparing.wanted_digest(place, draft) for draft in drafts})
        intent = self._history.intend(order.actor, "file.commit", target_of(order.record).name, detail=detail)
        self._store.put(change.id, pending=intent.id)
        try:
            tip = place.commit(
                change.branch, change.tip, changes, order.message, self._author_of(order.actor)
            )
        except Unanswered:
            raise  # it stays pending: the next step looks at the branch
        except PartlyCommitted as error:
            done = [draft for draft in drafts if draft.final_path in error.committed]
            self._record(change, done, error.tip)
            self._conclude(intent.id, False, {"after": error.tip, "error": error.message})
            raise
        except PlaceError as error:
            self._store.put(change.id, pending="")
            self._conclude(intent.id, False, {"error": error.message})
            raise
        recorded = self._record(change, drafts, tip)
        self._conclude(intent.id, True, {"after": tip})
        return self._tidied(recorded)

    def _look(self, change: ChangeRecord, place: Place) -> ChangeRecord:
        """Compare the branch with what waits; raises FilesMoved where others changed the same file there."""
        tip = place.tip(change.branch)
        waiting = [draft for draft in self._store.drafts(change.id) if draft.is_waiting]
        done, moved, edited = [], [], set()
        for draft in waiting:
            found = comparing.digest_at(place, tip, draft.final_path)
            wanted = comparing.wanted_digest(place, draft)
            if found in (draft.sent, wanted) and comparing.is_gone(place, tip, draft):
                done.append(draft)
                edited |= {draft.id} if found != wanted else set()
            elif not comparing.is_same_at(place, draft.seen or change.tip, tip, draft):
                moved.append(draft)
        pending = change.pending
        if moved and not done:
            self._store.put(change.id, pending="")
        else:
            change = self._record(change, done, change.tip if moved else tip, at=tip, edited=edited)
        if pending:
            self._conclude(pending, bool(done), {"after": tip} if done else {"error": "It did not arrive."})
        if moved:
            raise FilesMoved([draft.path for draft in moved], ref=change.branch, is_target=False)
        return change

    def _record(
        self,
        change: ChangeRecord,
        done: Sequence[DraftRecord],
        tip: str,
        *,
        at: str = "",
        edited: set[str] | None = None,
    ) -> ChangeRecord:
        """Write down where the branch is and what stands in it."""
        self._store.mark_committed(done, at or tip, waiting=edited or ())
        if done:
            state = after_commit(change.state)
            return self._store.step(change.id, state, tip=tip, pending="", has_branch=True)
        return self._store.put(change.id, tip=tip, pending="")

    def _conclude(self, intent_id: str, ok: bool, detail: dict[str, Any]) -> None:  # Any: JSON
        try:
            self._history.conclude(intent_id, ok, detail)
        except NotFound:  # of a history that was moved away meanwhile
            logger.warning("the intent %s of a commit is not in the history", intent_id)

    def _tidied(self, change: ChangeRecord) -> ChangeRecord:
        try:
            return self.remove_former(change)
        except QuarterdeckError as error:  # the commit is done; the branch is removed another time
            logger.info("%s is removed later: %s", change.former_branch, error.message)
            return change


@dataclass(frozen=True, slots=True)
class _Order:
    actor: Actor
    change_id: str
    record: PlaceRecord
    place: Place
    message: str


def _waits(draft: DraftRecord) -> bool:
    """Tell whether a draft is part of the next commit; what was edited back after one is."""
    return draft.is_waiting and (draft.is_changed or bool(draft.committed))


def checked_message(message: str) -> str:
    """Return the message of a commit, clean; raises Invalid."""
    clean = message.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not clean:
        raise Invalid({"message": "Say what you changed, and why."})
    if len(clean) > MOST_MESSAGE:
        raise Invalid({"message": f"Use at most {MOST_MESSAGE:,} characters."})
    if any(not (character.isprintable() or character in "\n\t") for character in clean):
        raise Invalid({"message": "This has characters that can't be seen."})
    return clean


def _one_or_all(paths: list[str]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else paths
