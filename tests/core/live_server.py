"""A served Live, and clients of it: the library's own, and one that speaks frames by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import socketio  # type: ignore[import-untyped]  # it ships no types
from websockets.asyncio.client import ClientConnection, connect

from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Role
from quarterdeck.core.asgi import Scope, header
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.errors import Unauthenticated
from quarterdeck.core.live.service import CONSOLE, Live, LiveOptions
from quarterdeck.core.loop import Loop
from tests.core.server import serving

ROLES = {
    "ada": Role.ADMINISTRATOR,
    "oskar": Role.OPERATOR,
    "vera": Role.VIEWER,
    "nils": None,
}


class Cast:
    """Knows the cast by their bearers; who is put into ``ended`` is signed out."""

    def __init__(self) -> None:
        self.ended: set[str] = set()

    def __call__(self, scope: Scope) -> Actor:
        name = header(scope, b"authorization").removeprefix("Bearer ")
        if name in self.ended:
            raise Unauthenticated("The session has ended.")
        if name not in ROLES:
            return NOBODY
        return Actor(
            ActorKind.PERSON,
            name,
            role=ROLES[name],
            person_id=f"id-{name}",
            credential_id=f"session-{name}",
        )


@contextlib.asynccontextmanager
async def live_serving(
    identify: Cast | None = None,
    **options: Any,  # Any: members of LiveOptions
) -> AsyncIterator[tuple[Live, int]]:
    live = Live(identify or Cast(), LiveOptions(**options))
    live.allow_own_rooms(lambda _actor: True)

    async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("no request is meant for the web application")

    dispatcher = Dispatcher(nothing, loop=Loop(), sockets=live, startup=[live.start], stopping=[live.stop])
    async with serving(dispatcher) as port:
        try:
            yield live, port
        finally:
            await dispatcher.stop()


@contextlib.asynccontextmanager
async def client(
    port: int, name: str, *transports: str, namespace: str = CONSOLE
) -> AsyncIterator[socketio.AsyncClient]:
    """Connect with the library's own client; what arrives is kept in ``client.news``.

    Without a name it shows no credentials.
    """
    made = socketio.AsyncClient(reconnection=False)
    made.news = []

    async def keep(event: str, *arguments: Any) -> None:
        made.news.append((event, *arguments))

    made.on("*", keep, namespace=namespace)
    try:
        await made.connect(
            f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {name}"} if name else {},
            namespaces=[namespace],
            transports=list(transports) or ["websocket"],
        )
        yield made
    finally:
        await _leave(made)


async def _leave(made: socketio.AsyncClient) -> None:
    """End a client at once; its own way waits for a pending poll, and forgets to close after a refusal."""
    await made.eio.disconnect(abort=True)
    for task in (made.eio.read_loop_task, made.eio.write_loop_task):
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
    if made.eio.http is not None:
        await made.eio.http.close()


@contextlib.asynccontextmanager
async def raw_socket(port: int, name: str = "ada", **more: Any) -> AsyncIterator[ClientConnection]:
    """Open a websocket and read engine.io's greeting; nothing is answered by itself."""
    headers = {"Authorization": f"Bearer {name}"}
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    async with connect(url, additional_headers=headers, compression=None, ping_interval=None, **more) as made:
        greeting = await asyncio.wait_for(made.recv(), 5)
        assert str(greeting).startswith("0{")
        yield made


async def enter(made: ClientConnection) -> None:
    """Join the console's namespace by hand."""
    await made.send(f"40{CONSOLE},")
    while not str(await asyncio.wait_for(made.recv(), 5)).startswith(f"40{CONSOLE},"):
        pass
