"""Grants for programs."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from apiflask import APIBlueprint
from pydantic import BaseModel, Field

from quarterdeck.access.forms import GrantForm
from quarterdeck.access.grants import GrantRecord, Grants
from quarterdeck.core import web
from quarterdeck.core.actors import Level
from quarterdeck.core.forms import Form

blueprint = APIBlueprint("grants_api", __name__, url_prefix="/api/v1", tag="People")

_Text = Annotated[str, Field(max_length=200)]


class GrantQuery(Form):
    """Only those of a person, of a group, or on an object."""

    person: _Text = ""
    group: _Text = ""
    object: _Text = ""


class GrantOut(BaseModel):
    """A right on ``host:NAME``, ``tag:TAG`` or ``place:NAME``; one of ``person`` and ``group`` is empty."""

    id: str
    person: str
    group: str
    level: Level
    object: str
    created_at: datetime
    created_by: str


class GrantsOut(BaseModel, title="GrantList"):
    grants: list[GrantOut]


@blueprint.get("/grants")
@web.allow("person.read")
@blueprint.input(GrantQuery, location="query", arg_name="query")
@blueprint.output(GrantsOut)
@blueprint.doc(summary="Grants")
def grant_list(query: GrantQuery) -> GrantsOut:
    found = web.part(Grants).list_grants(person=query.person, group=query.group, object_=query.object)
    return GrantsOut(grants=[_grant(grant) for grant in found])


@blueprint.post("/grants")
@web.allow("person.write")
@blueprint.input(GrantForm, arg_name="body")
@blueprint.output(GrantOut, status_code=201)
@blueprint.doc(
    summary="Give a right on a host, a tag or a place of files",
    responses={404: "There is nobody of this name", 409: "It is granted there already"},
)
def grant_give(body: GrantForm) -> GrantOut:
    return _grant(
        web.part(Grants).give(web.actor(), body.object, body.level, person=body.person, group=body.group)
    )


@blueprint.delete("/grants/<grant_id>")
@web.allow("person.write")
@blueprint.output({}, status_code=204)
@blueprint.doc(summary="Take a grant back")
def grant_take(grant_id: str) -> str:
    web.part(Grants).take(web.actor(), grant_id)
    return ""


def _grant(grant: GrantRecord) -> GrantOut:
    return GrantOut.model_validate(asdict(grant))
