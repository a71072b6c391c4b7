"""Chunks: what is packed comes out again, and an hour rolled up says what its samples said."""

from array import array
from math import fsum, inf, isnan, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.metrics.figures import FIGURES
from quarterdeck.metrics.kept.chunks import (
    COARSE,
    FINE,
    HOUR,
    MEDIUM,
    STEPS,
    Step,
    Values,
    empty,
    fill,
    pack,
    roll_up,
    summary,
    unpack,
)

VALUES = st.floats(min_value=-(2.0**40), max_value=2.0**40, width=32) | st.just(nan)
COLUMN = FINE.columns(0)[0]


def same(one: float, other: float, within: float = 2**-16) -> bool:
    return (isnan(one) and isnan(other)) or abs(one - other) <= within * max(abs(one), 1e-30)


@given(st.lists(VALUES, min_size=1, max_size=FINE.slots), st.integers(0, len(FIGURES) - 1))
def test_what_is_packed_comes_out_again(samples: list[float], place: int) -> None:
    values = empty(FINE)
    first = FINE.columns(place)[0].start
    values[first : first + len(samples)] = array("f", samples)
    found = unpack(pack(values), FINE)
    assert len(found) == len(values)
    assert all(same(before, after) for before, after in zip(values, found, strict=True))
    assert unpack(pack(found), FINE).tobytes() == found.tobytes(), "packing again moves nothing"


@pytest.mark.parametrize("value", [0.0, 100.0, 65_535.0, -1.0, 0.05, inf, 83.45])
def test_values_that_matter_stay_what_they_are(value: float) -> None:
    values = empty(FINE)
    values[0] = value
    found = unpack(pack(values), FINE)[0]
    assert found == value or round(found, 2) == value


@pytest.mark.parametrize("step", STEPS)
def test_a_chunk_has_a_place_for_each_of_its_steps(step: Step) -> None:
    assert step.chunk_seconds % step.seconds == 0
    assert len(empty(step)) == len(FIGURES) * step.lines * step.slots
    assert step.starts(0, step.chunk_seconds) == [0, step.chunk_seconds]
    assert len(pack(empty(step))) < 400, "nothing weighs next to nothing"


def test_figures_that_came_later_are_empty_in_old_chunks() -> None:
    old = array("f", [5.0]) * FINE.slots  # written when there was one figure
    found = unpack(pack(old), FINE)
    assert list(found[COLUMN]) == [5.0] * FINE.slots
    assert all(isnan(value) for value in found[FINE.slots :])


def test_figures_of_a_newer_version_are_passed_over() -> None:
    newer = empty(FINE) + array("f", [1.0]) * FINE.slots
    assert len(unpack(pack(newer), FINE)) == len(empty(FINE))


@pytest.mark.parametrize("damage", [b"", b"\x02abc", b"\x01not zlib", pack(array("f", [1.0]))])
def test_damage_is_told(damage: bytes) -> None:
    with pytest.raises(ValueError, match="chunk"):
        unpack(damage, FINE)


def test_filling_leaves_what_is_there() -> None:
    values, others = array("f", [1.0, nan, nan]), array("f", [9.0, 2.0, nan])
    fill(values, others)
    assert list(values[:2]) == [1.0, 2.0]
    assert isnan(values[2])


def test_the_summary_of_nothing_is_nothing() -> None:
    assert all(isnan(value) for value in summary([nan, nan]))
    assert summary([nan, 4.0, 2.0]) == (2.0, 3.0, 4.0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(VALUES, min_size=HOUR // FINE.seconds, max_size=HOUR // FINE.seconds),
    st.integers(0, 400_000),
    st.integers(0, 3),
)
def test_an_hour_rolled_up_says_what_its_samples_say(
    samples: list[float], hour_number: int, missing: int
) -> None:
    hour = hour_number * HOUR
    chunks = {
        start: _chunk(samples[(start - hour) // FINE.seconds :][: FINE.slots])
        for start in range(hour, hour + HOUR, FINE.chunk_seconds)
    }
    del chunks[hour + missing * FINE.chunk_seconds]
    samples[missing * FINE.slots : (missing + 1) * FINE.slots] = [nan] * FINE.slots
    medium, coarse = empty(MEDIUM), empty(COARSE)
    for _ in range(2):  # the second time changes nothing
        roll_up(hour, chunks, medium, coarse)
        for slot in range(12):
            place = (hour - MEDIUM.start_of(hour)) // MEDIUM.seconds + slot
            _check(samples[slot * 20 : (slot + 1) * 20], medium, MEDIUM, place)
        _check(samples, coarse, COARSE, (hour - COARSE.start_of(hour)) // COARSE.seconds)
    assert sum(not isnan(value) for value in coarse) <= 3 * len(FIGURES), "only the hour's own place"


def _chunk(samples: list[float]) -> Values:
    values = empty(FINE)
    for place in range(len(FIGURES)):
        values[FINE.columns(place)[0]] = array("f", samples)
    return values


def _check(samples: list[float], values: Values, step: Step, place: int) -> None:
    known = [value for value in samples if not isnan(value)]
    expected = (min(known), fsum(known) / len(known), max(known)) if known else (nan,) * 3
    for figure in (0, len(FIGURES) - 1):
        found = [values[line.start + place] for line in step.columns(figure)]
        assert all(same(one, other, 1e-6) for one, other in zip(expected, found, strict=True))
