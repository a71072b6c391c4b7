"""Tokens for API clients that act for somebody who is there: begun with a password, renewed, and ended."""

from typing import Annotated, Literal

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, Field

from quarterdeck.access.agents import Client
from quarterdeck.access.api_sessions import TokenPair
from quarterdeck.access.models import SCOPE_LENGTH
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example

blueprint = APIBlueprint("auth_api", __name__, url_prefix="/api/v1/auth", tag="Sign-in")

_Secret = Annotated[str, Field(max_length=2048)]


class GrantBody(Form, title="SignIn"):
    """What proves who asks: ``name`` and ``password``, or ``refresh_token``."""

    model_config = example({"grant_type": "password", "name": "ada", "password": "…", "scope": "read"})

    grant_type: Literal["password", "refresh_token"]
    name: Annotated[str, Field(max_length=256)] = ""
    password: _Secret = ""
    refresh_token: _Secret = ""
    scope: Annotated[str, Field(max_length=SCOPE_LENGTH)] = ""


class RevokeBody(Form, title="Revocation"):
    refresh_token: _Secret


class PairOut(BaseModel, title="TokenPair"):
    """A short access token, and a refresh token that is good once. Times are in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    scope: str


@blueprint.post("/token")
@web.allow(web.PUBLIC)
@blueprint.input(GrantBody, arg_name="body")
@blueprint.output(PairOut)
@blueprint.doc(
    summary="Sign an API client in, or renew its tokens",
    responses={401: "Not valid; the same for every reason", 429: "Too many tries"},
)
def api_sign_in(body: GrantBody) -> PairOut:
    """A refresh token that is shown a second time ends the sign-in that it belongs to."""
    access, client = web.part(Access), Client(request.remote_addr or "", request.user_agent.string)
    if body.grant_type == "refresh_token":
        if body.scope:
            raise Invalid({"scope": "The scope was chosen at sign-in and stays."})
        return _pair(access.api_sessions.renew(body.refresh_token, client))
    return _pair(access.sign_in_api(body.name, body.password, client, scope=body.scope))


@blueprint.post("/revoke")
@web.allow(web.PUBLIC)
@blueprint.input(RevokeBody, arg_name="body")
@blueprint.output({}, status_code=204)
@blueprint.doc(
    summary="Sign an API client out",
    responses={401: "Not valid; the same for every reason", 429: "Too many tries"},
)
def api_sign_out(body: RevokeBody) -> str:
    """Ends the sign-in that a refresh token belongs to, and its access tokens with it."""
    client = Client(request.remote_addr or "", request.user_agent.string)
    web.part(Access).api_sessions.revoke(body.refresh_token, client)
    return ""


def _pair(pair: TokenPair) -> PairOut:
    return PairOut(
        access_token=pair.access_token,
        token_type="Bearer",  # noqa: S106 - a kind, not a secret
        expires_in=pair.expires_in,
        refresh_token=pair.refresh_token,
        refresh_expires_in=pair.refresh_expires_in,
        scope=pair.scope,
    )
