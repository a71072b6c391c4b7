"""What pages and API share: which node is asked for what, and exports that are themselves recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from itertools import islice
from typing import Final

from flask import Response, request

from quarterdeck.core import web
from quarterdeck.history.export import csv_of, json_of
from quarterdeck.history.lines import Entry
from quarterdeck.history.peers import PeerBook, Source
from quarterdeck.history.query import HistoryQuery, read_query
from quarterdeck.history.reader import walk
from quarterdeck.history.service import History

_ALSO: Final = frozenset({"node", "format"})
_SEARCHED: Final = ("q", "actor", "action", "object", "host", "request", "since", "until")


def asked(values: Mapping[str, str], zone: tzinfo = UTC) -> HistoryQuery:
    """Read the query, with times in the reader's zone where one is given; raises Invalid."""
    return read_query(values, also=_ALSO, zone=zone)


def is_search() -> bool:
    """Tell whether the current request asks for what must be looked for, and not for the newest entries."""
    return any(request.args.get(name, "").strip() for name in _SEARCHED)


def source(node: str) -> Source:
    """Return the history of the node that is asked for; raises Invalid for an unknown one."""
    own = web.part(History)
    return web.part(PeerBook).history_of(own, own.node, node)


def export(query: HistoryQuery, node: str, form: str, *, most: int | None = None) -> Response:
    """Answer everything that fits, as a file; the export goes into the history first."""
    entries = _entries(source(node), query, most)
    detail = {"filters": query.filters(), "node": node or web.part(History).node, "format": form}
    web.part(History).event(web.actor(), "history.export", "history", detail=detail)
    pieces = web.while_same(csv_of(entries)) if form == "csv" else web.while_same(json_of(entries))
    response = Response(pieces, mimetype="text/csv" if form == "csv" else "application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="history.{form}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _entries(history: Source, query: HistoryQuery, most: int | None) -> Iterator[Entry]:
    return islice(walk(history.page, replace(query, cursor="")), most)
