"""Samples as they come: each counts for its own step, and gaps are where there were none."""

from itertools import pairwise
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.metrics.fleet import HostNow
from quarterdeck.metrics.kept.chunks import FINE
from quarterdeck.metrics.kept.recorder import MOST_WAITING, Recorder
from tests.metrics.factories import NOON, row_of_one


def recorded(samples: list[tuple[float, float]], interval: float = 15.0) -> dict[int, float]:
    """Return what each step holds, by its number since noon, after samples of (time, value)."""
    recorder, steps = Recorder(), {}
    for at, value in samples:
        recorder.take(HostNow("h1", at=NOON + at, interval_seconds=interval), row_of_one(value))
    for start, values in recorder.values_of("h1").items():
        for slot, value in enumerate(values[FINE.columns(3)[0]]):
            if not isnan(value):
                steps[int(start - NOON) // FINE.seconds + slot] = value
    return steps


@given(st.floats(0, 14.99), st.lists(st.floats(-3.7, 3.7), min_size=2, max_size=200))
def test_jitter_makes_no_gap_and_no_sample_counts_twice(phase: float, jitter: list[float]) -> None:
    samples = [(15 * number + phase + off, float(number)) for number, off in enumerate(jitter)]
    samples = [sample for sample in samples if sample[0] >= 0]
    samples = [samples[0]] + [later for earlier, later in pairwise(samples) if later[0] > earlier[0]]
    steps = recorded(samples)
    if len(samples) == len(jitter):
        assert sorted(steps.values()) == [float(number) for number in range(len(jitter))]
        assert sorted(steps) == list(range(min(steps), min(steps) + len(jitter)))


@pytest.mark.parametrize("interval", [15.002, 15.3, 14.8, 16.0])
def test_a_schedule_that_drifts_makes_no_gap(interval: float) -> None:
    steps = recorded([(number * interval, 1.0) for number in range(400)])
    assert sorted(steps) == list(range(max(steps) + 1))


def test_a_missed_sample_is_a_gap() -> None:
    assert sorted(recorded([(0, 1.0), (15, 1.0), (45, 1.0)])) == [0, 1, 3]


def test_a_long_silence_is_a_gap_and_nothing_is_made_up() -> None:
    assert recorded([(0, 1.0), (120, 9.0)]) == {0: 1.0, 8: 9.0}


def test_a_host_that_is_seldom_sampled_has_no_gaps() -> None:
    steps = recorded([(0, 1.0), (60, 2.0), (121, 3.0)], interval=60)
    assert steps == {0: 1.0} | dict.fromkeys(range(1, 5), 2.0) | dict.fromkeys(range(5, 9), 3.0)


def test_samples_of_one_second_make_the_mean_of_their_step() -> None:
    steps = recorded([(second, float(second)) for second in range(31)], interval=1)
    assert steps == {0: 7.0, 1: 22.0, 2: 30.0}


def test_a_figure_that_comes_and_goes_is_the_mean_of_what_there_was() -> None:
    recorder = Recorder()
    nothing = float("nan")
    for at, value in ((0, 4.0), (1, nothing), (2, 8.0)):
        recorder.take(HostNow("h1", at=NOON + at, interval_seconds=1), row_of_one(value))
    assert recorder.values_of("h1")[int(NOON)][0] == 6.0


def test_a_clock_that_was_set_back_begins_again_there() -> None:
    steps = recorded([(600, 1.0), (615, 2.0), (0, 3.0), (15, 4.0)])
    assert steps == {40: 1.0, 41: 2.0, 0: 3.0, 1: 4.0}


def test_what_can_not_be_stored_is_bounded() -> None:
    recorder = Recorder()
    for chunk in range(MOST_WAITING + 3):
        recorder.take(HostNow("h1", at=NOON + chunk * FINE.chunk_seconds), row_of_one(1.0))
    assert len(recorder.dirty()) == MOST_WAITING
    assert recorder.lost == 3
    assert min(recorder.values_of("h1")) == NOON + 3 * FINE.chunk_seconds


def test_what_is_stored_and_over_leaves_memory() -> None:
    recorder = Recorder()
    for chunk in range(3):
        recorder.take(HostNow("h1", at=NOON + chunk * FINE.chunk_seconds), row_of_one(1.0))
    chunks = recorder.dirty()
    recorder.copies(chunks[:2])
    recorder.let_go()
    assert [chunk.start for chunk in recorder.dirty()] == [NOON + 2 * FINE.chunk_seconds]
    assert list(recorder.values_of("h1")) == [NOON + 2 * FINE.chunk_seconds]
