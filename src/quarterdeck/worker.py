"""The worker: an API that answers only to its master, and its own history in files.

Nothing of the pages, the sockets or the database is imported here, not even indirectly: a worker
stays below 60 MB.
"""

import ctypes
import os
import platform
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flask import Flask, request

from quarterdeck.access.permissions import may, reason
from quarterdeck.core.actors import NOBODY, Actor, ActorKind
from quarterdeck.core.asgi import App
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.clock import Clock, SystemClock
from quarterdeck.core.config import Settings, SettingsError
from quarterdeck.core.dispatch import Dispatcher, healthz
from quarterdeck.core.errors import Unauthenticated
from quarterdeck.core.loop import Loop
from quarterdeck.core.security import key_file, private_directory, same, token_file
from quarterdeck.core.web import Edge, install, provide
from quarterdeck.history import worker as history_worker
from quarterdeck.history.service import History
from quarterdeck.hosts.membership import Membership
from quarterdeck.metrics.prometheus import worker as prometheus_worker
from quarterdeck.metrics.prometheus.reader import reader_of_worker
from quarterdeck.metrics.sampling import worker as metrics_worker
from quarterdeck.metrics.sampling.heartbeat import NodeNow
from quarterdeck.metrics.sampling.node_sampling import NodeSampling
from quarterdeck.tasks.worker import api as tasks_worker
from quarterdeck.tasks.worker.api import NodeFacts
from quarterdeck.tasks.worker.code_joining import join_by_code
from quarterdeck.tasks.worker.master_calls import MasterCalls
from quarterdeck.tasks.worker.spool import MASTER, Spool

if TYPE_CHECKING:
    from quarterdeck.tasks.worker.dial_out import DialOut

TOKEN_FILE: Final = "master-token"  # noqa: S105 - a file's name
_SHORTEST_TOKEN: Final = 24
_M_ARENA_MAX: Final = -8
"""From malloc.h."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The running parts of a worker."""

    settings: Settings
    clock: Clock
    loop: Loop
    history: History
    membership: Membership
    calls: MasterCalls
    spool: Spool
    sampling: NodeSampling
    bearer: str


def make_parts(settings: Settings, clock: Clock | None = None) -> Parts:
    """Make what a worker runs on; on first start also its key and the token for its master."""
    clock = clock or SystemClock()
    home = private_directory(settings.home)
    history = History(
        home / "history",
        key=key_file(home / "keys" / "history.key"),
        node=node_name(),
        clock=clock,
        segment_bytes=settings.history_segment_megabytes * 1_000_000,
    )
    loop, membership = Loop(), Membership(settings)
    calls = MasterCalls(membership)
    spool = Spool(
        home / "spool",
        history=history,
        clock=clock,
        loop=loop,
        concurrency=settings.run_concurrency,
        waiters=max(1, settings.threads // 2),
        report=calls.report,
    )
    node = NodeNow(node_name(), lambda: spool.running, history.witness)
    sampling = NodeSampling(settings, clock, loop, membership, node)
    return Parts(settings, clock, loop, history, membership, calls, spool, sampling, master_bearer(settings))


def create_app(
    settings: Settings, parts: Parts | None = None, health: prometheus_worker.NodeHealth | None = None
) -> Flask:
    """Make the worker's API."""
    parts = parts or make_parts(settings)
    health = health or _health(parts)
    app = Flask(__name__, static_folder=None)
    history = parts.history
    install(
        app,
        Edge(
            identify=lambda: _identify(parts),
            judge=may,
            on_denied=history.denied,
            render_error=lambda error, status: None,
            reason=reason,
        ),
    )
    node = NodeFacts(node_name(), parts.clock.monotonic(), parts.clock, settings, _end_process)
    provide(app, history, parts.membership, parts.calls, parts.spool, parts.sampling, node, health)
    app.register_blueprint(tasks_worker.blueprint)
    app.register_blueprint(history_worker.blueprint)
    app.register_blueprint(metrics_worker.blueprint)
    app.register_blueprint(prometheus_worker.blueprint)
    return app


def create_asgi(settings: Settings) -> Dispatcher:
    """Make the worker as an ASGI application, with its beginning and its end."""
    _share_heaps()
    parts = make_parts(settings)
    if settings.join_code:
        join_by_code(settings, parts.membership, parts.history, bearer=parts.bearer, node=node_name())
    health = _health(parts)
    bridge = health.bridge = Bridge(
        create_app(settings, parts, health),
        threads=settings.threads,
        body_bytes=settings.body_megabytes * 1_000_000,
        trusted_proxies=settings.trusted_proxies,
    )

    async def close() -> None:
        bridge.close()
        parts.history.close()

    startup = [parts.spool.recover, parts.sampling.start, health.lag.start]
    stopping = [health.lag.stop, parts.sampling.stop, parts.spool.stop]
    if parts.membership.dials_out:
        line = _line(parts, bridge)
        startup, stopping = [*startup, line.start], [*stopping, line.stop]
    return Dispatcher(
        bridge,
        loop=parts.loop,
        hot={"/healthz": healthz},
        startup=startup,
        stopping=stopping,
        shutdown=[parts.spool.stop, close],
        listens=not parts.membership.dials_out,
    )


def _health(parts: Parts) -> prometheus_worker.NodeHealth:
    return prometheus_worker.NodeHealth(
        orders_running=lambda: parts.spool.running, now=lambda: parts.clock.now().timestamp()
    )


def _line(parts: Parts, app: App) -> "DialOut":
    """Make the line to the master; without one, its library is not even loaded."""
    from quarterdeck.tasks.worker.dial_out import DialOut

    member = parts.membership.current()
    if member is None:
        raise SettingsError(
            "QUARTERDECK_DIAL_OUT needs a master to dial. Let an administrator invite this worker, then: "
            "quarterdeck worker --join CODE --master URL"
        )
    sys.stderr.write(f"quarterdeck worker: dials {member.master_url} and listens nowhere\n")
    return DialOut(parts.membership, parts.history, app)


def _share_heaps() -> None:
    """Let all threads share two heaps (glibc only): one for each keeps 6 MB more (docs/decisions/0007)."""
    with suppress(OSError, AttributeError):  # another C library has no such switch
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def node_name() -> str:
    """Return the name that this worker gives itself: the machine's, up to the first dot."""
    return f"worker-{platform.node().partition('.')[0][:50]}".strip("-")


def master_bearer(settings: Settings) -> str:
    """Return what the master must show: from the settings, else from a file that is made on first start."""
    if settings.master_bearer_token:
        return settings.master_bearer_token
    path = settings.home / "keys" / TOKEN_FILE
    if not path.exists() and not settings.master_url:
        sys.stderr.write(_hint(settings, path))
    token = token_file(path)
    if len(token) < _SHORTEST_TOKEN:
        raise SettingsError(f"{path} holds no token of {_SHORTEST_TOKEN} characters; remove it to get one.")
    return token


def _hint(settings: Settings, path: Path) -> str:
    address = settings.worker_bind.url
    return (
        "This worker obeys whoever shows the token in the file below. To add it, on the master:\n"
        f"  quarterdeck host add NAME --kind worker --address {address} --token-file {path}\n"
    )


def _identify(parts: Parts) -> Actor:
    """Return the master for its bearer, nobody without one; a wrong one is refused, on record."""
    address = request.remote_addr or ""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return Actor(ActorKind.NOBODY, NOBODY.name, address=address)
    authorization = request.headers.get("Authorization", "")
    if reader := reader_of_worker(request.path, authorization, parts.settings.metrics_token, address):
        return reader
    if scheme.lower() == "bearer" and same(given.strip(), parts.bearer):
        return Actor(ActorKind.NODE, MASTER, address=address)
    parts.history.denied(Actor(ActorKind.NOBODY, NOBODY.name, address=address), "node.enter", request.path)
    raise Unauthenticated("This is not the token of this worker's master.")


def _end_process() -> None:
    # The server obeys the signal once the answer is on its way.
    os.kill(os.getpid(), signal.SIGTERM)
