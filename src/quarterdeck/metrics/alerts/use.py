"""The use of each host's fullest disk over the last hours, for its trend."""

import bisect
from collections.abc import Callable, Collection, Iterable
from typing import Final

from quarterdeck.metrics.alerts.trend import Point, hours_until_full
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.fleet import Fleet, HostNow

OlderPoints = Callable[[str], Iterable[Point]]
"""Gives the use of a host's fullest disk in the last hours, by the host's id, oldest first."""

WINDOW_SECONDS: Final = 6 * 3600.0
STEP_SECONDS: Final = 300.0
"""One point in so long is kept beyond the ring."""
FRESH_SECONDS: Final = 90.0
_DISK: Final = KEYS.index("disk")


class DiskUse:
    """Thinned points of the last six hours; one thread at a time."""

    def __init__(self, fleet: Fleet, older_points: OlderPoints) -> None:
        self._fleet, self._older_points = fleet, older_points
        self._points: dict[str, list[Point]] = {}

    def keep(self, host_ids: Collection[str]) -> None:
        """Drop the points of hosts other than these."""
        for gone in self._points.keys() - set(host_ids):
            del self._points[gone]

    def trends(self, host_ids: Iterable[str], now: float) -> dict[str, float | None]:
        """Return in how many hours a disk of each host will be full: infinity for never, None for unknown."""
        return {host_id: self._trend(host_id, now) for host_id in host_ids}

    def _trend(self, host_id: str, now: float) -> float | None:
        host = self._fleet.now(host_id)
        if host is None or now - host.at > FRESH_SECONDS or "disk" not in host.values:
            return None
        return hours_until_full(self._of(host, now))

    def _of(self, host: HostNow, now: float) -> list[Point]:
        """Return all points of a host, oldest first: the thinned ones, then those of the ring."""
        recent = [(at, row[_DISK]) for at, row in host.ring.since() if row[_DISK] == row[_DISK]]
        kept = self._points.get(host.host_id)
        if kept is None:
            kept = self._points[host.host_id] = sorted(self._older_points(host.host_id))
        for point in recent:
            if not kept or point[0] - kept[-1][0] >= STEP_SECONDS:
                kept.append(point)
        del kept[: bisect.bisect_left(kept, (now - WINDOW_SECONDS, 0.0))]
        first = recent[0][0] if recent else now
        return [*(point for point in kept if point[0] < first), *recent]
