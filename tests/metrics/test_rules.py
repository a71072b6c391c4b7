from collections.abc import Sequence
from itertools import pairwise
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.metrics.alerts.rules import (
    BACK_SECONDS,
    CLEARLY_BACK_SECONDS,
    NO_FIGURES_SECONDS,
    QUIET,
    AlertLevel,
    Comparison,
    Phase,
    Rule,
    Standing,
    condition_text,
    has_no_figures,
    step,
    value_text,
)

RULE = Rule(
    id="memory", name="Memory", level=AlertLevel.WARN, figure="memory", threshold=90.0, duration_seconds=120
)
BELOW = Rule(
    id="cold",
    name="Cold",
    level=AlertLevel.WARN,
    figure="temperature",
    comparison=Comparison.BELOW,
    threshold=10.0,
)
EVERY = 15.0
VALUES = st.lists(st.floats(0, 100) | st.none() | st.just(nan), max_size=120)
DANCE = st.lists(st.floats(85.6, 100), min_size=1, max_size=100)


def walk(rule: Rule, values: Sequence[float | None], standing: Standing = QUIET) -> list[Standing]:
    """Return where the rule stands after each value, one every 15 s."""
    steps = []
    at = max(standing.at, 1_000.0)
    for value in values:
        at += EVERY
        standing = step(standing, rule, value, at)
        steps.append(standing)
    return steps


def phases(steps: list[Standing]) -> list[Phase]:
    return [each.phase for each in steps]


def firing(rule: Rule = RULE, value: float = 95.0) -> Standing:
    return walk(rule, [value] * 9)[-1]


def test_a_value_past_the_threshold_is_pending_then_firing_after_the_duration() -> None:
    steps = walk(RULE, [50.0, *[95.0] * 9])
    assert phases(steps) == [Phase.QUIET, *[Phase.PENDING] * 8, Phase.FIRING]
    assert steps[-1].since == steps[1].since == 1_030.0


def test_without_a_duration_the_first_value_fires() -> None:
    assert phases(walk(BELOW, [20.0, 9.0])) == [Phase.QUIET, Phase.FIRING]


def test_one_good_value_ends_what_is_only_pending() -> None:
    assert phases(walk(RULE, [95.0] * 5 + [50.0] + [95.0] * 5))[5:] == [Phase.QUIET, *[Phase.PENDING] * 5]


def test_a_gap_lets_what_is_pending_begin_anew() -> None:
    before = walk(RULE, [95.0] * 5)[-1]
    after = step(before, RULE, 95.0, before.at + 3_600)
    assert (after.phase, after.since) == (Phase.PENDING, before.at + 3_600)


def test_it_is_over_when_clearly_back_for_a_minute() -> None:
    steps = walk(RULE, [80.0] * 5, firing())
    assert phases(steps) == [*[Phase.FIRING] * 4, Phase.QUIET]
    assert steps[-1].value == 80.0
    assert CLEARLY_BACK_SECONDS == 4 * EVERY


def test_it_is_over_when_barely_back_for_ten_minutes() -> None:
    steps = walk(RULE, [89.0] * 60, firing())
    assert phases(steps).index(Phase.QUIET) == BACK_SECONDS / EVERY


def test_below_is_the_other_way_round() -> None:
    steps = walk(BELOW, [11.0] * 5, walk(BELOW, [5.0])[-1])
    assert phases(steps) == [*[Phase.FIRING] * 4, Phase.QUIET]
    assert phases(walk(BELOW, [10.2] * 5, walk(BELOW, [5.0])[-1])) == [Phase.FIRING] * 5


@pytest.mark.parametrize("nothing", [None, nan])
def test_no_figures_are_neither_a_beginning_nor_an_end(nothing: float | None) -> None:
    assert phases(walk(RULE, [nothing] * 100)) == [Phase.QUIET] * 100
    fired = firing()
    assert walk(RULE, [nothing] * 100, fired)[-1] == fired


def test_no_figures_for_a_while_are_marked() -> None:
    fired = firing()
    assert not has_no_figures(fired, fired.at + NO_FIGURES_SECONDS)
    assert has_no_figures(fired, fired.at + NO_FIGURES_SECONDS + 1)
    assert not has_no_figures(QUIET, 1e9)


def test_after_a_gap_the_time_of_being_back_begins_anew() -> None:
    back = walk(RULE, [80.0], firing())[-1]
    assert step(back, RULE, 80.0, back.at + 3_600).phase is Phase.FIRING


@given(VALUES)
def test_it_fires_only_after_the_whole_duration_of_bad_values(values: list[float | None]) -> None:
    before = QUIET
    for number, standing in enumerate(walk(RULE, values)):
        if before.phase is not Phase.FIRING and standing.phase is Phase.FIRING:
            steps_back = int((standing.at - standing.since) / EVERY)
            lasting = [value for value in values[number - steps_back : number + 1] if value is not None]
            assert not any(value <= RULE.threshold for value in lasting)
            assert standing.at - standing.since >= RULE.duration_seconds
        before = standing


@given(VALUES)
def test_steps_go_no_other_way(values: list[float | None]) -> None:
    allowed = {
        (Phase.QUIET, Phase.PENDING),
        (Phase.PENDING, Phase.QUIET),
        (Phase.PENDING, Phase.FIRING),
        (Phase.FIRING, Phase.QUIET),
    }
    for before, after in pairwise([Phase.QUIET, *phases(walk(RULE, values))]):
        assert before is after or (before, after) in allowed


@given(DANCE)
def test_a_value_that_dances_on_the_threshold_does_not_ring_again(values: list[float]) -> None:
    """Inside the margin, with at least one bad value in ten minutes."""
    danced = [value if number % 30 else 95.0 for number, value in enumerate(values)]
    assert set(phases(walk(RULE, danced, firing()))) == {Phase.FIRING}


@given(st.lists(st.floats(0, 85), min_size=5, max_size=40))
def test_whatever_is_clearly_back_for_long_enough_is_over(values: list[float]) -> None:
    assert walk(RULE, values, firing())[4].phase is Phase.QUIET


@given(VALUES, st.floats(-1e6, 0))
def test_an_older_value_changes_nothing(values: list[float | None], earlier: float) -> None:
    for standing in walk(RULE, values):
        assert step(standing, RULE, 99.0, standing.at + earlier) == standing


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [
        ("memory", 91.26, "91.3 %"),
        ("disk", 95.0, "95.0 %"),
        ("received", 1_500_000.0, "1.5 MB/s"),
        ("temperature", 71.5, "71.5 °C"),
        ("load", 2.5, "2.50"),
        ("processes", 1234.0, "1,234"),
        ("load-per-processor", 2.517, "2.52"),
        ("disk-full-by-trend", 6.44, "full in 6.4 h"),
        ("disk-full-by-trend", None, "–"),
        ("lost", 1.0, "lost"),
        ("memory", None, "–"),
    ],
)
def test_values_are_told_with_their_units(figure: str, value: float | None, text: str) -> None:
    assert value_text(figure, value) == text


def test_conditions_are_told_in_a_sentence() -> None:
    assert condition_text(RULE) == "Memory above 90 % for 2 min"
    assert condition_text(BELOW) == "Hottest sensor below 10 °C"
