"""Real servers on free ports, for the tests of the server ground."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import uvicorn

from quarterdeck.core import serve
from quarterdeck.core.asgi import App
from quarterdeck.core.config import Bind


@contextlib.asynccontextmanager
async def serving(app: App) -> AsyncIterator[int]:
    """Serve an application as a node would, in this loop; yields the port."""
    listener = serve.listen(Bind("127.0.0.1", 0))
    server = uvicorn.Server(serve.configure(app))
    server.config.lifespan = "auto"  # a bare application under test has none
    task = asyncio.create_task(server._serve([listener]))
    await until(lambda: server.started or task.done(), "the server to start")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


async def until(ready: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 10) -> None:
    """Poll until ready, or fail with what was waited for."""
    async with asyncio.timeout(seconds) as limit:
        while True:
            answer = ready()
            if answer if isinstance(answer, bool) else await answer:
                return
            assert not limit.expired(), what
            await asyncio.sleep(0.01)


async def talk(port: int, request: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
