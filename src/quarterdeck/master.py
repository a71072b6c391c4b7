"""The master: the web app with its list of blueprints, and the ASGI application around it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, Final

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Blueprint, Response
from pydantic import ValidationError

import quarterdeck.access.api
import quarterdeck.access.routes
import quarterdeck.history.api
import quarterdeck.history.routes
import quarterdeck.home.routes
import quarterdeck.hosts.api
import quarterdeck.hosts.line_api
import quarterdeck.hosts.live
import quarterdeck.hosts.routes
import quarterdeck.notify.api
import quarterdeck.notify.routes
import quarterdeck.tasks.api
import quarterdeck.tasks.live
import quarterdeck.tasks.node_api
import quarterdeck.tasks.output_routes
import quarterdeck.tasks.result_api
import quarterdeck.tasks.result_routes
import quarterdeck.tasks.routes
from quarterdeck import __version__
from quarterdeck.access.identify import SESSION_COOKIE, Identify
from quarterdeck.access.permissions import may
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Role
from quarterdeck.core.asgi import Scope
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.config import Settings
from quarterdeck.core.dispatch import Dispatcher, healthz, readyz
from quarterdeck.core.errors import Forbidden, Invalid
from quarterdeck.core.forms import field_messages
from quarterdeck.core.json_body import JsonRequest
from quarterdeck.core.live.service import Live, LiveOptions
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.peer import peer_of
from quarterdeck.core.security import key_file
from quarterdeck.core.ui import pages
from quarterdeck.core.ui.guard import Guard
from quarterdeck.history.service import History
from quarterdeck.home.providers import make_home
from quarterdeck.home.service import Home
from quarterdeck.hosts.bootstrap import ensure_own_hosts
from quarterdeck.hosts.health import HealthWatch
from quarterdeck.parts import MASTER_NAME, Parts
from quarterdeck.protocol.line import PATH as LINE_PATH

logger = logging.getLogger(__name__)

_REPORT_SECONDS: Final = 1.0
_MOST_FORM_PARTS: Final = 2_000
_EDGES: Final = (
    quarterdeck.home.routes,
    quarterdeck.access.routes,
    quarterdeck.access.api,
    quarterdeck.history.routes,
    quarterdeck.history.api,
    quarterdeck.notify.routes,
    quarterdeck.notify.api,
    quarterdeck.hosts.routes,
    quarterdeck.hosts.api,
    quarterdeck.hosts.line_api,
    quarterdeck.tasks.routes,
    quarterdeck.tasks.output_routes,
    quarterdeck.tasks.api,
    quarterdeck.tasks.node_api,
    quarterdeck.tasks.result_routes,
    quarterdeck.tasks.result_api,
)


class MasterParts(Parts):
    """The parts of a master that serves: news reach the sockets, and sessions that end close them."""

    @cached_property
    def identify(self) -> Identify:
        return Identify(self.access, self._worker_actor)

    @cached_property
    def live(self) -> Live:
        options = LiveOptions(
            public_url=self.settings.public_url,
            trusted_proxies=self.settings.trusted_proxies,
            stock=self.settings.stock_socketio,
        )
        return Live(self._identify_scope, options)

    @cached_property
    def watch(self) -> HealthWatch:
        return HealthWatch(
            self.hosts, self.history, self.clock, self.settings, publish=self.publish, announce=self._announce
        )

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        self.live.publish(event, data, room=room)

    def is_watched(self, room: str) -> bool:
        return self.live.is_watched(room)

    def end_sockets(self, credential_ids: list[str]) -> None:
        for credential_id in credential_ids:
            self.live.disconnect_actor(credential_id)

    def _announce(self, text: str, level: str, link: str) -> None:
        self.toasts.send(SYSTEM, text, level=level, role=Role.OPERATOR, link=link)

    def _worker_actor(self, bearer: str, address: str) -> Actor | None:
        worker = self.hosts.worker_by_token(bearer)
        return Actor(ActorKind.NODE, worker.name, address, credential_id=worker.id) if worker else None

    def _identify_scope(self, scope: Scope) -> Actor:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        peer = peer_of(scope, self.settings.trusted_proxies)
        return self.identify.identify_headers(headers, peer.address)


def create_asgi(settings: Settings) -> Dispatcher:
    """Make a master: nothing runs before the server starts it."""
    parts = MasterParts(settings)
    app = create_app(parts)
    bridge = Bridge(
        app,
        threads=settings.threads,
        body_bytes=settings.body_megabytes * 1_000_000,
        trusted_proxies=settings.trusted_proxies,
    )
    metrics = _metrics(parts, bridge)
    web.provide(app, metrics)
    background = Background()

    async def start() -> None:
        await parts.live.start()
        await asyncio.to_thread(_prepare, parts)
        background.keep(parts.hosts.lines.watch())
        await parts.runs.recover()
        background.keep(parts.watch.run())
        background.keep(metrics.watch_loop())
        background.keep(_every(_REPORT_SECONDS, parts.access.report_ended))

    async def end() -> None:
        background.cancel()
        await parts.runs.stop()
        await parts.watch.save()
        await parts.pool.close()
        bridge.close()
        parts.history.close()
        parts.db.close()

    checks = {"history": parts.history.is_writable, "database": parts.db.is_ready}
    return Dispatcher(
        bridge,
        loop=parts.loop,
        sockets=parts.live,
        hot={"/healthz": healthz, "/readyz": readyz(checks)},
        websockets={LINE_PATH: parts.hosts.lines},
        startup=[start],
        stopping=[parts.live.stop, parts.hosts.lines.stop],
        shutdown=[end],
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
    app.error_processor(_bad_input)
    web.install(app, web.Edge(parts.identify, may, parts.history.denied, pages.render_error))
    pages.install(app, _frame(parts))
    web.provide(app, parts.settings, parts.history, parts.peers, parts.access, parts.toasts, parts.hosts)
    web.provide(app, parts.runs, _home(parts))
    for module in _EDGES:
        app.register_blueprint(module.blueprint)
    app.register_blueprint(_node_blueprint())
    quarterdeck.hosts.live.register(parts.live)
    quarterdeck.tasks.live.register(parts.live)
    web.allow("home.read")(app.view_functions["openapi.spec"])
    return app


def _frame(parts: MasterParts) -> pages.Pages:
    key = key_file(parts.settings.home / "keys" / "web.key")
    return pages.Pages(
        guard=Guard(key, SESSION_COOKIE, parts.settings.public_url),
        clock=parts.clock,
        node_name=MASTER_NAME,
        waiting_toasts=quarterdeck.notify.routes.waiting_toasts,
        toast_count=quarterdeck.notify.routes.toast_count,
    )


def _home(parts: MasterParts) -> Home:
    return make_home(
        hosts=parts.hosts, runs=parts.runs, history=parts.history, toasts=parts.toasts, access=parts.access
    )


def _node_blueprint() -> Blueprint:
    blueprint = Blueprint("node", __name__)

    @blueprint.get("/metrics")
    @web.allow("metrics.read")
    def metrics() -> Response:
        return Response(web.part(Metrics).render(), content_type=Metrics.content_type)

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
        return web.answer_error(Invalid(field_messages(cause)))
    fields = {name: texts[0] for part in error.detail.values() for name, texts in part.items()}
    return web.answer_error(Invalid(fields))


def _metrics(parts: MasterParts, bridge: Bridge) -> Metrics:
    metrics, live = Metrics(), parts.live
    metrics.add_gauge("quarterdeck_requests_in_flight", "Requests to the app.", lambda: bridge.in_flight)
    metrics.add_gauge("quarterdeck_runs_active", "Runs under way.", lambda: parts.runs.counts().active)
    metrics.add_gauge("quarterdeck_sockets", "Open sockets.", lambda: live.sockets)
    metrics.add_gauge("quarterdeck_lines", "Workers that have dialled in.", lambda: len(parts.hosts.lines))
    counters = live.counters
    metrics.add_counter("quarterdeck_sockets_refused", "By their Origin.", lambda: counters.refused)
    metrics.add_counter("quarterdeck_sockets_dropped", "Too slow to follow.", lambda: counters.dropped_peers)
    metrics.add_counter("quarterdeck_news", "Live news published.", lambda: counters.published)
    metrics.add_counter("quarterdeck_news_dropped", "More than could wait.", lambda: counters.dropped_news)
    return metrics


def _prepare(parts: MasterParts) -> None:
    """List this machine's own nodes, and invite the first administrator."""
    ensure_own_hosts(parts.hosts, parts.settings, own_worker=parts.worker_home)
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


class Background:
    """The tasks that run as long as the node does."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(work))

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
