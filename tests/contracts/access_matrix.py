"""Who gets where: the one table of routes, sockets and verbs of the command line, written by hand.

It repeats on purpose what the product says in its decorators and rules: a change of either must be made
in both. What each kind of caller is answered follows from it in ``is_let_in``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from quarterdeck.core.actors import Level, Role

_ROLES: Final = (None, Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR)
_LEVELS: Final = ("read", "run", "write", "admin")


class Way(StrEnum):
    """What brings one in."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    """A session's cookie or a bearer, never both."""
    TOKEN = "a token alone"
    WORKER = "a worker's token"


@dataclass(frozen=True)
class Need:
    """What it takes. An empty scope: any token that has one at all."""

    way: Way
    role: Role | None = None
    scope: str = ""
    by_grant: bool = False
    """A grant on a host does too, and tokens that are limited to tags keep it."""
    by_place: bool = False
    """A grant on a place of files does too."""


@dataclass(frozen=True)
class Caller:
    """What somebody shows, and what it is worth."""

    name: str
    kind: str
    """``nobody``, ``session``, ``token``, ``worker``, or ``bad``: a bearer that is refused everywhere."""
    role: Role | None = None
    scopes: tuple[str, ...] = ()
    granted: Level | None = None
    place_granted: Level | None = None
    is_limited: bool = False
    """A token that is limited to hosts with certain tags."""
    bearer: str = ""
    cookie: str = ""


def _signed_in(role: Role | None, scope: str, *, by_grant: bool = False) -> Need:
    return Need(Way.SIGNED_IN, role, scope, by_grant)


_VIEWER, _OPERATOR, _ADMINISTRATOR = Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR
NEEDS: Final = {
    Need(Way.ANYBODY): """
        GET    /sign-in
        POST   /sign-in
        GET    /sign-in/link/<token>
        POST   /sign-in/link/<token>
        GET    /sign-in/with/<name>
        GET    /sign-in/with/<name>/callback
        POST   /sign-out
        POST   /theme
        GET    /static/dist/<name>
        POST   /api/v1/auth/token
        POST   /api/v1/auth/revoke
        POST   /api/v1/hosts/join                               a worker, by its code
        """,
    _signed_in(None, ""): """
        GET    /
        GET    /home/figures
        GET    /search
        GET    /help/keyboard
        POST   /help/keyboard
        GET    /api/docs
        GET    /api/docs/<tag>
        GET    /api/docs/try/<operation_id>
        GET    /api/openapi.json
        GET    /api/v1/me
        """,
    _signed_in(None, "toasts:read"): """
        GET    /toasts
        POST   /toasts/<toast_id>/close                         own
        POST   /toasts/<toast_id>/shown                         own
        POST   /toasts/close-all
        GET    /api/v1/toasts
        """,
    _signed_in(None, "admin"): """
        GET    /account
        GET    /account/profile
        POST   /account/profile
        POST   /account/password
        POST   /account/clients/<family_id>/end                 own
        POST   /account/providers/<identity_id>/disconnect      own
        POST   /account/providers/<name>/connect
        POST   /account/sessions/<session_id>/end               own
        POST   /account/sessions/end-others
        POST   /account/tokens
        POST   /account/tokens/<token_id>/revoke                own
        POST   /account/tokens/<token_id>/rotate                own
        PATCH  /api/v1/me
        GET    /api/v1/tokens
        POST   /api/v1/tokens
        DELETE /api/v1/tokens/<token_id>                        own
        POST   /api/v1/tokens/<token_id>/rotate                 own
        """,
    _signed_in(_VIEWER, "hosts:read", by_grant=True): """
        GET    /live
        GET    /metrics/hosts
        GET    /fleet/alerts
        GET    /fleet/alerts/rows
        GET    /api/v1/alerts
        GET    /hosts
        GET    /hosts/rows
        GET    /hosts/<name>                                    host
        GET    /hosts/<name>/state                              host
        GET    /fleet/<name>                                    host
        GET    /fleet/<name>/now                                host
        GET    /fleet/<name>/processes                          host
        GET    /fleet/compare
        GET    /fleet
        GET    /fleet/rows
        GET    /fleet/wall
        GET    /fleet/silences
        GET    /api/v1/silences
        GET    /fleet.csv
        GET    /fleet.json
        GET    /api/v1/fleet
        GET    /api/v1/hosts
        GET    /api/v1/hosts/<name>                             host
        GET    /api/v1/hosts/<name>/figures                     host
        GET    /api/v1/hosts/<name>/samples                     host
        """,
    Need(Way.SIGNED_IN, _VIEWER, "files:read", by_place=True): """
        GET    /files
        GET    /files/<name>                                    place
        GET    /files/<name>/view                               place
        GET    /files/<name>/raw                                place
        GET    /api/v1/places
        GET    /api/v1/places/<name>                            place
        GET    /api/v1/places/<name>/refs                       place
        GET    /api/v1/places/<name>/files                      place
        GET    /api/v1/places/<name>/file                       place
        GET    /api/v1/places/<name>/raw                        place
        GET    /files/changes
        GET    /files/changes.csv
        GET    /files/changes.json
        GET    /files/changes/<change_id>                       change
        GET    /files/changes/<change_id>/edit                  change
        GET    /files/changes/<change_id>/download              change
        GET    /files/changes/<change_id>/difference            change
        GET    /api/v1/changes
        GET    /api/v1/changes/<change_id>                      change
        GET    /api/v1/changes/<change_id>/drafts               change
        GET    /api/v1/changes/<change_id>/download             change
        GET    /api/v1/changes/<change_id>/difference           change
        GET    /api/v1/changes/<change_id>/patch                change
        """,
    Need(Way.SIGNED_IN, _OPERATOR, "files:write", by_place=True): """
        GET    /files/<name>/first
        POST   /files/<name>/first
        POST   /api/v1/places/<name>/first-commit
        GET    /files/<name>/new
        POST   /files/<name>/new
        POST   /files/changes/<change_id>/files                 change
        POST   /files/changes/<change_id>/edit                  change
        POST   /files/changes/<change_id>/encoding              change
        POST   /files/changes/<change_id>/drop                  change
        GET    /files/changes/<change_id>/commit                change
        POST   /files/changes/<change_id>/commit                change
        GET    /files/changes/<change_id>/conflict
        POST   /files/changes/<change_id>/conflict              change
        GET    /files/changes/<change_id>/propose               change
        POST   /files/changes/<change_id>/propose               change
        POST   /files/changes/<change_id>/merge                 change
        GET    /files/changes/<change_id>/discard               change
        POST   /files/changes/<change_id>/discard               change
        POST   /files/changes/<change_id>/resume                change
        POST   /files/changes/<change_id>/remove-branch         change
        POST   /api/v1/changes
        POST   /api/v1/changes/<change_id>/files
        PUT    /api/v1/changes/<change_id>/drafts
        DELETE /api/v1/changes/<change_id>/drafts               change
        POST   /api/v1/changes/<change_id>/commit
        GET    /api/v1/changes/<change_id>/conflict
        POST   /api/v1/changes/<change_id>/conflict
        POST   /api/v1/changes/<change_id>/propose
        POST   /api/v1/changes/<change_id>/merge                change
        POST   /api/v1/changes/<change_id>/discard              change
        POST   /api/v1/changes/<change_id>/resume               change
        DELETE /api/v1/changes/<change_id>/branch               change
        """,
    _signed_in(_ADMINISTRATOR, "files:write"): """
        GET    /files/places
        GET    /files/places/add
        POST   /files/places/add
        GET    /files/places/<name>/edit                        place
        POST   /files/places/<name>/edit                        place
        GET    /files/places/<name>/test                        place
        POST   /files/places/<name>/test                        place
        GET    /files/places/<name>/remove                      place
        POST   /files/places/<name>/remove                      place
        POST   /api/v1/places
        PATCH  /api/v1/places/<name>                            place
        DELETE /api/v1/places/<name>                            place
        POST   /api/v1/places/<name>/test                       place
        """,
    _signed_in(_VIEWER, "hosts:read"): """
        GET    /fleet/rules
        GET    /api/v1/rules
        GET    /api/v1/rules/<rule_id>                          rule
        GET    /bases
        GET    /api/v1/bases
        GET    /api/v1/bases/<name>                             base
        """,
    _signed_in(_VIEWER, "runs:read", by_grant=True): """
        GET    /runs
        GET    /runs/<run_id>                                   run
        GET    /runs/<run_id>/standing                          run
        GET    /runs/<run_id>/lines                             run
        GET    /runs/<run_id>/find                              run
        GET    /runs/<run_id>/first-error                       run
        GET    /runs/<run_id>/output                            run
        GET    /runs/<run_id>/difference                        run
        GET    /runs/<run_id>/results.csv                       run
        GET    /runs/<run_id>/results.json                      run
        GET    /api/v1/runs
        GET    /api/v1/runs/<run_id>                            run
        GET    /api/v1/runs/<run_id>/output                     run
        GET    /api/v1/runs/<run_id>/results                    run
        """,
    _signed_in(_VIEWER, "history:read"): """
        GET    /history
        GET    /history/<id_>                                   entry
        GET    /history.csv
        GET    /history.json
        GET    /api/v1/history
        GET    /api/v1/history/<entry_id>                       entry
        GET    /api/v1/history/export
        """,
    _signed_in(_VIEWER, "node:read"): """
        GET    /metrics
        GET    /patterns
        """,
    _signed_in(_OPERATOR, "hosts:run", by_grant=True): """
        POST   /hosts/<name>/test                               host
        POST   /api/v1/hosts/<name>/test                        host
        POST   /fleet/silences
        POST   /fleet/silences/<silence_id>/end
        POST   /api/v1/silences
        POST   /api/v1/silences/<silence_id>/end
        """,
    _signed_in(_OPERATOR, "runs:run", by_grant=True): """
        GET    /runs/new
        POST   /runs
        POST   /runs/<run_id>/cancel                            run
        POST   /api/v1/runs
        POST   /api/v1/runs/<run_id>/cancel                     run
        """,
    _signed_in(_OPERATOR, "toasts:run"): """
        POST   /api/v1/toasts
        """,
    _signed_in(_ADMINISTRATOR, "history:write"): """
        POST   /api/v1/history/verify
        """,
    _signed_in(_ADMINISTRATOR, "hosts:write"): """
        GET    /fleet/rules/new
        POST   /fleet/rules/new
        GET    /fleet/rules/<rule_id>/edit                      rule
        POST   /fleet/rules/<rule_id>/edit                      rule
        POST   /fleet/rules/<rule_id>/switch                    rule
        GET    /fleet/rules/<rule_id>/remove                    rule
        POST   /fleet/rules/<rule_id>/remove                    rule
        POST   /api/v1/rules
        PATCH  /api/v1/rules/<rule_id>                          rule
        DELETE /api/v1/rules/<rule_id>                          rule
        GET    /hosts/new
        POST   /hosts/new
        GET    /hosts/<name>/edit                               host
        POST   /hosts/<name>/edit                               host
        GET    /hosts/<name>/remove                             host
        POST   /hosts/<name>/remove                             host
        GET    /hosts/<name>/revoke                             host
        POST   /hosts/<name>/revoke                             host
        POST   /hosts/<name>/scan                               host
        POST   /hosts/<name>/host-key                           host
        GET    /hosts/import
        POST   /hosts/import
        GET    /hosts/invitations
        POST   /hosts/invitations
        POST   /hosts/invitations/<invitation_id>/revoke
        POST   /bases
        GET    /bases/<name>/remove                             base
        POST   /bases/<name>/remove                             base
        POST   /api/v1/hosts
        POST   /api/v1/hosts/import
        PATCH  /api/v1/hosts/<name>                             host
        DELETE /api/v1/hosts/<name>                             host
        PUT    /api/v1/hosts/<name>/tags                        host
        POST   /api/v1/hosts/<name>/host-key                    host
        POST   /api/v1/hosts/<name>/revoke                      host
        POST   /api/v1/hosts/<name>/scan                        host
        GET    /api/v1/hosts/invitations
        POST   /api/v1/hosts/invitations
        DELETE /api/v1/hosts/invitations/<invitation_id>
        GET    /api/v1/lines/<host_id>/<path:path>
        POST   /api/v1/bases
        DELETE /api/v1/bases/<name>                             base
        """,
    _signed_in(_ADMINISTRATOR, "admin"): """
        GET    /access
        GET    /access/changes
        GET    /access/providers
        POST   /access/providers/<name>/check
        POST   /access/grants
        POST   /access/grants/<grant_id>/take
        GET    /people
        POST   /people
        GET    /people/new
        GET    /people/<name>                                   person
        POST   /people/<name>/disable                           person
        POST   /people/<name>/enable                            person
        POST   /people/<name>/link                              person
        POST   /people/<name>/reset-password                    person
        POST   /people/<name>/role                              person
        POST   /people/<name>/sessions/<session_id>/end         person
        POST   /people/<name>/sessions/end-all                  person
        POST   /people/<name>/tokens/<token_id>/revoke          person
        GET    /api/v1/providers
        POST   /api/v1/providers/<name>/check
        GET    /api/v1/grants
        POST   /api/v1/grants
        DELETE /api/v1/grants/<grant_id>
        GET    /api/v1/people
        POST   /api/v1/people
        GET    /api/v1/people/<name>                            person
        PATCH  /api/v1/people/<name>                            person
        POST   /api/v1/people/<name>/link                       person
        """,
    Need(Way.TOKEN, _ADMINISTRATOR, "admin"): """
        POST   /shutdown
        """,
    Need(Way.WORKER): """
        POST   /tasks/process
        POST   /tasks/result
        """,
}  # fmt: skip
"""Method and rule, and what kind of object it is about. ``own``: of whoever asks, and of nobody else."""

HOT: Final = {"/healthz", "/readyz"}
"""Answered before the web app, to anybody: that the node lives, and which checks fail; nothing else.

``/nodes/heartbeat`` is answered there too, to workers and nobody else: tests/metrics/test_ingest.py tries it.
"""

SECONDARY: Final = {
    "export": ("GET /history.csv", "GET /history.json", "GET /api/v1/history/export"),
    "download": ("GET /runs/<run_id>/output", "GET /files/<name>/raw", "GET /api/v1/places/<name>/raw"),
    "files of changes": (
        "GET /files/changes/<change_id>/download", "GET /api/v1/changes/<change_id>/download",
        "GET /api/v1/changes/<change_id>/drafts", "GET /api/v1/changes/<change_id>/patch",
        "GET /files/changes/<change_id>/difference", "GET /api/v1/changes/<change_id>/difference",
        "GET /files/changes.csv", "GET /files/changes.json",
    ),
    "raw output, ranges and streams of it": ("GET /api/v1/runs/<run_id>/output",),
    "parts of output": (
        "GET /runs/<run_id>/lines", "GET /runs/<run_id>/find", "GET /runs/<run_id>/first-error",
    ),
    "the fleet as CSV and JSON": ("GET /fleet.csv", "GET /fleet.json"),
    "results as CSV and JSON": (
        "GET /runs/<run_id>/results.csv", "GET /runs/<run_id>/results.json",
        "GET /api/v1/runs/<run_id>/results",
    ),
    "wait (?wait=)": ("GET /api/v1/runs/<run_id>",),
    "refresh of a part": (
        "GET /runs/<run_id>/standing", "GET /hosts/<name>/state", "GET /hosts/rows", "GET /home/figures",
        "GET /fleet/rows",
        "GET /fleet/alerts/rows",
    ),
    "comparison": ("GET /runs/<run_id>/difference",),
    "cancel": ("POST /runs/<run_id>/cancel", "POST /api/v1/runs/<run_id>/cancel"),
    "re-run (?again=), duplicates, Idempotency-Key": (
        "GET /runs/new", "POST /runs", "POST /api/v1/runs",
    ),
    "joining and reading over a worker's line": (
        "POST /api/v1/hosts/join", "GET /api/v1/lines/<host_id>/<path:path>",
    ),
    "search": ("GET /search",),
    "figures for machines": ("GET /metrics", "GET /metrics/hosts"),
    "description of the API": ("GET /api/openapi.json", "GET /api/docs", "GET /api/docs/<tag>",
        "GET /api/docs/try/<operation_id>"),
    "compat routes of workers": ("POST /tasks/process", "POST /tasks/result", "POST /shutdown"),
}  # fmt: skip
"""The other ways to the same things, so that none is left out of the table by mistake."""

ROOMS: Final = {
    "hosts": _signed_in(_VIEWER, "hosts:read"),
    "some-hosts": _signed_in(_VIEWER, "hosts:read", by_grant=True),
    "alerts": _signed_in(_VIEWER, "hosts:read"),
    "some-alerts": _signed_in(_VIEWER, "hosts:read", by_grant=True),
    "runs": _signed_in(_VIEWER, "runs:read", by_grant=True),
    "run": _signed_in(_VIEWER, "runs:read", by_grant=True),
    "output": _signed_in(_VIEWER, "runs:read", by_grant=True),
}
"""Each kind of room that is asked for. ``hosts`` is for those who see all, ``some-hosts`` for the others."""
OWN_ROOMS: Final = _signed_in(None, "toasts:read")
"""``all``, ``person:…`` and ``role:…``: nobody asks for them, one is in one's own."""
EVENTS: Final = {"connect", "disconnect", "room:join", "room:leave", "figures:watch"}
"""What a socket may send: anybody who is signed in; the room, or each host, decides."""
WATCHED: Final = _signed_in(_VIEWER, "hosts:read", by_grant=True)
"""The hosts of ``figures:watch``, each on its own."""


VERBS: Final = {
    _signed_in(_VIEWER, "hosts:read"): (
        "alert list", "base list", "host list", "host show absent", "rule list", "silence list",
    ),
    _signed_in(_VIEWER, "runs:read"): ("runs list", "runs output absent", "runs show absent"),
    _signed_in(_VIEWER, "history:read"): ("history export --until 2020-01-01", "history show -n 1"),
    _signed_in(_VIEWER, "files:read"): (
        "file find absent x", "file show absent x", "place list",
        "change list", "change show absent",
    ),
    _signed_in(_OPERATOR, "files:write"): (
        "change begin absent x", "change put absent x", "change commit absent -m x",
        "change propose absent --title x", "change merge absent", "change discard absent",
    ),
    _signed_in(_ADMINISTRATOR, "files:write"): (
        "place add --kind local --url /srv/x -- -bad", "place remove absent", "place test absent",
    ),
    _signed_in(_OPERATOR, "hosts:run"): (
        "host test absent", "silence add --host absent --reason x", "silence end absent",
    ),
    _signed_in(_OPERATOR, "runs:run"): ("run --host absent -- true", "runs cancel absent"),
    _signed_in(_OPERATOR, "toasts:run"): ("toast send hello --person absent",),
    _signed_in(_ADMINISTRATOR, "history:write"): ("history verify",),
    _signed_in(_ADMINISTRATOR, "hosts:write"): (
        "base add -- -bad https://api.example.org", "base remove absent",
        "host add own --address 192.0.2.11 --user root", "host confirm-key own SHA256:x",
        "host import - --preview", "host invitations", "host invite -- -bad", "host remove absent",
        "host revoke absent", "host tag absent a", "host uninvite absent",
    ),
    _signed_in(None, "admin"): (
        "token create --person absent --name t --scope read", "token list --person absent",
        "token revoke absent", "token rotate absent",
    ),
    _signed_in(_ADMINISTRATOR, "admin"): (
        "grant add run tag:own --person absent", "grant list", "grant remove absent",
        "person add -- -bad", "person disable absent", "person enable absent", "person link absent",
        "person list", "person password absent --password-stdin", "person role absent viewer",
    ),
}  # fmt: skip
"""The verbs that work with a token over ``--server``, called so that nothing is changed by them.

The others stand in tests/contracts/test_command_verbs.py: whoever may read the home may use them.
"""


def entries() -> Iterator[tuple[str, Need, str]]:
    """Yield ``GET /hosts``, what it takes, and the kind of its object."""
    for need, text in NEEDS.items():
        for line in filter(None, map(str.strip, text.splitlines())):
            method, rule, *kind = line.split(maxsplit=2)
            yield f"{method} {rule}", need, kind[0] if kind else ""


def is_let_in(caller: Caller, need: Need) -> bool:
    """Tell whether the judge lets the caller in, to an object that is open to it if there is any."""
    if caller.kind == "bad":
        return False
    if need.way is Way.ANYBODY:
        return True
    if need.way is Way.WORKER or caller.kind == "worker":
        return need.way is Way.WORKER and caller.kind == "worker"
    if caller.kind == "nobody" or (need.way is Way.TOKEN and caller.kind != "token"):
        return False
    if caller.kind == "token" and not _has_scope(caller, need):
        return False
    return _has_role(caller, need)


def _has_role(caller: Caller, need: Need) -> bool:
    if _ROLES.index(caller.role) >= _ROLES.index(need.role):
        return True
    level = need.scope.rpartition(":")[2]
    on_place = need.by_place and caller.place_granted and _reaches(caller.place_granted, level)
    return bool(on_place or (need.by_grant and caller.granted and _reaches(caller.granted, level)))


def _has_scope(caller: Caller, need: Need) -> bool:
    if not need.scope:
        return bool(caller.scopes)
    area, _, level = need.scope.rpartition(":")
    pairs = [scope.rpartition(":") for scope in caller.scopes]
    has = any(own_area in ("", area) and _reaches(own_level, level) for own_area, _, own_level in pairs)
    return has and (need.by_grant or not caller.is_limited)


def _reaches(held: str, level: str) -> bool:
    return _LEVELS.index(str(held)) >= _LEVELS.index(level)
