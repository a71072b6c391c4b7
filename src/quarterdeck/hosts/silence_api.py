"""The JSON API of silences."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from pydantic import BaseModel, Field

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form
from quarterdeck.hosts.forms import SilenceBody
from quarterdeck.hosts.models import SilencePhase, SilenceRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.silences import Silences

blueprint = APIBlueprint("silences_api", __name__, url_prefix="/api/v1", tag="Hosts")

Json = dict[str, Any]  # Any: JSON


class SilenceOut(BaseModel):
    """A while in which a host, or all hosts with a tag, ring nobody; one of ``host`` and ``tag`` is empty."""

    id: str
    host: str
    tag: str
    reason: str
    phase: SilencePhase
    begins_at: datetime
    ends_at: datetime
    created_at: datetime
    created_by: str
    ended_by: str = Field(description="Who ended it early; empty when nobody did.")


class SilenceListOut(BaseModel):
    """The 200 that end last: those to come, those that go on, then those that are over."""

    silences: list[SilenceOut]


class SilenceQuery(Form):
    """Which silences to list; without a phase all of them."""

    phase: str = Field(default="", max_length=60, description="active, planned, over; several with commas.")


@blueprint.get("/silences")
@web.allow("host.read")
@blueprint.input(SilenceQuery, location="query", arg_name="query")
@blueprint.output(SilenceListOut)
@blueprint.doc(summary="List silences")
def silence_list(query: SilenceQuery) -> Json:
    phases = [word.strip() for word in query.phase.split(",") if word.strip()]
    if not set(phases) <= set(SilencePhase):
        raise Invalid({"phase": f"Use {', '.join(SilencePhase)}."})
    found = _silences().select(phases, bounds_of(web.actor(), "host.read"))
    return {"silences": [_json(each) for each in found]}


@blueprint.post("/silences")
@web.allow("host.silence")
@blueprint.input(SilenceBody, arg_name="body")
@blueprint.output(SilenceOut, status_code=201)
@blueprint.doc(summary="Silence a host or a tag")
def silence_add(body: SilenceBody) -> tuple[Json, int, Mapping[str, str]]:
    """Changes of state and alerts go on being shown and recorded; nobody gets a message of them."""
    made = _silences().add(web.actor(), body.draft(), bounds_of(web.actor(), "host.silence"))
    return _json(made), 201, {"Location": "/api/v1/silences"}


@blueprint.post("/silences/<silence_id>/end")
@web.allow("host.silence")
@blueprint.output(SilenceOut)
@blueprint.doc(summary="End a silence now", responses={409: "It is over already"})
def silence_end(silence_id: str) -> Json:
    return _json(_silences().end(web.actor(), silence_id, bounds_of(web.actor(), "host.silence")))


def _silences() -> Silences:
    return web.part(Hosts).silences


def _json(silence: SilenceRecord) -> Json:
    return {
        "id": silence.id,
        "host": silence.host,
        "tag": silence.tag,
        "reason": silence.reason,
        "phase": silence.phase(_silences().now()),
        "begins_at": silence.begins_at,
        "ends_at": silence.ends_at,
        "created_at": silence.created_at,
        "created_by": silence.created_by,
        "ended_by": silence.ended_by,
    }
