"""The page of one's own profile: a part of ``routes``."""

from typing import Any, Final

from flask import Blueprint, Response, render_template, request

from quarterdeck.access.forms import ProfileForm
from quarterdeck.access.profiles import Profiles
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.chosen import SYSTEM_THEME
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import parse
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.core.zones import place_names

blueprint = Blueprint("profile", __name__, template_folder="templates")

COLOURS: Final = ((SYSTEM_THEME, "As the system"), ("light", "Light"), ("dark", "Dark"))


@blueprint.get("/account/profile")
@web.allow("person.self")
def profile() -> str:
    chosen = web.part(Profiles).chosen_by(web.actor())
    values = {"display_name": chosen.display_name, "theme": chosen.theme, "time_zone": chosen.time_zone}
    return _page(values, {})


@blueprint.post("/account/profile")
@web.allow("person.self")
def profile_save() -> Any:  # Any: a page, a status, or werkzeug's redirect
    """Save the profile; the browser keeps the colours too, for its sign-in page."""
    values = {name: value for name, value in request.form.items() if name != FIELD}
    try:
        form = parse(ProfileForm, values)
        web.part(Profiles).change(
            web.actor(), display_name=form.display_name, theme=form.theme, time_zone=form.time_zone
        )
    except Invalid as error:
        return _page(values, error.fields), 422
    response = Response(status=303, headers={"Location": "/account/profile?done=saved"})
    return pages.remember(response, pages.THEME_COOKIE, form.theme) if form.theme else response


def _page(values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template(
        "access/profile.html",
        person=web.part(Access).own_record(web.actor()),
        values=values,
        errors=errors,
        choices=COLOURS,
        places=place_names(),
        default_zone=web.part(pages.Pages).time_zone,
        now=web.part(pages.Pages).clock.now(),
        done=request.args.get("done", ""),
    )
