"""The live page of the machine that the master runs on."""

from typing import Final

from flask import Blueprint, Flask, render_template, request

from quarterdeck.core import web
from quarterdeck.core.config import Settings
from quarterdeck.core.ui.pages import Pages
from quarterdeck.metrics.dashboard.view import view_of
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.own_host import OwnHost

blueprint = Blueprint("dashboard", __name__, template_folder="../templates")

REFRESHES: Final = ("5", "15", "60")
"""After how many seconds a page without JavaScript may load itself again."""


def open_to_anybody(app: Flask) -> None:
    """Let this app show the page without a sign-in; the page itself asks the settings too."""
    endpoint = f"{blueprint.name}.{live_page.__name__}"
    app.view_functions[endpoint] = web.allow(web.PUBLIC)(lambda: live_page())


@blueprint.get("/live")
@web.allow("host.read")
def live_page() -> str:
    """Show it to whoever may read the master's host, or to anybody where the settings say so."""
    host = web.part(OwnHost).now()
    if not web.part(Settings).live_public:
        web.require("host.read", f"host:{host.name}")
    now = web.part(Pages).clock.now().timestamp()
    view = view_of(web.part(Fleet).now(host.id), now)
    refresh = request.args.get("refresh", "")
    return render_template(
        "metrics/live.html",
        view=view,
        host=host,
        refresh=refresh if refresh in REFRESHES else "",
        refreshes=REFRESHES,
    )
