"""What the page shows of the machine, ready to be drawn: dials, lines of the last values, marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import Final

from quarterdeck.core.ui.words import size_text
from quarterdeck.metrics.dashboard.message import disk_of
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.fleet import IDLE_SECONDS, HostNow
from quarterdeck.protocol.samples import Facts

LINE_VALUES: Final = 100
ARC: Final = 75.0
"""A dial is three quarters of a circle, whose length is 100."""
WORDS: Final = ((80.0, "fine", "success"), (95.0, "high", "warning"), (float("inf"), "critical", "error"))
"""Below which share a figure is called so, and the tone of the word."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A share in percent, None where it is not known, with the line of its last values."""

    key: str
    title: str
    percent: float | None
    about: str
    line: tuple[float, ...]

    @property
    def arc(self) -> str:
        """The length of the drawn part."""
        return f"{min(100.0, self.percent or 0.0) * ARC / 100:.2f}"

    @property
    def number(self) -> str:
        return "–" if self.percent is None else f"{self.percent:.1f}"

    @property
    def word(self) -> str:
        return "" if self.percent is None else word_of(self.percent)[0]

    @property
    def tone(self) -> str:
        return "quiet" if self.percent is None else word_of(self.percent)[1]

    @property
    def points(self) -> str:
        """The line in a box of 99 by 100, the newest value at its right end."""
        start = LINE_VALUES - len(self.line)
        return " ".join(f"{start + place},{100 - value:g}" for place, value in enumerate(self.line))

    @property
    def values(self) -> str:
        return ",".join(f"{value:g}" for value in self.line)


@dataclass(frozen=True, slots=True)
class LiveView:
    """Everything of the page; ``at`` is when the figures were taken, None before the first ones."""

    dials: tuple[Dial, ...]
    cores: tuple[int, ...]
    facts: Facts | None
    booted_at: datetime | None
    at: datetime | None
    is_old: bool
    load: float | None
    swap: float | None
    received: float | None
    sent: float | None
    temperature: float | None


def word_of(percent: float) -> tuple[str, str]:
    """Return what a share is called, and its tone."""
    return next((word, tone) for limit, word, tone in WORDS if percent < limit)


def view_of(host: HostNow | None, now: float) -> LiveView:
    """Return what the page shows of a machine at a moment; nothing of one that was never heard of."""
    host = host or HostNow("")
    facts, values = host.facts, host.values
    return LiveView(
        dials=tuple(_dials(host)),
        cores=tuple(round(core) for core in host.cores),
        facts=facts,
        booted_at=datetime.fromtimestamp(facts.booted_at, UTC) if facts and facts.booted_at else None,
        at=datetime.fromtimestamp(host.at, UTC) if host.at else None,
        is_old=bool(host.at) and now - host.at > 3 * max(host.interval_seconds, IDLE_SECONDS),
        load=values.get("load"),
        swap=values.get("swap"),
        received=values.get("received"),
        sent=values.get("sent"),
        temperature=values.get("temperature"),
    )


def _dials(host: HostNow) -> list[Dial]:
    known = host.values
    total = host.facts.memory_bytes if host.facts else 0
    memory = known.get("memory")
    used = round(total * memory / 100) if memory is not None else None
    disk = disk_of(host)
    full = 100 * (1 - disk.available_bytes / disk.total_bytes) if disk.total_bytes else None
    rows = [row for _, row in host.ring.since()][-LINE_VALUES:]
    on_disk = f"{size_text(disk.total_bytes - disk.available_bytes)} of {size_text(disk.total_bytes)}"
    in_memory = f"{size_text(used)} of {size_text(total)}" if used is not None and total else ""
    return [
        Dial("memory", "Memory", memory, in_memory, _line(rows, "memory")),
        Dial("cpu", "CPU", known.get("cpu"), _processors(host), _line(rows, "cpu")),
        Dial("disk", f"Disk {disk.path}", full, on_disk if full is not None else "", _line(rows, "disk")),
    ]


def _processors(host: HostNow) -> str:
    count = host.facts.processors if host.facts else 0
    return f"{count} logical {'processor' if count == 1 else 'processors'}" if count else ""


def _line(rows: Sequence[tuple[float, ...]], key: str) -> tuple[float, ...]:
    place = KEYS.index(key)
    return tuple(round(row[place], 1) for row in rows if not isnan(row[place]))
