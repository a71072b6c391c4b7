"""Small lines: paths of levels, and traces that follow the samples."""

import pytest

from quarterdeck.metrics.figures import FIGURES
from quarterdeck.metrics.overview.sparkline import STEPS, Level, level_of, sparkline
from quarterdeck.metrics.overview.trace import STEP_SECONDS, Trace
from quarterdeck.metrics.ring import Ring

NAN = float("nan")


@pytest.mark.parametrize(
    ("levels", "path"),
    [
        ([16, 8, 8, 10], "M0 16l1-8 1 0 1 2"),
        ([None, 4, None, 3, 2, None], "M1 4h.5M3 3l1-1"),
        ([5], "M0 5h.5"),
        ([None, None], ""),
        ([], ""),
    ],
)
def test_a_gap_is_a_gap(levels: list[Level], path: str) -> None:
    assert sparkline(levels) == path


@pytest.mark.parametrize(("value", "level"), [(0, 16), (100, 0), (50, 8), (-3, 16), (250, 0), (96.8, 1)])
def test_levels_stay_within_the_drawing(value: float, level: int) -> None:
    assert level_of(value) == level


def filled(*samples: tuple[float, float]) -> Ring:
    ring = Ring()
    for at, value in samples:
        ring.append(at, (value,) * len(FIGURES))
    return ring


def test_a_trace_has_the_mean_of_each_step() -> None:
    trace, start = Trace(0), 10_000 * STEP_SECONDS
    trace.renew(filled((start, 0), (start + 5, 50), (start + 25, NAN), (start + 45, 100)), start + 45)
    assert trace.path == f"M{STEPS - 3} 12h.5M{STEPS - 1} 0h.5"
    assert trace.mean == 62.5


def test_a_trace_goes_on_where_it_was() -> None:
    whole, steps, start = Trace(3), Trace(3), 10_000.0 * STEP_SECONDS
    ring = Ring()
    for second in range(0, 700, 7):
        ring.append(start + second, (float(second % 100),) * len(FIGURES))
        steps.renew(ring, start + second)
    whole.renew(ring, start + 693)
    assert steps.path == whole.path
    assert steps.mean == pytest.approx(whole.mean)


def test_a_trace_of_a_silent_host_moves_away() -> None:
    trace, ring, start = Trace(0), filled((200_000, 50)), 200_000
    trace.renew(ring, start)
    before = trace.path
    trace.renew(ring, start + STEP_SECONDS)
    assert (before, trace.path) == (f"M{STEPS - 1} 8h.5", f"M{STEPS - 2} 8h.5")
    trace.renew(ring, start + STEPS * STEP_SECONDS)
    assert (trace.path, trace.mean) == ("", None)
