"""The figures of one host for programs: now, and over time."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, Field

from quarterdeck.core import costs, openapi, web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form
from quarterdeck.hosts.models import HostRecord, HostState
from quarterdeck.hosts.service import Hosts
from quarterdeck.metrics.figures import BY_KEY, KEYS, Unit
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.kept.ranges import read_span
from quarterdeck.metrics.kept.series import MOST_POINTS, Lines, Series, SeriesReader

blueprint = APIBlueprint("host_figures_api", __name__, url_prefix="/api/v1", tag="Hosts")

Json = dict[str, Any]  # Any: JSON
_UNIT_NAMES: Final = {
    Unit.PERCENT: "percent",
    Unit.RATE: "bytes_per_second",
    Unit.CELSIUS: "celsius",
    Unit.NUMBER: "number",
}


class MountOut(BaseModel, title="Mount"):
    """A file system; available is what an unprivileged program may still write."""

    path: str
    total_bytes: int
    available_bytes: int
    kind: str
    device: str


class InterfaceOut(BaseModel, title="Interface"):
    """A network interface; the totals count since the machine's start, the rates are bytes a second."""

    name: str
    received_bytes: int
    sent_bytes: int
    received_rate: float
    sent_rate: float


class TemperatureOut(BaseModel, title="Temperature"):
    name: str
    celsius: float


class FactsOut(BaseModel, title="Facts"):
    """What rarely changes of a machine; `booted_at` is in seconds since 1970."""

    hostname: str
    system: str
    kernel: str
    architecture: str
    processor: str
    processors: int
    cores: int
    memory_bytes: int
    swap_bytes: int
    booted_at: float
    addresses: list[str]
    python: str


class FiguresOut(BaseModel, title="HostFigures"):
    """How a host is doing now; `at` is null while nothing was ever heard of it.

    `values` has the figures that the host has; `cores` the share of each logical processor, in percent.
    """

    host: str
    state: HostState
    at: datetime | None
    age_seconds: float | None
    interval_seconds: float | None
    values: dict[str, float]
    cores: list[float]
    mounts: list[MountOut]
    interfaces: list[InterfaceOut]
    temperatures: list[TemperatureOut]
    facts: FactsOut | None


class FigureOut(BaseModel, title="FigureSeries"):
    """One figure, a value for each of the times; null where there is no sample.

    Where each step is one sample, min and max are null: they would be the same as the mean.
    """

    label: str
    unit: Literal["percent", "bytes_per_second", "celsius", "number"]
    mean: list[float | None]
    min: list[float | None] | None
    max: list[float | None] | None


class SamplesOut(BaseModel, title="HostSamples"):
    """Figures over time. `times` are the beginnings of the steps in seconds since 1970.

    `step_seconds` is 0 when these are the samples themselves, at the times when they were made.
    """

    host: str
    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    step_seconds: int
    times: list[float]
    figures: dict[str, FigureOut]


class SamplesQuery(Form):
    """Which figures (all, or several parted by commas or repeated), of when, and how finely.

    Say `range` (90m, 24h, 7d, 1y) for one that ends at `to` or now, or `from` when `to` when: times such
    as 2026-11-22T08:00:00Z, or seconds since 1970.
    """

    figure: str = Field(default="", max_length=400)
    range: str = Field(default="", max_length=8)
    since: str = Field(default="", max_length=40, alias="from")
    until: str = Field(default="", max_length=40, alias="to")
    points: int = Field(default=300, ge=1, le=MOST_POINTS)
    format: Literal["json", "csv"] = "json"


@blueprint.get("/hosts/<name>/figures")
@web.allow("host.read")
@blueprint.output(FiguresOut)
@blueprint.doc(summary="How a host is doing now")
def host_figures(name: str) -> Json:
    web.require("host.read", f"host:{name}")
    host = web.part(Hosts).get(name)
    return figures_json(host, web.part(Fleet).now(host.id), web.part(SeriesReader).now())


@blueprint.get("/hosts/<name>/samples")
@web.allow("host.read")
@web.costs(costs.SERIES)
@blueprint.input(SamplesQuery, location="query", arg_name="query")
@blueprint.output(SamplesOut)
@blueprint.doc(summary="Figures of a host over time")
@openapi.also_answers("application/json", "text/csv")
def host_samples(name: str, query: SamplesQuery) -> Json | Response:
    """The finest step is taken that reaches back far enough.

    It is thinned to about `points` by least, mean and most, so that no peak is lost. A gap is null.
    """
    web.require("host.read", f"host:{name}")
    host = web.part(Hosts).get(name)
    reader = web.part(SeriesReader)
    span = read_span(query.range, query.since, query.until, now=reader.now())
    series = reader.read(host.id, asked_figures(), span, query.points)
    if query.format == "csv":
        return as_csv(host.name, series)
    return {
        "host": host.name,
        "from": _moment(span.since),
        "to": _moment(span.until),
        "step_seconds": series.step_seconds,
        "times": series.times,
        "figures": {key: _figure_json(key, lines) for key, lines in series.figures.items()},
    }


def figures_json(host: HostRecord, now: HostNow | None, moment: float) -> Json:
    """Return how a host is doing as the API tells it."""
    now = now or HostNow(host.id)
    return {
        "host": host.name,
        "state": host.state,
        "at": _moment(now.at) if now.at else None,
        "age_seconds": round(max(0.0, moment - now.at), 1) if now.at else None,
        "interval_seconds": now.interval_seconds if now.at else None,
        "values": {key: round(value, BY_KEY[key].decimals) for key, value in now.values.items()},
        "cores": now.cores,
        "mounts": msgspec.to_builtins(now.mounts),
        "interfaces": msgspec.to_builtins(now.interfaces),
        "temperatures": msgspec.to_builtins(now.temperatures),
        "facts": msgspec.to_builtins(now.facts),
    }


def asked_figures() -> list[str]:
    """Return the figures of the request's query, all when it names none; raises Invalid for unknown ones."""
    words = [word.strip() for text in request.args.getlist("figure") for word in text.split(",")]
    wanted = [word for word in dict.fromkeys(words) if word]
    if not set(wanted) <= set(KEYS):
        raise Invalid({"figure": f"Use {', '.join(KEYS)}."})
    return wanted or list(KEYS)


def as_csv(name: str, series: Series) -> Response:
    """Return a series as a file: a line for each time, empty where there is no sample."""
    response = Response(_lines(series), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-samples.csv"'
    return response


def _lines(series: Series) -> Iterator[str]:
    columns = [
        column for lines in series.figures.values() for column in (lines.least, lines.mean, lines.most)
    ]
    yield _csv_line(["time", *(f"{key}_{word}" for key in series.figures for word in ("min", "mean", "max"))])
    for place, at in enumerate(series.times):
        yield _csv_line([_moment(at).isoformat(), *(column[place] for column in columns)])


def _csv_line(values: list[Any]) -> str:  # Any: texts, numbers, and None for an empty field
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def _figure_json(key: str, lines: Lines) -> Json:
    return {
        "label": BY_KEY[key].label,
        "unit": _UNIT_NAMES[BY_KEY[key].unit],
        "mean": lines.mean,
        "min": None if lines.is_single else lines.least,
        "max": None if lines.is_single else lines.most,
    }


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
