import random
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.metrics.alerts.trend import Point, hours_until_full, line_of


def filling(start: float, per_hour: float, minutes: float, every_seconds: float = 15) -> list[Point]:
    """A disk that fills so much an hour."""
    count = int(minutes * 60 / every_seconds) + 1
    return [
        (1e9 + place * every_seconds, start + per_hour * place * every_seconds / 3600)
        for place in range(count)
    ]


def test_a_steady_rise_reaches_the_end_when_it_should() -> None:
    assert hours_until_full(filling(80, 2, 60)) == pytest.approx(9)


def test_less_than_ten_minutes_are_no_trend() -> None:
    assert hours_until_full(filling(80, 2, 9.9)) is None
    assert hours_until_full(filling(80, 2, 10)) == pytest.approx((20 - 2 / 6) / 2)


def test_less_than_half_in_use_is_no_trend() -> None:
    assert hours_until_full(filling(40, 2, 60)) == inf


@pytest.mark.parametrize("per_hour", [0, -2, 0.01])
def test_what_does_not_rise_is_never_full(per_hour: float) -> None:
    assert hours_until_full(filling(80, per_hour, 60)) == inf


def test_one_big_copy_is_no_trend() -> None:
    flat = filling(80, 0, 60)
    assert hours_until_full([(at, use + 5 * (place > 120)) for place, (at, use) in enumerate(flat)]) == inf


def test_a_rise_that_has_stopped_is_no_trend() -> None:
    rising = filling(60, 10, 60)
    rest = [(rising[-1][0] + 15 * place, rising[-1][1]) for place in range(1, 160)]
    assert hours_until_full(rising + rest) == inf


def test_a_saw_of_logs_that_are_rotated_is_no_trend() -> None:
    saw = [(at, 70 + (place % 40) * 0.1) for place, (at, _) in enumerate(filling(70, 0, 60))]
    assert hours_until_full(saw) == inf


def test_rounding_and_noise_do_not_hide_a_rise() -> None:
    dice = random.Random(5)  # noqa: S311 - noise, no secret
    noisy = [(at, round((use + dice.uniform(-0.1, 0.1)) / 0.05) * 0.05) for at, use in filling(80, 1, 120)]
    assert hours_until_full(noisy) == pytest.approx(18, rel=0.1)


def test_nothing_and_one_moment_are_no_trend() -> None:
    assert hours_until_full([]) is None
    assert line_of([(1.0, 50.0)] * 9) == (0.0, 0.0)


def test_a_full_disk_is_full_now() -> None:
    assert hours_until_full(filling(98, 2, 60)) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.floats(0, 100), min_size=0, max_size=80))
def test_whatever_the_use_the_answer_is_a_time_or_never(uses: list[float]) -> None:
    hours = hours_until_full([(1e9 + 60 * place, use) for place, use in enumerate(uses)])
    assert hours is None or hours >= 0


@given(st.floats(50, 70), st.floats(0.7, 5))
def test_the_line_gives_back_what_it_was_made_of(start: float, per_hour: float) -> None:
    points = filling(start, per_hour, 120, 60)
    assert hours_until_full(points) == pytest.approx((100 - points[-1][1]) / per_hour, rel=1e-3)
