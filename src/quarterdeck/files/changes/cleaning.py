"""The end of changes: discarded by people, left alone for too long, merged and not needed any more."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement

from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.errors import Conflict, QuarterdeckError
from quarterdeck.files.changes.beginning import told
from quarterdeck.files.changes.committing import Committing
from quarterdeck.files.changes.proposing import Proposing
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.rights import ChangeRights
from quarterdeck.files.changes.states import NOT_FINAL, following
from quarterdeck.files.changes.store import ChangeStore
from quarterdeck.files.models import ChangeState, FileEdit
from quarterdeck.files.places.place import Missing, Stale
from quarterdeck.files.register import target_of
from quarterdeck.history.service import History

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 20
"""Of each kind in a round: calls are counted by the places."""
_MOST_LOOKED_AT: Final = 1_000
_PROPOSAL_ROUNDS: Final = 10
"""Pull requests, and whether others have merged a branch, are asked for in each tenth round only."""
_FORGET_DAYS: Final = 90
"""Then the contents of what was merged are dropped here: they are in the repository."""


class Cleaning:
    """Discards changes and removes their branches; nothing that was typed is lost by it."""

    def __init__(
        self,
        store: ChangeStore,
        rights: ChangeRights,
        history: History,
        committing: Committing,
        proposing: Proposing,
        *,
        branch_hours: int,
    ) -> None:
        self._store, self._rights, self._history = store, rights, history
        self._committing, self._proposing = committing, proposing
        self._after = timedelta(hours=branch_hours)
        self._rounds = 0

    def discard(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Put an end to a change and remove its branch; its texts are kept.

        A branch that somebody else has pushed to is left. Raises Conflict with an open pull request, and
        PlaceErrors; then it stays as it is.
        """
        change = self._rights.own_or_administered(actor, change_id)
        following(change.state, ChangeState.DISCARDED)
        if change.state is ChangeState.DISCARDED:
            return change
        return self._discard(actor, change, reason="")

    def remove_branch(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Remove the branch of a change that was merged or declined; raises Conflict and PlaceErrors."""
        change = self._rights.own_or_administered(actor, change_id)
        if not change.is_final:
            raise Conflict("The branch of an open change is removed by discarding the change.")
        if not change.has_branch:
            return change
        record, place = self._rights.open(change)
        detail = told(change, record) | {"before": change.tip, "reason": change.state.value}
        with self._history.action(actor, "file.discard", target_of(record).name, detail=detail):
            place.delete_branch(change.branch, tip=change.tip)
            return self._store.put(change.id, has_branch=False)

    def tidy(self) -> None:
        """Do what is due: end what is left alone, find out what is not known, follow pull requests.

        One failing place keeps nothing else from being done; it is tried again in the next round.
        """
        self._rounds += 1
        self._each(self._unsure(), lambda change: self._committing.look(change.id))
        self._each(self._with_former(), self._committing.remove_former)
        self._each(self._left_alone(), self._expire)
        if self._rounds % _PROPOSAL_ROUNDS == 1:
            self._each(self._proposed(), lambda change: self._proposing.refresh(change))
            self._each(self._committed(), lambda change: self._proposing.refresh(change))
            self._store.forget_merged(self._store.now() - timedelta(days=_FORGET_DAYS))

    def _discard(self, actor: Actor, change: ChangeRecord, *, reason: str) -> ChangeRecord:
        record = self._rights.record_of(change)
        if record is None:  # there is nothing left to remove it from
            gone = {"change": change.id, "branch": change.branch, "reason": "its place was removed"}
            with self._history.action(actor, "file.discard", f"place:{change.place}", detail=gone):
                return self._store.step(change.id, ChangeState.DISCARDED)
        _, place = self._rights.open(change)
        detail = told(change, record) | {"before": change.tip} | ({"reason": reason} if reason else {})
        with self._history.action(actor, "file.discard", target_of(record).name, detail=detail) as outcome:
            has_branch = False
            try:
                self._committing.remove_former(change)
                place.delete_branch(change.branch, tip=change.tip or change.base)
            except Stale:
                has_branch = outcome["branch_left"] = True
            return self._store.step(change.id, ChangeState.DISCARDED, has_branch=has_branch, pending="")

    def _expire(self, change: ChangeRecord) -> None:
        """Discard a change without a commit; one whose branch somebody has pushed to goes on."""
        if self._rights.record_of(change) is not None and change.tip:
            _, place = self._rights.open(change)
            try:
                if place.tip(change.branch) != change.tip:
                    self._store.put(change.id)  # its time begins anew
                    return
            except Missing:
                pass  # somebody has removed it already
        self._discard(SYSTEM, change, reason=f"no commit for {self._after // timedelta(hours=1)} hours")

    def _left_alone(self) -> list[ChangeRecord]:
        before = self._store.now() - self._after
        is_open = FileEdit.state == ChangeState.OPEN.value
        return self._some(is_open, FileEdit.pending == "", FileEdit.updated_at < before)

    def _unsure(self) -> list[ChangeRecord]:
        return self._some(FileEdit.state.in_(NOT_FINAL), FileEdit.pending != "")

    def _with_former(self) -> list[ChangeRecord]:
        return self._some(FileEdit.former_branch != "", FileEdit.tip != "")

    def _proposed(self) -> list[ChangeRecord]:
        return self._some(FileEdit.state == ChangeState.PROPOSED.value)

    def _committed(self) -> list[ChangeRecord]:
        return self._some(FileEdit.state == ChangeState.COMMITTED.value)

    def _some(self, *conditions: ColumnElement[bool]) -> list[ChangeRecord]:
        """Return a few that fit, others in each round: no failing ones keep the rest from their turn."""
        found = self._store.select(*conditions, limit=_MOST_LOOKED_AT)
        if len(found) <= _AT_ONCE:
            return found
        start = self._rounds * _AT_ONCE % len(found)
        return (found[start:] + found[:start])[:_AT_ONCE]

    def _each(self, changes: Iterable[ChangeRecord], act: Callable[[ChangeRecord], object]) -> None:
        for change in changes:
            try:
                act(change)
            except QuarterdeckError as error:
                logger.info("the change %s is looked at again later: %s", change.id, error.message)
