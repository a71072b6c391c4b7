"""The samples that are not stored yet: one open chunk a host, taken down as they come."""

import threading
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import nan
from typing import Final

from quarterdeck.metrics.figures import Row
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.metrics.kept.chunks import FINE, Values, empty, fill

MOST_WAITING: Final = 8
"""Chunks a host that could not be stored: two hours. 24 MB for 1,000 hosts."""
_LONGEST_SECONDS: Final = 300.0
"""A sample speaks for no longer than this, however seldom a host is sampled."""
_SLACK_SECONDS: Final = FINE.seconds / 2


@dataclass(slots=True, eq=False)
class OpenChunk:
    """A chunk in memory; ``is_merged`` tells that it holds what is stored of the same time too."""

    host_id: str
    start: int
    values: Values = field(default_factory=lambda: empty(FINE))
    is_dirty: bool = False
    is_merged: bool = False


@dataclass(slots=True)
class _Pen:
    """Where a host's last sample was put, and what the mean of that step is made of."""

    at: float = 0.0
    step: int = 0
    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    chunks: dict[int, OpenChunk] = field(default_factory=dict)

    def place(self, at: float, interval_seconds: float) -> tuple[int, int]:
        """Return the first and the last step that a sample counts for: as a rule one and the same.

        A host that is sampled every 15 s gives one sample a step although its samples come up to 3.7 s
        sooner or later: a sample up to half a step beside it counts for the step that is due. One of a
        host that is sampled less often, or ever later, counts for all the time since the one before it.
        After more than 1.5 times its interval there is a gap.
        """
        step = int(at // FINE.seconds)
        if not self.at or at <= self.at:  # the first, or the clock was set back
            return step, step
        due = self.step + 1
        speaks_for = 1.5 * min(max(interval_seconds, FINE.seconds), _LONGEST_SECONDS)
        if at - self.at > speaks_for:
            return step, step
        beside = at - due * FINE.seconds
        is_regular = interval_seconds >= _SLACK_SECONDS
        if is_regular and -_SLACK_SECONDS <= beside < FINE.seconds + _SLACK_SECONDS:
            return due, due
        step = max(step, self.step)
        return min(due, step), step

    def mean(self, step: int, row: Row) -> Row:
        """Return the mean of the step's samples with this one."""
        if step != self.step or not self.sums:
            self.sums = [value if value == value else 0.0 for value in row]
            self.counts = [int(value == value) for value in row]
            return row
        for place, value in enumerate(row):
            if value == value:
                self.sums[place] += value
                self.counts[place] += 1
        return tuple(
            total / count if count else nan for total, count in zip(self.sums, self.counts, strict=True)
        )


class Recorder:
    """Takes down samples on the loop; a thread stores what it holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pens: dict[str, _Pen] = {}
        self.lost = 0
        """Chunks that were dropped because they could not be stored for hours."""

    def take(self, host: HostNow, row: Row) -> None:
        """Take down a sample, for ``Fleet.listen``: a few microseconds."""
        with self._lock:
            pen = self._pens.get(host.host_id)
            if pen is None:
                pen = self._pens[host.host_id] = _Pen()
            first, last = pen.place(host.at, host.interval_seconds)
            values = array("f", pen.mean(last, row))
            for step in range(first, last + 1):
                chunk = self._chunk(host.host_id, pen, FINE.start_of(step * FINE.seconds))
                chunk.values[step % FINE.slots :: FINE.slots] = values
                chunk.is_dirty = True
            pen.at, pen.step = host.at, last

    def dirty(self) -> list[OpenChunk]:
        """Return the chunks that hold something that is not stored."""
        with self._lock:
            return [chunk for pen in self._pens.values() for chunk in pen.chunks.values() if chunk.is_dirty]

    def merge(self, stored: Iterable[tuple[OpenChunk, "Values | None"]]) -> None:
        """Add to open chunks what is stored of the same time, from before a start or a late sample."""
        with self._lock:
            for chunk, values in stored:
                if values is not None:
                    fill(chunk.values, values)
                chunk.is_merged = True

    def copies(self, chunks: Iterable[OpenChunk]) -> list[Values]:
        """Return the values of chunks, which count as stored from now on."""
        with self._lock:
            copies = []
            for chunk in chunks:
                chunk.is_dirty = False
                copies.append(chunk.values[:])
            return copies

    def keep(self, chunks: Iterable[OpenChunk]) -> None:
        """Take back that these count as stored."""
        for chunk in chunks:
            chunk.is_dirty = True

    def let_go(self) -> None:
        """Drop the chunks that are stored and that no sample will come to."""
        with self._lock:
            for pen in self._pens.values():
                current = FINE.start_of(pen.step * FINE.seconds)
                gone = [
                    start for start, chunk in pen.chunks.items() if start != current and not chunk.is_dirty
                ]
                for start in gone:
                    del pen.chunks[start]

    def forget(self, host_ids: Collection[str]) -> None:
        """Drop all of removed hosts."""
        with self._lock:
            for host_id in host_ids:
                self._pens.pop(host_id, None)

    def host_ids(self) -> set[str]:
        """Return the hosts of which there is anything."""
        with self._lock:
            return set(self._pens)

    def values_of(self, host_id: str) -> dict[int, Values]:
        """Return copies of what memory holds of a host, by the beginnings of the chunks."""
        with self._lock:
            pen = self._pens.get(host_id)
            return {start: chunk.values[:] for start, chunk in pen.chunks.items()} if pen else {}

    def _chunk(self, host_id: str, pen: _Pen, start: int) -> OpenChunk:
        chunk = pen.chunks.get(start)
        if chunk is None:
            chunk = pen.chunks[start] = OpenChunk(host_id, start)
            if len(pen.chunks) > MOST_WAITING:
                del pen.chunks[min(pen.chunks)]
                self.lost += 1
        return chunk
