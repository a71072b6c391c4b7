"""People and tokens for programs."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

from apiflask import APIBlueprint
from pydantic import BaseModel

from quarterdeck.access.forms import (
    NewPersonBody,
    NewTokenBody,
    PersonChange,
    ProfileForm,
    RotateForm,
    TokenListQuery,
)
from quarterdeck.access.models import PersonRecord, TokenRecord
from quarterdeck.access.profiles import Profiles
from quarterdeck.access.scopes import scopes_text
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import Role
from quarterdeck.core.errors import Invalid

blueprint = APIBlueprint("access_api", __name__, url_prefix="/api/v1", tag="People")

_BUSY_HASHING: Final = "Many passwords are being checked right now"


class MeOut(BaseModel, title="Caller"):
    """Who the caller is; ``role`` and ``scope`` together limit what is allowed.

    The rest is what the person chose for the pages; the defaults are the theme `system` and otherwise empty,
    and all of it is empty for those who are no people.
    """

    kind: str
    name: str
    role: Role | None
    scope: str | None
    display_name: str
    theme: str
    time_zone: str


class PersonOut(BaseModel):
    name: str
    display_name: str
    role: Role | None
    is_disabled: bool
    is_service: bool
    has_password: bool
    is_connected: bool
    groups: list[str]
    created_at: datetime
    last_sign_in_at: datetime | None
    last_sign_in_address: str
    locked_until: datetime | None


class NewPersonOut(PersonOut, title="AddedPerson"):
    sign_in_path: str | None = None
    """A one-time link for somebody who was added without a password."""


class PeopleOut(BaseModel, title="PersonList"):
    people: list[PersonOut]


class TokenOut(BaseModel):
    id: str
    person: str
    label: str
    prefix: str
    scope: str
    host_tags: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str


class NewTokenOut(TokenOut, title="MadeToken"):
    token: str
    """The secret; it is never told again."""


class TokensOut(BaseModel, title="TokenList"):
    tokens: list[TokenOut]


class LinkOut(BaseModel, title="SignInLink"):
    sign_in_path: str
    """Signs the person in once, for as long as `QUARTERDECK_LINK_MINUTES` says."""


@blueprint.get("/me")
@blueprint.output(MeOut)
@blueprint.doc(summary="Who the caller is")
@web.allow("home.read")
def me() -> MeOut:
    return _me()


@blueprint.patch("/me")
@blueprint.input(ProfileForm, arg_name="body")
@blueprint.output(MeOut)
@blueprint.doc(summary="Change the caller's profile")
@web.allow("person.self")
def me_change(body: ProfileForm) -> MeOut:
    """`time_zone` is an IANA name; empty means the one in the settings. Times of the API stay in UTC."""
    web.part(Profiles).change(
        web.actor(), display_name=body.display_name, theme=body.theme, time_zone=body.time_zone
    )
    return _me()


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
@blueprint.doc(summary="Add somebody", responses={429: _BUSY_HASHING})
@web.allow("person.write")
def person_create(body: NewPersonBody) -> NewPersonOut:
    person = _access().add_person(
        web.actor(), body.name, role=body.role, password=body.password, is_service=body.is_service
    )
    path = None if body.password or body.is_service else _access().new_invitation(web.actor(), person.name)
    return NewPersonOut(**_person(person).model_dump(), sign_in_path=path)


@blueprint.patch("/people/<name>")
@blueprint.input(PersonChange, arg_name="body")
@blueprint.output(PersonOut)
@blueprint.doc(summary="Change a role or password, disable or enable", responses={429: _BUSY_HASHING})
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


@blueprint.post("/people/<name>/link")
@blueprint.output(LinkOut, status_code=201)
@blueprint.doc(summary="Make a link that signs somebody in once")
@web.allow("person.write")
def person_link(name: str) -> LinkOut:
    return LinkOut(sign_in_path=_access().new_sign_in_link(web.actor(), name))


@blueprint.get("/tokens")
@blueprint.input(TokenListQuery, location="query", arg_name="query")
@blueprint.output(TokensOut)
@blueprint.doc(
    summary="The caller's tokens, or for an administrator somebody's or all",
    responses={404: "There is nobody of this name"},
)
@web.allow("person.self")
def token_list(query: TokenListQuery) -> TokensOut:
    return TokensOut(tokens=[_token(token) for token in _access().tokens_of(_whose(query))])


@blueprint.post("/tokens")
@blueprint.input(NewTokenBody, arg_name="body")
@blueprint.output(NewTokenOut, status_code=201)
@blueprint.doc(summary="Make a token", responses={404: "There is nobody of this name"})
@web.allow("person.self")
def token_create(body: NewTokenBody) -> NewTokenOut:
    name = body.person or _access().own_record(web.actor()).name
    created = _access().create_token(
        web.actor(),
        name,
        body.label,
        body.scope,
        expires_days=body.expires_days,
        host_tags=body.host_tags,
    )
    return NewTokenOut(**_token(created.record).model_dump(), token=created.secret)


@blueprint.post("/tokens/<token_id>/rotate")
@blueprint.input(RotateForm, arg_name="body")
@blueprint.output(NewTokenOut, status_code=201)
@blueprint.doc(summary="Replace a token by a new secret")
@web.allow("person.self")
def token_rotate(token_id: str, body: RotateForm) -> NewTokenOut:
    """The old secret counts for `overlap_hours` more, so that programs can be changed one after the other."""
    made = _access().rotate_token(web.actor(), token_id, overlap_hours=body.overlap_hours)
    return NewTokenOut(**_token(made.record).model_dump(), token=made.secret)


@blueprint.delete("/tokens/<token_id>")
@blueprint.output({}, status_code=204)
@blueprint.doc(summary="Revoke a token")
@web.allow("person.self")
def token_revoke(token_id: str) -> str:
    _access().revoke_token(web.actor(), token_id)
    return ""


def _whose(query: TokenListQuery) -> str | None:
    """Return the id of the person whose tokens are listed, or None for everybody's."""
    if query.person and query.all:
        raise Invalid({"person": "Name a person or ask for all, not both."})
    if query.all:
        web.require("person.read")
        return None
    own = _access().own_record(web.actor()) if web.actor().person_id else None
    if own and query.person.casefold() in ("", own.name.casefold()):
        return own.id
    if query.person:
        web.require("person.read", f"person:{query.person}")
        return _access().person(query.person).id
    return _access().own_record(web.actor()).id


def _me() -> MeOut:
    actor = web.actor()
    chosen = web.part(Profiles).chosen_by(actor)
    return MeOut(
        kind=actor.kind.value,
        name=actor.name,
        role=actor.role,
        scope=scopes_text(actor.scopes) or None,
        **asdict(chosen),
    )


def _access() -> Access:
    return web.part(Access)


def _person(person: PersonRecord) -> PersonOut:
    return PersonOut.model_validate(asdict(person))


def _token(token: TokenRecord) -> TokenOut:
    return TokenOut.model_validate(asdict(token))
