"""The replaced broadcast: what it relies on, and that it delivers what the library's own does."""

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import engineio.async_socket  # type: ignore[import-untyped]  # it ships no types
import pytest
import socketio.async_server  # type: ignore[import-untyped]  # it ships no types

from quarterdeck.core.live.cheap import CheapManager, CheapSocket
from quarterdeck.core.live.service import CONSOLE
from tests.core.live_server import client, enter, live_serving, raw_socket
from tests.core.server import until


def test_the_versions_are_those_that_were_read() -> None:
    assert version("python-socketio") == "5.18.1"
    assert version("python-engineio") == "4.15.1"


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (engineio.async_socket.AsyncSocket._websocket_handler, "packets = await self.poll()"),
        (engineio.async_socket.AsyncSocket._websocket_handler, "await self.queue.put(None)"),
        (engineio.async_socket.AsyncSocket._upgrade_websocket, "self._websocket_handler, self.server"),
        (engineio.async_socket.AsyncSocket.close, "if not self.closed and not self.closing:"),
        (engineio.async_server.AsyncServer._handle_connect, "self._trigger_event('connect', sid, environ,"),
        (engineio.async_server.AsyncServer._service_task, "await s.check_ping_timeout()"),
        (socketio.async_server.AsyncServer._handle_event, "if self.async_handlers:"),
        (socketio.async_manager.AsyncManager.emit, "self.get_participants(namespace, room)"),
    ],
)
def test_the_internals_are_as_they_were_read(place: Any, line: str) -> None:
    assert line in inspect.getsource(place)


@pytest.mark.parametrize("stock", [True, False])
async def test_the_switch_chooses_whose_broadcast_it_is(stock: bool) -> None:
    async with live_serving(stock=stock) as (live, port), client(port, "vera"):
        assert isinstance(live.server.manager, CheapManager) is not stock
        assert isinstance(next(iter(live.server.eio.sockets.values())), CheapSocket) is not stock


NEWS: list[tuple[str, dict[str, Any], str]] = [
    ("text", {"text": "Grüße, 世界 🚀   </script>"}, "all"),
    ("numbers", {"whole": 2**53, "half": 0.5, "nothing": None, "yes": True}, "all"),
    ("nested", {"list": [1, [2, {"three": 3}]], "empty": {}}, "person:id-vera"),
    ("large", {"text": "x" * 30_000}, "role:viewer"),
    ("hidden", {"text": "not for her"}, "role:administrator"),
    ("end", {}, "all"),
]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_both_broadcasts_deliver_the_same(transport: str) -> None:
    received: list[list[Any]] = []
    for stock in (True, False):
        async with live_serving(stock=stock) as (live, port), client(port, "vera", transport) as vera:
            for event, content, room in NEWS:
                live.publish(event, content, room=room)
            await until(lambda: any(event == "end" for event, *_ in vera.news), "the end")
            received.append(list(vera.news))
    assert received[0] == received[1] == [item[:2] for item in NEWS if item[0] != "hidden"]


@pytest.mark.parametrize("stock", [True, False])
async def test_an_emit_with_options_of_the_library_still_works(stock: bool) -> None:
    async with (
        live_serving(stock=stock) as (live, port),
        client(port, "ada") as ada,
        client(port, "vera") as vera,
    ):
        sid = next(sid for sid, viewer in live.viewers.items() if viewer.actor.name == "ada")
        await live.server.emit("skipped", ("one", 2), room="all", skip_sid=sid, namespace=CONSOLE)
        await live.server.emit("none", room="all", namespace=CONSOLE)
        await until(lambda: bool(ada.news) and len(vera.news) == 2, "the news")
        assert (ada.news, vera.news) == ([("none",)], [("skipped", "one", 2), ("none",)])
        acks: list[Any] = []
        await live.server.emit(
            "asked", 1, room=sid, namespace=CONSOLE, callback=lambda *got: acks.append(got)
        )
        await until(lambda: bool(acks), "the acknowledgement")


@pytest.mark.parametrize("stock", [True, False])
async def test_rooms_are_kept_and_forgotten_alike(stock: bool) -> None:
    async with live_serving(stock=stock) as (live, port):
        live.allow_room("run", lambda _actor, _room: True)
        manager = live.server.manager
        async with client(port, "vera") as vera, client(port, "ada"):
            sid = next(sid for sid, viewer in live.viewers.items() if viewer.actor.name == "vera")
            for room in ("run:1", "run:2"):
                await vera.call("room:join", {"room": room}, namespace=CONSOLE)
            await vera.call("room:leave", {"room": "run:1"}, namespace=CONSOLE)
            rooms = {"all", "person:id-vera", "role:viewer", "run:2", sid}
            assert set(manager.get_rooms(sid, CONSOLE)) == rooms
            await vera.disconnect()
            await until(lambda: len(live.viewers) == 1, "the viewer to be forgotten")
            assert set(manager.rooms[CONSOLE]) & rooms == {"all", "role:viewer"}
        await until(lambda: not live.viewers, "the other to be forgotten")
        assert [manager.rooms, manager.pending_connect, manager.pending_disconnect, manager.callbacks] == [
            {}
        ] * 4


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_peer_that_answers_no_ping_is_let_go(transport: str) -> None:
    async with live_serving(ping_interval=0.1, ping_timeout=0.2) as (live, port):
        if transport == "polling":
            async with client(port, "vera", "polling") as vera:
                vera.eio.read_loop_task.cancel()
                await until(lambda: live.sockets == 0, "the dead peer to be let go")
            return
        async with raw_socket(port, "vera") as vera:
            await enter(vera)
            await until(lambda: live.sockets == 0, "the dead peer to be let go")
            assert not live.viewers
            await asyncio.wait_for(vera.wait_closed(), 5)


async def test_a_peer_that_answers_pings_stays() -> None:
    async with live_serving(ping_interval=0.05, ping_timeout=0.3) as (live, port), raw_socket(port) as ada:
        await enter(ada)
        for _ in range(10):
            assert await asyncio.wait_for(ada.recv(), 5) == "2"
            await ada.send("3")
        assert live.sockets == 1


async def test_a_peer_that_reads_too_slowly_is_dropped_and_counted() -> None:
    async with (
        live_serving(queue_limit=50) as (live, port),
        client(port, "vera") as vera,
        raw_socket(port, "oskar", max_queue=1, close_timeout=0.1) as slow,
    ):
        await enter(slow)
        slow.transport.pause_reading()
        for number in range(600):
            live.publish("run:output", {"text": "x" * 20_000, "n": number}, room="all")
            if number % 10 == 0:
                await until(lambda most=number: len(vera.news) >= most - 20, "the quick viewer")  # type: ignore[misc]
        await until(lambda: live.sockets == 1, "the slow viewer to be dropped")
        await until(lambda: len(vera.news) == 600, "the news of the quick viewer")
        assert live.counters.dropped_peers == 1


async def test_a_poller_that_never_comes_back_is_bounded() -> None:
    async with live_serving(queue_limit=20) as (live, port), client(port, "vera", "polling") as vera:
        vera.eio.read_loop_task.cancel()
        socket = next(iter(live.server.eio.sockets.values()))
        for number in range(100):
            live.publish("news", {"n": number}, room="all")
        await until(lambda: live.counters.dropped_peers == 1, "the viewer to be dropped")
        assert socket.queue.qsize() <= 2


async def test_nothing_is_left_of_connections_that_ended() -> None:
    async with live_serving() as (live, port):
        before = len(asyncio.all_tasks())
        for _ in range(10):
            async with raw_socket(port) as ada:
                await enter(ada)
            async with client(port, "vera"):
                pass
        await until(lambda: live.sockets == 0, "the sockets to be forgotten")
        assert not live.viewers
        assert not live.server.environ
        await until(lambda: len(asyncio.all_tasks()) <= before + 25, "the tasks to end")  # sleeping pings
