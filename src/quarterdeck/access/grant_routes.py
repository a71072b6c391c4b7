"""The page of access: who was granted what, and what somebody may do, and why."""

from typing import Any, Final

from flask import Blueprint, redirect, render_template, request

from quarterdeck.access import change_routes
from quarterdeck.access.forms import GrantForm
from quarterdeck.access.grants import LEVELS, Grants
from quarterdeck.access.judge import ObjectJudge
from quarterdeck.access.permissions import ON_HOSTS, ON_PLACES
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import Target
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.forms import parse
from quarterdeck.core.ui.guard import FIELD

blueprint = Blueprint("grants", __name__, template_folder="templates")
blueprint.register_blueprint(change_routes.blueprint)

Page = str | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect
DOES: Final = {
    "host.read": "See the host",
    "host.test": "Test the connection",
    "run.read": "See runs and their output",
    "run.start": "Run a task",
    "run.cancel": "Cancel a run",
    "history.read": "Read the history",
    "history.export": "Export the history",
    "history.verify": "Verify the history",
    "base.read": "See API bases",
    "file.read": "Look at files",
    "file.write": "Change files",
    "toast.send": "Send a message",
    "host.write": "Add, change and remove hosts",
    "base.write": "Change API bases",
    "place.write": "Add, change and remove places of files",
    "person.read": "See people and their rights",
    "person.write": "Change people and their rights",
    "node.shutdown": "Shut the node down",
}
"""What the page explains, in the order of the page."""
MOST_SHOWN: Final = 200
"""So many grants stand on the page; the filters lead to the others."""
_ASKED: Final = ("who", "host", "place", "holder", "in", "about")
_LONGEST: Final = 200


@blueprint.get("/access")
@web.allow("person.read")
def access_show() -> Page:
    return _page({"level": "run"}, {})


@blueprint.post("/access/grants")
@web.allow("person.write")
def grant_give() -> Page:
    values = {name: value.strip() for name, value in request.form.items() if name != FIELD}
    try:
        form = parse(GrantForm, values)
        web.part(Grants).give(web.actor(), form.object, form.level, person=form.person, group=form.group)
    except Invalid as error:
        return _page(values, error.fields), 422
    except (Conflict, NotFound) as error:
        return _page(values, {"object" if isinstance(error, Conflict) else "person": error.message}), 422
    return redirect("/access#grants", 303)


@blueprint.post("/access/grants/<grant_id>/take")
@web.allow("person.write")
def grant_take(grant_id: str) -> Page:
    web.part(Grants).take(web.actor(), grant_id)
    return redirect(web.safe_path(request.form.get("next"), "/access") + "#grants", 303)


def _page(values: dict[str, str], errors: dict[str, str]) -> str:
    asked = {name: request.args.get(name, "").strip()[:_LONGEST] for name in _ASKED}
    verdicts, missing = _verdicts(asked["who"], asked["host"], asked["place"])
    found = web.part(Grants).list_grants(
        person=asked["holder"], group=asked["in"], object_=asked["about"], limit=MOST_SHOWN + 1
    )
    return render_template(
        "access/access.html",
        grants=found[:MOST_SHOWN],
        most=MOST_SHOWN if len(found) > MOST_SHOWN else 0,
        is_filtered=any(asked[name] for name in ("holder", "in", "about")),
        people=[person.name for person in web.part(Access).list_people()],
        levels=[(level.value, level.value) for level in LEVELS],
        asked=asked,
        verdicts=verdicts,
        missing=missing,
        values=values,
        errors=errors,
    )


def _verdicts(who: str, host: str, place: str) -> tuple[list[tuple[str, Any]], str]:
    """Return what is explained of a person (Any: the judge's verdict), or why nothing can be."""
    if not who:
        return [], ""
    if host and place:
        return [], "Ask about a host or about a place of files, not about both."
    kind, name, verbs = ("place", place, ON_PLACES) if place else ("host", host, ON_HOSTS)
    targets = web.part(ObjectJudge).targets_of(f"{kind}:{name}") if name else [Target("")]
    if not targets:
        return [], f"There is no {'place of files' if place else 'host'} named “{name}”."
    asked = tuple(verb for verb in DOES if verb in verbs or not name)
    try:
        found = web.part(Grants).explain(who, asked, targets[0])
    except NotFound as error:
        return [], error.message
    return [(DOES[verb], verdict) for verb, verdict in found.items()], ""
