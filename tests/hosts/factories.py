"""A master's parts in one home, with the loop that they need; drafts of hosts; the app around them."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from quarterdeck.access.permissions import may
from quarterdeck.core import web
from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Level, Role, Scope
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid
from quarterdeck.core.loop import Loop
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import Guard
from quarterdeck.core.vault import Vault
from quarterdeck.history.service import History
from quarterdeck.hosts import api as hosts_api
from quarterdeck.hosts import line_api, silence_api, silence_routes
from quarterdeck.hosts import routes as hosts_routes
from quarterdeck.hosts.commands import running
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.ssh import SshPool
from tests.clocks import SetClock
from tests.schema import make_tables
from tests.sshd import SshServer

ROLES = {"ada": Role.ADMINISTRATOR, "oskar": Role.OPERATOR, "vera": Role.VIEWER, "nils": None}
COOKIE = "qd_session"
TOKEN = "a-workers-bearer-of-enough-length"


def person(name: str) -> Actor:
    return Actor(ActorKind.PERSON, name, "127.0.0.1", ROLES[name], person_id=name)


ADA = person("ada")


@dataclass
class Node:
    """One home with everything that hosts stand on."""

    home: Path
    clock: SetClock
    settings: Settings
    db: Database
    history: History
    hosts: Hosts
    pool: SshPool
    loop: Loop
    news: list[tuple[str, dict[str, Any], str]]  # Any: JSON

    @property
    def actor(self) -> Actor:
        return Actor(ActorKind.SYSTEM, "cli:tester", role=Role.ADMINISTRATOR)

    def records(self, action: str = "") -> list[dict[str, Any]]:  # Any: JSON
        """Return the history's lines, as the files have them."""
        lines = [
            json.loads(line)
            for path in sorted((self.home / "history").glob("*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        return [line for line in lines if not action or line["action"] == action]

    def events(self, action: str) -> list[dict[str, Any]]:
        return [line["detail"] for line in self.records(action) if line["kind"] == "event"]

    def everything_stored(self) -> bytes:
        """Return all bytes that the home holds, to look for secrets in."""
        return b"".join(path.read_bytes() for path in self.home.rglob("*") if path.is_file())


@contextlib.contextmanager
def open_node(home: Path, **settings: Any) -> Iterator[Node]:  # Any: fields of Settings
    """Open a home with a running loop; twice for the same one is what the command line beside a master is."""
    home.mkdir(exist_ok=True)
    clock, loop, news = SetClock(), Loop(), list[tuple[str, dict[str, Any], str]]()
    values: dict[str, Any] = {"home": home, "ssh_connect_seconds": 5}  # Any: fields of Settings
    chosen = Settings(**values | settings)
    db = Database(chosen.database)
    make_tables(db)
    history = History(
        home / "history", key=b"h" * 32, node="master", clock=clock, segment_bytes=10_000_000, ballast_bytes=0
    )

    def publish(event: str, data: dict[str, Any], *, room: str) -> None:
        news.append((event, data, room))

    pool = SshPool(on_key_changed=lambda target, shown: hosts.key_changed(target, shown))
    hosts = Hosts(db, history, Vault(b"v" * 32), clock, publish, pool, loop, chosen)
    try:
        with running(hosts):
            yield Node(home, clock, chosen, db, history, hosts, pool, loop, news)
    finally:
        history.close()
        db.close()


def ssh_draft(server: SshServer, name: str = "web1", **changes: Any) -> HostDraft:  # Any: fields of the draft
    values: dict[str, Any] = {
        "address": server.addresses[0],
        "port": server.port,
        "username": "root",
        "secrets": {"private_key": server.keys.good},
    }
    return HostDraft(name, HostKind.SSH, **values | changes)


def draft(name: str = "web1", **changes: Any) -> HostDraft:  # Any: fields of the draft
    """Return an SSH host at an address where nothing listens."""
    values: dict[str, Any] = {"address": "127.0.0.1", "port": 1, "username": "root"}
    return HostDraft(name, HostKind.SSH, **values | changes)


def make_app(node: Node) -> APIFlask:
    """Put the frame and the edges of hosts around a node; the cast signs in by a cookie of its name."""
    app = APIFlask("quarterdeck", enable_openapi=False)
    web.install(app, web.Edge(_identify, may, node.history.denied, pages.render_error))
    app.error_processor(_as_problem)
    pages.install(app, pages.Pages(guard=Guard(b"k" * 32, COOKIE), clock=node.clock, node_name="deck"))
    web.provide(app, node.hosts)
    app.register_blueprint(hosts_routes.blueprint)
    app.register_blueprint(hosts_api.blueprint)
    app.register_blueprint(line_api.blueprint)
    app.register_blueprint(silence_routes.blueprint)
    app.register_blueprint(silence_api.blueprint)
    return app


def _identify() -> Actor:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if bearer in ROLES:
        scopes = (Scope(Level.ADMIN),)
        return Actor(ActorKind.TOKEN, f"{bearer}/test", "127.0.0.1", ROLES[bearer], scopes, person_id=bearer)
    name = request.cookies.get(COOKIE, "")
    return person(name) if name in ROLES else NOBODY


def _as_problem(error: HTTPError) -> Response:
    fields = {name: messages[0] for part in error.detail.values() for name, messages in part.items()}
    return web.problem(Invalid(fields))


class Browser:
    """Somebody's browser, which sends forms as pages have them; nobody's without a name."""

    def __init__(self, app: APIFlask, name: str) -> None:
        self.client: FlaskClient = app.test_client()
        if name:
            self.client.set_cookie(COOKIE, name)

    def get(self, path: str, **options: Any) -> TestResponse:  # Any: options of the client
        return self.client.get(path, **options)

    def post(self, path: str, **values: Any) -> TestResponse:  # Any: texts, lists of texts and files
        page = self.client.get("/hosts/new?kind=ssh").text + self.client.get("/bases").text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        fields = {"csrf_token": found[1] if found else "", **values}
        return self.client.post(path, data=fields, content_type="multipart/form-data")


class Api:
    """A program that calls the JSON API with a token."""

    def __init__(self, app: APIFlask, name: str) -> None:
        self._client = app.test_client()
        self._headers = {"Authorization": f"Bearer {name}"} if name else {}

    def __call__(self, method: str, path: str, body: object = None) -> TestResponse:
        more: dict[str, Any] = {} if body is None else {"json": body}  # Any: options of the client
        return self._client.open(f"/api/v1{path}", method=method, headers=self._headers, **more)
