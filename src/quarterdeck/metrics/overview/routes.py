"""The pages of the whole fleet: the table, its rows and files, and the wall."""

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from flask import Blueprint, Response, render_template, request

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import web
from quarterdeck.core.ui.pages import theme
from quarterdeck.core.ui.words import look_of
from quarterdeck.history.texts import guarded_cell, visible
from quarterdeck.hosts.models import HostState
from quarterdeck.metrics.figure_text import NONE, bar_class, figure_text
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.overview.listing import (
    SIZES,
    SORTS,
    WORST_FIRST,
    FleetList,
    FleetQuery,
    FleetRow,
    why_no_figures,
)
from quarterdeck.metrics.watching import MOST_HOSTS

blueprint = Blueprint("fleet", __name__, template_folder="../templates")

Json = dict[str, Any]  # Any: JSON, or what a template takes

FILTERS: Final = ("q", "state", "tag", "figures", "sort", "size", "refresh")
REFRESHES: Final = (5, 10, 30, 60)
"""Seconds after which the page may be asked to load itself again."""
_WALL_REFRESH: Final = 30
_SIZES: Final = ((12, "large"), (80, "middle"), (400, "dense"))
"""Up to so many hosts of a state stand on the wall as tiles of this size; more are tiny."""
_MOST_WITH_FIGURES: Final = 100
"""Of more hosts the wall says no figures, so that those that need a look fit on the screen."""
_SHARES: Final = ("cpu", "memory", "disk")
_COLUMNS: Final = ("name", "state", "reason", "kind", "tags", "heard", "sampled_at", *KEYS)


@blueprint.get("/fleet")
@web.allow("host.read")
def fleet_list() -> str:
    """Show the table; the filters' own requests get it without what surrounds it."""
    template = "metrics/_fleet.html" if "HX-Request" in request.headers else "metrics/fleet.html"
    return render_template(template, **_list_context())


@blueprint.get("/fleet/rows")
@web.allow("host.read")
def fleet_rows() -> str:
    """Return rows by their ids, for a page on which the state of some has changed."""
    ids = request.args.getlist("id")[:MOST_HOSTS]
    query = fleet_query()
    rows = web.part(FleetList).rows_of(ids, query.within)
    states = web.part(FleetList).select(replace(query, size=1)).states
    return render_template("metrics/_fleet_rows.html", rows=_cells(rows), **_tallies(states))


@blueprint.get("/fleet.csv")
@web.allow("host.read")
def fleet_csv() -> Response:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_COLUMNS)
    for record in _exported():
        record["tags"] = " ".join(record["tags"])
        writer.writerow([guarded_cell(visible(_cell_text(record[column]))) for column in _COLUMNS])
    return _download(buffer.getvalue().encode(), "csv", "text/csv; charset=utf-8")


@blueprint.get("/fleet.json")
@web.allow("host.read")
def fleet_json() -> Response:
    return _download(msgspec.json.encode(list(_exported())), "json", "application/json")


@blueprint.get("/fleet/wall")
@web.allow("host.read")
def fleet_wall() -> str:
    """Show all hosts on a screen in the office, worst first."""
    template = "metrics/_wall.html" if "HX-Request" in request.headers else "metrics/wall.html"
    return render_template(template, **_wall_context())


def _list_context() -> Json:
    query = fleet_query()
    found, tags = web.part(FleetList).select(query), web.part(FleetList).tags(query.within)
    filters = _filters() | {"size": str(query.size)}
    return {
        "page": found,
        "rows": _cells(found.rows),
        "is_filtered": any(filters[name] for name in ("q", "state", "tag", "figures")),
        "is_limited": query.within is not None,
        "sort": query.sort,
        **_tallies(found.states),
        "filters": filters,
        "sort_url": lambda key: _sort_url(query.sort, key),
        "newest_url": _fleet_url(page="") if query.page > 1 else "",
        "older_url": "" if found.is_last else _fleet_url(page=str(query.page + 1)),
        "refresh": _refresh(),
        "state_options": [("", "Any"), *((str(state), str(state)) for state in HostState)],
        "tag_options": [("", "Any"), *((tag, tag) for tag in tags)],
        "figures_options": [("", "Any"), ("yes", "With figures"), ("no", "Without figures")],
        "size_options": [(str(size), f"{size:,}") for size in SIZES],
        "most_watched": MOST_HOSTS,
    }


def _tallies(states: dict[HostState, int]) -> Json:
    return {
        "states": [(state, states[state]) for state in WORST_FIRST[::-1]],
        "fleet_url": _fleet_url,
        "filters": _filters(),
    }


def _filters() -> dict[str, str]:
    return {name: request.args.get(name, "") for name in FILTERS}


def fleet_query() -> FleetQuery:
    """Return the query of the address; words that mean nothing are left out rather than refused."""
    chosen = request.args
    state, figures, sort = chosen.get("state", ""), chosen.get("figures", ""), chosen.get("sort", "")
    return FleetQuery(
        q=chosen.get("q", "")[:200],
        state=state if state in set(HostState) else "",
        tag=chosen.get("tag", "")[:100],
        figures=figures if figures in ("yes", "no") else "",
        sort=sort if sort.removeprefix("-") in SORTS else "name",
        size=_number("size", 100) if _number("size", 100) in SIZES else 100,
        page=max(1, _number("page", 1)),
        within=bounds_of(web.actor(), "host.read"),
    )


def _number(name: str, otherwise: int) -> int:
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else otherwise


def _refresh() -> int:
    """Return after how many seconds the page loads itself again; 0 for never."""
    return _number("refresh", 0) if _number("refresh", 0) in REFRESHES else 0


def _fleet_url(path: str = "/fleet", **changes: str) -> str:
    """Return an address with some filters changed; a changed filter begins at the first page."""
    values = _filters() | changes
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path


def _sort_url(current: str, key: str) -> str:
    """Return where a click on a column's head leads: largest first for figures, then the other way round."""
    falling_first = key not in ("state", "name", "tags")
    chosen = f"-{key}" if falling_first else key
    if current == chosen:
        chosen = chosen.removeprefix("-") if falling_first else f"-{key}"
    return _fleet_url(sort=chosen)


def _cells(rows: Iterable[FleetRow]) -> list[tuple[Any, ...]]:  # Any: what the template unpacks
    """Return what the template of the rows says of each: plain places, for there may be a thousand."""
    tag_urls: dict[str, str] = {}
    cells = []
    for row in rows:
        host, values, heard = row.host, row.values, row.heard
        for tag in host.tags:
            if tag not in tag_urls:
                tag_urls[tag] = _fleet_url(tag=tag)
        figures: tuple[Any, ...] | None = None
        if row.at:
            shares = [values.get(key) for key in _SHARES]
            figures = (
                *map(bar_class, shares),
                *(figure_text("cpu", share) for share in shares),
                figure_text("load", values.get("load")),
                _network(values),
                row.trace,
                figure_text("cpu", row.busy),
            )
        cells.append(
            (
                host.id,
                host.name,
                host.state,
                host.state_reason,
                host.state_since,
                row.marks,
                [(tag, tag_urls[tag]) for tag in host.tags],
                figures,
                "" if figures else why_no_figures(host),
                heard,
                heard.isoformat(timespec="seconds") if heard else "",
                row.is_old,
            )
        )
    return cells


def _network(values: dict[str, float]) -> str:
    if "received" not in values and "sent" not in values:
        return NONE
    return " / ".join(figure_text(key, values.get(key)) for key in ("received", "sent"))


def _exported() -> Iterable[Json]:
    """Yield the hosts of the filter, of all pages, with numbers as they are."""
    query = fleet_query()
    every = FleetQuery(
        query.q, query.state, query.tag, query.figures, query.sort, size=10**9, within=query.within
    )
    for row in web.part(FleetList).select(every).rows:
        yield {
            "name": row.host.name,
            "state": str(row.host.state),
            "reason": row.host.state_reason,
            "kind": str(row.host.kind),
            "tags": list(row.host.tags),
            "heard": row.heard.isoformat() if row.heard else None,
            "sampled_at": datetime.fromtimestamp(row.at, UTC).isoformat() if row.at else None,
            **{key: row.values.get(key) for key in KEYS},
        }


def _cell_text(value: object) -> str:
    return "" if value is None else str(value)


def _download(content: bytes, ending: str, content_type: str) -> Response:
    response = Response(content, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="fleet.{ending}"'
    return response


def _wall_context() -> Json:
    query = FleetQuery(
        tag=request.args.get("tag", "")[:100],
        sort="state",
        size=10**6,
        within=bounds_of(web.actor(), "host.read"),
    )
    page = web.part(FleetList).select(query)
    groups: dict[HostState, list[FleetRow]] = {state: [] for state in WORST_FIRST}
    for row in page.rows:
        groups[row.host.state].append(row)
    return {
        "groups": [
            _wall_group(state, rows, has_figures=page.total <= _MOST_WITH_FIGURES)
            for state, rows in groups.items()
            if rows
        ],
        "total": page.total,
        "tag": query.tag,
        "news": max((row.heard for row in page.rows if row.heard), default=None),
        "wall_theme": "dark" if theme() == "system" else theme(),
        "wall_url": f"/fleet/wall?{urlencode({'tag': query.tag})}" if query.tag else "/fleet/wall",
        "refresh": _refresh() or _WALL_REFRESH,
    }


def _wall_group(state: HostState, rows: list[FleetRow], *, has_figures: bool) -> Json:
    size = next((name for most, name in _SIZES if len(rows) <= most), "tiny")
    return {
        "state": str(state),
        "look": look_of(state),
        "size": size,
        "tiles": [
            {
                "name": row.host.name,
                "reason": row.host.state_reason,
                "heard": row.heard,
                "is_old": row.is_old,
                "marks": row.marks,
                "figures": [
                    (label, figure_text(key, row.values[key]))
                    for key, label in (("cpu", "CPU"), ("memory", "Memory"), ("disk", "Disk"))
                    if has_figures and key in row.values
                ],
            }
            for row in rows
        ],
    }
