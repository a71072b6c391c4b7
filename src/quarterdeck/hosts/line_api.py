"""The JSON API of workers that dial in: invitations, joining by a code, and reads for the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import httpx
import msgspec
from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, Field

from quarterdeck.core import web
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.core.forms import Form
from quarterdeck.core.ids import milliseconds_of
from quarterdeck.hosts.line_relay import READABLE
from quarterdeck.hosts.models import InvitationRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.protocol.line import CodeJoin

blueprint = APIBlueprint("lines_api", __name__, url_prefix="/api/v1", tag="Hosts")

Json = dict[str, Any]  # Any: JSON
_READ_SECONDS: Final = 30
_VERIFY_SECONDS: Final = 900
_MOST_JOIN_BYTES: Final = 10_000


class InvitationBody(Form, title="NewInvitation"):
    """The worker that is invited; ``pin`` is this master's certificate as the worker will see it."""

    name: str = Field(max_length=100)
    tags: list[str] = Field(default_factory=list, max_length=50)
    pin: str = Field(default="", max_length=200)


class InvitationOut(BaseModel):
    """An invitation that can still be taken up; its code is never told again."""

    id: str
    name: str
    tags: list[str]
    invited_by: str
    created_at: datetime
    expires_at: datetime


class InvitedOut(InvitationOut, title="MadeInvitation"):
    """A new invitation: the code is shown this once, and ``command`` is what to type on the machine."""

    code: str
    command: str


class InvitationListOut(BaseModel):
    invitations: list[InvitationOut]


@blueprint.get("/hosts/invitations")
@web.allow("host.write")
@blueprint.output(InvitationListOut)
@blueprint.doc(summary="List open invitations of workers that dial in")
def invitation_list() -> Json:
    return {"invitations": [_invitation_json(each) for each in _hosts().invitations.open()]}


@blueprint.post("/hosts/invitations")
@web.allow("host.write")
@blueprint.input(InvitationBody, arg_name="body")
@blueprint.output(InvitedOut, status_code=201)
@blueprint.doc(summary="Invite a worker that dials in", responses={409: "The name is in use"})
def invitation_add(body: InvitationBody) -> tuple[Json, int, Mapping[str, str]]:
    """The code works once and for 15 minutes."""
    made = _hosts().invitations.invite(web.actor(), body.name, tuple(body.tags), pin=body.pin)
    content = {**_invitation_json(made.record), "code": made.code, "command": made.command}
    return content, 201, {"Location": f"/api/v1/hosts/invitations/{made.record.id}"}


@blueprint.delete("/hosts/invitations/<invitation_id>")
@web.allow("host.write")
@blueprint.doc(summary="Take an invitation back", responses={204: "Taken back"})
def invitation_remove(invitation_id: str) -> tuple[str, int]:
    _hosts().invitations.revoke(web.actor(), invitation_id)
    return "", 204


@blueprint.post("/hosts/join")
@web.allow(web.PUBLIC)
@blueprint.doc(hide=True)
def host_join() -> Response:
    """Let a worker in by its code, which is all that it can show yet."""
    content = request.get_data()
    try:
        if len(content) > _MOST_JOIN_BYTES:
            raise msgspec.ValidationError("it is too long")
        wanted = msgspec.json.decode(content, type=CodeJoin)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid({"body": f"This is not the message of a worker that joins: {error}"}) from error
    joined = _hosts().invitations.join(wanted, request.remote_addr or "")
    return Response(msgspec.json.encode(joined), mimetype="application/json")


@blueprint.get("/lines/<host_id>/<path:path>")
@web.allow("host.write")
@blueprint.doc(hide=True)
def line_read(host_id: str, path: str) -> Response:
    """Read from a worker over its line, for the command line on this master's home."""
    host = _hosts().list.get_by_id(host_id)
    if not host.dials_in or not _is_readable(path := f"/{path}"):
        raise NotFound("There is nothing at this address.")
    link = _hosts().worker_link(host)
    seconds = _VERIFY_SECONDS if path == "/history/verify" else _READ_SECONDS
    timeout = httpx.Timeout(seconds, connect=4)
    call = _hosts().calls.call(link, "GET", path, params=request.args.to_dict(), timeout=timeout)
    content = _hosts().loop.run(call, timeout_seconds=seconds + 5)
    return Response(content, mimetype="application/json")


def _is_readable(path: str) -> bool:
    folder, _, id_ = path.rpartition("/")
    return path in READABLE or (folder == "/history" and _is_id(id_))


def _is_id(text: str) -> bool:
    try:
        milliseconds_of(text)
    except ValueError:
        return False
    return True


def _hosts() -> Hosts:
    return web.part(Hosts)


def _invitation_json(invitation: InvitationRecord) -> Json:
    return {
        "id": invitation.id,
        "name": invitation.name,
        "tags": list(invitation.tags),
        "invited_by": invitation.invited_by,
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
    }
