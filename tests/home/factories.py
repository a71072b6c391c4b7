"""An app that has nothing but the frame and the home pages, with the cast signed in by a cookie."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.permissions import may
from quarterdeck.core import web
from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Level, Role, Scope
from quarterdeck.core.errors import Busy, Invalid, Limited, Unauthenticated
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import Guard
from quarterdeck.files.routes import blueprint as files
from quarterdeck.home import routes
from quarterdeck.home.service import Figure, Finding, Home
from tests.clocks import SetClock

ORIGIN = "http://localhost"
CAST = {
    "ada": Role.ADMINISTRATOR,
    "oskar": Role.OPERATOR,
    "vera": Role.VIEWER,
    "nils": None,
}


@dataclass
class Toast:
    id: str
    text: str
    level: str = "info"
    link: str = ""


def identify() -> Actor:
    """A request with an Authorization header never honours cookies."""
    if given := request.headers.get("Authorization"):
        if given != "Bearer good":
            raise Unauthenticated("This token is not known.")
        return Actor(ActorKind.TOKEN, "ada/test", role=Role.ADMINISTRATOR, scopes=(Scope(Level.ADMIN),))
    name = request.cookies.get(SESSION_COOKIE, "").partition(".")[0]
    return Actor(ActorKind.PERSON, name, role=CAST[name], person_id=name) if name in CAST else NOBODY


def busy_figure(_actor: Actor) -> Figure:
    raise Busy("The database can't be read.")


def find_web(_actor: Actor, text: str) -> list[Finding]:
    return [Finding("Hosts", "web-1", "/hosts/web-1", "10.0.0.1")] if text in "web-1" else []


def make_home(**changes: Any) -> Home:
    values: dict[str, Any] = {
        "figures": {
            "hosts": lambda _actor: Figure("well, 1 lost", "12 of 13", "success"),
            "runs": lambda _actor: Figure("running now", "3", "active"),
            "history": lambda _actor: Figure("actions today", "1,204"),
            "toasts": lambda _actor: Figure("unread", "2", "warning"),
        },
        "summary": lambda _actor: Figure(
            "One host needs a look", "db-1 has not answered for 12 min.", "warning"
        ),
        "searches": (find_web,),
    }
    return Home(**values | changes)


def make_app(
    *,
    home: Home | None = None,
    public_url: str = "",
    toasts: Callable[[], list[Toast]] = list,
    count: Callable[[], int] = int,
) -> Flask:
    app = Flask("quarterdeck", static_folder=None)
    edge = web.Edge(identify, may, lambda *_denied: None, pages.render_error)
    web.install(app, edge)
    pages.install(
        app,
        pages.Pages(
            guard=Guard(b"k" * 32, SESSION_COOKIE, public_url),
            clock=SetClock(),
            node_name="deck",
            waiting_toasts=toasts,
            toast_count=count,
        ),
    )
    web.provide(app, home or make_home())
    app.register_blueprint(routes.blueprint)
    app.register_blueprint(files)  # the pattern page shows its parts
    _add_trials(app)
    return app


def _add_trials(app: Flask) -> None:
    """Add handlers that fail or change something, as any capability's do."""

    @app.post("/change")
    @web.allow("home.read")
    def change() -> Response:
        return Response("changed")

    @app.post("/api/v1/change")
    @web.allow("home.read")
    def api_change() -> Response:
        return Response("changed")

    @app.post("/sign-in")
    @web.allow(web.PUBLIC)
    def sign_in() -> Response:
        return Response("tried")

    @app.get("/fails/<kind>")
    @web.allow("home.read")
    def fails(kind: str) -> Response:
        errors: dict[str, Exception] = {
            "busy": Busy("history/ can't be written: no space left."),
            "invalid": Invalid({"port": "This must be a <number>."}),
            "limited": Limited("Too many.", retry_after=30),
        }
        raise errors.get(kind, RuntimeError("a secret in the cause"))


def as_(app: Flask, name: str = "") -> Any:
    """Return a client that is signed in as one of the cast, or as nobody."""
    client = app.test_client()
    if name:
        client.set_cookie(SESSION_COOKIE, f"{name}.session")
    return client
