"""What follows a commit: a pull request and what becomes of it, or the merge where a place has none."""

import threading
from dataclasses import dataclass
from typing import Any, Final

from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.files.changes.beginning import Turns, told
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.rights import ChangeRights
from quarterdeck.files.changes.states import following
from quarterdeck.files.changes.store import ChangeStore
from quarterdeck.files.models import ChangeState, PlaceKind
from quarterdeck.files.places.place import (
    Author,
    Place,
    Proposal,
    ProposalDraft,
    ProposalState,
    Unchanged,
    Unsupported,
)
from quarterdeck.files.register import target_of
from quarterdeck.files.tree.fresh import Answers
from quarterdeck.history.service import History

MOST_TITLE: Final = 250
MOST_DESCRIPTION: Final = 20_000
MOST_REVIEWERS: Final = 20
REFRESH_SECONDS: Final = 30.0
_MOST_KNOWN: Final = 10_000
_STATES: Final = {
    ProposalState.OPEN: ChangeState.PROPOSED,
    ProposalState.MERGED: ChangeState.MERGED,
    ProposalState.DECLINED: ChangeState.DECLINED,
}


@dataclass(frozen=True, slots=True)
class ProposalWish:
    """A pull request that somebody wants to open; the branches are the change's."""

    title: str
    description: str = ""
    reviewers: tuple[str, ...] = ()
    close_source: bool = True


class Proposing:
    """Opens pull requests, follows them, and merges where there are none."""

    def __init__(self, store: ChangeStore, rights: ChangeRights, history: History, clock: Clock) -> None:
        self._store, self._rights, self._history, self._clock = store, rights, history, clock
        self._turns = Turns()
        self._lock = threading.Lock()
        self._asked_at: dict[str, float] = {}
        self._conflicted: dict[str, bool | None] = {}
        self._tips: Answers[str] = Answers(clock, REFRESH_SECONDS)
        self._compared: dict[str, str] = {}
        """The branch's and the target's tips that a change was last compared at."""

    def propose(self, actor: Actor, change_id: str, wish: ProposalWish) -> ChangeRecord:
        """Open a pull request, or find the one that is open already.

        Raises Invalid, Conflict before the first commit and after the end, Unsupported and PlaceErrors.
        """
        wish = _checked(wish)
        with self._turns.turn(change_id):
            change = self._rights.own(actor, change_id)
            following(change.state, ChangeState.PROPOSED)
            if change.state is ChangeState.PROPOSED:
                return change
            record, place = self._rights.open(change)
            detail = told(change, record) | {"before": change.base, "after": change.tip, "title": wish.title}
            object_ = target_of(record).name
            with self._history.action(actor, "file.propose", object_, detail=detail) as outcome:
                proposal = place.open_proposal(
                    ProposalDraft(
                        wish.title,
                        change.branch,
                        change.target,
                        wish.description,
                        wish.reviewers,
                        wish.close_source,
                    )
                )
                outcome |= {"proposal": proposal.id, "url": proposal.url}
                change = self._store.step(
                    change.id, ChangeState.PROPOSED, proposal_id=proposal.id, proposal_url=proposal.url
                )
            self.put_off(change.id)
            return self._followed(change, proposal)

    def merge(self, actor: Actor, change_id: str, author: Author) -> ChangeRecord:
        """Merge the branch into its target, where a place does so; raises Unsupported and Stale."""
        with self._turns.turn(change_id):
            change = self._rights.own(actor, change_id)
            if change.state is ChangeState.MERGED:
                return change
            following(change.state, ChangeState.MERGED)
            if change.waiting:
                raise Conflict("Some of your changes are not committed yet. Commit or drop them first.")
            record, place = self._rights.open(change)
            if record.kind is not PlaceKind.LOCAL:
                raise Unsupported("Open a pull request: it is merged at its place.")
            detail = told(change, record) | {"before": change.tip}
            with self._history.action(actor, "file.merge", target_of(record).name, detail=detail) as outcome:
                outcome["after"] = _merged(place, change, author)
                change = self._store.step(change.id, ChangeState.MERGED)
        return change

    def refresh(self, change: ChangeRecord, *, is_due: bool = False) -> ChangeRecord:
        """Return a proposed change as its pull request stands, asked for every 30 s at most.

        One without a pull request of ours may have been merged all the same; that is found as seldom, by
        where the target is. Raises PlaceError; then the change stays as it was known.
        """
        if change.state is ChangeState.COMMITTED:
            return self._merged_elsewhere(change)
        if change.state is not ChangeState.PROPOSED or not (self._claim(change.id) or is_due):
            return change
        _, place = self._rights.open(change)
        return self._followed(change, place.proposal(change.proposal_id))

    def is_conflicted(self, change: ChangeRecord) -> bool | None:
        """Tell what the pull request said last of conflicts; None when that is not known."""
        return self._conflicted.get(change.id)

    def _merged_elsewhere(self, change: ChangeRecord) -> ChangeRecord:
        """Return a committed change, as merged where its target holds all of it.

        The target's tip is asked for once for all changes into it, and each is compared when that has moved.
        """
        if change.waiting or change.is_unsure or change.tip == change.base or not self._claim(change.id):
            return change
        _, place = self._rights.open(change)
        key = (change.place_id, change.target)
        target_tip = self._tips.ask(key, lambda: place.tip(change.target)).value
        seen = f"{change.tip} {target_tip}"
        if target_tip == change.base or self._compared.get(change.id) == seen:
            return change
        is_merged = place.holds(target_tip, change.tip)
        with self._lock:
            if len(self._compared) >= _MOST_KNOWN:
                self._compared.clear()
            self._compared[change.id] = seen
        return self._note_merge(change, target_tip) if is_merged else change

    def _note_merge(self, change: ChangeRecord, target_tip: str) -> ChangeRecord:
        """Write down that others have merged a change, unless it has gone on meanwhile."""
        with self._turns.turn(change.id):
            now = self._store.get(change.id)
            if (now.state, now.tip, now.waiting) != (change.state, change.tip, ()):
                return now
            ended = self._store.step(change.id, ChangeState.MERGED)
            detail: dict[str, Any] = {"change": change.id, "branch": change.branch}  # Any: JSON
            detail |= {"target": change.target, "before": change.tip, "after": target_tip, "by": "others"}
            self._history.event(SYSTEM, "file.merge", f"place:{change.place}", detail=detail)
        return ended

    def put_off(self, change_id: str) -> None:
        """Don't ask the place for a while where a change stands: it has just been brought there."""
        with self._lock:
            self._note_asked(change_id)

    def _claim(self, change_id: str) -> bool:
        """Tell whether it was not asked for lately, and note that it is now."""
        now = self._clock.monotonic()
        with self._lock:
            asked_at = self._asked_at.get(change_id)
            if asked_at is not None and now - asked_at < REFRESH_SECONDS:
                return False
            self._note_asked(change_id)
            return True

    def _note_asked(self, change_id: str) -> None:
        if len(self._asked_at) >= _MOST_KNOWN:
            self._asked_at.clear()
            self._conflicted.clear()
        self._asked_at[change_id] = self._clock.monotonic()

    def _followed(self, change: ChangeRecord, proposal: Proposal) -> ChangeRecord:
        """Write down where a pull request stands; that it came to its end is an event of the history."""
        self._conflicted[change.id] = proposal.is_conflicted
        state = _STATES[proposal.state]
        if state is change.state:
            return change
        ended = self._store.step(change.id, state)
        detail: dict[str, Any] = {"change": change.id, "branch": change.branch}  # Any: JSON
        detail |= {"target": change.target, "proposal": proposal.id, "state": state.value}
        self._history.event(SYSTEM, "file.propose", f"place:{change.place}", detail=detail)
        return ended


def _merged(place: Place, change: ChangeRecord, author: Author) -> str:
    """Merge and return the target's new tip; once more after a crash, it is merged already."""
    target_tip = place.tip(change.target)
    message = f"Merge branch '{change.branch}' into {change.target}"
    try:
        return place.merge(
            change.branch,
            change.target,
            tip=change.tip,
            target_tip=target_tip,
            author=author,
            message=message,
        )
    except Unchanged:
        return target_tip


def _checked(wish: ProposalWish) -> ProposalWish:
    faults: dict[str, str] = {}
    title = " ".join(wish.title.split())
    description = wish.description.replace("\r\n", "\n").strip()
    reviewers = tuple(dict.fromkeys(each.strip() for each in wish.reviewers if each.strip()))
    if not title:
        faults["title"] = "Say in a line what it is about."
    elif len(title) > MOST_TITLE or not title.isprintable():
        faults["title"] = f"Use at most {MOST_TITLE} characters that can be seen."
    if len(description) > MOST_DESCRIPTION:
        faults["description"] = f"Use at most {MOST_DESCRIPTION:,} characters."
    elif any(not (character.isprintable() or character in "\n\t") for character in description):
        faults["description"] = "This has characters that can't be seen."
    if len(reviewers) > MOST_REVIEWERS:
        faults["reviewers"] = f"Name at most {MOST_REVIEWERS}."
    elif any(len(each) > 100 or not each.isprintable() or " " in each for each in reviewers):
        faults["reviewers"] = "Name each by an account’s UUID in braces (Cloud) or a user name (Data Center)."
    if faults:
        raise Invalid(faults)
    return ProposalWish(title, description, reviewers, wish.close_source)
