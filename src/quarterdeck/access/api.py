"""People and tokens for programs."""

from dataclasses import asdict
from datetime import datetime

from apiflask import APIBlueprint
from pydantic import BaseModel

from quarterdeck.access.forms import NewPersonBody, NewTokenBody, PersonChange
from quarterdeck.access.models import PersonRecord, TokenRecord
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import Role, Scope
from quarterdeck.core.errors import Invalid

blueprint = APIBlueprint("access_api", __name__, url_prefix="/api/v1", tag="People")


class MeOut(BaseModel):
    """Who the caller is; ``role`` and ``scope`` together limit what is allowed."""

    kind: str
    name: str
    role: Role | None
    scope: Scope | None


class PersonOut(BaseModel):
    name: str
    role: Role | None
    is_disabled: bool
    has_password: bool
    created_at: datetime
    last_sign_in_at: datetime | None
    last_sign_in_address: str
    locked_until: datetime | None


class NewPersonOut(PersonOut):
    sign_in_path: str | None = None
    """A one-time link for somebody who was added without a password."""


class PeopleOut(BaseModel):
    people: list[PersonOut]


class TokenOut(BaseModel):
    id: str
    person: str
    label: str
    prefix: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str


class NewTokenOut(TokenOut):
    token: str
    """The secret; it is never told again."""


class TokensOut(BaseModel):
    tokens: list[TokenOut]


@blueprint.get("/me")
@blueprint.output(MeOut)
@blueprint.doc(summary="Who the caller is")
@web.allow("home.read")
def me() -> MeOut:
    actor = web.actor()
    return MeOut(kind=actor.kind.value, name=actor.name, role=actor.role, scope=actor.scope)


@blueprint.get("/people")
@blueprint.output(PeopleOut)
@blueprint.doc(summary="People")
@web.allow("person.read")
def person_list() -> PeopleOut:
    return PeopleOut(people=[_person(person) for person in _access().list_people()])


@blueprint.get("/people/<name>")
@blueprint.output(PersonOut)
@blueprint.doc(summary="One person")
@web.allow("person.read")
def person_detail(name: str) -> PersonOut:
    return _person(_access().person(name))


@blueprint.post("/people")
@blueprint.input(NewPersonBody, arg_name="body")
@blueprint.output(NewPersonOut, status_code=201)
@blueprint.doc(summary="Add somebody")
@web.allow("person.write")
def person_create(body: NewPersonBody) -> NewPersonOut:
    person = _access().add_person(web.actor(), body.name, role=body.role, password=body.password)
    path = None if body.password else _access().new_sign_in_link(web.actor(), person.name)
    return NewPersonOut(**_person(person).model_dump(), sign_in_path=path)


@blueprint.patch("/people/<name>")
@blueprint.input(PersonChange, arg_name="body")
@blueprint.output(PersonOut)
@blueprint.doc(summary="Change a role or password, disable or enable")
@web.allow("person.write")
def person_change(name: str, body: PersonChange) -> PersonOut:
    """Change one thing: each ends sessions by a rule of its own, and all or none must happen."""
    if len(body.model_fields_set) != 1:
        raise Invalid({"form": "Change one of role, is_disabled and password at a time."})
    if "role" in body.model_fields_set:
        _access().set_role(web.actor(), name, body.role)
    elif body.password is not None:
        _access().set_password(web.actor(), name, body.password)
    elif body.is_disabled is not None:
        change = _access().disable if body.is_disabled else _access().enable
        change(web.actor(), name)
    return _person(_access().person(name))


@blueprint.get("/tokens")
@blueprint.output(TokensOut)
@blueprint.doc(summary="The caller's tokens")
@web.allow("person.self")
def token_list() -> TokensOut:
    own = _access().own_record(web.actor())
    return TokensOut(tokens=[_token(token) for token in _access().tokens_of(own.id)])


@blueprint.post("/tokens")
@blueprint.input(NewTokenBody, arg_name="body")
@blueprint.output(NewTokenOut, status_code=201)
@blueprint.doc(summary="Make a token")
@web.allow("person.self")
def token_create(body: NewTokenBody) -> NewTokenOut:
    name = body.person or _access().own_record(web.actor()).name
    created = _access().create_token(
        web.actor(), name, body.label, body.scope, expires_days=body.expires_days
    )
    return NewTokenOut(**_token(created.record).model_dump(), token=created.secret)


@blueprint.delete("/tokens/<token_id>")
@blueprint.output({}, status_code=204)
@blueprint.doc(summary="Revoke a token")
@web.allow("person.self")
def token_revoke(token_id: str) -> str:
    _access().revoke_token(web.actor(), token_id)
    return ""


def _access() -> Access:
    return web.part(Access)


def _person(person: PersonRecord) -> PersonOut:
    return PersonOut.model_validate(asdict(person))


def _token(token: TokenRecord) -> TokenOut:
    return TokenOut.model_validate(asdict(token))
