"""The administrator's pages of people: a part of ``routes``."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final

from flask import Blueprint, redirect, render_template, request, url_for

from quarterdeck.access.agents import device_of
from quarterdeck.access.forms import PersonForm, RoleForm
from quarterdeck.access.grants import Grants
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
_LONGEST_SEARCH: Final = 64

Answer = Any  # Any: a page, a status, or werkzeug's redirect


def _clashes_beside(form: str) -> Callable[[Callable[[str], Answer]], Callable[[str], Answer]]:
    """Tell a Conflict of a change of a person on the person's page, beside the form that asked for it."""

    def mark(handler: Callable[[str], Answer]) -> Callable[[str], Answer]:
        @wraps(handler)
        def answer(name: str) -> Answer:
            try:
                return handler(name)
            except Conflict as error:
                return _person_page(_access().person(name), {form: error.message}), error.status

        return answer

    return mark


@blueprint.get("/people")
@web.allow("person.read")
def person_list() -> str:
    q = request.args.get("q", "")[:_LONGEST_SEARCH].strip()
    template = "access/_people.html" if "HX-Request" in request.headers else "access/people.html"
    return render_template(
        template,
        people=_access().list_people(q),
        q_text=q,
        now=_now(),
    )


@blueprint.get("/people/new")
@web.allow("person.write")
def person_new() -> str:
    return _new_page({"role": Role.VIEWER.value}, {})


@blueprint.post("/people")
@web.allow("person.write")
def person_create() -> Answer:
    """Add somebody and show the link to hand over; it is made this once."""
    values = _fields()
    try:
        form = parse(PersonForm, values)
        person = _access().add_person(
            web.actor(), form.name.strip(), role=form.role, is_service=form.is_service
        )
    except Invalid as error:
        return _new_page(values, error.fields), 422
    except Conflict as error:
        return _new_page(values, {"name": error.message}), 422
    if person.is_service:
        return _back_to(person.name)
    path = _access().new_invitation(web.actor(), person.name)
    return _link_page(person.name, path, _access().lifetimes.invitation), 201


@blueprint.get("/people/<name>")
@web.allow("person.read")
def person_detail(name: str) -> str:
    return _person_page(_access().person(name))


@blueprint.post("/people/<name>/role")
@web.allow("person.write")
@_clashes_beside("role")
def person_role(name: str) -> Answer:
    try:
        _access().set_role(web.actor(), name, parse(RoleForm, _fields()).role)
    except Invalid as error:
        return _person_page(_access().person(name), error.fields), 422
    return _back_to(name)


@blueprint.post("/people/<name>/disable")
@web.allow("person.write")
@_clashes_beside("disable")
def person_disable(name: str) -> Answer:
    _access().disable(web.actor(), name)
    return _back_to(name)


@blueprint.post("/people/<name>/enable")
@web.allow("person.write")
def person_enable(name: str) -> Answer:
    _access().enable(web.actor(), name)
    return _back_to(name)


@blueprint.post("/people/<name>/reset-password")
@web.allow("person.write")
@_clashes_beside("reset")
def person_password_reset(name: str) -> Answer:
    path = _access().reset_password(web.actor(), name)
    return _link_page(name, path, _access().lifetimes.reset_link), 201


@blueprint.post("/people/<name>/link")
@web.allow("person.write")
@_clashes_beside("link")
def person_link(name: str) -> Answer:
    path = _access().new_sign_in_link(web.actor(), name)
    return _link_page(name, path, _access().lifetimes.link), 201


@blueprint.post("/people/<name>/sessions/end-all")
@web.allow("person.write")
def person_sessions_end(name: str) -> Answer:
    _access().end_all(web.actor(), name)
    return _back_to(name)


@blueprint.post("/people/<name>/sessions/<session_id>/end")
@web.allow("person.write")
def person_session_end(name: str, session_id: str) -> Answer:
    _access().end_session(web.actor(), session_id)
    return _back_to(name)


@blueprint.post("/people/<name>/tokens/<token_id>/revoke")
@web.allow("person.write")
def person_token_revoke(name: str, token_id: str) -> Answer:
    _access().revoke_token(web.actor(), token_id)
    return _back_to(name)


def _access() -> Access:
    return web.part(Access)


def _now() -> datetime:
    return web.part(Pages).clock.now()


def _fields() -> dict[str, str]:
    return {name: value for name, value in request.form.items() if name != FIELD}


def _back_to(name: str) -> Answer:
    return redirect(url_for("access.people.person_detail", name=name), 303)


def _new_page(values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template("access/person_new.html", values=values, errors=errors, roles=ROLES)


def _person_page(person: PersonRecord, errors: dict[str, str] | None = None) -> str:
    """Show a person; a refused form has its message beside it, and what was chosen in it."""
    return render_template(
        "access/person.html",
        person=person,
        state=person.state(_now()),
        sessions=_access().sessions_of(person.id),
        link_for=_access().lifetimes.link,
        tokens=_access().tokens_of(person.id),
        grants=web.part(Grants).held_by(person),
        device_of=device_of,
        now=_now(),
        roles=ROLES,
        values={"role": person.role or ""} | _fields(),
        errors=errors or {},
    )


def _link_page(name: str, path: str, valid_for: timedelta) -> str:
    """Show a link this once, as an address that can be sent to the person."""
    base = web.part(Pages).guard.public_url or request.host_url.rstrip("/")
    person = _access().person(name)
    return render_template("access/link_made.html", person=person, link=base + path, valid_for=valid_for)
