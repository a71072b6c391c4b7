"""Running a node: one uvicorn process that ends in time, and the parent of a master and its worker."""

import asyncio
import contextlib
import ctypes
import errno
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from quarterdeck.core.asgi import App
from quarterdeck.core.bounded_http import BoundedHttp
from quarterdeck.core.config import Bind

logger = logging.getLogger(__name__)

Announce = Callable[[Bind], None]

GRACE_SECONDS: Final = 2
"""How long requests under way may take to end."""
END_SECONDS: Final = 4.0
"""When a node that was asked to end is ended, whatever still hangs."""
_KILL_SECONDS: Final = 4.6
_THREAD_SECONDS: Final = 0.3
_SOCKET_BYTES: Final = 1024 * 1024
_STUCK_PEER_MILLISECONDS: Final = 60_000
_OPEN_FILES: Final = 65_536
_PR_SET_PDEATHSIG: Final = 1
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """Lets the application cut a connection whose peer no longer reads (see core/live/cheap.py)."""

    def handle_connect(self, event: Any) -> None:  # Any: a request of the websockets library
        super().handle_connect(event)
        scope: dict[str, Any] = getattr(self, "scope", {})  # Any: as uvicorn types it; absent when refused
        scope.setdefault("extensions", {})["quarterdeck.abort"] = self.transport.abort


class _Server(uvicorn.Server):
    """Announces when it serves, lets go of what waits before it ends, and always ends."""

    def __init__(
        self, config: uvicorn.Config, announce: Callable[[], None], before_end: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._before_end = before_end
        self._watchdog: threading.Timer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_by_force_after(END_SECONDS)
        await self._before_end()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in the parent, but a signal that was obeyed is not raised again: it ended well."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True  # a second signal changes nothing: work under way is still accounted for
        self._end_by_force_after(END_SECONDS)

    def _end_by_force_after(self, seconds: float) -> None:
        """Make sure that the process ends, also when a thread or the loop itself hangs."""
        if self._watchdog is None:
            self._watchdog = threading.Timer(seconds, _end_by_force)
            self._watchdog.daemon = True
            self._watchdog.start()


def _leave_threads() -> None:
    """Don't let the interpreter wait at its end for threads whose requests were given up."""
    logging.shutdown()
    end = threading.Timer(_THREAD_SECONDS, os._exit, (0,))
    end.daemon = True
    end.start()


def _end_by_force() -> None:
    # Straight to the descriptor: whatever hangs may hold the lock of the log.
    os.write(2, b"quarterdeck: something did not end in time and was cut off\n")
    os._exit(1)


async def _nothing() -> None:
    pass


def run(
    app: App,
    bind: Bind | None,
    *,
    announce: Announce | None = None,
    before_end: Callable[[], Awaitable[None]] = _nothing,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status. Without ``bind``, listen nowhere.

    ``announce`` gets the address, with the real port, once requests are answered. ``before_end`` is
    awaited first when the node ends. An address that can't be had is one line and status 1.
    """
    listeners: list[socket.socket] = []
    if bind is not None:
        try:
            listeners = [listen(bind)]
        except OSError as error:
            sys.stderr.write(f"quarterdeck: {_bind_message(bind, error)}\n")
            return 1
        bind = Bind(bind.host, listeners[0].getsockname()[1])
    allow_many_files()
    server = _Server(configure(app), lambda: announce(bind) if announce and bind else None, before_end)
    try:
        server.run(sockets=listeners)
    except SystemExit as exit_:  # uvicorn's way to say that the application did not start
        return int(exit_.code or 0)
    _leave_threads()
    return 0


def listen(bind: Bind) -> socket.socket:
    """Return a listening socket; the port is taken from here on, so two starters can't both have it."""
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a peer that takes nothing holds its connection no longer
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_PEER_MILLISECONDS)
        listener.bind((bind.host, bind.port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_message(bind: Bind, error: OSError) -> str:
    where = f"{bind.host}:{bind.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is already in use. Stop what listens there, or set QUARTERDECK_BIND "
            "(QUARTERDECK_WORKER_BIND for a worker) to another port."
        )
    return f"can't listen on {where}: {error.strerror or error}."


def configure(app: App) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # below that it writes the ids of sockets
    return uvicorn.Config(
        app,
        interface="asgi3",
        loop="uvloop",
        http=BoundedHttp,
        ws=AbortableWebSocket,
        ws_max_size=_SOCKET_BYTES,
        ws_ping_interval=None,  # engine.io has pings of its own
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # core/peer.py decides whom to believe
        timeout_keep_alive=65,  # longer than workers are silent between two heartbeats
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def allow_many_files() -> None:
    """Raise the limit of open files as far as allowed: each socket and SSH connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(frozen=True, slots=True)
class Child:
    """A node that ``supervise`` starts; ``environment`` is the whole of it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


def supervise(children: Sequence[Child]) -> int:
    """Run nodes until SIGINT or SIGTERM, or until one of them ends; then end them all.

    Returns 0 when that was asked for, else 1. The children share the terminal's signals and die with
    this process, however it ends.
    """
    return asyncio.run(_supervise(children))


async def _supervise(children: Sequence[Child]) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    die_with_parent = _die_with_parent()
    running: dict[asyncio.Task[int], tuple[str, asyncio.subprocess.Process]] = {}
    for child in children:
        process = await asyncio.create_subprocess_exec(
            *child.command, env=dict(child.environment), preexec_fn=die_with_parent
        )
        running[asyncio.create_task(process.wait())] = (child.name, process)
    asked = asyncio.create_task(stopped.wait())
    await asyncio.wait([asked, *running], return_when=asyncio.FIRST_COMPLETED)
    status = 0 if asked.done() else _tell_end(running)
    asked.cancel()
    await _end_all(running)
    return status


def _tell_end(running: Mapping[asyncio.Task[int], tuple[str, asyncio.subprocess.Process]]) -> int:
    """Say which node ended without being asked by this process; one that ended well was asked by someone."""
    status = 0
    for task, (name, _) in running.items():
        if task.done() and task.result():
            sys.stderr.write(
                f"quarterdeck: the {name} ended unexpectedly ({_reason(task.result())}); "
                "the rest is stopped. Its log says why.\n"
            )
            status = 1
    return status


def _reason(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


async def _end_all(running: Mapping[asyncio.Task[int], tuple[str, asyncio.subprocess.Process]]) -> None:
    for task, (_, process) in running.items():
        if not task.done():
            process.terminate()
    _, late = await asyncio.wait(running, timeout=_KILL_SECONDS)
    for task in late:
        running[task][1].kill()
    if late:
        await asyncio.wait(late)


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program, so that it never outlives this process (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare
