"""The Origin check, as a table and on the wire (cross-site WebSocket hijacking)."""

from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from quarterdeck.core.live.origin import origin_of, refusal
from tests.core.live_server import live_serving
from tests.core.server import talk


def scope(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "type": "websocket",
        "scheme": "wss",
        "method": "GET",
        "query_string": b"EIO=4&transport=websocket",
        "client": ("10.0.0.1", 5),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    } | more


HOST = ("Host", "deck.example.org")


def is_accepted(asked: dict[str, Any], public_url: str = "", trusted_proxies: int = 0) -> bool:
    return not refusal(asked, public_url=public_url, trusted_proxies=trusted_proxies)


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://deck.example.org", True),
        ("null", False),
        ("", False),
        ("http://deck.example.org", False),
        ("https://deck.example.org:443", False),
        ("https://deck.example.org:8443", False),
        ("https://deck.example.org/", False),
        ("https://DECK.example.org", False),
        ("HTTPS://deck.example.org", False),
        ("https://deck.example.org.evil.test", False),
        ("https://evildeck.example.org", False),
        ("https://example.org", False),
        ("https://deck.example.orgevil", False),
        ("https://evil.test/https://deck.example.org", False),
        ("https://deck.example.org@evil.test", False),
        ("https://evil.test#https://deck.example.org", False),
        ("https://deck.example.org, https://evil.test", False),
        ("*", False),
        ("file://", False),
        ("wss://deck.example.org", False),
    ],
)
def test_only_the_own_origin_is_accepted(origin: str, accepted: bool) -> None:
    assert is_accepted(scope(HOST, ("Origin", origin))) is accepted


def test_a_bearer_does_not_excuse_a_foreign_origin() -> None:
    bearer = ("Authorization", "Bearer token")
    assert not is_accepted(scope(HOST, bearer, ("Origin", "https://evil.test")))
    assert is_accepted(scope(HOST, bearer))


def test_two_origins_are_refused() -> None:
    own = ("Origin", "https://deck.example.org")
    assert not is_accepted(scope(HOST, own, own))


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_without_origin_and_bearer_nobody_may_write(kind: str) -> None:
    assert not is_accepted(scope(HOST, ("Cookie", "session=x"), type=kind, method="POST"))
    assert not is_accepted(scope(HOST, ("Authorization", "Basic x"), type=kind, method="POST"))


@pytest.mark.parametrize(
    ("site", "accepted"), [("same-origin", True), ("cross-site", False), ("none", False)]
)
def test_a_polling_get_carries_no_origin(site: str, accepted: bool) -> None:
    asked = scope(HOST, ("Sec-Fetch-Site", site), type="http", scheme="https")
    assert is_accepted(asked) is accepted
    assert is_accepted(scope(HOST, type="http", scheme="https"))


def test_jsonp_is_refused_even_from_here() -> None:
    own = ("Origin", "https://deck.example.org")
    assert not is_accepted(scope(HOST, own, query_string=b"EIO=4&transport=polling&j=0"))


def test_the_public_address_is_accepted_behind_a_proxy() -> None:
    asked = scope(("Host", "127.0.0.1:5000"), ("Origin", "https://deck.example.org"), scheme="ws")
    assert not is_accepted(asked)
    assert is_accepted(asked, public_url="https://deck.example.org/")
    assert is_accepted(asked, public_url="https://deck.example.org:443")
    assert not is_accepted(asked, public_url="https://deck.example.org:444")


def test_forwarded_host_and_scheme_count_only_from_a_trusted_proxy() -> None:
    asked = scope(
        ("Host", "127.0.0.1:5000"),
        ("Origin", "https://deck.example.org"),
        ("X-Forwarded-Host", "deck.example.org"),
        ("X-Forwarded-Proto", "https"),
        scheme="ws",
    )
    assert not is_accepted(asked)
    assert is_accepted(asked, trusted_proxies=1)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://Deck:80", "http://deck"),
        ("https://ada@deck", ""),
        ("ftp://deck", ""),
        ("http://deck:port", ""),
        ("http://", ""),
        ("", ""),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    assert origin_of(url) == origin


async def test_a_foreign_page_with_a_good_cookie_gets_no_socket() -> None:
    async with live_serving() as (live, port):
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                url, origin=Origin("http://evil.test"), additional_headers={"Authorization": "Bearer ada"}
            )
        assert refused.value.response.status_code == 403
        async with connect(url, origin=Origin(f"http://127.0.0.1:{port}")):
            assert live.counters.refused == 1


async def test_a_bearer_at_the_first_poll_counts_for_the_next() -> None:
    async with live_serving() as (live, port):
        path = "/socket.io/?EIO=4&transport=polling"
        for bearer, status in (("Authorization: Bearer ada\r\n", b"200"), ("", b"403")):
            head = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\n"
            greeting = await talk(port, f"GET {path} HTTP/1.1\r\n{head}{bearer}\r\n".encode())
            sid = greeting.partition(b'"sid":"')[2].partition(b'"')[0].decode()
            post = f"POST {path}&sid={sid} HTTP/1.1\r\n{head}Content-Length: 1\r\n\r\n3"
            assert (await talk(port, post.encode())).split()[1] == status
        assert live.counters.refused == 1


async def test_a_foreign_page_can_neither_poll_nor_post() -> None:
    async with live_serving() as (live, port):
        for method in ("GET", "POST", "OPTIONS"):
            request = (
                f"{method} /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                "Origin: http://evil.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            answer = await talk(port, request.encode())
            assert answer.startswith(b"HTTP/1.1 403")
            assert b"access-control" not in answer.lower()
        assert live.sockets == 0
