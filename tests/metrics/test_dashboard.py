"""The namespace of the live page, as its foreign page and clients want it (docs/live.md)."""

import asyncio
import json
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as Refused  # type: ignore[import-untyped]  # it ships no types

from quarterdeck.core.live.service import CONSOLE
from quarterdeck.metrics.dashboard import board as board_module
from quarterdeck.metrics.dashboard.board import NAMESPACE
from quarterdeck.metrics.dashboard.message import displayed, dynamic_of, static_of
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.protocol.samples import Facts
from tests.core.live_server import Cast, client, raw_socket
from tests.core.server import until
from tests.metrics.machines import FACTS, GB, OWN, showing, take

BROADCASTS = pytest.mark.parametrize("stock", [False, True], ids=["cheap", "stock"])
DEFAULT_TRANSPORTS = ("polling", "websocket")


def parsed(news: list[tuple[str, Any]]) -> list[dict[str, Any]]:  # Any: JSON
    """Return the JSON within the messages, as the page reads it: texts that are none are passed over."""
    texts = [content["data"] for event, content in news if event == "my_response"]
    assert all(isinstance(text, str) for text in texts)
    return [json.loads(text) for text in texts if text.startswith("{")]


@BROADCASTS
async def test_a_viewer_is_greeted_and_then_told_everything_that_is_known(stock: bool) -> None:
    async with showing(stock=stock) as shown:
        shown.fleet.take_facts(OWN, FACTS)
        take(shown.fleet)
        async with client(shown.port, "vera", *DEFAULT_TRANSPORTS, namespace=NAMESPACE) as vera:
            await until(lambda: len(vera.news) >= 2, "the figures")
            assert vera.transport() == "websocket"  # after it began to poll
            assert vera.news[0] == ("my_response", {"data": "Connected", "count": 0})
            (first,) = parsed(vera.news)
    assert set(first) == {"static", "dynamic"}
    assert first["static"]["os_info"] == {
        "system": "Debian GNU/Linux 12 (bookworm)",
        "platform": "Debian GNU/Linux 12 (bookworm)-6.1.0-30-amd64-x86_64",
        "arch": "x86_64",
        "version": "6.1.0-30-amd64",
        "release": "6.1.0-30-amd64",
        "name": "deck-1",
        "processor": 4,
    }
    assert first["static"]["ip_address"] == ["192.0.2.7", "198.51.100.9", "2001:db8::7"]
    assert first["static"]["python_info"] == "3.11.7"
    assert first["dynamic"]["memory_info"] == {"total": 16 * GB, "available": 12 * GB, "usage": 25.0}
    assert first["dynamic"]["cpu_info"] == {"usage": 12.5, "processor": 4, "cores": [10, 15, 20, 5]}
    assert first["dynamic"]["disk_info"] == {"free": 60 * GB, "total": 100 * GB, "percent": 40.0}


@BROADCASTS
async def test_only_what_changes_beyond_what_is_shown_is_sent_and_counted(stock: bool) -> None:
    async with showing(stock=stock) as shown:
        shown.fleet.take_facts(OWN, FACTS)
        take(shown.fleet, cpu=10)
        async with client(shown.port, "vera", namespace=NAMESPACE) as vera:
            await until(lambda: len(vera.news) == 2, "the figures")
            take(shown.fleet, cpu=10.04, processes=999)
            await asyncio.sleep(0.1)
            assert len(vera.news) == 2
            for number in (1, 2, 3):
                take(shown.fleet, cpu=20.0 + number)
                await until(lambda: len(vera.news) == 2 + number, "the change")  # noqa: B023 - awaited here
            assert [content["count"] for _, content in vera.news[2:]] == [1, 2, 3]
            assert [set(content) for content in parsed(vera.news)[1:]] == [{"dynamic"}] * 3
            assert [content["dynamic"]["cpu_info"]["usage"] for content in parsed(vera.news)[1:]] == [
                21,
                22,
                23,
            ]


async def test_without_a_change_a_sign_of_life_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "HEARTBEAT_SECONDS", 0.1)
    async with showing() as shown:
        take(shown.fleet)
        async with client(shown.port, "vera", namespace=NAMESPACE) as vera:
            await until(lambda: len(parsed(vera.news)) >= 3, "signs of life")
            assert len({json.dumps(content) for content in parsed(vera.news)}) == 1


async def test_figures_that_are_not_of_now_are_not_sent_as_if_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board_module, "HEARTBEAT_SECONDS", 0.05)
    async with showing() as shown:
        shown.fleet.take_facts(OWN, FACTS)
        take(shown.fleet, at=1_700_000_000)
        async with client(shown.port, "vera", namespace=NAMESPACE) as vera:
            await until(lambda: len(vera.news) == 2, "the facts")
            await asyncio.sleep(0.2)
            assert [set(content) for content in parsed(vera.news)] == [{"static"}]


async def test_facts_are_told_again_when_they_change() -> None:
    async with showing() as shown:
        shown.fleet.take_facts(OWN, FACTS)
        take(shown.fleet)
        async with client(shown.port, "vera", namespace=NAMESPACE) as vera:
            await until(lambda: len(vera.news) == 2, "the figures")
            shown.fleet.take_facts(OWN, Facts(hostname="renamed", addresses=["192.0.2.8"]))
            take(shown.fleet)
            await until(lambda: len(vera.news) == 3, "the facts")
            assert parsed(vera.news)[-1]["static"]["os_info"]["name"] == "renamed"


async def test_a_ping_is_answered_by_an_event_to_whoever_sent_it() -> None:
    async with (
        showing() as shown,
        client(shown.port, "vera", namespace=NAMESPACE) as vera,
        client(shown.port, "ada", namespace=NAMESPACE) as ada,
    ):
        await vera.emit("my_ping", namespace=NAMESPACE)
        await until(lambda: ("my_pong",) in vera.news, "the answer")
        assert ("my_pong",) not in ada.news


async def test_other_events_are_passed_over() -> None:
    async with showing() as shown, client(shown.port, "vera", namespace=NAMESPACE) as vera:
        await vera.emit("my_event", {"data": "I am connected"}, namespace=NAMESPACE)
        await vera.emit("what_is_this", (1, [2], None), namespace=NAMESPACE)
        await vera.emit("my_ping", {"unexpected": True}, namespace=NAMESPACE)
        await until(lambda: ("my_pong",) in vera.news, "the answer")


async def test_the_machine_is_looked_at_as_long_as_somebody_watches() -> None:
    async with showing() as shown:
        await asyncio.sleep(0.05)
        assert shown.looks == []
        async with client(shown.port, "vera", namespace=NAMESPACE):
            await until(lambda: shown.looks == [[OWN]], "the look")
            assert shown.board.viewers == 1
        await until(lambda: shown.board.viewers == 0, "the end of the viewer")
        async with client(shown.port, "ada", namespace=NAMESPACE):
            await until(lambda: shown.looks == [[OWN], [OWN]], "the second look")


async def test_it_goes_on_after_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(board_module, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(board_module, "HEARTBEAT_SECONDS", 0.05)
    async with showing() as shown:
        shown.is_broken = True
        async with client(shown.port, "vera", namespace=NAMESPACE) as vera:
            await until(lambda: bool(shown.looks), "the failure")
            shown.is_broken = False
            take(shown.fleet)
            await until(lambda: bool(parsed(vera.news)), "the figures")
    assert "could not be told" in caplog.text
    assert "the sampler is gone" in caplog.text


@pytest.mark.parametrize("name", ["nils", "nobody", ""])
async def test_whoever_may_not_read_the_host_is_refused(name: str) -> None:
    async with showing() as shown:
        with pytest.raises(Refused):
            async with client(shown.port, name, namespace=NAMESPACE):
                pass
        assert shown.board.viewers == 0


@pytest.mark.parametrize("name", ["nils", "nobody", ""])
async def test_a_setting_opens_it_to_anybody(name: str) -> None:
    async with showing(is_public=True) as shown:
        take(shown.fleet)
        async with client(shown.port, name, *DEFAULT_TRANSPORTS, namespace=NAMESPACE) as anybody:
            await until(lambda: bool(parsed(anybody.news)), "the figures")
            shown.live.check_credentials()
            take(shown.fleet, cpu=77)
            await until(lambda: len(parsed(anybody.news)) == 2, "further figures")


@pytest.mark.parametrize("name", ["nobody", ""])
async def test_the_setting_opens_nothing_else(name: str) -> None:
    async with showing(is_public=True) as shown:
        with pytest.raises(Refused):
            async with client(shown.port, name, namespace=CONSOLE):
                pass


async def test_a_session_that_ends_takes_its_viewer_along() -> None:
    cast = Cast()
    async with (
        showing(cast) as shown,
        client(shown.port, "vera", namespace=NAMESPACE) as vera,
        client(shown.port, "ada", namespace=NAMESPACE),
    ):
        cast.ended.add("vera")
        shown.live.check_credentials()
        await until(lambda: NAMESPACE not in vera.namespaces, "the end")
        assert shown.board.viewers == 1


async def test_a_broadcast_is_encoded_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with showing() as shown:
        encoded: list[str] = []
        manager = shown.live.server.manager
        before = manager._encode

        def encode(event: str, *more: Any) -> Any:  # Any: handed on
            encoded.append(event)
            return before(event, *more)

        monkeypatch.setattr(manager, "_encode", encode)
        async with (
            client(shown.port, "vera", namespace=NAMESPACE) as vera,
            client(shown.port, "ada", namespace=NAMESPACE) as ada,
            client(shown.port, "oskar", namespace=NAMESPACE) as oskar,
        ):
            await until(lambda: all(one.news for one in (vera, ada, oskar)), "the greetings")
            encoded.clear()
            take(shown.fleet)
            await until(lambda: all(parsed(one.news) for one in (vera, ada, oskar)), "the figures")
            assert encoded == ["my_response"]


async def test_without_a_console_only_this_namespace_is_there() -> None:
    async with showing(has_console=False) as shown, raw_socket(shown.port) as ada:
        for name in (CONSOLE, "/", "/other"):
            await ada.send(f"40{name},")
            assert str(await asyncio.wait_for(ada.recv(), 5)).startswith("44")
        await ada.send(f"40{NAMESPACE},")
        assert str(await asyncio.wait_for(ada.recv(), 5)).startswith(f"40{NAMESPACE},")


def test_texts_hold_nothing_that_html_could_be_made_of() -> None:
    hostile = Facts(
        hostname="<img src=x onerror=alert(1)>", system='"><b>\x00', addresses=["<i>"], python="'`"
    )
    told = json.dumps(static_of(hostile), ensure_ascii=False)
    assert not set("<>&'`\x00") & set(told)
    assert static_of(hostile)["os_info"]["name"] == "img src=x onerror=alert(1)"


def test_all_keys_are_there_of_a_machine_that_tells_little() -> None:
    host = HostNow("h1")
    assert dynamic_of(host) is None
    host.at = 1.0
    told = dynamic_of(host)
    assert told is not None
    assert told["memory_info"] == {"total": 0, "available": 0, "usage": 0.0}
    assert told["disk_info"] == {"free": 0, "total": 0, "percent": 0.0}
    assert displayed(told) == (0, 0, 0, 0, 0, 0, 0)


def test_the_boot_time_is_local_and_has_no_zone() -> None:
    assert static_of(Facts())["boottime_info"] == ""
    date, time = static_of(FACTS)["boottime_info"].split(" ")
    assert (len(date), len(time)) == (10, 8)
