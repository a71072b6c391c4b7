"""What viewers are told of a host: its changes since some tick, as JSON that is encoded once."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from quarterdeck.metrics.figures import FIGURES, Row
from quarterdeck.metrics.fleet import HostNow

Value = float | None
Places = tuple[int, ...]
"""Which figures: places in FIGURES, in order."""

ALL_PLACES: Final = tuple(range(len(FIGURES)))
LISTS: Final = ("cores", "mounts", "interfaces", "temperatures")
_DECIMALS: Final = tuple(figure.decimals for figure in FIGURES)


@dataclass(slots=True)
class Told:
    """A host as viewers know it, and at which tick each part of that changed last.

    Viewers are told of ticks and not of samples, so that a snapshot and the changes after it fit together.
    """

    host_id: str
    at: float = 0.0
    interval_seconds: float = 0.0
    sampled: int = 0
    """The tick of the last sample."""
    values: list[Value] = field(default_factory=lambda: [None] * len(FIGURES))
    changed: list[int] = field(default_factory=lambda: [0] * len(FIGURES))
    lists: dict[str, Any] = field(default_factory=dict)  # Any: lists of the four shapes of samples
    lists_changed: dict[str, int] = field(default_factory=dict)

    def take(self, host: HostNow, tick: int) -> None:
        """Take in what is known of the host now."""
        if host.at == self.at:
            return
        self.at, self.interval_seconds, self.sampled = host.at, host.interval_seconds, tick
        for place, figure in enumerate(FIGURES):
            value = rounded(place, host.values.get(figure.key))
            if value != self.values[place]:
                self.values[place], self.changed[place] = value, tick
        for name in LISTS:
            content = getattr(host, name)
            if content != self.lists.get(name):
                self.lists[name], self.lists_changed[name] = content, tick

    def snapshot(self, places: Places, *, detail: bool) -> dict[str, Any]:
        """Return all that is known, for a viewer that begins."""
        known: dict[str, Any] = {
            "at": round(self.at, 3),
            "interval": self.interval_seconds,
            "values": [self.values[place] for place in places],
        }
        return known | msgspec.to_builtins(self.lists) if detail else known

    def fragment(self, places: Places, since: int, now: float) -> str:
        """Return ``"id":[age,number,value,number,value…]`` of what changed after a tick; empty for nothing.

        The numbers count the figures that were asked for. A sample in which nothing changed tells its age.
        """
        if self.sampled <= since:
            return ""
        parts: list[Value] = [round(max(0.0, now - self.at), 2)]
        for number, place in enumerate(places):
            if self.changed[place] > since:
                parts += (number, self.values[place])
        return f'"{self.host_id}":{msgspec.json.encode(parts).decode()}'

    def detail(self, since: int) -> str:
        """Return ``"id":{"cores":…}`` with the lists that changed after a tick; empty for none."""
        changed = {name: self.lists[name] for name, tick in self.lists_changed.items() if tick > since}
        return f'"{self.host_id}":{msgspec.json.encode(changed).decode()}' if changed else ""


def rounded(place: int, value: float | None) -> Value:
    """Return a value as it is sent: no more decimals than its figure is worth, None for none."""
    if value is None or value != value:  # NaN
        return None
    decimals = _DECIMALS[place]
    return round(value, decimals) if decimals else round(value)


def sample_of(at: float, row: Row, places: Places) -> list[Value]:
    """Return a sample of the ring as it is sent: its time, then the values."""
    return [round(at, 2), *(rounded(place, row[place]) for place in places)]
