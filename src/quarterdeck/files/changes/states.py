"""Where a change may go from where it stands; the only place that knows."""

from typing import Final

from quarterdeck.core.errors import Conflict
from quarterdeck.files.models import ChangeState

FINAL: Final = frozenset({ChangeState.MERGED, ChangeState.DECLINED, ChangeState.DISCARDED})
NOT_FINAL: Final = tuple(state for state in ChangeState if state not in FINAL)
_NEXT: Final = {
    ChangeState.OPEN: frozenset({ChangeState.COMMITTED, ChangeState.DISCARDED}),
    ChangeState.COMMITTED: frozenset({ChangeState.PROPOSED, ChangeState.MERGED, ChangeState.DISCARDED}),
    ChangeState.PROPOSED: frozenset({ChangeState.MERGED, ChangeState.DECLINED}),
}
_ENDED: Final = {
    ChangeState.MERGED: "This change is merged already. Begin a new one to go on.",
    ChangeState.DECLINED: "The pull request of this change was declined. Begin a new one to go on.",
    ChangeState.DISCARDED: "This change was discarded. Its text is kept: take it up again on a new branch.",
}


def may_follow(state: ChangeState, wanted: ChangeState) -> bool:
    """Tell whether a change may go from one state to another; none follows a final one."""
    return wanted in _NEXT.get(state, ())


def following(state: ChangeState, wanted: ChangeState) -> ChangeState:
    """Return the state wanted, also where it is there already; raises Conflict where it can't follow."""
    if state is wanted or may_follow(state, wanted):
        return wanted
    if state in FINAL:
        raise Conflict(_ENDED[state])
    if state is ChangeState.PROPOSED:
        raise Conflict("There is an open pull request of this change: decline or merge it first.")
    raise Conflict("Nothing of this change is committed yet; commit it first.")


def after_commit(state: ChangeState) -> ChangeState:
    """Return where a commit leads to: with an open pull request, it joins that; raises Conflict."""
    return state if state is ChangeState.PROPOSED else following(state, ChangeState.COMMITTED)


def check_open(state: ChangeState) -> None:
    """Raise Conflict when the change has come to its end."""
    if state in FINAL:
        raise Conflict(_ENDED[state])
