"""The machine of run states, tried with reports in any order."""

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.tasks.states import TERMINAL, RunState, advance, overall

states = st.sampled_from(list(RunState))
ORDER = [RunState.QUEUED, RunState.CONNECTING, RunState.RUNNING, RunState.CANCELLING]


def after(reports: list[RunState]) -> RunState:
    current = RunState.QUEUED
    for report in reports:
        current = advance(current, report)
    return current


def test_a_task_goes_from_queued_to_its_end() -> None:
    assert after([RunState.CONNECTING, RunState.RUNNING, RunState.SUCCEEDED]) is RunState.SUCCEEDED


@given(st.sampled_from(sorted(TERMINAL)), st.lists(states))
def test_a_terminal_state_never_changes(end: RunState, late: list[RunState]) -> None:
    assert after([end, *late]) is end


@given(st.lists(states), st.lists(states))
def test_an_unfinished_task_never_goes_back(before: list[RunState], later: list[RunState]) -> None:
    first, second = after(before), after([*before, *later])
    if second not in TERMINAL:
        assert ORDER.index(second) >= ORDER.index(first)


@given(st.lists(states))
def test_repeated_reports_change_nothing(reports: list[RunState]) -> None:
    assert after([report for report in reports for _ in range(2)]) is after(reports)


@given(st.lists(st.sampled_from(ORDER)), st.randoms())
def test_unfinished_reports_may_come_in_any_order(reports: list[RunState], random: object) -> None:
    shuffled = sorted(reports, key=lambda _: random.random())  # type: ignore[attr-defined]  # hypothesis' Random
    assert after(shuffled) is after(reports)


@given(st.lists(states, min_size=1))
def test_a_run_ends_exactly_when_all_its_hosts_have(parts: list[RunState]) -> None:
    assert (overall(parts) in TERMINAL) == all(part in TERMINAL for part in parts)


@given(st.lists(states))
def test_the_order_of_hosts_does_not_matter(parts: list[RunState]) -> None:
    assert overall(parts) is overall(reversed(parts))


def test_a_run_succeeds_only_when_each_host_did() -> None:
    assert overall([RunState.SUCCEEDED, RunState.SUCCEEDED]) is RunState.SUCCEEDED
    assert overall([RunState.SUCCEEDED, RunState.FAILED]) is RunState.FAILED
    assert overall([RunState.FAILED, RunState.LOST]) is RunState.LOST


def test_a_run_with_hosts_still_queued_is_running_once_others_have_ended() -> None:
    assert overall([RunState.SUCCEEDED, RunState.QUEUED]) is RunState.RUNNING
    assert overall([RunState.SUCCEEDED, RunState.CANCELLING]) is RunState.CANCELLING
    assert overall([RunState.QUEUED, RunState.QUEUED]) is RunState.QUEUED
    assert overall([]) is RunState.QUEUED
