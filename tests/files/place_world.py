"""A whole master's app over real local repositories, with the cast signed in."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.models import Person
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.config import load_settings
from quarterdeck.core.metrics import Metrics
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.files.register import Places
from quarterdeck.master import create_app
from tests.access.factories import CAST, PASSWORD, csrf_of
from tests.cheap_parts import CheapParts
from tests.clocks import SetClock
from tests.files.repositories import Files, Repository, make_repository


@dataclass
class World:
    """The app, its parts, and where repositories are made."""

    home: Path
    clock: SetClock
    parts: CheapParts
    app: APIFlask
    cookies: dict[str, str]
    folder: Path
    """Where the repositories of one test are."""
    begun_at: int = 0
    """How many lines the history had when the test began."""

    @property
    def places(self) -> Places:
        return self.parts.files.places

    def as_(self, name: str) -> "Visitor":
        return Visitor(self.app.test_client(), self.cookies.get(name, ""))

    def actor(self, name: str) -> Actor:
        actor = self.parts.access.actor_for_session(self.cookies[name], "127.0.0.1")
        assert actor is not None
        return actor

    def join(self, name: str, *groups: str) -> None:
        """Put somebody into groups, as the rules of an identity provider do."""
        with self.parts.db.write() as session:
            session.execute(update(Person).where(Person.name == name).values(groups=list(groups)))
        self.parts.access.forget_rights()

    def repository(self, name: str, files: Files | None = None) -> Repository:
        """Make a repository beside the home; None: without a commit."""
        return make_repository(self.folder / f"{name}.git", files)

    def repository_of(self, name: str) -> Repository:
        return Repository(Path(self.record(name).url))

    def add(self, name: str, files: Files | None = None, **more: Any) -> Repository:  # Any: of the draft
        """Make a repository and a place of the same name."""
        repository = self.repository(name, files)
        draft = PlaceDraft(name=name, kind=PlaceKind.LOCAL, url=str(repository.folder), **more)
        self.places.add(SYSTEM, draft)
        return repository

    def record(self, name: str) -> PlaceRecord:
        record = self.places.named(name)
        assert record is not None
        return record

    def records(self, action: str) -> list[dict[str, Any]]:  # Any: JSON
        """Return the lines of the history about an action since the test began."""
        lines = map(json.loads, self._lines()[self.begun_at :])
        return [line for line in lines if line["action"] == action]

    def begin(self, folder: Path) -> None:
        """Leave nothing of the test before."""
        for record in self.places.all():
            self.places.define(SYSTEM, [])
            if self.places.by_id(record.id):
                self.places.remove(SYSTEM, record.name)
        self.join("nils")
        self.folder, self.begun_at = folder, len(self._lines())

    def _lines(self) -> list[bytes]:
        files = sorted((self.home / "history").glob("*.jsonl"))
        return [line for path in files for line in path.read_bytes().splitlines()]


class Visitor:
    """Somebody's browser; nobody's without a cookie."""

    def __init__(self, client: FlaskClient, cookie: str) -> None:
        self.client = client
        if cookie:
            client.set_cookie(SESSION_COOKIE, cookie)

    def get(self, path: str, **more: Any) -> TestResponse:  # Any: handed on to werkzeug
        return self.client.get(path, **more)

    def post(self, path: str, **fields: Any) -> TestResponse:  # Any: texts of a form
        return self.client.post(path, data={"csrf_token": csrf_of(self.client, "/account")} | fields)

    def api(self, method: str, path: str, body: object = None) -> TestResponse:
        headers = {"X-CSRF-Token": csrf_of(self.client, "/account")}
        more: dict[str, Any] = {} if body is None else {"json": body}  # Any: of werkzeug
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **more)


@contextlib.contextmanager
def open_world(folder: Path, **settings: str) -> Iterator[World]:
    """Open a home in a folder; settings by the end of their variables, such as ``RECORD_FILE_VIEWS``."""
    home = folder / "home"
    named = {f"QUARTERDECK_{name}": value for name, value in settings.items()}
    clock = SetClock()
    parts = CheapParts(load_settings({"QUARTERDECK_HOME": str(home), **named}), clock)
    cookies = {}
    for name, role in CAST.items():
        parts.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
        cookies[name] = parts.access.sign_in(name, PASSWORD)
    app = create_app(parts)
    web.provide(app, Metrics())
    yield World(home, clock, parts, app, cookies, folder)
    parts.close()
