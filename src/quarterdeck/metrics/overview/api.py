"""The JSON API of how hosts are doing now."""

from datetime import UTC, datetime
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response, after_this_request, request
from pydantic import BaseModel, Field

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.hosts.store import HostQuery
from quarterdeck.metrics.overview.listing import FleetList, FleetRow, why_no_figures

blueprint = APIBlueprint("fleet_api", __name__, url_prefix="/api/v1", tag="Fleet")

Json = dict[str, Any]  # Any: JSON


class FiguresOut(BaseModel, title="Figures"):
    """Figures of a machine: shares in percent, rates in bytes a second; null where there is none."""

    cpu: float | None
    cpu_wait: float | None
    load: float | None
    memory: float | None
    swap: float | None
    disk: float | None = Field(description="Of the fullest file system.")
    disk_read: float | None
    disk_write: float | None
    received: float | None
    sent: float | None
    processes: float | None
    temperature: float | None = Field(description="Of the hottest sensor, in degrees Celsius.")


class FleetHostOut(BaseModel, title="FleetHost"):
    """A host and its last sample; ``figures`` is null and ``why`` says what to do while there is none.

    ``is_old``: the host is late or lost, or its samples have stopped; the figures are the last ones.
    """

    id: str
    name: str
    kind: HostKind
    tags: list[str]
    state: HostState
    state_reason: str
    state_since: datetime | None
    marks: list[str]
    heard_at: datetime | None
    sampled_at: datetime | None
    interval_seconds: float | None
    is_old: bool
    figures: FiguresOut | None
    why: str


class FleetListOut(BaseModel, title="FleetList"):
    """A page of the fleet by name; ``next_cursor`` is the ``cursor`` of the next page, or null."""

    hosts: list[FleetHostOut]
    next_cursor: str | None


class FleetListQuery(Form):
    """Filters; ``tag`` and ``state`` may hold several values, parted by commas; all tags must be there."""

    tag: str = Field(default="", max_length=1000)
    state: str = Field(default="", max_length=100)
    q: str = Field(default="", max_length=200)
    figures: Literal["", "yes", "no"] = ""
    cursor: str = Field(default="", max_length=63)
    limit: int = Field(default=200, ge=1, le=1000)


@blueprint.get("/fleet")
@web.allow("host.read")
@blueprint.input(FleetListQuery, location="query", arg_name="query")
@blueprint.output(FleetListOut)
@blueprint.doc(
    summary="List hosts with their figures now",
    description="Answers 304 to `If-None-Match` with the `ETag` of an answer that still holds.",
)
def fleet_list(query: FleetListQuery) -> Json:
    wanted = HostQuery(
        tags=tuple(_words(query.tag)),
        states=tuple(_states(query.state)),
        q=query.q,
        after=query.cursor,
        within=bounds_of(web.actor(), "host.read"),
    )
    rows = web.part(FleetList).by_name(wanted, query.figures, limit=query.limit + 1)
    shown = rows[: query.limit]
    after_this_request(_tagged)
    return {
        "hosts": [_json(row) for row in shown],
        "next_cursor": shown[-1].host.name if len(rows) > len(shown) else None,
    }


def _json(row: FleetRow) -> Json:
    host = row.host
    return {
        "id": host.id,
        "name": host.name,
        "kind": host.kind,
        "tags": list(host.tags),
        "state": host.state,
        "state_reason": host.state_reason,
        "state_since": host.state_since,
        "marks": list(row.marks),
        "heard_at": row.heard,
        "sampled_at": datetime.fromtimestamp(row.at, UTC) if row.at else None,
        "interval_seconds": row.interval_seconds or None,
        "is_old": row.is_old,
        "figures": {key: row.values.get(key) for key in FiguresOut.model_fields} if row.at else None,
        "why": "" if row.at else why_no_figures(host),
    }


def _tagged(response: Response) -> Response:
    """Give an answer the digest of its content, and leave the content out for who has it."""
    response.add_etag()
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _states(text: str) -> list[str]:
    states = _words(text)
    if not set(states) <= set(HostState):
        raise Invalid({"state": f"Use {', '.join(HostState)}."})
    return states
