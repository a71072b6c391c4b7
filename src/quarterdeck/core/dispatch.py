"""The ASGI application of a node: sockets and a few hot routes beside the Flask app."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from quarterdeck.core.asgi import App, Receive, Scope, Send, send_json
from quarterdeck.core.clock import Clock, SystemClock
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.loop import Loop

logger = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]
Check = Callable[[], bool]

SOCKETS_PATH: Final = "/socket.io"
_SHUTDOWN_SECONDS: Final = 1.5
_CHECK_SECONDS: Final = 3
_CHECKS_AGE_SECONDS: Final = 1


class Dispatcher:
    """Sends each request to the sockets, to a hot route or bare websocket, or to the web application.

    ``startup`` and ``shutdown`` are awaited in the order given, on the loop that ``loop`` is bound to.
    ``stop`` is what the server calls first when it ends, so that long polls don't hold it up. A node that
    does not ``listen`` is only started and stopped by the server: its requests come another way.
    """

    def __init__(
        self,
        web: App,
        *,
        loop: Loop,
        sockets: App | None = None,
        hot: Mapping[str, App] | None = None,
        websockets: Mapping[str, App] | None = None,
        startup: Sequence[Step] = (),
        stopping: Sequence[Step] = (),
        shutdown: Sequence[Step] = (),
        listens: bool = True,
    ) -> None:
        self._web = web
        self._loop = loop
        self._sockets = sockets
        self._hot = dict(hot or {})
        self._websockets = dict(websockets or {})
        self.listens = listens
        self._startup = startup
        self._stopping = stopping
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path: str = scope["path"]
        if self._sockets and (path == SOCKETS_PATH or path.startswith(f"{SOCKETS_PATH}/")):
            await self._sockets(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websockets.get(path, _no_websocket)(scope, receive, send)
        else:
            await self._hot.get(path, self._web)(scope, receive, send)

    async def stop(self) -> None:
        """End what waits for news, before the server waits for its connections."""
        for step in self._stopping:
            await _run_quietly(step)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._loop.bind(asyncio.get_running_loop())
        try:
            for step in self._startup:
                await step()
        except QuarterdeckError as error:
            logger.error("the start failed: %s", error.message)
            await self._fail(send, error.message)
            return
        except Exception as error:  # the top of the node's work: shut down what was started
            logger.exception("the start failed")
            await self._fail(send, str(error))
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _fail(self, send: Send, message: str) -> None:
        await self._end()
        await send({"type": "lifespan.startup.failed", "message": message})

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                for step in self._shutdown:
                    await _run_quietly(step)
        except TimeoutError:
            logger.warning("shutting down took longer than %s s; the rest is left", _SHUTDOWN_SECONDS)


async def _no_websocket(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1000})


async def _run_quietly(step: Step) -> None:
    try:
        await step()
    except Exception:  # one part that fails to end must not keep the others from ending
        logger.exception("ending a part of the node failed")


async def healthz(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer that the process is alive; needs nothing else to work."""
    await send_json(send, 200, {"status": "alive"})


def readyz(checks: Mapping[str, Check], clock: Clock | None = None) -> App:
    """Make the route that tells whether this node can do its work, check by check: 200 or 503.

    The checks run in threads. Their results are kept for a second, for this route is public.
    """
    clock = clock or SystemClock()
    lock = asyncio.Lock()
    running: dict[str, asyncio.Future[bool]] = {}
    last: dict[str, bool] = {}
    asked_at = 0.0

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal last, asked_at
        async with lock:
            if not last or clock.monotonic() - asked_at >= _CHECKS_AGE_SECONDS:
                last = {name: await _passes(name, check, running) for name, check in checks.items()}
                asked_at = clock.monotonic()
        is_ready = all(last.values())
        status = "ready" if is_ready else "not ready"
        await send_json(send, 200 if is_ready else 503, {"status": status, "checks": last})

    return answer


async def _passes(name: str, check: Check, running: dict[str, asyncio.Future[bool]]) -> bool:
    """Run a check, or wait again for the one that still hangs, so that it never takes a second thread."""
    if name not in running:
        running[name] = asyncio.get_running_loop().run_in_executor(None, check)
    done, _ = await asyncio.wait([running[name]], timeout=_CHECK_SECONDS)
    if not done:
        logger.warning("the readiness check %s did not end within %s s", name, _CHECK_SECONDS)
        return False
    try:
        return running.pop(name).result()
    except Exception:  # a check that fails in an unforeseen way is a check that says no
        logger.exception("the readiness check %s failed", name)
        return False
