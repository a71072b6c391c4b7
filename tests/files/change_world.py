"""A master with the cast and a local place of files, whose repository the real git looks at."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.config import Settings
from quarterdeck.core.ids import new_id
from quarterdeck.core.metrics import Metrics
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.service import Changes
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.master import create_app
from tests.access.factories import CAST, PASSWORD, csrf_of
from tests.cheap_parts import CheapParts
from tests.clocks import SetClock
from tests.files.repositories import Repository, make_repository

FILES: dict[str | bytes, bytes | None] = {
    "conf/app.yml": b"port: 80\nhost: a\nname: x\n",
    "conf/win.ini": b"[a]\r\nx=1\r\n",
    "data.bin": b"\x00\x01\x02",
    "100755:run.sh": b"#!/bin/sh\ntrue\n",
}


@dataclass
class World:
    """The master, its repository, and shortcuts to what the cast does."""

    home: Path
    repository: Repository
    clock: SetClock
    parts: CheapParts
    place: str = "conf"
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> Changes:
        return self.parts.changes

    @cached_property
    def app(self) -> APIFlask:
        app = create_app(self.parts)
        web.provide(app, Metrics())
        return app

    def actor(self, name: str) -> Actor:
        known = self.parts.access.actor_for_session(self.cookie(name), "127.0.0.1")
        if known is None:  # the clock was set on
            del self.cookies[name]
            known = self.parts.access.actor_for_session(self.cookie(name), "127.0.0.1")
        assert known is not None
        return known

    def cookie(self, name: str) -> str:
        if name not in self.cookies:
            self.cookies[name] = self.parts.access.sign_in(name, PASSWORD)
        return self.cookies[name]

    def begin(self, name: str = "oskar", path: str = "conf/app.yml", **wanted: Any) -> ChangeRecord:
        """Begin a change; ``wanted`` are fields of Wanted."""
        return self.changes.begin(self.actor(name), self.place, Wanted(path, **wanted)).change

    def save(self, change: ChangeRecord, text: str, path: str = "conf/app.yml", name: str = "oskar") -> None:
        self.changes.save_draft(self.actor(name), change.id, path, text)

    def commit(
        self, change: ChangeRecord, name: str = "oskar", message: str = "Why", **wish: Any
    ) -> ChangeRecord:
        return self.changes.commit(self.actor(name), change.id, CommitWish(message, **wish))

    def changed(self, text: str, name: str = "oskar", path: str = "conf/app.yml") -> ChangeRecord:
        """Begin a change of a file, and save a text."""
        change = self.begin(name, path)
        self.save(change, text, path, name)
        return self.changes.get(self.actor(name), change.id)

    def get(self, change: ChangeRecord, name: str = "oskar") -> ChangeRecord:
        return self.changes.get(self.actor(name), change.id)

    def records(self, action: str, kind: str = "outcome") -> list[dict[str, Any]]:
        """Return the details of what the history holds of an action."""
        lines = [
            json.loads(line)
            for path in sorted((self.home / "history").glob("*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        wanted = (action, kind, f"place:{self.place}")
        return [line["detail"] for line in lines if (line["action"], line["kind"], line["object"]) == wanted]

    def blob(self, change: ChangeRecord, path: str = "conf/app.yml") -> bytes:
        """Return what git has on the branch of a change."""
        return self.repository.blob(path, f"refs/heads/{change.branch}")

    def commits(self, branch: str) -> list[str]:
        return self.repository.git("log", "--format=%s", f"refs/heads/{branch}").splitlines()

    def branches(self) -> list[str]:
        return self.repository.git("branch", "--format=%(refname:short)").splitlines()

    def browser(self, name: str) -> "Browser":
        return Browser(self.app, self.cookie(name) if name else "")


class Browser:
    """Somebody's browser and API client: forms with the token of the form, JSON with the header."""

    def __init__(self, app: APIFlask, cookie: str) -> None:
        self.client: FlaskClient = app.test_client()
        if cookie:
            self.client.set_cookie(SESSION_COOKIE, cookie)

    @cached_property
    def token(self) -> str:
        return csrf_of(self.client, "/account")

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, /, **values: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token} | values)

    def call(self, method: str, path: str, /, **body: Any) -> TestResponse:
        more: dict[str, Any] = {} if method in ("GET", "DELETE") else {"json": body}
        headers = {"X-CSRF-Token": self.token, "Accept": "application/json"}
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **more)


def draft_of_place(repository: Repository, name: str, **more: Any) -> PlaceDraft:
    return PlaceDraft(
        name=name, kind=PlaceKind.LOCAL, url=str(repository.folder), default_branch="main", **more
    )


def add_cast(parts: CheapParts) -> None:
    for name, role in CAST.items():
        parts.access.add_person(SYSTEM, name, role=role, password=PASSWORD)


@contextlib.contextmanager
def second_process(world: World) -> Iterator[World]:
    """Yield the same home and repository as another process has them, or the same one after a restart."""
    parts = CheapParts(world.parts.settings, world.clock)
    yield World(world.home, world.repository, world.clock, parts, world.place, world.cookies)
    parts.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One master for a file of tests: to make one takes longer than they do."""
    home = tmp_path_factory.mktemp("master") / "home"
    clock = SetClock()
    parts = CheapParts(Settings(home=home), clock)
    add_cast(parts)
    yield World(home, Repository(home), clock, parts)
    parts.close()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", FILES)


@pytest.fixture
def world(shared: World, repository: Repository) -> World:
    """A place of its own for each test, on the shared master."""
    name = f"conf-{new_id()}"
    shared.parts.files.places.add(SYSTEM, draft_of_place(repository, name))
    world = World(shared.home, repository, shared.clock, shared.parts, name, shared.cookies)
    world.__dict__["app"] = shared.app
    return world
