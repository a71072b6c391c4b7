"""A master's app with nothing but the history, and a worker's, over which the master reads."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Flask, Response, request
from flask.testing import FlaskClient
from pydantic import ValidationError

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.permissions import may
from quarterdeck.core import web
from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Role
from quarterdeck.core.errors import NotFound, QuarterdeckError, Unreachable
from quarterdeck.core.forms import invalid
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import Guard
from quarterdeck.history import api, routes, worker
from quarterdeck.history.peers import PeerBook, SeenHead
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.reader import Found, HistoryPage
from quarterdeck.history.service import History
from quarterdeck.history.verify import Verification
from tests.history.factories import SetClock

CAST = {"ada": Role.ADMINISTRATOR, "oskar": Role.OPERATOR, "vera": Role.VIEWER, "nils": None}
T = TypeVar("T")


def identify() -> Actor:
    name = request.cookies.get(SESSION_COOKIE, "")
    return Actor(ActorKind.PERSON, name, "10.0.0.9", CAST[name]) if name in CAST else NOBODY


def make_app(history: History, book: PeerBook | None = None, *, time_zone: str = "UTC") -> APIFlask:
    app = APIFlask("quarterdeck", docs_path=None, json_errors=False)
    web.install(app, web.Edge(identify, may, history.denied, pages.render_error))
    app.error_processor(_bad_input)
    guard = Guard(b"k" * 32, SESSION_COOKIE)
    frame = pages.Pages(guard=guard, clock=SetClock(), node_name="master", time_zone=time_zone)
    pages.install(app, frame)
    web.provide(app, history, book or PeerBook())
    app.register_blueprint(routes.blueprint)
    app.register_blueprint(api.blueprint)
    return app


def _bad_input(error: HTTPError) -> Response:
    if isinstance(cause := error.__context__, ValidationError):
        return web.answer_error(invalid(cause))
    return web.answer_error(QuarterdeckError(error.message or ""))


def make_worker_app(history: History) -> Flask:
    app = Flask("worker", static_folder=None)

    def identify_master() -> Actor:
        is_master = request.headers.get("Authorization") == "Bearer of-the-master"
        return Actor(ActorKind.NODE, "master") if is_master else NOBODY

    web.install(app, web.Edge(identify_master, may, history.denied, lambda _error, _status: None))
    web.provide(app, history)
    app.register_blueprint(worker.blueprint)
    return app


class WorkerClient:
    """Reads workers' histories as a master does: by their routes, as JSON."""

    def __init__(self, **histories: History) -> None:
        self.clients: dict[str, FlaskClient] = {
            name: make_worker_app(history).test_client() for name, history in histories.items()
        }
        self.lost: set[str] = set()

    def names(self) -> list[str]:
        return list(self.clients)

    def page(self, name: str, query: HistoryQuery) -> HistoryPage:
        more = {"limit": str(query.limit), "cursor": query.cursor}
        return self._ask(name, "/history", HistoryPage, query.filters() | more)

    def get(self, name: str, id_: str) -> Found:
        return self._ask(name, f"/history/{id_}", Found)

    def verify(self, name: str) -> Verification:
        return self._ask(name, "/history/verify", Verification)

    def heads(self, name: str, seqs: Sequence[int]) -> dict[int, str]:
        return self._ask(name, "/history/heads", dict[int, str], {"seqs": ",".join(map(str, seqs))})

    def witnessed(self, name: str) -> list[SeenHead]:
        return self._ask(name, "/history/witnessed", list[SeenHead])

    def _ask(self, name: str, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        if name in self.lost:
            raise Unreachable(f"{name}: it refuses the connection.")
        headers = {"Authorization": "Bearer of-the-master"}
        answer = self.clients[name].get(path, query_string=query, headers=headers)
        if answer.status_code == 404:
            raise NotFound("There is no such entry.")
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.data, type=kind)
