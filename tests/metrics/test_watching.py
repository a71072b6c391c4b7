"""Figures over the socket: what a page asks for, what it is told, and what it never is."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.watching import MOST_HOSTS, MOST_MISSED
from quarterdeck.protocol.samples import Frame, Mount
from tests.core.live_server import client, enter, raw_socket
from tests.core.server import until
from tests.metrics.watchers import World, messages, told, values_of, watch, watching_world
from tests.needs import need

HOSTS = {"h1": "web", "h2": "db", "h3": "web"}
ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")


@contextlib.asynccontextmanager
async def filled_world(**options: Any) -> AsyncIterator[World]:  # Any: options of Live
    async with watching_world(HOSTS, **options) as world:
        for host_id in HOSTS:
            world.sample(host_id, is_full=True, cpu=10, memory=50.04, load=0.256)
        yield world


@pytest.mark.parametrize("stock", [False, True])
async def test_a_snapshot_is_followed_by_what_changed(stock: bool) -> None:
    async with filled_world(stock=stock) as world, client(world.port, "vera") as vera:
        answer = await watch(vera, "h1", "h2")
        assert answer["ok"] is True
        assert answer["figures"] == list(KEYS)
        assert answer["hosts"].keys() == {"h1", "h2"}
        values = dict(zip(KEYS, answer["hosts"]["h1"]["values"], strict=True))
        assert (values["cpu"], values["memory"], values["load"], values["swap"]) == (10, 50, 0.26, None)
        world.sample("h1", cpu=20)
        world.sample("h3", cpu=99)
        await world.watching.tick()
        [message] = await told(vera, 1)
        assert message["hosts"].keys() == {"h1"}
        assert values_of(message, "h1") == {"cpu": 20}
        assert "lag" not in message
        await world.watching.tick()
        world.sample("h2", swap=3)
        await world.watching.tick()
        assert [values_of(each, "h2") for each in (await told(vera, 2))[1:]] == [{"swap": 3}]


async def test_a_sample_without_a_change_tells_its_age() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        await watch(vera, "h1")
        world.sample("h1")
        await world.watching.tick()
        [message] = await told(vera, 1)
        [age] = message["hosts"]["h1"]
        assert age > 0


async def test_a_value_that_went_back_between_two_ticks_is_not_lost() -> None:
    async with filled_world() as world, client(world.port, "ada") as ada, client(world.port, "vera") as vera:
        await watch(ada, "h1")
        world.sample("h1", cpu=70)
        answer = await watch(vera, "h1")
        world.sample("h1", cpu=10)
        await world.watching.tick()
        [message] = await told(vera, 1)
        known = dict(zip(KEYS, answer["hosts"]["h1"]["values"], strict=True)) | values_of(message, "h1")
        assert known["cpu"] == 10


async def test_a_figure_that_went_away_is_told_as_none() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        await watch(vera, "h1")
        world.sample("h1", is_full=True, cpu=10)
        await world.watching.tick()
        assert values_of((await told(vera, 1))[0], "h1") == {"memory": None, "load": None}


async def test_only_the_figures_asked_for_are_told() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        answer = await watch(vera, "h1", figures=["memory", "cpu"])
        assert answer["figures"] == ["cpu", "memory"]
        assert answer["hosts"]["h1"]["values"] == [10, 50]
        world.sample("h1", memory=1, load=5)
        await world.watching.tick()
        assert values_of((await told(vera, 1))[0], "h1", answer["figures"]) == {"memory": 1}


async def test_the_detail_of_a_host_comes_when_asked_for_and_when_it_changes() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        mounts = [Mount("/", 100, 40)]
        world.fleet.take("h1", Frame(at=2, is_full=True, cores=[1, 2], mounts=mounts), at=2_000)
        answer = await watch(vera, "h1", detail=True)
        assert answer["hosts"]["h1"]["cores"] == [1, 2]
        assert answer["hosts"]["h1"]["mounts"][0]["available_bytes"] == 40
        world.fleet.take("h1", Frame(at=3, cores=[3, 4]), at=2_001)
        await world.watching.tick()
        [message] = await told(vera, 1)
        assert message["details"] == {"h1": {"cores": [3, 4]}}


async def test_what_was_missed_comes_with_the_snapshot() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        first = await watch(vera, "h1", figures=["cpu"])
        seen = first["hosts"]["h1"]["at"]
        for cpu in (11, 12, 13):
            world.sample("h1", cpu=cpu)
        await world.watching.tick()
        again = await watch(vera, "h1", figures=["cpu"], since=seen)
        assert again["hosts"]["h1"]["missed"] == [[1004, 11], [1005, 12], [1006, 13]]
        assert "missed" not in first["hosts"]["h1"]


async def test_missed_samples_are_thinned_to_the_most() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        for number in range(600):
            for host_id in HOSTS:
                at = 5_000.0 + number
                world.fleet.take(host_id, Frame(at=at, is_full=True, values={"cpu": number % 100}), at=at)
        answer = await watch(vera, *HOSTS, since=1)
        missed = [each["missed"] for each in answer["hosts"].values()]
        assert all(rows[-1][0] == 5_599 for rows in missed)
        assert 600 < sum(len(rows) for rows in missed) <= MOST_MISSED


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("ada", {"h1", "h2", "h3"}),
        ("oskar", {"h1", "h2", "h3"}),
        ("vera", {"h1", "h2", "h3"}),
        ("gerda", {"h1", "h3"}),
        ("nils", set()),
    ],
)
async def test_everybody_is_told_of_what_they_may_read(name: str, seen: set[str]) -> None:
    async with filled_world() as world, client(world.port, name) as reader:
        answer = await watch(reader, *HOSTS, "absent")
        assert answer["hosts"].keys() == seen
        assert "absent" not in str(answer)
        for host_id in HOSTS:
            world.sample(host_id, cpu=42)
        await world.watching.tick()
        world.live.publish("end", {}, room="all")
        await until(lambda: ("end", {}) in reader.news, "the end")
        assert {each for message in messages(reader) for each in message["hosts"]} == seen


async def test_a_host_that_is_closed_is_told_no_more() -> None:
    async with filled_world() as world, client(world.port, "gerda") as gerda:
        await watch(gerda, "h1", "h3")
        world.tags["h1"] = frozenset({"db"})
        del world.tags["h3"]
        world.live.check_credentials()
        await until(lambda: world.watching.watched() == set(), "the watch to end")
        world.sample("h1", cpu=42)
        await world.watching.tick()
        assert messages(gerda) == []


async def test_a_watch_ends_with_the_session() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        await watch(vera, "h1")
        assert world.watching.viewers == 1
        world.cast.ended.add("vera")
        world.live.check_credentials()
        await until(lambda: world.watching.viewers == 0, "the watch to end")


async def test_a_watch_ends_with_the_socket_and_with_an_empty_list() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        async with client(world.port, "ada") as ada:
            await watch(ada, "h1")
            await watch(vera, "h2")
            assert world.watching.watched() == {"h1", "h2"}
        await until(lambda: world.watching.watched() == {"h2"}, "the socket to end")
        assert (await watch(vera))["hosts"] == {}
        assert world.watching.viewers == 0


async def test_watched_hosts_are_looked_at() -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        await watch(vera, "h1", "absent")
        await world.watching.tick()
        await world.watching.tick()
        assert world.looked == [{"h1"}, {"h1"}]


async def test_a_host_that_is_heard_of_later_is_told_then() -> None:
    async with watching_world({"h9": "web"}) as world, client(world.port, "vera") as vera:
        assert (await watch(vera, "h9"))["hosts"] == {}
        world.sample("h9", is_full=True, cpu=5)
        await world.watching.tick()
        assert values_of((await told(vera, 1))[0], "h9") == {"cpu": 5}


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "h1",
        {},
        {"hosts": "h1"},
        {"hosts": [1]},
        {"hosts": ["x" * 41]},
        {"hosts": [f"h{number}" for number in range(MOST_HOSTS + 1)]},
        {"hosts": ["h1"], "figures": ["uptime"]},
        {"hosts": ["h1"], "figures": [["cpu"]]},
        {"hosts": ["h1"], "since": "yesterday"},
        {"hosts": ["h1"], "since": -1},
        {"hosts": ["h1"], "since": True},
        {"hosts": ["h1"], "detail": "yes"},
    ],
)
async def test_what_makes_no_sense_is_refused(asked: object) -> None:
    async with filled_world() as world, client(world.port, "vera") as vera:
        answer = await vera.call("figures:watch", asked, namespace="/console")
        assert answer["ok"] is False
        assert answer["error"]
        assert world.watching.viewers == 0


async def test_nobody_can_watch() -> None:
    async with filled_world() as world, raw_socket(world.port, "nobody") as socket:
        await socket.send('42/console,0["figures:watch",{"hosts":["h1"]}]')
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.3)
        assert world.watching.viewers == 0


async def test_viewers_of_the_same_hosts_share_one_packet() -> None:
    async with filled_world() as world, raw_socket(world.port) as one, raw_socket(world.port) as other:
        for socket in (one, other):
            await enter(socket)
            await socket.send('42/console,0["figures:watch",{"hosts":["h1"]}]')
            await asyncio.wait_for(socket.recv(), 5)
        offered: list[Any] = []  # Any: the library's packets
        for socket in world.live.server.eio.sockets.values():
            socket.offer = offered.append
        world.sample("h1", cpu=33)
        await world.watching.tick()
        assert len(offered) == 2
        assert offered[0] is offered[1]


async def test_a_slow_viewer_has_one_message_at_most_and_is_told_of_the_lag() -> None:
    async with filled_world() as world, poller(world.port) as (poll, send):
        await send("40/console,")
        await poll()
        await send('42/console,0["figures:watch",{"hosts":["h1"],"figures":["cpu","memory"]}]')
        assert (await poll()).startswith("43/console,0")
        for cpu in range(20, 30):
            world.sample("h1", cpu=cpu, memory=60 if cpu >= 25 else 50.04)
            await world.watching.tick()
            assert world.watching.counters.messages == 1
        assert world.watching.counters.held == 9
        first = json.loads((await poll()).removeprefix("42/console,"))[1]
        assert values_of(first, "h1", ("cpu", "memory")) == {"cpu": 20}
        await world.watching.tick()
        second = json.loads((await poll()).removeprefix("42/console,"))[1]
        assert values_of(second, "h1", ("cpu", "memory")) == {"cpu": 29, "memory": 60}
        assert second["lag"] >= 0


@contextlib.asynccontextmanager
async def poller(
    port: int,
) -> AsyncIterator[tuple[Callable[[], Awaitable[str]], Callable[[str], Awaitable[Any]]]]:
    """Yield how to ask for what waits and how to send, as a client that polls when it likes to."""
    headers = {"Authorization": "Bearer vera"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
        greeting = (await http.get("/socket.io/?EIO=4&transport=polling")).text
        url = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(greeting[1:])['sid']}"

        async def poll() -> str:
            return (await http.get(url)).text

        yield poll, lambda text: http.post(url, content=text)


async def test_a_client_in_node_follows_and_resumes_after_the_connection_broke() -> None:
    need("" if NODE and (ROOT / "node_modules/socket.io-client").exists() else "socket.io-client is missing")
    async with filled_world() as world:
        asked = {"port": world.port, "bearer": "vera", "watch": {"hosts": ["h1", "h2"], "since": 1}}
        process = await asyncio.create_subprocess_exec(
            str(NODE),
            str(ROOT / "tests/metrics/watch.mjs"),
            json.dumps(asked),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None

            async def line() -> list[Any]:
                assert process.stdout is not None
                heard: list[Any] = json.loads(await asyncio.wait_for(process.stdout.readline(), 10))
                return heard

            event, answer = await line()
            assert (event, answer["hosts"].keys()) == ("watch", {"h1", "h2"})
            world.sample("h1", cpu=77)
            await world.watching.tick()
            event, message = await line()
            assert (event, values_of(message, "h1")) == ("figures", {"cpu": 77})
            for socket in list(world.live.server.eio.sockets.values()):
                await socket.close(abort=True)
            world.sample("h2", cpu=88)
            await world.watching.tick()
            event, answer = await line()
            assert event == "watch"
            assert answer["hosts"]["h2"]["missed"][-1][1] == 88
        finally:
            process.kill()
            await process.wait()
