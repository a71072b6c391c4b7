"""The real master's web app over a fleet that is filled by hand, and its cast."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import delete, insert

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.config import Settings
from quarterdeck.core.ids import new_id
from quarterdeck.hosts.models import Host, HostTag
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from quarterdeck.protocol.samples import Frame
from tests.cheap_parts import CheapParts
from tests.deck import PASSWORD

CAST = {
    "ada": Role.ADMINISTRATOR,
    "oskar": Role.OPERATOR,
    "vera": Role.VIEWER,
    "nils": None,
    "gerda": None,
}
"""Gerda has no role, but a grant on what is tagged ``web``."""


@dataclass
class FleetWorld:
    """Parts without a running loop, and the app on them."""

    parts: MasterParts
    app: APIFlask
    cookies: dict[str, str]

    def as_(self, name: str) -> FlaskClient:
        """Return somebody's browser; nobody's without a name."""
        client: FlaskClient = self.app.test_client()
        if name:
            client.set_cookie(SESSION_COOKIE, self.cookies[name])
        return client

    def add(self, name: str, tag: str = "web", **columns: object) -> str:
        """List a host as a row of the table, and return its id."""
        values: dict[str, object] = {
            "id": new_id(),
            "name": name,
            "kind": "worker",
            "scheme": "https",
            "address": "192.0.2.1",
            "port": 5001,
            "state": "well",
            "last_seen": self.parts.clock.now(),
            "created_at": self.parts.clock.now(),
        }
        values |= columns
        with self.parts.db.write() as session:
            session.execute(insert(Host), [values])
            session.execute(insert(HostTag), [{"host_id": values["id"], "tag": tag}])
        return str(values["id"])

    def sample(self, host_id: str, seconds_ago: float = 1, **values: float) -> None:
        """Let a full sample of a host have come some time ago."""
        at = self.parts.clock.now().timestamp() - seconds_ago
        self.parts.fleet.take(host_id, Frame(at=at, is_full=True, values=values), at=at)


@contextmanager
def fleet_world(home: Path) -> Iterator[FleetWorld]:
    """Open a home with the cast and no hosts; who is signed in already is copied, for passwords are slow."""
    template, cookies = _template(home.parent.parent)
    shutil.copytree(template, home)
    with _opened(home) as parts:
        yield FleetWorld(parts, create_app(parts), cookies)


@contextmanager
def _opened(home: Path) -> Iterator[MasterParts]:
    parts = CheapParts(Settings(home=home))
    try:
        yield parts
    finally:
        parts.history.close()
        parts.db.close()


@cache
def _template(folder: Path) -> tuple[Path, dict[str, str]]:
    home = folder / "fleet-template"
    with _opened(home) as parts:
        for name, role in CAST.items():
            parts.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
        with parts.db.write() as session:  # a tag that no host has can't be granted
            host = {"id": "h", "name": "h", "kind": "ssh", "created_at": parts.clock.now()}
            session.execute(insert(Host), [host])
            session.execute(insert(HostTag), [{"host_id": "h", "tag": "web"}])
        parts.grants.give(SYSTEM, "tag:web", "read", person="gerda")
        with parts.db.write() as session:
            session.execute(delete(Host))
        return home, {name: parts.access.sign_in(name, PASSWORD) for name in CAST}
