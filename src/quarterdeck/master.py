"""The master: the web app with its list of blueprints, and the ASGI application around it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, cast

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Blueprint, Response, redirect, request
from pydantic import ValidationError

import quarterdeck.access.api
import quarterdeck.access.auth_api
import quarterdeck.access.grant_api
import quarterdeck.access.grant_routes
import quarterdeck.access.provider_api
import quarterdeck.access.providers.routes
import quarterdeck.access.routes
import quarterdeck.files.changes.api
import quarterdeck.files.changes.edit_routes
import quarterdeck.files.changes.routes
import quarterdeck.files.place_api
import quarterdeck.files.place_routes
import quarterdeck.files.routes
import quarterdeck.history.api
import quarterdeck.history.routes
import quarterdeck.home.reference
import quarterdeck.home.routes
import quarterdeck.hosts.api
import quarterdeck.hosts.line_api
import quarterdeck.hosts.live
import quarterdeck.hosts.routes
import quarterdeck.hosts.silence_api
import quarterdeck.hosts.silence_routes
import quarterdeck.metrics.alerts.api
import quarterdeck.metrics.alerts.live
import quarterdeck.metrics.alerts.routes
import quarterdeck.metrics.dashboard.live
import quarterdeck.metrics.dashboard.routes
import quarterdeck.metrics.host.api
import quarterdeck.metrics.host.routes
import quarterdeck.metrics.live
import quarterdeck.metrics.overview.api
import quarterdeck.metrics.overview.routes
import quarterdeck.metrics.prometheus.routes
import quarterdeck.notify.api
import quarterdeck.notify.live
import quarterdeck.notify.routes
import quarterdeck.tasks.api
import quarterdeck.tasks.live
import quarterdeck.tasks.node_api
import quarterdeck.tasks.output.routes
import quarterdeck.tasks.results.api
import quarterdeck.tasks.results.routes
import quarterdeck.tasks.routes
from quarterdeck import __version__
from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.permissions import RULES, bounds_of, reason
from quarterdeck.core import openapi, web
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.config import Settings, Surface
from quarterdeck.core.dispatch import Dispatcher, healthz, readyz
from quarterdeck.core.errors import Forbidden, Invalid
from quarterdeck.core.forms import invalid
from quarterdeck.core.json_body import JsonRequest
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.security import key_file
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import HEADER as CSRF_HEADER
from quarterdeck.core.ui.guard import Guard
from quarterdeck.files.defined import defined_drafts, ensure_places
from quarterdeck.history.service import History
from quarterdeck.home.providers import make_home
from quarterdeck.home.service import Home
from quarterdeck.hosts.bootstrap import ensure_own_hosts
from quarterdeck.master_parts import MasterParts, make_metrics
from quarterdeck.metrics.host.view import Neighbours, RunGlance
from quarterdeck.metrics.prometheus.reader import reader_of_master
from quarterdeck.parts import MASTER_NAME
from quarterdeck.protocol.line import PATH as LINE_PATH
from quarterdeck.protocol.samples import HEARTBEAT_PATH
from quarterdeck.tasks.records import RunQuery

logger = logging.getLogger(__name__)

_REPORT_SECONDS: Final = 1.0
_TIDY_SECONDS: Final = 60.0
_MOST_FORM_PARTS: Final = 2_000
_MOST_FORM_BYTES: Final = 4_000_000
"""Without files that are uploaded: a text of 1 MB in an editor, with the line ends of forms."""
_RUNS_OF_A_HOST: Final = 5
_ALWAYS: Final = (
    quarterdeck.access.routes,
    quarterdeck.access.providers.routes,
    quarterdeck.hosts.line_api,
    quarterdeck.metrics.prometheus.routes,
    quarterdeck.tasks.node_api,
)
"""Signing in, and what workers and Prometheus ask: there whatever a master serves besides."""
_LIVE_EDGES: Final = (quarterdeck.metrics.dashboard.routes,)
_EDGES: Final = (
    quarterdeck.home.routes,
    quarterdeck.home.reference,
    quarterdeck.access.api,
    quarterdeck.access.auth_api,
    quarterdeck.access.grant_routes,
    quarterdeck.access.grant_api,
    quarterdeck.access.provider_api,
    quarterdeck.history.routes,
    quarterdeck.history.api,
    quarterdeck.notify.routes,
    quarterdeck.notify.api,
    quarterdeck.hosts.routes,
    quarterdeck.hosts.api,
    quarterdeck.hosts.silence_routes,
    quarterdeck.hosts.silence_api,
    quarterdeck.metrics.alerts.routes,
    quarterdeck.metrics.alerts.api,
    quarterdeck.files.routes,
    quarterdeck.files.place_routes,
    quarterdeck.files.place_api,
    quarterdeck.tasks.routes,
    quarterdeck.tasks.output.routes,
    quarterdeck.tasks.api,
    quarterdeck.tasks.results.routes,
    quarterdeck.tasks.results.api,
    quarterdeck.metrics.host.routes,
    quarterdeck.metrics.host.api,
    quarterdeck.metrics.overview.routes,
    quarterdeck.metrics.overview.api,
    quarterdeck.files.changes.routes,
    quarterdeck.files.changes.edit_routes,
    quarterdeck.files.changes.api,
)


def create_asgi(settings: Settings, parts: MasterParts | None = None) -> Dispatcher:
    """Make a master: nothing runs before the server starts it."""
    defined_drafts(settings.place)
    parts = parts or MasterParts(settings)
    app = create_app(parts)
    bridge = Bridge(
        app,
        threads=settings.threads,
        body_bytes=settings.body_megabytes * 1_000_000,
        trusted_proxies=settings.trusted_proxies,
    )
    metrics = make_metrics(parts, bridge)
    web.provide(app, metrics)
    life = _Life(parts, bridge, metrics)
    checks = {"history": parts.history.is_writable, "database": parts.db.is_ready}
    return Dispatcher(
        bridge,
        loop=parts.loop,
        sockets=parts.live if parts.serves(Surface.CONSOLE) or parts.serves(Surface.LIVE) else None,
        hot={"/healthz": healthz, "/readyz": readyz(checks), HEARTBEAT_PATH: parts.ingest},
        websockets={LINE_PATH: parts.hosts.lines},
        startup=[life.start],
        stopping=[parts.live.stop, parts.hosts.lines.stop],
        shutdown=[life.end],
    )


def create_app(parts: MasterParts) -> APIFlask:
    """Make the web app: the frame, then each capability's pages and JSON."""
    app = APIFlask(
        __name__,
        title="Quarterdeck",
        version=__version__,
        static_folder=None,  # type: ignore[arg-type]  # typed narrower than Flask, to which it goes
        docs_path=None,
        spec_path="/api/openapi.json",
        json_errors=False,
    )
    app.request_class = JsonRequest
    app.config.update(OPENAPI_VERSION="3.1.0", MAX_FORM_PARTS=_MOST_FORM_PARTS)
    app.config["MAX_FORM_MEMORY_SIZE"] = _MOST_FORM_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's own provider: an entry of the history
    # keeps the order that its hash is of, and faults the order of the fields.
    app.error_processor(_bad_input)
    web.install(app, _edge(parts))
    pages.install(app, _frame(parts))
    web.provide(app, parts.settings, parts.history, parts.peers, parts.access, parts.toasts, parts.hosts)
    web.provide(app, parts.runs, parts.grants, parts.judge, parts.providers, parts.profiles, _home(parts))
    web.provide(app, parts.fleet, parts.own_host, parts.series, parts.attention)
    web.provide(app, parts.processes, parts.fleet_list, parts.alerts, parts.rules, parts.files, parts.changes)
    web.provide(app, Neighbours(lambda actor, name: _runs_on(parts, actor, name), parts.alerts.of_host))
    for module in _ALWAYS:
        app.register_blueprint(module.blueprint)
    app.register_blueprint(_node_blueprint())
    if parts.serves(Surface.CONSOLE):
        _add_console(app, parts)
    else:
        app.register_blueprint(_front("/live" if parts.serves(Surface.LIVE) else "/account"))
    if parts.serves(Surface.LIVE):
        _add_live_page(app, parts)
    return app


def _add_console(app: APIFlask, parts: MasterParts) -> None:
    for module in _EDGES:
        app.register_blueprint(module.blueprint)
    quarterdeck.notify.live.register(parts.live, parts.judge)
    quarterdeck.hosts.live.register(parts.live, parts.judge)
    quarterdeck.tasks.live.register(parts.live, parts.judge)
    quarterdeck.metrics.live.register(parts.live, parts.watching)
    quarterdeck.metrics.alerts.live.register(parts.live, parts.judge)
    web.allow("home.read")(app.view_functions["openapi.spec"])
    app.spec_processor(lambda document: _complete(app, cast("dict[str, Any]", document)))


def _add_live_page(app: APIFlask, parts: MasterParts) -> None:
    for module in _LIVE_EDGES:
        app.register_blueprint(module.blueprint)
    if parts.settings.live_public:
        quarterdeck.metrics.dashboard.routes.open_to_anybody(app)
    quarterdeck.metrics.dashboard.live.register(
        parts.live,
        parts.judge,
        parts.board,
        own_name=lambda: parts.own_host.now().name,
        is_public=parts.settings.live_public,
    )


def _front(target: str) -> Blueprint:
    """Make the way in of a master without the console."""
    blueprint = Blueprint("front", __name__)

    @blueprint.get("/")
    @web.allow(web.PUBLIC)
    def front() -> Any:  # Any: werkzeug's own response of a redirect
        return redirect(target, 303)

    return blueprint


def _complete(app: APIFlask, document: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    return openapi.complete(app, document, _scope_of, session_cookie=SESSION_COOKIE, csrf_header=CSRF_HEADER)


def _edge(parts: MasterParts) -> web.Edge:
    return web.Edge(
        lambda: _identify(parts),
        parts.judge,
        parts.history.denied,
        pages.render_error,
        stays=parts.stays,
        reason=reason,
    )


def _identify(parts: MasterParts) -> Actor:
    reader = reader_of_master(
        request.path,
        request.headers.get("Authorization", ""),
        parts.settings.metrics_token,
        request.remote_addr or "",
    )
    return reader or parts.identify()


def _scope_of(verb: str) -> str:
    return str(RULES[verb].scope) if verb in RULES else ""


def _frame(parts: MasterParts) -> pages.Pages:
    key = key_file(parts.settings.home / "keys" / "web.key")
    return pages.Pages(
        guard=Guard(key, SESSION_COOKIE, parts.settings.public_url),
        clock=parts.clock,
        node_name=MASTER_NAME,
        waiting_toasts=quarterdeck.notify.routes.waiting_toasts,
        toast_count=quarterdeck.notify.routes.toast_count,
        chosen_by=parts.profiles.chosen_by,
        choose_theme=parts.profiles.choose_theme,
        time_zone=parts.settings.time_zone,
        has_console=parts.serves(Surface.CONSOLE),
        live_verb=_live_verb(parts),
    )


def _live_verb(parts: MasterParts) -> str:
    if not parts.serves(Surface.LIVE):
        return ""
    return web.PUBLIC if parts.settings.live_public else "host.read"


def _home(parts: MasterParts) -> Home:
    return make_home(
        hosts=parts.hosts,
        runs=parts.runs,
        history=parts.history,
        toasts=parts.toasts,
        access=parts.access,
        files=parts.files,
    )


def _runs_on(parts: MasterParts, actor: Actor, name: str) -> list[RunGlance]:
    """Return the latest runs on a host that somebody may read, for its page of figures."""
    query = RunQuery(host=name, limit=_RUNS_OF_A_HOST, within=bounds_of(actor, "run.read"))
    runs = parts.runs.list_runs(query).runs
    return [RunGlance(run.id, run.title, run.state, run.created_at) for run in runs]


def _node_blueprint() -> Blueprint:
    blueprint = Blueprint("node", __name__)

    @blueprint.post("/shutdown")
    @web.allow("node.shutdown")
    def shutdown() -> Response:
        if web.actor().kind is not ActorKind.TOKEN:
            raise Forbidden("The node is shut down by an administrator's token only.")
        web.part(History).event(web.actor(), "node.shutdown", f"node:{MASTER_NAME}", essential=True)
        # The signal takes the same way out as Ctrl-C; the answer is sent before the server closes.
        os.kill(os.getpid(), signal.SIGTERM)
        return Response('{"status":"stopping"}', 202, mimetype="application/json")

    return blueprint


def _bad_input(error: HTTPError) -> Response:
    """Turn APIFlask's own errors (bad fields, no JSON at all) into the problem documents of the rest."""
    if error.status_code != Invalid.status:
        return web.answer_error(web.foreign_error(error.status_code, error.message))
    if isinstance(cause := error.__context__, ValidationError):
        return web.answer_error(invalid(cause))
    fields = {name: texts[0] for part in error.detail.values() for name, texts in part.items()}
    return web.answer_error(Invalid(fields))


def _prepare(parts: MasterParts) -> None:
    """List this machine's own nodes and the settings' places of files, and invite the first administrator."""
    ensure_own_hosts(parts.hosts, parts.settings, own_worker=parts.worker_home)
    ensure_places(parts.files.places, parts.settings.place, parts.settings.home)
    parts.own_host.now()
    if path := parts.access.first_sign_in_link():
        url = parts.settings.public_url or parts.settings.bind.url
        # To the terminal and not to the log: whoever has the link becomes the administrator.
        sys.stderr.write(f"\nOpen this link once to make the first account:\n\n  {url}{path}\n\n")
        sys.stderr.flush()


async def _every(seconds: float, call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(call)
        except Exception:
            logger.exception("%s failed; it is tried again", call.__qualname__)


class _Lasting(Protocol):
    """A part with work of its own, until it is cancelled."""

    async def run(self) -> None: ...


class _Life:
    """The beginning and the end of a master, and what it does between them besides answering."""

    def __init__(self, parts: MasterParts, bridge: Bridge, metrics: Metrics) -> None:
        self._parts, self._bridge, self._metrics = parts, bridge, metrics
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        parts = self._parts
        await parts.live.start()
        await asyncio.to_thread(_prepare, parts)
        self._keep(parts.hosts.lines.watch())
        await parts.runs.recover()
        for part in self._lasting():
            self._keep(part.run())
        self._keep(parts.ingest.watch())
        self._keep(self._metrics.watch_loop())
        self._keep(_every(_REPORT_SECONDS, parts.access.report_ended))
        self._keep(_every(_TIDY_SECONDS, parts.forget_removed))
        self._keep(_every(_TIDY_SECONDS, parts.changes.tidy))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._parts.runs.stop()
        await self._parts.watch.save()
        await self._parts.samples.save()
        await self._parts.pool.close()
        self._bridge.close()
        self._parts.close()

    def _lasting(self) -> list[_Lasting]:
        parts = self._parts
        lasting: list[_Lasting] = [parts.watch, parts.samples, parts.own_machine, parts.alerts]
        lasting += [parts.ssh_sampling, parts.watching]
        return [*lasting, parts.board] if parts.serves(Surface.LIVE) else lasting

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(work))
