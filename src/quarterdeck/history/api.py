"""The history for programs."""

from typing import Any

import msgspec
from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel

from quarterdeck.core import web
from quarterdeck.history import reading
from quarterdeck.history.forms import HistoryFilters
from quarterdeck.history.lines import Entry, Kind

blueprint = APIBlueprint("history_api", __name__, url_prefix="/api/v1", tag="History")

Json = dict[str, Any]  # Any: what JSON holds


class EntryOut(BaseModel):
    """One line of the journal, as it stands there."""

    seq: int
    id: str
    time: str
    node: str
    kind: Kind
    actor: str
    address: str
    action: str
    object: str
    request: str
    pair: str
    detail: Json
    prev: str
    hash: str


class HistoryOut(BaseModel):
    """A page, newest first; ``next_cursor`` is the ``cursor`` of the next one, or null at the end.

    ``scanned_back_to`` is set when the search paused before the page was full: go on with the cursor.
    """

    entries: list[EntryOut]
    next_cursor: str | None
    scanned_back_to: str | None


class FoundOut(BaseModel):
    """An entry, its intent or outcome where there is one, and its line in the file."""

    entry: EntryOut
    pair: EntryOut | None
    raw: str


@blueprint.get("/history")
@blueprint.input(HistoryFilters, location="query", arg_name="filters")
@blueprint.output(HistoryOut)
@blueprint.doc(summary="Who did what, where and when")
@web.allow("history.read")
def history_list(filters: HistoryFilters) -> Json | Response:
    query = reading.asked(filters.model_dump())
    if filters.format == "csv":
        web.require("history.export")
        return reading.export(query, filters.node, "csv", most=query.limit if filters.limit else None)
    page = reading.source(filters.node).page(query)
    return {
        "entries": [_entry(entry) for entry in page.entries],
        "next_cursor": page.next_cursor or None,
        "scanned_back_to": page.scanned_back_to or None,
    }


@blueprint.get("/history/<id_>")
@blueprint.output(FoundOut)
@blueprint.doc(summary="One entry with its pair")
@web.allow("history.read")
def history_entry(id_: str) -> Json:
    found = reading.source(request.args.get("node", "")).get(id_)
    pair = _entry(found.pair) if found.pair else None
    return {"entry": _entry(found.entry), "pair": pair, "raw": found.raw}


def _entry(entry: Entry) -> Json:
    built: Json = msgspec.to_builtins(entry)
    return built
