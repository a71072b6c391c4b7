"""The states of a change: what may follow what, and that an end is an end."""

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import Conflict
from quarterdeck.files.changes.states import FINAL, NOT_FINAL, after_commit, following, may_follow
from quarterdeck.files.models import ChangeState

STATES = st.sampled_from(ChangeState)


@given(st.lists(STATES, max_size=20))
def test_no_path_leads_out_of_an_end(wanted: list[ChangeState]) -> None:
    state = ChangeState.OPEN
    for each in wanted:
        before = state
        try:
            state = following(state, each)
        except Conflict:
            assert not may_follow(state, each)
        assert before not in FINAL or state is before


@given(STATES)
def test_commit_leads_nowhere_after_the_end(state: ChangeState) -> None:
    try:
        assert after_commit(state) in (ChangeState.COMMITTED, ChangeState.PROPOSED)
    except Conflict:
        assert state in FINAL
    else:
        assert state in NOT_FINAL


def test_only_what_is_committed_is_proposed_or_merged() -> None:
    for wanted in (ChangeState.PROPOSED, ChangeState.MERGED):
        assert not may_follow(ChangeState.OPEN, wanted)
        assert may_follow(ChangeState.COMMITTED, wanted)
    assert not may_follow(ChangeState.PROPOSED, ChangeState.DISCARDED)
