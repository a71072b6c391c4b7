"""Charts as the server draws them: SVG paths in a box of fixed size, with their axes and a table in words.

The script of the page draws over them with the same figures; without it they stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from math import floor, log10
from typing import Final

from quarterdeck.core.ui.words import size_text
from quarterdeck.metrics.figures import BY_KEY, Unit
from quarterdeck.metrics.kept.series import Line, Lines, Series

WIDTH: Final = 600
HEIGHT: Final = 100
POINTS: Final = 80
"""How many steps are drawn: six pixels each on a wide page."""
MOST_BANDS: Final = 2
ROWS: Final = 24
"""Of the table beside the charts."""
_NICE: Final = (1, 2, 2.5, 5, 10)
_DAY_SECONDS: Final = 86_400
_TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class ChartKind:
    """A chart of the page: one or two figures that are measured alike."""

    key: str
    title: str
    figures: tuple[str, ...]

    @property
    def unit(self) -> Unit:
        return BY_KEY[self.figures[0]].unit


CHARTS: Final = (
    ChartKind("cpu", "CPU", ("cpu", "cpu_wait")),
    ChartKind("load", "Load", ("load",)),
    ChartKind("memory", "Memory", ("memory", "swap")),
    ChartKind("disk", "Fullest disk", ("disk",)),
    ChartKind("io", "Disk reads and writes", ("disk_read", "disk_write")),
    ChartKind("network", "Network", ("received", "sent")),
    ChartKind("temperature", "Hottest sensor", ("temperature",)),
    ChartKind("processes", "Processes", ("processes",)),
)


@dataclass(frozen=True, slots=True)
class Plot:
    """One line of a chart: its name, what it says now, the path of its mean, the band of least and most."""

    key: str
    label: str
    last: str
    path: str
    band: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis; ``place`` is in the units of the box."""

    place: int
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that a template needs; ``top`` is the value at the upper edge, the lower one is 0."""

    key: str
    title: str
    unit: Unit
    top: float
    plots: tuple[Plot, ...]
    values: tuple[Tick, ...]
    times: tuple[Tick, ...]

    @property
    def is_empty(self) -> bool:
        return not any(plot.path for plot in self.plots)

    @property
    def summary(self) -> str:
        """The chart in a sentence, for those who don't see it."""
        if self.is_empty:
            return f"{self.title}: no samples in this time."
        return f"{self.title}: " + ", ".join(f"{plot.label} last {plot.last}" for plot in self.plots) + "."


@dataclass(frozen=True, slots=True)
class Named:
    """Lines of a chart under the name that they have there."""

    key: str
    label: str
    lines: Lines


def value_text(unit: Unit, value: float | None, decimals: int = 1) -> str:
    """Return a value with its unit; a dash for none."""
    if value is None:
        return "–"
    match unit:
        case Unit.PERCENT:
            return f"{value:.1f} %"
        case Unit.RATE:
            return f"{size_text(round(value))}/s"
        case Unit.CELSIUS:
            return f"{value:.1f} °C"
        case _:
            return f"{value:,.{decimals}f}"


def figure_text(key: str, value: float | None) -> str:
    """Return a figure with its unit; a dash for none."""
    return value_text(BY_KEY[key].unit, value, BY_KEY[key].decimals)


def chart_of(kind: ChartKind, series: Series, span: tuple[float, float], zone: tzinfo) -> Chart:
    """Return the chart of some figures of one host."""
    named = [Named(key, BY_KEY[key].label, series.figures[key]) for key in kind.figures]
    return draw(kind, named, series.times, span, zone)


def draw(
    kind: ChartKind, named: Sequence[Named], times: Sequence[float], span: tuple[float, float], zone: tzinfo
) -> Chart:
    """Return a chart of lines that share their times; of more than two, bands would cover each other."""
    has_band = len(named) <= MOST_BANDS
    top = _top(kind.unit, [each.lines.most for each in named])
    places = [round((at - span[0]) / (span[1] - span[0]) * WIDTH) for at in times]
    decimals = BY_KEY[kind.figures[0]].decimals
    plots = [
        Plot(
            key=each.key,
            label=each.label,
            last=value_text(kind.unit, _last(each.lines.mean), decimals),
            path=_path(places, each.lines.mean, top),
            band=_band(places, each.lines, top) if has_band and not each.lines.is_single else "",
        )
        for each in named
    ]
    marks = (Tick(0, _axis_text(kind.unit, top)), Tick(HEIGHT // 2, _axis_text(kind.unit, top / 2)))
    return Chart(
        kind.key,
        kind.title,
        kind.unit,
        top,
        tuple(plots),
        (*marks, Tick(HEIGHT, _axis_text(kind.unit, 0))),
        tuple(_time_ticks(span, zone)),
    )


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table: when, and each figure's mean and most in words."""

    at: datetime
    cells: tuple[tuple[str, str], ...]


def table_of(series: Series, keys: Sequence[str]) -> list[TableRow]:
    """Return the series in about ROWS rows, newest first."""
    return rows_of([Named(key, key, series.figures[key]) for key in keys], series.times, keys)


def rows_of(named: Sequence[Named], times: Sequence[float], keys: Sequence[str]) -> list[TableRow]:
    """Return lines that share their times in about ROWS rows, newest first; ``keys`` say their figures."""
    each = max(1, -(-len(times) // ROWS))
    rows = []
    for begin in range(0, len(times), each):
        cells = []
        for item, key in zip(named, keys, strict=True):
            means = [value for value in item.lines.mean[begin : begin + each] if value is not None]
            most = [value for value in item.lines.most[begin : begin + each] if value is not None]
            mean = sum(means) / len(means) if means else None
            peak = max(most) if most and len(most) + (not item.lines.is_single) > 1 else None
            cells.append((figure_text(key, mean), figure_text(key, peak) if peak is not None else ""))
        rows.append(TableRow(datetime.fromtimestamp(times[begin], UTC), tuple(cells)))
    return rows[::-1]


def _top(unit: Unit, columns: Sequence[Line]) -> float:
    """Return a round number that is not below any value; shares always reach to 100."""
    most = max((value for column in columns for value in column if value is not None), default=0.0)
    if unit is Unit.PERCENT and most <= 100:
        return 100.0
    if most <= 0:
        return 1_000.0 if unit is Unit.RATE else 1.0
    scale = 10.0 ** floor(log10(most))
    return next(nice * scale for nice in _NICE if nice * scale >= most * 0.9999)


def _path(places: Sequence[int], line: Line, top: float) -> str:
    """Return the line with a break at each gap; a value alone is a dot."""
    parts: list[str] = []
    for run in _runs(line):
        points = [(places[place], _height(line[place], top)) for place in run]
        parts.append(f"M{points[0][0]} {points[0][1]}" + (_steps(points) if len(points) > 1 else "h.1"))
    return "".join(parts)


def _band(places: Sequence[int], lines: Lines, top: float) -> str:
    """Return the area between least and most."""
    parts = []
    for run in _runs(lines.mean):
        upper = [(places[place], _height(lines.most[place], top)) for place in run]
        lower = [(places[place], _height(lines.least[place], top)) for place in reversed(run)]
        parts.append(f"M{upper[0][0]} {upper[0][1]}{_steps([*upper, *lower])}z")
    return "".join(parts)


def _steps(points: Sequence[tuple[int, int]]) -> str:
    """Return the way from the first point to the last, in steps: half as long as places once compressed."""
    steps = (f"{x - before_x} {y - before_y}" for (before_x, before_y), (x, y) in pairwise(points))
    return f"l{' '.join(steps).replace(' -', '-')}"


def _runs(line: Line) -> list[range]:
    """Return the stretches without a gap."""
    runs, begin = [], None
    for place, value in enumerate([*line, None]):
        if value is not None and begin is None:
            begin = place
        if value is None and begin is not None:
            runs.append(range(begin, place))
            begin = None
    return runs


def _height(value: float | None, top: float) -> int:
    return HEIGHT - round(min(1.0, max(0.0, (value or 0.0) / top)) * HEIGHT)


def _last(line: Line) -> float | None:
    """Return the last value that there is."""
    return next((value for value in reversed(line) if value is not None), None)


def _axis_text(unit: Unit, value: float) -> str:
    match unit:
        case Unit.PERCENT:
            return f"{value:g} %"
        case Unit.RATE:
            return f"{size_text(round(value))}/s" if value else "0"
        case Unit.CELSIUS:
            return f"{value:g} °C"
        case _:
            return f"{value:,g}"


def _time_ticks(span: tuple[float, float], zone: tzinfo) -> list[Tick]:
    """Return the ends of the axis and three moments between them."""
    length = span[1] - span[0]
    form = "%H:%M" if length <= _DAY_SECONDS else "%a %H:%M" if length <= 7 * _DAY_SECONDS else "%d %b"
    form = "%H:%M:%S" if length <= 600 else form
    ticks = []
    for number in range(_TICKS + 1):
        moment = datetime.fromtimestamp(span[0] + length * number / _TICKS, zone)
        ticks.append(Tick(round(WIDTH * number / _TICKS), f"{moment:{form}}"))
    return ticks
