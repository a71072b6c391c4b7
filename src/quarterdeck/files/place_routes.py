"""The pages on which administrators look after places of files."""

from typing import Any

from flask import Blueprint, redirect, render_template, request

from quarterdeck.core import costs, web
from quarterdeck.core.actors import Role
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.files.forms import read_place_form, values_of
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.place_drafts import CLOUD_URL, KINDS, WRITE_ROLES
from quarterdeck.files.places.place import Check
from quarterdeck.files.register import Places
from quarterdeck.files.service import Files

blueprint = Blueprint("places", __name__, template_folder="templates")

Answer = str | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/files/places")
@web.allow("place.write")
def place_list() -> Answer:
    return render_template("files/place_list.html", places=_places().all(), kinds=KINDS)


@blueprint.get("/files/places/add")
@web.allow("place.write")
def place_new() -> Answer:
    kind = request.args.get("kind", "")
    if kind not in KINDS:
        return render_template("files/place_kinds.html", kinds=KINDS)
    values = {"kind": kind, "read_role": Role.VIEWER, "write_role": Role.OPERATOR}
    return _form(None, values | ({"url": CLOUD_URL} if kind == PlaceKind.CLOUD else {}), {})


@blueprint.post("/files/places/add")
@web.allow("place.write")
def place_add() -> Answer:
    values = _values()
    try:
        added = _places().add(web.actor(), read_place_form(values).draft())
    except (Invalid, Conflict) as error:
        return _form(None, values, _messages(error)), error.status
    return redirect(f"/files/places/{added.name}/test", 303)


@blueprint.get("/files/places/<name>/edit")
@web.allow("place.write")
def place_edit(name: str) -> Answer:
    record = _get(name)
    return _form(record, values_of(record), {})


@blueprint.post("/files/places/<name>/edit")
@web.allow("place.write")
def place_change(name: str) -> Answer:
    record, values = _get(name), _values()
    try:
        changed = _places().change(web.actor(), name, read_place_form(values).changed())
    except (Invalid, Conflict) as error:
        return _form(record, values, _messages(error)), error.status
    return redirect(f"/files/places/{changed.name}/test", 303)


@blueprint.get("/files/places/<name>/test")
@web.allow("place.write")
def place_test_ask(name: str) -> Answer:
    return _tested(_get(name), None)


@blueprint.post("/files/places/<name>/test")
@web.allow("place.write")
@web.costs(costs.CONTACTS)
def place_test(name: str) -> Answer:
    """Show what a test has found; nothing of it is kept, so the page itself is the answer."""
    return _tested(_get(name), _places().test(web.actor(), name))


@blueprint.get("/files/places/<name>/remove")
@web.allow("place.write")
def place_remove_ask(name: str) -> Answer:
    return render_template("files/place_remove.html", place=_get(name), kinds=KINDS)


@blueprint.post("/files/places/<name>/remove")
@web.allow("place.write")
def place_remove(name: str) -> Answer:
    _places().remove(web.actor(), name)
    return redirect("/files/places", 303)


def _places() -> Places:
    return web.part(Files).places


def _get(name: str) -> PlaceRecord:
    return _places().get(web.actor(), name, "place.write")


def _values() -> dict[str, str]:
    return {name: text for name, text in request.form.items() if name != FIELD}


def _messages(error: Invalid | Conflict) -> dict[str, str]:
    """Return what to say beside which field of the page."""
    if isinstance(error, Conflict):
        return dict(error.extra.get("errors") or {"name": error.message})
    return error.fields


def _form(record: PlaceRecord | None, values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template(
        "files/place_edit.html" if record else "files/place_new.html",
        place=record,
        values=values,
        errors=errors,
        kinds=KINDS,
        kind=values.get("kind", ""),
        read_roles=[(role.value, role.value) for role in Role],
        write_roles=[(role.value, role.value) for role in WRITE_ROLES],
    )


def _tested(record: PlaceRecord, checks: list[Check] | None) -> str:
    return render_template("files/place_test.html", place=record, checks=checks, kinds=KINDS)
