"""Figures over time, as charts and programs ask for them: from memory and from what is stored.

Three steps are stored (docs/fleet.md); the finest one is taken that reaches back far enough and is not far
more than what is asked for. It is thinned by least, mean and most, so that no peak is lost. A step without
a sample is None.
"""

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, fsum, isfinite, nan
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.metrics.figures import BY_KEY, KEYS
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.kept import store
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
    roll_up,
)
from quarterdeck.metrics.kept.keeper import Keeper, Kept
from quarterdeck.metrics.kept.ranges import Span
from quarterdeck.metrics.ring import KEPT_SECONDS
from quarterdeck.protocol.samples import Facts

MOST_POINTS: Final = 5_000
MOST_HOSTS: Final = 8
_STEPS_A_POINT: Final = 12
_MOST_STEPS: Final = 20_000
_UNROLLED_SECONDS: Final = 2 * HOUR
"""Hours that may not be rolled up yet, and are while they are read."""
_GAP_SECONDS: Final = 1.5 * FINE.seconds

Line = list[float | None]


@dataclass(frozen=True, slots=True)
class Lines:
    """One figure: least, mean and most of each step; the same list three times where a step is a sample."""

    least: Line
    mean: Line
    most: Line

    @property
    def is_single(self) -> bool:
        """Tell whether there is nothing but the mean to show."""
        return self.least is self.mean


@dataclass(frozen=True, slots=True)
class Series:
    """Figures of one host: when each step begins, in seconds since 1970, and what it holds.

    ``step_seconds`` is 0 when these are the samples themselves, at the times when they were made.
    """

    step_seconds: int
    times: list[float]
    figures: dict[str, Lines]

    @property
    def is_empty(self) -> bool:
        return all(value is None for lines in self.figures.values() for value in lines.mean)


class SeriesReader:
    """Reads for pages and programs, from any thread."""

    def __init__(self, db: Database, clock: Clock, fleet: Fleet, keeper: Keeper) -> None:
        self._db, self._clock, self._fleet, self._keeper = db, clock, fleet, keeper

    def read(self, host_id: str, keys: Sequence[str], span: Span, points: int) -> Series:
        """Return figures of a host as finely as there is something: the last ten minutes sample by sample."""
        now = self.now()
        if span.since >= now - KEPT_SECONDS - FINE.seconds and self._fleet.now(host_id):
            return self._recent(host_id, keys, span, points)
        return self.read_steps([host_id], keys, span, points)[host_id]

    def read_steps(
        self, host_ids: Collection[str], keys: Sequence[str], span: Span, points: int
    ) -> dict[str, Series]:
        """Return figures of several hosts in the same steps."""
        step = step_for(span, points, self.now(), self._keeper.kept)
        count = span.seconds / step.seconds
        each = max(1, ceil(count / points))
        width = each * step.seconds
        first = int(span.since // width) * width
        times = list(range(first, int(span.until) + 1, width))
        chunks = self._chunks(step, Span(first, span.until), host_ids)
        found = {}
        for host_id in host_ids:
            of_host = {start: values for (owner, start), values in chunks.items() if owner == host_id}
            figures = {}
            for key in keys:
                lines = [
                    _laid(of_host, step, column, first, len(times) * each)
                    for column in step.columns(KEYS.index(key))
                ]
                figures[key] = _thinned(lines, each, BY_KEY[key].decimals)
            found[host_id] = Series(width, [float(time) for time in times], figures)
        return found

    def last(self, host_id: str) -> HostNow | None:
        """Return what a host said last: from memory, or what is stored of it as far as it was sampled.

        None when there is nothing. What is stored has no cores, mounts and so on.
        """
        now = self._fleet.now(host_id)
        if now is not None and now.at:
            return now
        with self._db.read() as session:
            for step in STEPS:
                if found := store.newest(session, step, host_id):
                    return _last_of(host_id, step, *found, facts=now.facts if now else None)
        return now

    def points_of(self, host_id: str, key: str, seconds: float) -> list[tuple[float, float]]:
        """Return a figure's means of 5 min or so over the time that ends now, oldest first, without gaps."""
        now = self.now()
        count = max(1, round(seconds / MEDIUM.seconds))
        series = self.read_steps([host_id], [key], Span(now - seconds, now), count)[host_id]
        pairs = zip(series.times, series.figures[key].mean, strict=True)
        return [(at, value) for at, value in pairs if value is not None]

    def _chunks(self, step: Step, span: Span, host_ids: Collection[str]) -> dict[store.Key, Values]:
        with self._db.read() as session:
            chunks = store.fetch(session, step, step.starts(span.since, span.until), host_ids)
        if step is FINE:
            self._add_memory(chunks, host_ids)
        elif span.until > (recent := self.now() // HOUR * HOUR - _UNROLLED_SECONDS):
            self._add_unrolled(chunks, step, Span(max(recent, span.since), span.until), host_ids)
        return chunks

    def _add_memory(self, chunks: dict[store.Key, Values], host_ids: Collection[str]) -> None:
        for host_id in host_ids:
            for start, values in self._keeper.recorder.values_of(host_id).items():
                if stored := chunks.get((host_id, start)):
                    fill(values, stored)
                chunks[host_id, start] = values

    def _add_unrolled(
        self, chunks: dict[store.Key, Values], step: Step, span: Span, host_ids: Collection[str]
    ) -> None:
        first, last = int(span.since // HOUR) * HOUR, int(min(span.until, self.now()) // HOUR) * HOUR
        with self._db.read() as session:
            fine = store.fetch(session, FINE, FINE.starts(first, last + HOUR - 1), host_ids)
        self._add_memory(fine, host_ids)
        for host_id in host_ids:
            of_host = {start: values for (owner, start), values in fine.items() if owner == host_id}
            for hour in range(first, last + 1, HOUR):
                both = {other: empty(other) for other in (MEDIUM, COARSE) if other is not step}
                both[step] = chunks.setdefault((host_id, step.start_of(hour)), empty(step))
                roll_up(hour, of_host, both[MEDIUM], both[COARSE])

    def _recent(self, host_id: str, keys: Sequence[str], span: Span, points: int) -> Series:
        """Return single samples, before them the steps of the time before the master's start."""
        host = self._fleet.now(host_id)
        samples = [each for each in host.ring.since(span.since) if each[0] <= span.until] if host else []
        first = samples[0][0] if samples else span.until
        times, columns = self._before(host_id, keys, Span(span.since, first))
        places = [KEYS.index(key) for key in keys]
        before = times[-1] if times else first
        for at, row in samples:
            if at - before > max(_GAP_SECONDS, 1.5 * (host.interval_seconds if host else 0)):
                _append(times, columns, (before + at) / 2, [nan] * len(places))
            _append(times, columns, at, [row[place] for place in places])
            before = at
        if len(times) > points:
            return _bucketed(times, dict(zip(keys, columns, strict=True)), span, points)
        figures = {
            key: _single(_clean(values, BY_KEY[key].decimals))
            for key, values in zip(keys, columns, strict=True)
        }
        return Series(0, times, figures)

    def _before(self, host_id: str, keys: Sequence[str], span: Span) -> tuple[list[float], list[list[float]]]:
        if span.seconds < 2 * FINE.seconds:
            return [], [[] for _ in keys]
        series = self.read_steps([host_id], keys, Span(span.since, span.until - FINE.seconds), MOST_POINTS)
        steps = series[host_id]
        columns = [[nan if value is None else value for value in steps.figures[key].mean] for key in keys]
        return list(steps.times), columns

    def now(self) -> float:
        """Return the time by this master's clock, in seconds since 1970."""
        return self._clock.now().timestamp()


def step_for(span: Span, points: int, now: float, kept: Kept) -> Step:
    """Return the finest step that reaches back far enough and is not far more than what is asked for."""
    most = min(_STEPS_A_POINT * points, _MOST_STEPS)
    for step in STEPS:
        oldest = now - kept.seconds(step) - step.chunk_seconds
        if span.since >= oldest and span.seconds / step.seconds <= most:
            return step
    return COARSE


def _last_of(host_id: str, step: Step, start: int, values: Values, *, facts: Facts | None) -> HostNow | None:
    """Return the last step of a chunk that has a mean."""
    means = {key: values[step.columns(place)[step.lines // 2]] for place, key in enumerate(KEYS)}
    for slot in reversed(range(step.slots)):
        found = {key: round(line[slot], 2) for key, line in means.items() if isfinite(line[slot])}
        if found:
            return HostNow(host_id, start + slot * step.seconds, values=found, facts=facts)
    return None


def _laid(chunks: dict[int, Values], step: Step, column: slice, first: int, count: int) -> Values:
    """Return so many steps of one line from a moment on, put together from chunks."""
    line = array("f", [nan]) * count
    for start, values in chunks.items():
        place = (start - first) // step.seconds
        begin, end = max(place, 0), min(place + step.slots, count)
        if begin < end:
            offset = column.start - place
            line[begin:end] = values[offset + begin : offset + end]
    return line


def _thinned(lines: list[Values], each: int, decimals: int) -> Lines:
    """Return lines of which so many steps are made one."""
    if each == 1:
        cleaned = [_clean(line, decimals) for line in lines]
        return _single(cleaned[0]) if len(lines) == 1 else Lines(*cleaned)
    least, mean, most = lines * 3 if len(lines) == 1 else lines
    return Lines(
        _clean(_each(least, each, min), decimals),
        _clean(_each(mean, each, _mean), decimals),
        _clean(_each(most, each, max), decimals),
    )


def _each(line: Values, each: int, of: Callable[[list[float]], float]) -> Iterator[float]:
    for place in range(0, len(line), each):
        known = [value for value in line[place : place + each] if value == value]
        yield of(known) if known else nan


def _bucketed(times: list[float], columns: dict[str, list[float]], span: Span, points: int) -> Series:
    """Return samples thinned to steps of whole seconds."""
    width = ceil(span.seconds / points)
    steps = [at // width for at in times]
    bounds = [place for place, (one, other) in enumerate(pairwise(steps), 1) if one != other]
    ends = [0, *bounds, len(times)]
    figures = {}
    for key, values in columns.items():
        known = [[value for value in values[begin:end] if value == value] for begin, end in pairwise(ends)]
        decimals = BY_KEY[key].decimals
        figures[key] = Lines(
            *(_clean((of(some) if some else nan for some in known), decimals) for of in (min, _mean, max))
        )
    return Series(width, [steps[begin] * width for begin in ends[:-1]], figures)


def _mean(values: list[float]) -> float:
    return fsum(values) / len(values)


def _clean(values: "Iterator[float] | Sequence[float] | Values", decimals: int) -> Line:
    places = decimals or None  # whole numbers become whole ones
    return [round(value, places) if isfinite(value) else None for value in values]


def _single(line: Line) -> Lines:
    return Lines(line, line, line)


def _append(times: list[float], columns: list[list[float]], at: float, values: Sequence[float]) -> None:
    times.append(at)
    for column, value in zip(columns, values, strict=True):
        column.append(value)
