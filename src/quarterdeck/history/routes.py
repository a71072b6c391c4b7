"""The pages of the history. All of it is text from outside: escaped by Jinja, made visible by ``texts``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from flask import Blueprint, Response, render_template, request

from quarterdeck.core import costs, web
from quarterdeck.core.errors import Invalid, Unreachable
from quarterdeck.core.ui import pages
from quarterdeck.history import reading, texts
from quarterdeck.history.lines import Entry, Kind
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.query import ACTIONS, HistoryQuery
from quarterdeck.history.reader import HistoryPage
from quarterdeck.history.rows import place_of, rows_of, shortened
from quarterdeck.history.service import History

blueprint = Blueprint("history", __name__, template_folder="templates")
blueprint.add_app_template_filter(texts.visible, "visible")
blueprint.add_app_template_filter(texts.visible_lines, "visible_lines")

ALL: Final = "all"
KINDS: Final = (
    ("", "Actions, each once"),
    (ALL, "All entries"),
    (Kind.INTENT.value, "Begun (intent)"),
    (Kind.OUTCOME.value, "Ended (outcome)"),
    (Kind.EVENT.value, "Events"),
    (Kind.DENIED.value, "Denied"),
)
_PLAIN_PARAMETERS: Final = (
    "q", "actor", "action", "object", "host", "kind", "request", "since", "until", "node", "cursor",
)  # fmt: skip
_MORE: Final = ("action", "host", "since", "until", "node")
"""Filters that stand folded away until one is in use."""

_TOLD: Final = ("error", "command", "url", "reason", "result", "host", "hosts")

Page = str | tuple[str, int]


@blueprint.get("/history")
@web.allow("history.read")
@web.costs(costs.SEARCHES, when=reading.is_search)
def history_list() -> Page:
    """Show the newest entries; the filters' own requests get the rows alone."""
    values = _values()
    template = "history/_rows.html" if "HX-Request" in request.headers else "history/history_list.html"
    try:
        query = reading.asked({**values, "kind": _read_kind(values, default=ACTIONS)}, pages.zone())
        page = reading.source(values.get("node", "")).page(query)
    except Invalid as error:
        return _render(template, values, errors=error.fields), 422
    except Unreachable as error:
        return _render(template, values, trouble=error.message), error.status
    return _render(template, values, page=page, query=query)


@blueprint.get("/history/<id_>")
@web.allow("history.read")
def history_entry(id_: str) -> Page:
    node = request.args.get("node", "")
    found = reading.source(node).get(id_)
    begun, ended = (found.pair, found.entry) if found.entry.pair else (found.entry, found.pair)
    seconds = (ended.at - begun.at).total_seconds() if begun and ended else None
    return render_template(
        "history/history_entry.html", found=found, entry=found.entry, pair=found.pair, node=node,
        seconds=seconds, **_words(),
    )  # fmt: skip


@blueprint.get("/history.csv")
@web.allow("history.export")
@web.costs(costs.EXPORTS)
def history_csv() -> Response:
    return _export("csv")


@blueprint.get("/history.json")
@web.allow("history.export")
@web.costs(costs.EXPORTS)
def history_json() -> Response:
    return _export("json")


def _export(form: str) -> Response:
    """Export the lines as they stand: what the list puts together are two of them."""
    values = _values()
    query = reading.asked({**values, "kind": _read_kind(values, default="")}, pages.zone())
    return reading.export(query, values.get("node", ""), form)


def _read_kind(values: Mapping[str, str], *, default: str) -> str:
    kind = values.get("kind", default)
    return "" if kind == ALL else kind


def _values() -> dict[str, str]:
    """Return the query string without what is empty: a form sends all of its fields."""
    return {name: value for name, value in request.args.items() if value.strip()}


def _render(
    template: str,
    values: Mapping[str, str],
    *,
    page: HistoryPage | None = None,
    query: HistoryQuery | None = None,
    errors: Mapping[str, str] | None = None,
    trouble: str = "",
) -> str:
    own = web.part(History).node
    nodes = [(own, f"{own} (this node)"), *((name, name) for name in web.part(PeerBook).names())]
    shown = {name: values.get(name, "") for name in _PLAIN_PARAMETERS}
    return render_template(
        template, values=shown, errors=errors or {}, trouble=trouble, page=page, kinds=KINDS, nodes=nodes,
        rows=list(rows_of(page)) if page and query and query.kind == ACTIONS else [],
        view_url=_url(values, cursor="", kind="" if values.get("kind") == ALL else ALL),
        is_part="HX-Request" in request.headers, more_used=any(shown[name] for name in _MORE),
        chips=_chips(values, query), node=values.get("node", ""), export_query=_query(values, cursor=""),
        older_url=_url(values, cursor=page.next_cursor) if page and page.next_cursor else "",
        newest_url=_url(values, cursor="") if values.get("cursor") else "",
        with_filter=lambda **changes: _url(values, cursor="", **changes), **_words(),
    )  # fmt: skip


def _words() -> dict[str, Any]:  # Any: functions for the template
    return {
        "place_of": place_of,
        "summary_of": summary_of,
        "shown_time": _shown_time,
        "detail_rows": detail_rows,
    }


def _chips(values: Mapping[str, str], query: HistoryQuery | None) -> list[tuple[str, str, str]]:
    """Return name, value and the address without it, for each filter in use."""
    used = query.filters() if query else {}
    return [
        (name, values[name], _url(values, cursor="", **{name: ""}))
        for name in used
        if name in values and values[name] != ACTIONS
    ]


def _query(values: Mapping[str, str], **changes: str) -> str:
    merged = {**values, **changes}
    return urlencode({name: value for name, value in merged.items() if value})


def _url(values: Mapping[str, str], **changes: str) -> str:
    query = _query(values, **changes)
    return f"/history?{query}" if query else "/history"


def summary_of(entry: Entry) -> str:
    """Return what tells most about an entry, for its row in the list."""
    for name in _TOLD:
        if value := entry.detail.get(name):
            if value == "ok":
                continue
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            return shortened(text)
    return ""


def detail_rows(entry: Entry) -> list[tuple[str, str]]:
    """Return the members of a detail as text."""
    return [(name, _plain(value)) for name, value in entry.detail.items()]


def _plain(value: Any) -> str:  # Any: what JSON holds
    return (
        value
        if isinstance(value, str)
        else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    )


def _shown_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
