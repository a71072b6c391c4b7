"""A master with everything of which there is a route, and one caller of every kind, for the access matrix."""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from apiflask import APIFlask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import update
from werkzeug.test import TestResponse

from quarterdeck.access.agents import Client
from quarterdeck.access.cli_token import read_cli_token
from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.models import Token
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.config import load_settings
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.security import new_token
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.store import ChangeQuery
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from quarterdeck.metrics.alerts.drafts import DEFAULTS
from quarterdeck.protocol.line import CodeJoin
from quarterdeck.tasks.records import RunQuery
from tests.access.factories import PASSWORD, csrf_of
from tests.cheap_parts import CheapParts
from tests.clocks import SetClock
from tests.contracts.access_matrix import Caller
from tests.files.repositories import make_repository
from tests.tasks.ended_runs import Part, insert_run

PIPELINE: Final = "q8Zr1vKx0Lw5Tn3Hd7Yb2Cs9"
MONITORING: Final = "M4kz7Qe2Wd9Xo1Vb6Ns3Lt8JpR5u"
NOTEBOOK: Final = "Nf6Hc1Ga8Yx3Kq0Ze5Rw2Bm7Tj4v"
AREAS: Final = ("files", "history", "hosts", "node", "runs", "toasts")
QUERIES: Final = {
    "/runs/<run_id>/output": "?host=own",
    "/files/<name>/view": "?path=README.md",
    "/files/<name>/raw": "?path=README.md",
    "/api/v1/places/<name>/file": "?path=README.md",
    "/api/v1/places/<name>/raw": "?path=README.md",
    **{
        f"{base}/<change_id>/{page}": "?path=README.md"
        for base in ("/files/changes", "/api/v1/changes")
        for page in ("edit", "encoding", "drop", "drafts", "download", "conflict")
    },
    # A history of thousands of lines would be read for each caller.
    "/history": "?until=2020-01-01",
    "/history.csv": "?until=2020-01-01",
    "/history.json": "?until=2020-01-01",
    "/api/v1/history": "?until=2020-01-01T00:00:00Z",
    "/api/v1/history/export": "?until=2020-01-01T00:00:00Z",
}
HIDDEN: Final = ("hidden9", "192.0.2.77", "secret-of-hidden9")
"""Words that stand in what belongs to the foreign host, and nowhere else."""


@dataclass
class World:
    """The master, who calls it, and what there is."""

    parts: MasterParts
    clock: SetClock
    app: APIFlask
    callers: list[Caller]
    own: dict[str, str]
    """An id of each kind of object, open to those with a grant."""
    foreign: dict[str, str]
    """The same of what is not, or is somebody else's."""

    def caller(self, name: str) -> Caller:
        return next(each for each in self.callers if each.name == name)

    def path(self, rule: str, kind: str, things: dict[str, str] | None = None) -> str:
        """Fill a rule with the id of the kind of object, or with that of nothing."""
        things = self.own if things is None else things
        found = next(each for each in self.app.url_map.iter_rules() if each.rule == rule)
        values = {name: things.get(name if kind == "own" else kind, "absent") for name in found.arguments}
        built = found.build(values)
        assert built
        return built[1] + QUERIES.get(rule, "")

    def client(self, caller: Caller) -> "Calls":
        return Calls(self.app, caller)


class Calls:
    """Sends requests as a caller would, with the token of the form where it has a cookie."""

    def __init__(self, app: APIFlask, caller: Caller) -> None:
        self._client: FlaskClient = app.test_client()
        self._headers: dict[str, str] = {}
        if caller.cookie:
            self._client.set_cookie(SESSION_COOKIE, caller.cookie)
        if caller.bearer:
            self._headers["Authorization"] = caller.bearer
        self._form = {} if caller.bearer else {"csrf_token": csrf_of(self._client, "/account")}

    @property
    def form_token(self) -> str:
        return self._form.get("csrf_token", "")

    def __call__(self, method: str, path: str, **more: Any) -> TestResponse:  # Any: handed on to werkzeug
        headers = self._headers | {"Accept": "application/json" if path.startswith("/api/") else "text/html"}
        if method != "GET":
            is_json = path.startswith("/api/")
            headers |= {"X-CSRF-Token": self._form.get("csrf_token", "")}
            more = ({"json": {}} if is_json else {"data": self._form}) | more
        return self._client.open(path, method=method, headers=headers, **more)


@contextlib.contextmanager
def make_world(home: Path) -> Iterator[World]:
    settings = load_settings(
        {
            "QUARTERDECK_HOME": str(home),
            "QUARTERDECK_PIPELINE_TOKEN": PIPELINE,
            "QUARTERDECK_MONITORING_KEY": MONITORING,
            "QUARTERDECK_NOTEBOOK_KEY": NOTEBOOK,
        }
    )
    clock = SetClock()
    parts = CheapParts(settings, clock)
    _add_things(parts)
    late = list(_expired(parts))
    clock.forward(days=31)
    callers = [*_people(parts), *_tokens(parts), *_dead_sessions(parts), *_nodes(parts), *_bad(parts), *late]
    world = World(parts, clock, create_app(parts), callers, {}, {})
    world.own, world.foreign = _objects(parts, "own"), _objects(parts, "hidden9")
    web.provide(world.app, Metrics())
    yield world
    parts.history.close()
    parts.db.close()


def _add_things(parts: MasterParts) -> None:
    drafts = [
        HostDraft("own", HostKind.SSH, "192.0.2.11", username="root", port=9, tags=("own",)),
        HostDraft("hidden9", HostKind.SSH, "192.0.2.77", username="root", port=9, tags=("far",)),
    ]
    parts.hosts.import_hosts(SYSTEM, drafts)
    parts.hosts.bases.add_base(SYSTEM, "own", "https://own.example/", "bearer-of-the-base-0123")
    parts.rules.add(SYSTEM, DEFAULTS[0])
    repository = make_repository(parts.settings.home / "repository.git", {"README.md": b"Hello\n"})
    for name, role in (("own", Role.VIEWER), ("hidden9", Role.ADMINISTRATOR)):
        url, write_role = str(repository.folder), max(role, Role.OPERATOR, key=list(Role).index)
        draft = PlaceDraft(name=name, kind=PlaceKind.LOCAL, url=url, read_role=role, write_role=write_role)
        parts.files.places.add(SYSTEM, draft)
        parts.changes.begin(SYSTEM, name, Wanted("README.md"))
    for name in ("own", "hidden9"):
        host = parts.hosts.get(name)
        part = Part(name, f"secret-of-{name}\n".encode(), host_id=host.id)
        insert_run(parts.db, parts.runs.output, [part], command=f"echo secret-of-{name}")


def _objects(parts: MasterParts, name: str) -> dict[str, str]:
    """Return an id of each kind; those of persons belong to nobody who calls."""
    access = parts.access
    owner = f"owner-of-{name}"
    access.add_person(SYSTEM, owner, role=Role.ADMINISTRATOR, password=PASSWORD)
    access.sign_in(owner, PASSWORD)
    access.sign_in_api(owner, PASSWORD, Client("192.0.2.1", "client"))
    person = access.person(owner)
    runs = parts.runs.list_runs(RunQuery()).runs
    toast = parts.toasts.send(SYSTEM, "for the owner alone", person_id=person.id)
    return {
        "host": name,
        "run": next(run.id for run in runs if name in run.targets),
        "base": "own",
        "place": name,
        "change": parts.changes.list(SYSTEM, ChangeQuery(place=name)).changes[0].id,
        "rule": parts.rules.list_rules()[0].id,
        "person": owner,
        "entry": parts.history.page(HistoryQuery(limit=1)).entries[0].id,
        "token_id": access.create_token(SYSTEM, owner, "job", "read").record.id,
        "session_id": access.sessions_of(person.id)[0].id,
        "family_id": access.api_sessions.of_person(person.id)[0].id,
        "toast_id": toast.id,
    }


def _people(parts: MasterParts) -> Iterator[Caller]:
    yield Caller("nobody", "nobody")
    for name, role in (("nils", None), ("vera", Role.VIEWER), ("oskar", Role.OPERATOR)):
        yield _session(parts, name, role)
    yield _session(parts, "ada", Role.ADMINISTRATOR)
    wanda = _session(parts, "wanda", None)
    parts.grants.give(SYSTEM, "tag:own", "run", person="wanda")
    yield replace(wanda, granted=Level.RUN)
    rita = _session(parts, "rita", None)
    parts.grants.give(SYSTEM, "host:own", "read", person="rita")
    yield replace(rita, granted=Level.READ)
    for name, level in (("fritz", Level.READ), ("frida", Level.WRITE)):
        caller = _session(parts, name, None)
        parts.grants.give(SYSTEM, "place:own", level, person=name)
        yield replace(caller, place_granted=level)


def _session(parts: MasterParts, name: str, role: Role | None) -> Caller:
    parts.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
    return Caller(name, "session", role, cookie=parts.access.sign_in(name, PASSWORD))


def _tokens(parts: MasterParts) -> Iterator[Caller]:
    """Yield a token of an administrator for each scope, and those of others; each has a person of its own."""
    scopes: list[tuple[str, ...]] = [(str(level),) for level in Level]
    scopes += [(f"{area}:write",) for area in AREAS]
    scopes += [("hosts:read", "runs:run"), ("history:read", "hosts:run", "node:read", "runs:read")]
    for scope in scopes:
        yield _token(parts, "token-" + "-".join(scope).replace(":", "-"), Role.ADMINISTRATOR, scope)
    yield _stored(parts, "token-without-scope", Role.ADMINISTRATOR, ())
    yield _token(parts, "token-of-a-viewer", Role.VIEWER, ("read",))
    yield _token(parts, "token-of-an-operator", Role.OPERATOR, ("run",))
    # Wider than its person's role, as when the role was taken away: the role counts all the same.
    yield _stored(parts, "too-wide-token-of-a-viewer", Role.VIEWER, ("admin",))
    yield _stored(parts, "too-wide-token-of-nobody-much", None, ("admin",))
    yield _token(parts, "token-limited-to-a-tag", Role.OPERATOR, ("run",), host_tags=["own"])
    limited = _token(parts, "admin-token-limited-to-a-tag", Role.ADMINISTRATOR, ("admin",), host_tags=["own"])
    yield limited
    parts.access.add_person(SYSTEM, "wendy")
    parts.grants.give(SYSTEM, "tag:own", "run", person="wendy")
    made = parts.access.create_token(SYSTEM, "wendy", "job", "run")
    yield Caller(
        "token-by-a-grant", "token", None, ("run",), granted=Level.RUN, bearer=f"Bearer {made.secret}"
    )
    parts.access.add_person(SYSTEM, "fred")
    parts.grants.give(SYSTEM, "place:own", "write", person="fred")
    made = parts.access.create_token(SYSTEM, "fred", "job", "files:write")
    yield Caller(
        "token-by-a-grant-on-a-place",
        "token",
        None,
        ("files:write",),
        place_granted=Level.WRITE,
        bearer=f"Bearer {made.secret}",
    )
    pair = _api_pair(parts, "client-of-an-operator", Role.OPERATOR)
    yield Caller("access-token-of-a-client", "token", Role.OPERATOR, ("run",), bearer=f"Bearer {pair[0]}")
    own = read_cli_token(parts.settings.home)
    yield Caller(
        "the-command-lines-own-token", "token", Role.ADMINISTRATOR, ("admin",), bearer=f"Bearer {own}"
    )
    beside = _session(parts, "ada-beside-a-narrow-token", Role.ADMINISTRATOR).cookie
    yield replace(
        _token(parts, "narrow-token-beside-an-administrators-cookie", Role.VIEWER, ("read",)), cookie=beside
    )


def _token(
    parts: MasterParts,
    name: str,
    role: Role | None,
    scopes: tuple[str, ...],
    host_tags: list[str] | None = None,
) -> Caller:
    parts.access.add_person(SYSTEM, name, role=role)
    made = parts.access.create_token(SYSTEM, name, "job", " ".join(scopes), host_tags=host_tags)
    return Caller(
        name, "token", role, scopes, is_limited=host_tags is not None, bearer=f"Bearer {made.secret}"
    )


def _stored(parts: MasterParts, name: str, role: Role | None, scopes: tuple[str, ...]) -> Caller:
    """Return a token with scopes that none is made with: written over those of another one."""
    parts.access.add_person(SYSTEM, name, role=Role.VIEWER)
    made = parts.access.create_token(SYSTEM, name, "job", "read")
    with parts.db.write() as session:
        session.execute(update(Token).where(Token.id == made.record.id).values(scope=" ".join(scopes)))
    if role is not Role.VIEWER:
        parts.access.set_role(SYSTEM, name, role)
        with parts.db.write() as session:
            session.execute(
                update(Token)
                .where(Token.id == made.record.id)
                .values(revoked_at=None, revoked_reason="", scope=" ".join(scopes))
            )
    parts.access.forget_rights()
    return Caller(name, "token", role, scopes, bearer=f"Bearer {made.secret}")


def _api_pair(parts: MasterParts, name: str, role: Role) -> tuple[str, str]:
    parts.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
    pair = parts.access.sign_in_api(name, PASSWORD, Client("127.0.0.1", "client"))
    return pair.access_token, pair.refresh_token


def _dead_sessions(parts: MasterParts) -> Iterator[Caller]:
    """Yield cookies that count for nothing any more: each is nobody's."""
    access = parts.access
    endings: dict[str, Callable[[Caller], object]] = {
        "signed-out": lambda caller: access.sign_out(_actor(parts, caller)),
        "disabled": lambda caller: access.disable(SYSTEM, caller.name),
        "password-changed": lambda caller: access.set_password(SYSTEM, caller.name, PASSWORD + " anew"),
        "role-changed": lambda caller: access.set_role(SYSTEM, caller.name, Role.VIEWER),
        "sessions-ended": lambda caller: access.end_all(SYSTEM, caller.name),
    }
    for name, end in endings.items():
        caller = _session(parts, f"session-{name}", Role.ADMINISTRATOR)
        end(caller)
        yield replace(caller, kind="nobody")
    token = _token(parts, "token-sent-as-a-cookie", Role.ADMINISTRATOR, ("admin",))
    yield Caller(token.name, "nobody", cookie=token.bearer.removeprefix("Bearer "))
    yield Caller("made-up-cookie", "nobody", cookie=new_token())


def _actor(parts: MasterParts, caller: Caller) -> Any:
    return parts.access.actor_for_session(caller.cookie, "127.0.0.1")


def _nodes(parts: MasterParts) -> Iterator[Caller]:
    token, bearer = _join(parts, "boat")
    yield Caller("worker", "worker", bearer=f"Bearer {token}")
    yield Caller("what-the-master-shows-its-worker", "bad", bearer=f"Bearer {bearer}")
    gone, _ = _join(parts, "gone")
    parts.hosts.remove_host(SYSTEM, "gone")
    yield Caller("worker-that-was-removed", "bad", bearer=f"Bearer {gone}")


def _join(parts: MasterParts, name: str) -> tuple[str, str]:
    code = parts.hosts.invitations.invite(SYSTEM, name, ("far",)).code
    wanted = CodeJoin(code=code, bearer=new_token(), token=new_token())
    parts.hosts.invitations.join(wanted, "192.0.2.9")
    return wanted.token, wanted.bearer


def _bad(parts: MasterParts) -> Iterator[Caller]:
    """Yield bearers that are refused on every route, also beside a good cookie and where nothing is asked."""
    access = parts.access
    revoked = _token(parts, "token-revoked", Role.ADMINISTRATOR, ("admin",))
    access.revoke_token(SYSTEM, access.tokens_of(access.person(revoked.name).id)[0].id)
    rotated = _token(parts, "token-rotated", Role.ADMINISTRATOR, ("admin",))
    access.rotate_token(SYSTEM, access.tokens_of(access.person(rotated.name).id)[0].id, overlap_hours=0)
    disabled = _token(parts, "token-of-somebody-disabled", Role.ADMINISTRATOR, ("admin",))
    access.disable(SYSTEM, disabled.name)
    ada = _session(parts, "ada-beside-a-bad-bearer", Role.ADMINISTRATOR)
    good = _token(parts, "good", Role.ADMINISTRATOR, ("admin",)).bearer.removeprefix("Bearer ")
    access_token, refresh = _api_pair(parts, "client-that-signed-out", Role.ADMINISTRATOR)
    access.api_sessions.revoke(refresh, Client("127.0.0.1", "client"))
    _, live_refresh = _api_pair(parts, "client-that-mixes-up", Role.ADMINISTRATOR)
    now = int(parts.clock.now().timestamp())
    claims = {"sub": 7, "iat": now, "nbf": now, "exp": now + 600}
    bearers = {
        "refresh-token-as-access": live_refresh,
        "access-token-after-signing-out": access_token,
        "cookie-as-a-bearer": ada.cookie,
        "made-up": "qd_" + new_token(),
        "cut-short": good[:-1],
        "of-the-pipelines": PIPELINE,
        "of-the-monitoring": _signed(MONITORING, {"stackmon": "x"}),
        "of-a-notebook": _signed(NOTEBOOK, claims | {"type": "access"}),
        "refresh-of-a-notebook": _signed(NOTEBOOK, claims | {"type": "refresh"}),
        "without-a-signature": f"{_unsigned(claims)}.",
        "empty": "",
    }
    for caller in (revoked, rotated, disabled):
        yield replace(caller, kind="bad")
    for name, bearer in bearers.items():
        yield Caller(name, "bad", bearer=f"Bearer {bearer}")
    pair = base64.b64encode(f"{ada.name}:{PASSWORD}".encode()).decode()
    yield Caller("basic", "bad", bearer=f"Basic {pair}")
    yield Caller("token-without-its-scheme", "bad", bearer=good)
    yield replace(ada, kind="bad", bearer="Bearer qd_" + new_token())


def _signed(key: str, claims: dict[str, Any]) -> str:  # Any: claims hold JSON
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(key))


def _unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims | {"type": "access"})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts
    )


def _expired(parts: MasterParts) -> Iterator[Caller]:
    """Yield what will have expired, of people who are still there."""
    session = _session(parts, "session-expired", Role.ADMINISTRATOR)
    yield replace(session, kind="nobody")
    parts.access.add_person(SYSTEM, "token-expired", role=Role.ADMINISTRATOR)
    made = parts.access.create_token(SYSTEM, "token-expired", "job", "admin", expires_days=30)
    yield Caller("token-expired", "bad", bearer=f"Bearer {made.secret}")
    pair = _api_pair(parts, "client-expired", Role.ADMINISTRATOR)
    yield Caller("access-token-expired", "bad", bearer=f"Bearer {pair[0]}")
    yield Caller("refresh-token-expired-as-access", "bad", bearer=f"Bearer {pair[1]}")
