"""The page of invitations: a code for a worker that dials in, shown once, and those that are still open."""

from typing import Any

from flask import Blueprint, redirect, render_template, request

from quarterdeck.core import web
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.hosts.forms import split_tags
from quarterdeck.hosts.invitations import MINUTES, Invitations, Invited
from quarterdeck.hosts.service import Hosts

blueprint = Blueprint("host_invitations", __name__)

Answer = str | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/hosts/invitations")
@web.allow("host.write")
def invitation_list() -> Answer:
    return _page({}, {})


@blueprint.post("/hosts/invitations")
@web.allow("host.write")
def invitation_add() -> Answer:
    """Make a code and show it this once, so there is nothing to redirect to."""
    values = {name: request.form.get(name, "").strip() for name in ("name", "tags", "pin")}
    try:
        tags = split_tags(values["tags"])
        invited = _invitations().invite(web.actor(), values["name"], tags, pin=values["pin"])
    except Invalid as error:
        return _page(values, error.fields), error.status
    except Conflict as error:
        return _page(values, dict(error.extra.get("errors") or {"name": error.message})), error.status
    return _page({}, {}, invited)


@blueprint.post("/hosts/invitations/<invitation_id>/revoke")
@web.allow("host.write")
def invitation_revoke(invitation_id: str) -> Answer:
    _invitations().revoke(web.actor(), invitation_id)
    return redirect("/hosts/invitations", 303)


def _invitations() -> Invitations:
    return web.part(Hosts).invitations


def _page(values: dict[str, str], errors: dict[str, str], invited: Invited | None = None) -> str:
    return render_template(
        "hosts/invitation_list.html",
        invitations=_invitations().open(),
        invited=invited,
        values=values,
        errors=errors,
        minutes=MINUTES,
    )
