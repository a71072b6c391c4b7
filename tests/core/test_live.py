"""Rooms, permission, and news from any thread, with the library's own client."""

import asyncio
import threading

import pytest
from socketio.exceptions import ConnectionError as Refused  # type: ignore[import-untyped]  # it ships no types

from quarterdeck.core.actors import Actor, Role
from quarterdeck.core.errors import NotFound
from quarterdeck.core.live.service import CONSOLE, Live
from tests.core.live_server import Cast, client, enter, live_serving, raw_socket
from tests.core.server import talk, until


def is_operator(actor: Actor, _room: str) -> bool:
    return actor.role in (Role.OPERATOR, Role.ADMINISTRATOR)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_news_from_a_thread_reach_the_room_in_order(transport: str) -> None:
    async with live_serving() as (live, port), client(port, "vera", transport) as vera:

        def publish() -> None:
            for number in range(15):  # a poller of this library takes 16 at once
                live.publish("toast:new", {"n": number}, room="all")

        thread = threading.Thread(target=publish)
        thread.start()
        await until(lambda: len(vera.news) == 15, "the news")
        assert vera.news == [("toast:new", {"n": n}) for n in range(15)]
        thread.join()


async def test_a_polling_client_is_upgraded_and_loses_nothing() -> None:
    async with live_serving() as (live, port), client(port, "vera", "polling", "websocket") as vera:
        for number in range(20):
            live.publish("hosts:changed", {"n": number}, room="all")
        await until(lambda: len(vera.news) == 20, "the news")
        assert vera.transport() == "websocket"


@pytest.mark.parametrize(
    ("room", "reached"),
    [
        ("all", {"ada", "oskar", "vera", "nils"}),
        ("person:id-vera", {"vera"}),
        ("role:viewer", {"ada", "oskar", "vera"}),
        ("role:operator", {"ada", "oskar"}),
        ("role:administrator", {"ada"}),
        ("hosts", set()),
    ],
)
async def test_everybody_is_in_the_rooms_of_their_own(room: str, reached: set[str]) -> None:
    async with (
        live_serving() as (live, port),
        client(port, "ada") as ada,
        client(port, "oskar") as oskar,
        client(port, "vera") as vera,
        client(port, "nils") as nils,
    ):
        everybody = {"ada": ada, "oskar": oskar, "vera": vera, "nils": nils}
        live.publish("news", {}, room=room)
        live.publish("end", {}, room="all")
        await until(lambda: all(one.news for one in everybody.values()), "the end")
        assert {name for name, one in everybody.items() if ("news", {}) in one.news} == reached


async def test_a_room_is_joined_by_permission_and_left_again() -> None:
    async with live_serving() as (live, port), client(port, "oskar") as oskar:
        live.allow_room("run:", is_operator)
        assert await oskar.call("room:join", {"room": "run:01"}, namespace=CONSOLE) == {"ok": True}
        live.publish("run:output", {"bytes": 1}, room="run:01")
        live.publish("run:output", {"bytes": 2}, room="run:02")
        await until(lambda: bool(oskar.news), "the news")
        assert await oskar.call("room:leave", {"room": "run:01"}, namespace=CONSOLE) == {"ok": True}
        live.publish("run:output", {"bytes": 3}, room="run:01")
        live.publish("end", {}, room="all")
        await until(lambda: ("end", {}) in oskar.news, "the end")
        assert oskar.news == [("run:output", {"bytes": 1}), ("end", {})]


@pytest.mark.parametrize(
    "asked",
    [
        {"room": "run:01"},
        {"room": "person:id-ada"},
        {"room": "role:administrator"},
        {"room": "runs"},
        {"room": ""},
        {"room": "run:" + "x" * 500},
        {"room": 5},
        {"room": ["run:01"]},
        {"room": "gone:1"},
        "run:01",
        None,
        [],
        {},
    ],
)
async def test_a_room_that_is_not_ones_own_is_refused(asked: object) -> None:
    def absent(_actor: Actor, _room: str) -> bool:
        raise NotFound("There is no such run.")

    async with live_serving() as (live, port), client(port, "vera") as vera:
        live.allow_room("run", is_operator)
        live.allow_room("gone", absent)
        answer = await vera.call("room:join", asked, namespace=CONSOLE)
        assert answer["ok"] is False
        live.publish("news", {}, room="run:01")
        live.publish("end", {}, room="all")
        await until(lambda: bool(vera.news), "the end")
        assert vera.news == [("end", {})]


async def test_rooms_are_limited() -> None:
    async with live_serving() as (live, port), client(port, "ada") as ada:
        live.allow_room("run", is_operator)
        answers = [
            await ada.call("room:join", {"room": f"run:{number}"}, namespace=CONSOLE) for number in range(51)
        ]
        assert [answer["ok"] for answer in answers] == [True] * 50 + [False]


@pytest.mark.parametrize("name", ["nobody", "", "evil"])
async def test_nobody_is_refused(name: str) -> None:
    async with live_serving() as (_, port):
        with pytest.raises(Refused):
            async with client(port, name):
                pass


async def test_other_namespaces_are_not_there() -> None:
    async with live_serving() as (_, port), raw_socket(port) as ada:
        await ada.send("40/admin,")
        assert str(await ada.recv()).startswith("44/admin,")


async def test_the_sockets_of_an_ended_session_end() -> None:
    async with live_serving() as (live, port), client(port, "ada") as ada, client(port, "vera") as vera:
        threading.Thread(target=live.disconnect_actor, args=["session-vera"]).start()
        await until(lambda: CONSOLE not in vera.namespaces, "the socket to end")
        assert CONSOLE in ada.namespaces


async def test_a_credential_that_has_expired_ends_its_sockets() -> None:
    cast = Cast()
    async with (
        live_serving(cast, sweep_seconds=0.05) as (_, port),
        client(port, "vera") as vera,
        client(port, "ada") as ada,
    ):
        cast.ended.add("vera")
        await until(lambda: CONSOLE not in vera.namespaces, "the socket to end")
        assert CONSOLE in ada.namespaces


async def test_a_connection_that_joins_nothing_is_closed() -> None:
    async with live_serving(sweep_seconds=0.1) as (live, port), raw_socket(port, "nobody") as idle:
        await asyncio.wait_for(idle.wait_closed(), 5)
        await until(lambda: live.sockets == 0, "the socket to be forgotten")


GARBAGE = [
    "9",
    "",
    "4",
    "49",
    "4" + "2" * 200,
    '42/console,["room:join"',
    "42/console,5",
    "42/console,[]",
    "42/console,{}",
    '42/console,[{"a":1}]',
    "42/console,99999999999999999999" * 9,
    "43/console,7[]",
    '451-/console,["x",{"_placeholder":true,"num":0}]',
    "459999999999-/console,[]",
    "4" + "[" * 50_000,
    "40/console," + "[" * 50_000,
    "b4AAAA",
    "b!",
    b"\x00\xff\x00",
    b"",
    "\x00",
    "7",
    "3probe",
    "5",
]


@pytest.mark.parametrize("frame", GARBAGE)
async def test_garbage_ends_one_connection_at_most(
    frame: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_serving() as (live, port), client(port, "vera") as vera:
        for _ in range(3):
            async with raw_socket(port) as ada:
                await enter(ada)
                await ada.send(frame)
        live.publish("end", {}, room="all")
        await until(lambda: bool(vera.news), "the news")
        await until(lambda: live.sockets == 1, "the sockets to be forgotten")
    assert "Traceback" not in caplog.text


async def test_unknown_events_are_ignored() -> None:
    async with live_serving() as (live, port), client(port, "vera") as vera:
        for name in ("connect_error", "message", "room:destroy", "__init__", "*", "x" * 1000):
            await vera.emit(name, {"a": 1}, namespace=CONSOLE)
        live.publish("end", {}, room="all")
        await until(lambda: bool(vera.news), "the news")
        assert vera.news == [("end", {})]


async def test_reserved_events_of_a_client_do_no_harm() -> None:
    async with live_serving() as (live, port), raw_socket(port, "vera") as vera, client(port, "ada") as ada:
        await enter(vera)
        for name in ("connect", "disconnect"):
            await vera.send(f'42{CONSOLE},["{name}",{{"asgi.scope":{{}}}}]')
        live.publish("end", {}, room="all")
        await until(lambda: bool(ada.news), "the news")
        assert len(live.viewers) <= 2


async def test_a_frame_that_is_too_large_ends_its_connection() -> None:
    async with live_serving() as (live, port), raw_socket(port) as ada:
        await ada.send("4" + "x" * 500_000)
        await asyncio.wait_for(ada.wait_closed(), 5)
        await until(lambda: live.sockets == 0, "the socket to be forgotten")


async def test_an_event_that_json_cannot_say_does_not_stop_the_next() -> None:
    async with live_serving() as (live, port), client(port, "vera") as vera:
        live.publish("bad", {"x": object()}, room="all")
        live.publish("good", {}, room="all")
        await until(lambda: bool(vera.news), "the news")
        assert vera.news == [("good", {})]


def test_news_before_the_start_are_let_go() -> None:
    live = Live(Cast())
    live.publish("early", {}, room="all")
    live.disconnect_actor("session-ada")
    assert live.counters.published == 0


async def test_long_polls_are_answered_when_the_node_ends() -> None:
    async with live_serving() as (_, port):
        head = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\n"
        path = "/socket.io/?EIO=4&transport=polling"
        greeting = await talk(port, f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        sid = greeting.partition(b'"sid":"')[2].partition(b'"')[0].decode()
        polling = asyncio.create_task(talk(port, f"GET {path}&sid={sid} HTTP/1.1\r\n{head}\r\n".encode()))
        done, _ = await asyncio.wait([polling], timeout=0.2)
        assert not done
    assert (await polling).startswith(b"HTTP/1.1 200")
