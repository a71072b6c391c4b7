"""What the fuzzed node holds: something of every kind to meet, secrets in it, and who calls."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import asyncssh
from apiflask import APIFlask

from quarterdeck.access.agents import Client
from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.errors import NotFound
from quarterdeck.core.ui.guard import HEADER
from quarterdeck.core.ui.pages import Pages
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.tasks.records import RunQuery
from tests.contracts.fuzz.secrets_planted import Markers
from tests.tasks.conftest import ADA, Node, web_part

NOWHERE: Final = "127.0.0.1"
"""Nothing listens at its port 1: no fuzzed host, base or command leads anywhere."""
KEEPER: Final = "fuzz-keeper"
"""Whose tokens may be rotated and revoked by fuzzed calls."""
SECRET_FIELDS: Final = frozenset(
    {"password", "token", "private_key", "passphrase", "bearer", "refresh_token", "certificate"}
)
IMPORT: Final = "- name: imported\n  address: 127.0.0.1\n  port: 1\n"
_PATH_KEYS: Final = {"/hosts": "host", "/bases": "base", "/people": "person"}

Json = Any
"""A body or a part of one."""


class World:
    def __init__(self, node: Node, app: APIFlask) -> None:
        self.node, self.app, self.markers = node, app, Markers()
        self.known: dict[str, list[str]] = {}
        self._made = 0
        self._plant()
        self._people()
        self._refresh_token = ""
        self.restock()

    @property
    def callers(self) -> list[str]:
        return sorted(self._headers)

    def headers_of(self, caller: str) -> dict[str, str]:
        return self._headers[caller]

    def cookies_of(self, caller: str) -> dict[str, str]:
        return self._cookies.get(caller, {})

    def restock(self) -> None:
        """Have again what calls took away, and an access token that has not expired."""
        hosts, access = self.node.parts.hosts, self.node.parts.access
        for name, secrets in self._secrets_of_hosts.items():
            self._unless_there(partial(hosts.get, name), self._host_adder(name, secrets))
        self._unless_there(partial(hosts.bases.get, "base"), self._add_base)
        for name in ("target", "target-service"):
            add = partial(access.add_person, SYSTEM, role=Role.VIEWER, is_service=name != "target")
            self._unless_there(partial(access.person, name), partial(add, name))
        self._sign_client_in()
        self.known |= {
            "host": list(self._secrets_of_hosts),
            "base": ["base"],
            "person": ["target", "target-service"],
            "token_id": [self._new_token()],
            "grant_id": [grant.id for grant in self.node.parts.grants.list_grants()][:3],
            "invitation_id": [each.id for each in hosts.invitations.open()][:3],
            "run_id": [run.id for run in self.node.parts.runs.list_runs(RunQuery(limit=5)).runs],
            "entry_id": self._entries(),
        }

    def aim(self, path: str, parameters: dict[str, Any], chance: random.Random) -> None:
        """Put what is there into most of the places of a path."""
        for name in parameters:
            kind = next((kind for part, kind in _PATH_KEYS.items() if part in path), "")
            pool = self.known.get(kind if name == "name" else name, [])
            if pool and chance.random() < 0.8:
                parameters[name] = chance.choice(pool)

    def dress(self, path: str, body: Json, chance: random.Random) -> None:
        """Put secrets into fields for them, nowhere-addresses into hosts, and names of what is there."""
        if not isinstance(body, dict):
            return
        for name in list(body):
            if name in SECRET_FIELDS and isinstance(body[name], str) and chance.random() < 0.7:
                body[name] = self.sent_secret
            elif name in ("address", "port", "url", "jump") and body[name]:
                body[name] = {"address": NOWHERE, "port": 1, "url": "http://127.0.0.1:1/x", "jump": ""}[name]
        for name, values in self._good_values().items():
            if name in body and chance.random() < 0.6:
                body[name] = chance.choice(values)
        if chance.random() < 0.2:
            body |= self._good_bodies().get(path, {})
        _disarm(body)

    def _good_bodies(self) -> dict[str, dict[str, Json]]:
        """Return what operations need whose fields must fit each other."""
        host = {
            "name": f"host-{self._made}",
            "kind": "ssh",
            "address": NOWHERE,
            "port": 1,
            "username": "root",
        }
        proof = {"name": "fuzz-vera", "password": self._password, "refresh_token": "", "scope": "read"}
        return {
            "/api/v1/hosts": {**host, "jump": "", "host_key": "", "private_key": "", "certificate": ""},
            "/api/v1/grants": {"person": "target", "group": "", "level": "run", "object": "tag:web"},
            "/api/v1/auth/token": {"grant_type": "password", **proof},
        }

    def _good_values(self) -> dict[str, list[Json]]:
        self._made += 1
        return {
            "name": [f"made-{self._made}", "target", "host-password"],
            "person": ["target", "target-service", "nobody-here"],
            "object": ["tag:web", "host:host-password", "tag:none"],
            "level": ["read", "run", "info"],
            "scope": ["read", "runs:run hosts:read", "admin"],
            "label": [f"label-{self._made}"],
            "tags": [["web"], [], ["web", "eu"]],
            "host_tags": [["web"], None],
            "hosts": [["host-password"], ["host-key", "host-password"], ["nothing"]],
            "text": [IMPORT, "Deployed"],
            "role": ["viewer", None],
            "link": ["/runs", ""],
            "grant_type": ["password", "refresh_token"],
            "reason": ["because"],
            "task": [
                {"kind": "command", "command": "true"},
                {"kind": "call", "method": "GET", "url": "http://127.0.0.1:1/x"},
            ],
        }

    def _plant(self) -> None:
        plant = self.markers.plant
        key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        for line in key.splitlines()[3:5]:  # before, there is the public half
            plant("a line of a private key", line)
        self.sent_secret = plant("a secret that calls send", "sent-Zk3vWq8mRt5yLp2x")
        self._password = plant("a person's password", "person-Hd7sKq4nVb9wXc1e")
        self._bearer = plant("the bearer of a base", "base-Tg6uYh3jMn8kLo5p")
        self._secrets_of_hosts = {
            "host-password": {"password": plant("a host's password", "host-Qa2zWs5xEd8cRf4v")},
            "host-key": {"private_key": key},
        }

    def _people(self) -> None:
        access = self.node.parts.access
        roles = {"fuzz-ada": Role.ADMINISTRATOR, "fuzz-oskar": Role.OPERATOR, "fuzz-vera": Role.VIEWER}
        for name, role in roles.items():
            access.add_person(SYSTEM, name, role=role, password=self._password)
        access.add_person(SYSTEM, KEEPER, role=Role.VIEWER)
        access.add_person(SYSTEM, "fuzz-service", role=Role.OPERATOR, is_service=True)
        cookie = self.markers.plant("a session", access.sign_in("fuzz-ada", self._password))
        self._headers = {
            "nobody": {},
            "a wrong token": {"Authorization": "Bearer qd_wrong"},
            "viewer": self._bearer_of("fuzz-vera", "read"),
            "operator": self._bearer_of("fuzz-oskar", "run"),
            "administrator": self._bearer_of("fuzz-ada", "admin"),
            "narrow": self._bearer_of("fuzz-ada", "runs:run history:read"),
            "limited to a tag": self._bearer_of("fuzz-ada", "write", host_tags=["web"]),
            "service account": self._bearer_of("fuzz-service", "run"),
            "session": {HEADER: self._form_token(cookie)},
        }
        self._cookies = {"session": {SESSION_COOKIE: cookie}}

    def _bearer_of(self, name: str, scope: str, host_tags: list[str] | None = None) -> dict[str, str]:
        access, label = self.node.parts.access, f"fuzz {scope[:9]}"
        made = access.create_token(SYSTEM, name, label, scope, host_tags=host_tags)
        return {"Authorization": f"Bearer {self.markers.plant(f'a token of {name}', made.secret)}"}

    def _form_token(self, cookie: str) -> str:
        with self.app.test_request_context("/", headers={"Cookie": f"{SESSION_COOKIE}={cookie}"}):
            return web_part(self.app, Pages).guard.token()

    def _new_token(self) -> str:
        """Put a token in the place of the last one, and return its id."""
        self._made += 1
        access = self.node.parts.access
        for old in access.tokens_of(access.person(KEEPER).id):
            access.revoke_token(SYSTEM, old.id)
        made = access.create_token(SYSTEM, KEEPER, f"stock {self._made}", "read", expires_days=1)
        self.markers.plant("a token in stock", made.secret)
        return made.record.id

    def _sign_client_in(self) -> None:
        sessions, client = self.node.parts.access.api_sessions, Client(NOWHERE, "fuzz")
        person = self.node.parts.access.person("fuzz-oskar")
        pair = (
            sessions.renew(self._refresh_token, client)
            if self._refresh_token
            else sessions.begin(person.id, client, scope="", by="password")
        )
        self._refresh_token = self.markers.plant("a refresh token", pair.refresh_token)
        access_token = self.markers.plant("an access token", pair.access_token)
        self._headers["access token"] = {"Authorization": f"Bearer {access_token}"}

    def _host_adder(self, name: str, secrets: dict[str, str]) -> Callable[[], object]:
        draft = HostDraft(
            name, HostKind.SSH, address=NOWHERE, port=1, username="deploy", tags=("web",), secrets=secrets
        )
        return partial(self.node.parts.hosts.add_host, ADA, draft)

    def _add_base(self) -> None:
        self.node.parts.hosts.bases.add_base(ADA, "base", "http://127.0.0.1:1/", self._bearer)

    def _entries(self) -> list[str]:
        page = self.app.test_client().get("/api/v1/history?limit=3", headers=self._headers["administrator"])
        return [entry["id"] for entry in page.get_json()["entries"]]

    @staticmethod
    def _unless_there(look: Callable[[], object], make: Callable[[], object]) -> None:
        try:
            look()
        except NotFound:
            make()


def _disarm(body: dict[str, Json]) -> None:
    """See to it that nothing made up runs on this machine, whatever the generator has learnt by now."""
    for name, own in (("hosts", "master"), ("tags", "own")):
        if isinstance(body.get(name), list):
            body[name] = [each for each in body[name] if each != own]
    task = body.get("task")
    if isinstance(task, dict) and isinstance(task.get("command"), str):
        task["command"] = "true"
