"""When a disk will be full if it goes on filling so: a line of least squares through its use. Pure."""

from collections.abc import Sequence
from math import inf
from typing import Final

Point = tuple[float, float]
"""A moment in seconds, and the use then in percent."""

LEAST_SPAN_SECONDS: Final = 600.0
LEAST_POINTS: Final = 5
LEAST_USE_PERCENT: Final = 50.0
LEAST_RISE_PERCENT: Final = 0.1
"""What is less over all points may be the rounding of the samples."""
LEAST_FIT: Final = 0.8
"""The share of the movement that the line explains (R²): a jump and then rest has 0.75 at most."""
LEAST_SHARE_OF_SLOPE: Final = 0.5
"""Each half of the time must rise at least so steeply, against the whole, to count as steady."""


def hours_until_full(points: Sequence[Point]) -> float | None:
    """Return in how many hours the use reaches 100 %, by the points' trend, oldest first; infinity for never.

    Never is the answer too with less than half in use, and where it does not rise steadily. None is that
    nobody can say yet: there are less than ten minutes of points.
    """
    if points and points[-1][1] < LEAST_USE_PERCENT:
        return inf
    if len(points) < LEAST_POINTS or points[-1][0] - points[0][0] < LEAST_SPAN_SECONDS:
        return None
    use = points[-1][1]
    slope, fit = line_of(points)
    span = points[-1][0] - points[0][0]
    if slope <= 0 or fit < LEAST_FIT or slope * span < LEAST_RISE_PERCENT:
        return inf
    if not all(line_of(half)[0] >= slope * LEAST_SHARE_OF_SLOPE for half in _halves(points)):
        return inf
    return max(0.0, 100.0 - use) / slope / 3600


def line_of(points: Sequence[Point]) -> tuple[float, float]:
    """Return slope (percent a second) and fit (R², 0 to 1) of the line of least squares.

    Fewer than two moments have no slope, and what does not move has no fit.
    """
    count = len(points)
    if count < 2:
        return 0.0, 0.0
    mean_at = sum(at for at, _ in points) / count
    mean_use = sum(use for _, use in points) / count
    across = sum((at - mean_at) ** 2 for at, _ in points)
    together = sum((at - mean_at) * (use - mean_use) for at, use in points)
    upwards = sum((use - mean_use) ** 2 for _, use in points)
    if not across or not upwards:
        return 0.0, 0.0
    return together / across, together**2 / (across * upwards)


def _halves(points: Sequence[Point]) -> tuple[Sequence[Point], Sequence[Point]]:
    """Return the points of the earlier and of the later half of the time."""
    middle = (points[0][0] + points[-1][0]) / 2
    cut = next(place for place, (at, _) in enumerate(points) if at > middle)
    return points[:cut], points[cut:]
