"""The pages of API bases."""

from typing import Any

from flask import Blueprint, redirect, render_template, request

from quarterdeck.core import web
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.forms import parse
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.hosts.bases import Bases
from quarterdeck.hosts.forms import BaseBody
from quarterdeck.hosts.service import Hosts

blueprint = Blueprint("bases", __name__)

Answer = str | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/bases")
@web.allow("base.read")
def base_list() -> Answer:
    return _page({}, {})


@blueprint.post("/bases")
@web.allow("base.write")
def base_add() -> Answer:
    values = {name: text for name, text in request.form.items() if name != FIELD}
    try:
        body = parse(BaseBody, values)
        _bases().add_base(web.actor(), body.name, body.url, body.bearer)
    except Invalid as error:
        return _page(values, error.fields), error.status
    except Conflict as error:
        return _page(values, error.extra["errors"]), error.status
    return redirect("/bases", 303)


@blueprint.get("/bases/<name>/remove")
@web.allow("base.write")
def base_remove_ask(name: str) -> Answer:
    return render_template("hosts/base_remove.html", base=_bases().get(name))


@blueprint.post("/bases/<name>/remove")
@web.allow("base.write")
def base_remove(name: str) -> Answer:
    _bases().remove_base(web.actor(), name)
    return redirect("/bases", 303)


def _bases() -> Bases:
    return web.part(Hosts).bases


def _page(values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template("hosts/base_list.html", bases=_bases().list_bases(), values=values, errors=errors)
