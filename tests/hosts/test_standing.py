"""The rules of a host's state, held against every order of answers and misses."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.hosts.models import HostState
from quarterdeck.hosts.standing import (
    FLAPPING_CHANGES,
    FLAPPING_SECONDS,
    NO_SKEW,
    SKEW_TIMES,
    STEADY_SECONDS,
    Flapping,
    Skew,
    Standing,
    after_answer,
    after_change,
    after_measure,
    after_miss,
    is_steady,
    skew_text,
)

WELL, LATE, LOST, UNKNOWN = HostState.WELL, HostState.LATE, HostState.LOST, HostState.UNKNOWN
CONTACTS = st.lists(st.booleans(), max_size=60)
BEGINNINGS = st.sampled_from([WELL, LATE, LOST, UNKNOWN])
_STEPS = {(WELL, LATE), (LATE, LOST), (LATE, WELL), (LOST, WELL), (UNKNOWN, LATE), (UNKNOWN, WELL)}


def walk(begin: HostState, answers: list[bool]) -> list[Standing]:
    """Return where a host stands at first and after each contact."""
    walked = [Standing(begin)]
    for is_answer in answers:
        walked.append(after_answer(walked[-1]) if is_answer else after_miss(walked[-1]))
    return walked


@given(BEGINNINGS, CONTACTS)
def test_no_state_is_skipped(begin: HostState, answers: list[bool]) -> None:
    states = [standing.state for standing in walk(begin, answers)]
    assert {step for step in pairwise(states) if step[0] is not step[1]} <= _STEPS


@given(CONTACTS)
def test_lost_means_four_missed_in_a_row(answers: list[bool]) -> None:
    walked = walk(WELL, answers)
    for number, (before, after) in enumerate(pairwise(walked), 1):
        if after.state is LOST and before.state is not LOST:
            assert answers[number - 4 : number] == [False] * 4


@given(CONTACTS)
def test_lost_host_is_back_only_after_two_answers_in_a_row(answers: list[bool]) -> None:
    for number, (before, after) in enumerate(pairwise(walk(LOST, answers)), 1):
        if before.state is LOST and after.state is WELL:
            assert answers[number - 2 : number] == [True, True]


@given(BEGINNINGS, CONTACTS)
def test_two_answers_make_every_host_well_and_four_misses_lost(begin: HostState, answers: list[bool]) -> None:
    last = walk(begin, answers)[-1]
    assert after_answer(after_answer(last)).state is WELL
    for _ in range(4):
        last = after_miss(last)
    assert last.state is LOST


@given(CONTACTS)
def test_one_miss_between_answers_changes_nothing(answers: list[bool]) -> None:
    apart = [each for pair in zip(answers, [True] * len(answers), strict=True) for each in pair]
    assert {standing.state for standing in walk(WELL, apart)} == {WELL}


@given(CONTACTS)
def test_revoked_worker_stays_revoked(answers: list[bool]) -> None:
    assert {standing.state for standing in walk(HostState.REVOKED, answers)} == {HostState.REVOKED}


@given(st.lists(st.floats(0, 2_000), min_size=1, max_size=60).map(sorted))
def test_flapping_means_that_many_changes_within_ten_minutes(times: list[float]) -> None:
    flapping = Flapping()
    for at in times:
        flapping = after_change(flapping, at)
    windows = zip(times, times[FLAPPING_CHANGES - 1 :], strict=False)
    assert flapping.is_on == any(last - first < FLAPPING_SECONDS for first, last in windows)


@given(st.lists(st.floats(0, 2_000), min_size=1, max_size=60).map(sorted), st.floats(0, 1_000))
def test_host_is_steady_once_nothing_changed_for_five_minutes(times: list[float], later: float) -> None:
    flapping = Flapping()
    for at in times:
        flapping = after_change(flapping, at)
    now = times[-1] + later
    assert is_steady(flapping, now) == (now - times[-1] >= STEADY_SECONDS)


def test_what_is_kept_of_changes_is_bounded() -> None:
    flapping = Flapping()
    for at in range(1_000):
        flapping = after_change(flapping, float(at) / 100)
    assert len(flapping.changes) == FLAPPING_CHANGES


@given(st.lists(st.floats(-3, 3), max_size=30))
def test_clocks_close_to_each_other_are_never_told(measures: list[float]) -> None:
    skew = NO_SKEW
    for seconds in measures:
        skew = after_measure(skew, seconds)
    assert skew == NO_SKEW


def measured(skew: Skew, *seconds: float) -> Skew:
    for each in seconds:
        skew = after_measure(skew, each)
    return skew


def test_clock_is_off_after_three_measures_and_right_again_below_three_seconds() -> None:
    assert measured(NO_SKEW, 9, 9).seconds is None
    off = measured(NO_SKEW, *[9] * SKEW_TIMES)
    assert off == Skew(9)
    assert measured(off, 4, 4, 4).seconds == 4, "between the two bounds it stays told"
    assert measured(off, 2, 2, 2) == NO_SKEW


def test_one_heartbeat_that_was_held_up_tells_nothing() -> None:
    assert measured(NO_SKEW, -20, 0, -20, 0, -20, 0) == NO_SKEW


def test_value_that_dances_is_not_told_anew_each_time() -> None:
    off = measured(NO_SKEW, 100, 100, 100)
    assert all(measured(off, seconds) is off for seconds in (96, 104, 99.5))
    assert measured(off, 150, 150, 150).seconds == 150


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf")])
def test_measure_that_is_no_number_is_passed_over(seconds: float) -> None:
    assert measured(NO_SKEW, seconds, seconds, seconds) is NO_SKEW


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (12.3, "Its clock is 12 s ahead of the master’s."),
        (-150, "Its clock is 2 min behind the master’s."),
        (7_300, "Its clock is 2 h ahead of the master’s."),
        (-400_000, "Its clock is 5 days behind the master’s."),
    ],
)
def test_skew_is_told_in_a_sentence(seconds: float | None, text: str) -> None:
    assert skew_text(seconds) == text
