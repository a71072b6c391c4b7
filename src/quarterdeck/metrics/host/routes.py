"""The pages of one host's figures, of several compared, and of a host's processes."""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from flask import Blueprint, render_template, request

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import costs, web
from quarterdeck.core.errors import Invalid, NotFound, Unreachable
from quarterdeck.core.ui import pages
from quarterdeck.hosts.models import HostRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.store import HostQuery
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.figures import BY_KEY, FIGURES, KEYS, Figure
from quarterdeck.metrics.host.charts import (
    CHARTS,
    MOST_BANDS,
    POINTS,
    ChartKind,
    Named,
    chart_of,
    draw,
    rows_of,
    table_of,
)
from quarterdeck.metrics.host.top import TopProcesses
from quarterdeck.metrics.host.view import Neighbours, view_of
from quarterdeck.metrics.kept.ranges import LIVE, NAMES, RANGES, Span, read_span
from quarterdeck.metrics.kept.series import MOST_HOSTS, Series, SeriesReader
from quarterdeck.metrics.sampling.processes import Order

blueprint = Blueprint("host_figures", __name__, template_folder="../templates")

DEFAULT_RANGE: Final = "1h"
COMPARED_POINTS: Final = 120
_LEAST_REFRESH: Final = 5
_MOST_REFRESH: Final = 3_600

Answer = str | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/fleet/<name>")
@web.allow("host.read")
@web.costs(costs.SERIES)
def host_page(name: str) -> Answer:
    """Show how a host is doing and how it did over a range."""
    host = _host(name)
    series, span, length = _series(host)
    charts = [chart_of(kind, series, (span.since, span.until), pages.zone()) for kind in CHARTS]
    return render_template(
        "metrics/host.html",
        **_now(host),
        charts=[chart for chart in charts if not (chart.is_empty and chart.key == "temperature")],
        rows=table_of(series, KEYS) if _has_table() else [],
        figures=FIGURES,
        series=series,
        span=span,
        length=length,
        ranges=NAMES,
        is_live=length in LIVE,
        refresh=_refresh(),
        csv_url=_samples_url(host.name, length, "csv"),
        url_with=_url_with,
        runs=web.part(Neighbours).runs(web.actor(), host.name) if web.may("run.read") else [],
    )


@blueprint.get("/fleet/<name>/now")
@web.allow("host.read")
def host_now(name: str) -> Answer:
    """The part of the page that says how the host is doing now."""
    return render_template("metrics/_host_now.html", **_now(_host(name)))


@blueprint.get("/fleet/<name>/processes")
@web.allow("host.read")
@web.costs(costs.CONTACTS)
def host_processes(name: str) -> Answer:
    """Ask the host which of its processes use most."""
    host = _host(name)
    order = Order.MEMORY if request.args.get("order") == Order.MEMORY else Order.CPU
    found, fault = None, ""
    try:
        found = web.part(TopProcesses).of(host, order)
    except (Unreachable, NotFound) as error:
        fault = error.message
    return render_template("metrics/host_processes.html", host=host, order=order, found=found, fault=fault)


@blueprint.get("/fleet/compare")
@web.allow("host.read")
@web.costs(costs.SERIES)
def host_compare() -> Answer:
    """Show one figure of up to eight hosts in one chart."""
    names = [name for name in dict.fromkeys(request.args.getlist("host")) if name]
    if len(names) > MOST_HOSTS:
        raise Invalid({"host": f"Compare {MOST_HOSTS} hosts at most; leave some out."})
    hosts = [_host(name) for name in names]
    length = _length()
    figure = BY_KEY.get(request.args.get("figure", ""), BY_KEY["cpu"])
    reader = web.part(SeriesReader)
    span = read_span(length, "", "", now=reader.now())
    found = reader.read_steps([host.id for host in hosts], [figure.key], span, COMPARED_POINTS)
    named = [Named(host.id, host.name, found[host.id].figures[figure.key]) for host in hosts]
    times = found[hosts[0].id].times if hosts else []
    kind = ChartKind("compare", figure.label, (figure.key,))
    return render_template(
        "metrics/compare.html",
        hosts=hosts,
        chart=draw(kind, named, times, (span.since, span.until), pages.zone()),
        rows=rows_of(named, times, [figure.key] * len(named)) if _has_table() else [],
        lines=_lines_json(named, times, span, figure),
        figure=figure,
        figures=FIGURES,
        span=span,
        length=length,
        ranges=NAMES,
        is_full=len(hosts) == MOST_HOSTS,
        others=_others(hosts),
        refresh=_refresh(),
        url_with=_url_with,
        url_without=_url_without,
    )


def _host(name: str) -> HostRecord:
    web.require("host.read", f"host:{name}")
    return web.part(Hosts).get(name)


def _now(host: HostRecord) -> dict[str, Any]:  # Any: what the template takes
    """Return what the host says now; whoever looks at it has it sampled more often."""
    web.part(Attention).look([host.id])
    reader = web.part(SeriesReader)
    moment = datetime.fromtimestamp(reader.now(), UTC)
    view = view_of(host, reader.last(host.id), moment)
    return {"host": host, "view": view, "alerts": web.part(Neighbours).alerts(host.id)}


def _series(host: HostRecord) -> tuple[Series, Span, str]:
    length, reader = _length(), web.part(SeriesReader)
    span = read_span(length, "", "", now=reader.now())
    return reader.read(host.id, KEYS, span, POINTS), span, length


def _length() -> str:
    """Return the range of the address; a word that means nothing is passed over rather than refused."""
    length = request.args.get("range", "")
    return length if length in RANGES else DEFAULT_RANGE


def _has_table() -> bool:
    return request.args.get("table") == "yes"


def _refresh() -> int:
    """Return after how many seconds a page without script loads itself again; 0 for never."""
    text = request.args.get("refresh", "")
    seconds = int(text) if text.isdecimal() and len(text) < 6 else 0
    return min(max(seconds, _LEAST_REFRESH), _MOST_REFRESH) if seconds else 0


def _lines_json(
    named: list[Named], times: list[float], span: Span, figure: Figure
) -> dict[str, Any]:  # Any: JSON
    """Return what the script draws: the same lines as the server."""
    lines: dict[str, Any] = {}  # Any: as above
    for each in named:
        lines[each.key] = {"mean": each.lines.mean}
        if not each.lines.is_single and len(named) <= MOST_BANDS:
            lines[each.key] |= {"min": each.lines.least, "max": each.lines.most}
    return {
        "times": times,
        "lines": lines,
        "seconds": span.seconds,
        "until": span.until,
        "decimals": figure.decimals,
    }


def _others(hosts: list[HostRecord]) -> list[tuple[str, str]]:
    """Return the hosts that could be compared too, for a choice."""
    query = HostQuery(within=bounds_of(web.actor(), "host.read"))
    shown = {host.name for host in hosts}
    names = [host.name for host in web.part(Hosts).list.select(query) if host.name not in shown]
    return [("", "Choose a host"), *((name, name) for name in names)]


def _samples_url(name: str, length: str, form: str) -> str:
    return f"/api/v1/hosts/{quote(name)}/samples?{urlencode({'range': length, 'format': form})}"


def _url_with(**changes: str) -> str:
    """Return the page's own address with some of its query changed; empty values are left out."""
    values = [(key, value) for key, value in request.args.items(multi=True) if key not in changes]
    query = urlencode([*values, *((key, value) for key, value in changes.items() if value)])
    return f"{request.path}?{query}" if query else request.path


def _url_without(name: str) -> str:
    """Return the address of the comparison without one of its hosts."""
    values = [pair for pair in request.args.items(multi=True) if pair != ("host", name)]
    return f"{request.path}?{urlencode(values)}"
