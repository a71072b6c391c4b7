"""Where requests go, and how a node begins and ends."""

import asyncio
import json
import threading
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from quarterdeck.core.asgi import App, send_json
from quarterdeck.core.dispatch import Dispatcher, healthz, readyz
from quarterdeck.core.loop import Loop
from tests.core.server import serving, talk


def naming(name: str) -> App:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send_json(send, 200, name)

    return app


async def ask(port: int, path: str) -> tuple[int, Any]:
    answer = await talk(port, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_each_path_has_its_place() -> None:
    app = Dispatcher(
        naming("web"), loop=Loop(), sockets=naming("sockets"), hot={"/healthz": healthz, "/in": naming("hot")}
    )
    async with serving(app) as port:
        for path, place in [
            ("/", "web"),
            ("/socket.io/?EIO=4", "sockets"),
            ("/socket.io", "sockets"),
            ("/socket.iox", "web"),
            ("/in", "hot"),
            ("/in/", "web"),
            ("/healthz", {"status": "alive"}),
        ]:
            assert await ask(port, path) == (200, place)


async def test_a_websocket_to_anywhere_else_is_closed() -> None:
    async with serving(Dispatcher(naming("web"), loop=Loop(), sockets=naming("sockets"))) as port:
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://127.0.0.1:{port}/hosts")


async def test_a_node_begins_and_ends_in_order() -> None:
    steps: list[str] = []
    loop = Loop()

    def step(name: str) -> Any:
        async def take() -> None:
            steps.append(name)
            if name == "failing":
                raise RuntimeError(name)

        return take

    app = Dispatcher(
        naming("web"),
        loop=loop,
        startup=[step("journal"), step("live")],
        stopping=[step("polls")],
        shutdown=[step("runs"), step("failing"), step("journal closed")],
    )
    async with serving(app):
        assert steps == ["journal", "live"]
        assert await asyncio.to_thread(loop.run, asyncio.sleep(0, "from a thread")) == "from a thread"
        await app.stop()
    assert steps[2:] == ["polls", "runs", "failing", "journal closed"]


class Ticking:
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Any:
        raise AssertionError("only the monotonic clock is asked")


async def test_ready_says_each_check() -> None:
    clock = Ticking()
    state = {"journal": True, "database": True}

    def failing() -> bool:
        if state["database"]:
            return True
        raise RuntimeError("no database")

    app = readyz({"journal": lambda: state["journal"], "database": failing}, clock)
    async with serving(app) as port:
        assert await ask(port, "/") == (200, {"status": "ready", "checks": state})
        state |= {"journal": False, "database": False}
        assert (await ask(port, "/"))[0] == 200, "within a second the last answer stands"
        clock.seconds = 1
        assert await ask(port, "/") == (503, {"status": "not ready", "checks": state})


async def test_a_check_that_hangs_is_asked_once() -> None:
    hold, calls = threading.Event(), []

    def hanging() -> bool:
        calls.append(1)
        hold.wait(20)
        return True

    clock = Ticking()
    async with serving(readyz({"disk": hanging}, clock)) as port:
        assert (await ask(port, "/"))[0] == 503
        clock.seconds = 5
        asking = asyncio.create_task(ask(port, "/"))
        await asyncio.wait([asking], timeout=0.2)
        hold.set()
        assert await asking == (200, {"status": "ready", "checks": {"disk": True}})
    assert calls == [1]
