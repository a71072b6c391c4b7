"""The administrator's pages of people: a part of ``routes``."""

from typing import Any, Final

from flask import Blueprint, redirect, render_template, request, url_for

from quarterdeck.access.agents import device_of
from quarterdeck.access.forms import PersonForm, RoleForm
from quarterdeck.access.models import PersonRecord
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import Role
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.forms import parse
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.core.ui.pages import Pages

blueprint = Blueprint("people", __name__, template_folder="templates")

ROLES: Final = (
    ("", "No role: may sign in, sees nothing yet"),
    (Role.VIEWER.value, "Viewer: sees hosts, runs and the history"),
    (Role.OPERATOR.value, "Operator: and runs tasks"),
    (Role.ADMINISTRATOR.value, "Administrator: and changes hosts and people"),
)
INVITATION_MINUTES: Final = 7 * 24 * 60
_LONGEST_SEARCH: Final = 64


@blueprint.get("/people")
@web.allow("person.read")
def person_list() -> str:
    q = request.args.get("q", "")[:_LONGEST_SEARCH].strip()
    template = "access/_people.html" if "HX-Request" in request.headers else "access/people.html"
    return render_template(template, people=_access().list_people(q), q_text=q, state_of=state_of)


@blueprint.get("/people/new")
@web.allow("person.write")
def person_new() -> str:
    return _new_page({"role": Role.VIEWER.value}, {})


@blueprint.post("/people")
@web.allow("person.write")
def person_create() -> Any:  # Any: a page, a status, or werkzeug's redirect
    """Add somebody and show the link to hand over; it is made this once."""
    values = _fields()
    try:
        form = parse(PersonForm, values)
        person = _access().add_person(web.actor(), form.name.strip(), role=form.role)
    except Invalid as error:
        return _new_page(values, error.fields), 422
    except Conflict as error:
        return _new_page(values, {"name": error.message}), 422
    return _link_page(
        person.name, _access().new_sign_in_link(web.actor(), person.name, minutes=INVITATION_MINUTES)
    ), 201


@blueprint.get("/people/<name>")
@web.allow("person.read")
def person_detail(name: str) -> str:
    return _person_page(_access().person(name))


@blueprint.post("/people/<name>/role")
@web.allow("person.write")
def person_role(name: str) -> Any:
    try:
        _access().set_role(web.actor(), name, parse(RoleForm, _fields()).role)
    except Invalid as error:
        return _person_page(_access().person(name), error.fields), 422
    return _back_to(name)


@blueprint.post("/people/<name>/disable")
@web.allow("person.write")
def person_disable(name: str) -> Any:
    _access().disable(web.actor(), name)
    return _back_to(name)


@blueprint.post("/people/<name>/enable")
@web.allow("person.write")
def person_enable(name: str) -> Any:
    _access().enable(web.actor(), name)
    return _back_to(name)


@blueprint.post("/people/<name>/reset-password")
@web.allow("person.write")
def person_password_reset(name: str) -> Any:
    return _link_page(name, _access().reset_password(web.actor(), name)), 201


@blueprint.post("/people/<name>/link")
@web.allow("person.write")
def person_link(name: str) -> Any:
    return _link_page(name, _access().new_sign_in_link(web.actor(), name)), 201


@blueprint.post("/people/<name>/sessions/end-all")
@web.allow("person.write")
def person_sessions_end(name: str) -> Any:
    _access().end_all(web.actor(), name)
    return _back_to(name)


@blueprint.post("/people/<name>/sessions/<session_id>/end")
@web.allow("person.write")
def person_session_end(name: str, session_id: str) -> Any:
    _access().end_session(web.actor(), session_id)
    return _back_to(name)


@blueprint.post("/people/<name>/tokens/<token_id>/revoke")
@web.allow("person.write")
def person_token_revoke(name: str, token_id: str) -> Any:
    _access().revoke_token(web.actor(), token_id)
    return _back_to(name)


def state_of(person: PersonRecord) -> str:
    """Return the word for whether somebody can sign in: active, invited, locked or disabled."""
    if person.is_disabled:
        return "disabled"
    if person.locked_until is not None and _now() < person.locked_until:
        return "locked"
    return "active" if person.has_password else "invited"


def _access() -> Access:
    return web.part(Access)


def _now() -> Any:
    return web.part(Pages).clock.now()


def _fields() -> dict[str, str]:
    return {name: value for name, value in request.form.items() if name != FIELD}


def _back_to(name: str) -> Any:
    return redirect(url_for("access.people.person_detail", name=name), 303)


def _new_page(values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template("access/person_new.html", values=values, errors=errors, roles=ROLES)


def _person_page(person: PersonRecord, errors: dict[str, str] | None = None) -> str:
    return render_template(
        "access/person.html",
        person=person,
        state=state_of(person),
        sessions=_access().sessions_of(person.id),
        tokens=_access().tokens_of(person.id),
        device_of=device_of,
        now=_now(),
        roles=ROLES,
        values={"role": person.role or ""},
        errors=errors or {},
    )


def _link_page(name: str, path: str) -> str:
    """Show a link this once, as an address that can be sent to the person."""
    base = web.part(Pages).guard.public_url or request.host_url.rstrip("/")
    return render_template("access/link_made.html", person=_access().person(name), link=base + path)
