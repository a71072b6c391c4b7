"""The history for programs."""

from typing import Any, Final

import msgspec
from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel

from quarterdeck.core import costs, openapi, web
from quarterdeck.history import reading
from quarterdeck.history.forms import EntryQuery, ExportFilters, HistoryFilters, VerifyBody
from quarterdeck.history.lines import Entry, Kind
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.service import History
from quarterdeck.history.witness import verify_all

blueprint = APIBlueprint("history_api", __name__, url_prefix="/api/v1", tag="History")

Json = dict[str, Any]  # Any: what JSON holds
_UNREACHABLE: Final = "The node that is asked for does not answer"


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


class HistoryOut(BaseModel, title="EntryList"):
    """A page, newest first; ``next_cursor`` is the ``cursor`` of the next one, or null at the end.

    ``scanned_back_to`` is set when the search paused before the page was full: go on with the cursor.
    """

    entries: list[EntryOut]
    next_cursor: str | None
    scanned_back_to: str | None


class FaultOut(BaseModel):
    """What is wrong, and where; ``line`` is 0 when it concerns the file as a whole."""

    file: str
    line: int
    message: str


class VerificationOut(BaseModel):
    """Without faults, nothing was changed, dropped, swapped, cut off or added."""

    faults: list[FaultOut]
    lines: int
    files: int
    open_intents: int
    last_hash: str


class VerdictOut(BaseModel):
    """What came out for one node; ``trouble`` says why it could not be asked."""

    node: str
    verification: VerificationOut | None
    trouble: str


class VerifiedOut(BaseModel, title="VerdictList"):
    verdicts: list[VerdictOut]


class FoundOut(BaseModel, title="FoundEntry"):
    """An entry, its intent or outcome where there is one, and its line in the file."""

    entry: EntryOut
    pair: EntryOut | None
    raw: str


def _is_csv() -> bool:
    return request.args.get("format") == "csv"


def _is_search() -> bool:
    return reading.is_search() and not _is_csv()


@blueprint.get("/history")
@blueprint.input(HistoryFilters, location="query", arg_name="filters")
@blueprint.output(HistoryOut)
@blueprint.doc(summary="Who did what, where and when", responses={502: _UNREACHABLE})
@web.allow("history.read")
@web.costs(costs.SEARCHES, when=_is_search)
@web.costs(costs.EXPORTS, when=_is_csv)
@openapi.also_answers("application/json", "text/csv")
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


@blueprint.get("/history/export")
@blueprint.input(ExportFilters, location="query", arg_name="filters")
@blueprint.output(list[EntryOut], description="The file, CSV or JSON")  # type: ignore[arg-type]  # lists are taken too
@blueprint.doc(summary="Everything that fits, as one file", responses={502: _UNREACHABLE})
@web.allow("history.export")
@web.costs(costs.EXPORTS)
@openapi.also_answers("application/json", "text/csv")
def history_export(filters: ExportFilters) -> Response:
    """The export itself is recorded first."""
    query = reading.asked(filters.model_dump())
    return reading.export(query, filters.node, filters.format, most=query.limit if filters.limit else None)


@blueprint.post("/history/verify")
@blueprint.input(VerifyBody, arg_name="body")
@blueprint.output(VerifiedOut)
@blueprint.doc(summary="Prove the history", responses={503: "It is being proved for somebody already"})
@web.allow("history.verify")
@web.costs(costs.PROOFS)
def history_verify(body: VerifyBody) -> Json:
    """Reads every line, which takes a second for each 100,000 or so; one at a time."""
    book = web.part(PeerBook) if body.with_workers else PeerBook()
    with web.part(History).verifying():
        verdicts = list(verify_all(web.part(History), book))
    return {"verdicts": [msgspec.to_builtins(verdict) for verdict in verdicts]}


@blueprint.get("/history/<entry_id>")
@blueprint.input(EntryQuery, location="query", arg_name="query")
@blueprint.output(FoundOut)
@blueprint.doc(summary="One entry with its pair", responses={502: _UNREACHABLE})
@web.allow("history.read")
def history_entry(entry_id: str, query: EntryQuery) -> Json:
    found = reading.source(query.node).get(entry_id)
    pair = _entry(found.pair) if found.pair else None
    return {"entry": _entry(found.entry), "pair": pair, "raw": found.raw}


def _entry(entry: Entry) -> Json:
    built: Json = msgspec.to_builtins(entry)
    return built
