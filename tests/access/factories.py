"""A node's access with the cast in it: a real database, a real history, a clock that is set."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response
from flask.testing import FlaskClient

from quarterdeck.access import api as access_api
from quarterdeck.access import auth_api, grant_routes, provider_api
from quarterdeck.access import routes as access_routes
from quarterdeck.access.grants import Grants
from quarterdeck.access.identify import SESSION_COOKIE, Identify
from quarterdeck.access.passwords import HashCost
from quarterdeck.access.permissions import may, reason
from quarterdeck.access.profiles import Profiles
from quarterdeck.access.providers import routes as provider_routes
from quarterdeck.access.providers.outgoing import CALL_SECONDS
from quarterdeck.access.providers.service import Providers
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Level, Role, Scope
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.core.loop import Loop
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import Guard
from quarterdeck.core.vault import Vault
from quarterdeck.history import routes as history_routes
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.service import History
from quarterdeck.notify import api as notify_api
from quarterdeck.notify import routes as notify_routes
from quarterdeck.notify.service import Toasts
from tests.clocks import SetClock
from tests.schema import make_tables

CAST = {"ada": Role.ADMINISTRATOR, "oskar": Role.OPERATOR, "vera": Role.VIEWER, "nils": None}
PASSWORD = "correct horse battery"
CHEAP = HashCost(rounds=1, memory_kib=8, lanes=1)


@dataclass
class Deck:
    """One home with everything that access and notify stand on."""

    home: Path
    clock: SetClock
    db: Database
    history: History
    access: Access
    toasts: Toasts
    ended: list[str]
    news: list[tuple[str, dict[str, Any], str]]
    providers: Providers
    loop: Loop
    """Not bound until a test of providers does so."""

    def actor(self, name: str, scope: Level | None = None) -> Actor:
        person = self.access.person(name)
        kind = ActorKind.TOKEN if scope else ActorKind.PERSON
        scopes = (Scope(scope),) if scope else ()
        return Actor(kind, person.name, "127.0.0.1", person.role, scopes, person_id=person.id)

    def records(self, action: str = "") -> list[dict[str, Any]]:
        """Return the history's lines, as the files have them."""
        lines = [
            json.loads(line)
            for path in sorted((self.home / "history").glob("*.jsonl"))
            for line in path.read_bytes().split(b"\n")
            if line.strip()
        ]
        return [line for line in lines if not action or line["action"] == action]

    def close(self) -> None:
        self.history.close()
        self.db.close()


def make_deck(
    home: Path,
    clock: SetClock | None = None,
    *,
    cost: HashCost = CHEAP,
    call_seconds: float = CALL_SECONDS,
    **settings_given: Any,  # Any: fields of Settings
) -> Deck:
    """Open a home; twice for the same one is what the command line beside a master is."""
    clock = clock or SetClock()
    settings = Settings(home=home, **settings_given)
    home.mkdir(exist_ok=True)
    db = Database(settings.database)
    make_tables(db)
    history = History(
        home / "history",
        key=b"h" * 32,
        node="master",
        clock=clock,
        segment_bytes=10_000_000,
        ballast_bytes=0,
    )
    ended: list[str] = []
    news: list[tuple[str, dict[str, Any], str]] = []

    def publish(event: str, data: dict[str, Any], *, room: str) -> None:
        news.append((event, data, room))

    access = Access(db, history, clock, settings, ended.extend, hash_cost=cost)
    loop = Loop()
    providers = Providers(
        db=db,
        history=history,
        clock=clock,
        settings=settings,
        vault=Vault(b"v" * 32),
        loop=loop,
        access=access,
        rights_changed=access.forget_rights,
        call_seconds=call_seconds,
    )
    toasts = Toasts(db, history, publish, clock)
    return Deck(home, clock, db, history, access, toasts, ended, news, providers, loop)


def add_cast(deck: Deck) -> Deck:
    for name, role in CAST.items():
        deck.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
    return deck


def make_app(deck: Deck) -> APIFlask:
    """Put the frame and both capabilities' edges around a deck."""
    app = APIFlask("quarterdeck", enable_openapi=False, json_errors=False)
    web.install(
        app, web.Edge(Identify(deck.access), may, deck.history.denied, pages.render_error, reason=reason)
    )
    app.error_processor(_as_problem)
    frame = pages.Pages(
        guard=Guard(b"k" * 32, SESSION_COOKIE),
        clock=deck.clock,
        node_name="deck",
        waiting_toasts=notify_routes.waiting_toasts,
        toast_count=notify_routes.toast_count,
        chosen_by=(profiles := Profiles(deck.db, deck.history)).chosen_by,
        choose_theme=profiles.choose_theme,
    )
    pages.install(app, frame)
    forget = deck.access.forget_rights
    grants = Grants(deck.db, deck.history, deck.clock, forget=forget, exists=lambda _: True)
    web.provide(app, deck.access, grants, deck.providers, deck.toasts, profiles)
    web.provide(app, deck.history, PeerBook())
    edges = (access_routes, provider_routes, grant_routes, access_api, auth_api, notify_routes, notify_api)
    for module in (*edges, provider_api, history_routes):
        app.register_blueprint(module.blueprint)
    return app


def _as_problem(error: HTTPError) -> Response:
    if error.status_code != Invalid.status:
        return web.answer_error(NotFound(error.message or ""))
    fields = {name: messages[0] for part in error.detail.values() for name, messages in part.items()}
    return web.problem(Invalid(fields))


def whoami(client: FlaskClient) -> Any:  # Any: a JSON object
    """Return what the API says about the caller."""
    return client.get("/api/v1/me").json


def csrf_of(client: FlaskClient, path: str = "/account") -> str:
    """Return the token that this browser's forms carry."""
    page = client.get(path, follow_redirects=True).text
    return page.partition('name="csrf-token" content="')[2].partition('"')[0]


def post(client: FlaskClient, path: str, **values: str) -> Any:
    """Send a form as a browser does."""
    return client.post(path, data={"csrf_token": csrf_of(client), **values})


def sign_in(client: FlaskClient, name: str, password: str = PASSWORD, **values: str) -> Any:
    return post(client, "/sign-in", name=name, password=password, **values)
