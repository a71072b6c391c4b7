"""Rights that end while something goes on: sockets, waits and downloads of a running master stop at once."""

import concurrent.futures
import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import socketio  # type: ignore[import-untyped]  # it ships no types

from tests.deck import Deck, wait_until
from tests.end_to_end.visitor import add_person

CONSOLE = "/console"
LONG_WAIT = 55
"""A wait that lasted so long was not cut short."""


class Program:
    """A person of one test, by a token: calls the API and opens sockets."""

    def __init__(self, deck: Deck, person: str, **token: Any) -> None:
        made = deck.api(
            "POST", "/api/v1/tokens", json={"person": person, "label": secrets.token_hex(4)} | token
        )
        assert made.status_code == 201, made.text
        self.deck, self.headers = deck, {"Authorization": f"Bearer {made.json()['token']}"}

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.deck.url}/api/v1{path}", headers=self.headers, timeout=90, **more)

    @contextlib.contextmanager
    def socket(self) -> Iterator[socketio.Client]:
        """Connect; what arrives is kept in ``client.news``."""
        client = socketio.Client(reconnection=False, websocket_extra_options={"suppress_origin": True})
        client.news = []
        client.on("*", lambda event, *data: client.news.append((event, *data)), namespace=CONSOLE)
        client.connect(
            self.deck.url, self.headers, namespaces=[CONSOLE], transports=["websocket"], wait_timeout=5
        )
        try:
            yield client
        finally:
            client.disconnect()
            if client.eio.ws is not None:
                client.eio.ws.close()


def joins(client: socketio.Client, room: str) -> bool:
    return bool(client.call("room:join", {"room": room}, namespace=CONSOLE)["ok"])


def grant(deck: Deck, person: str, level: str, object_: str) -> str:
    given = deck.api("POST", "/api/v1/grants", json={"person": person, "level": level, "object": object_})
    assert given.status_code == 201, given.text
    return str(given.json()["id"])


@pytest.fixture
def long_run(deck: Deck) -> Iterator[str]:
    """A run on web1 that goes on until the test is over."""
    body = {"task": {"kind": "command", "command": "sleep 300"}, "hosts": ["web1"], "force": True}
    started = deck.api("POST", "/api/v1/runs", json=body | {"reason": "a test"})
    assert started.status_code == 201, started.text
    run_id = str(started.json()["id"])
    yield run_id
    deck.api("POST", f"/api/v1/runs/{run_id}/cancel")
    deck.api("GET", f"/api/v1/runs/{run_id}?wait=30")


@pytest.mark.parametrize(
    ("ends", "status"), [("disable", 401), ("take", 403)], ids=["disabled", "grant taken back"]
)
def test_a_wait_ends_with_the_right_to_it(deck: Deck, long_run: str, ends: str, status: int) -> None:
    name = f"waiter-{ends}"
    add_person(deck, name, None)
    grant_id = grant(deck, name, "read", "tag:web")
    program = Program(deck, name, scope="read")
    with program.socket() as socket, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert joins(socket, f"run:{long_run}")
        waiting = pool.submit(program.get, f"/runs/{long_run}?wait={LONG_WAIT}")
        with pytest.raises(TimeoutError):
            waiting.result(1)
        if ends == "disable":
            assert deck.api("PATCH", f"/api/v1/people/{name}", json={"is_disabled": True}).status_code == 200
        else:
            assert deck.api("DELETE", f"/api/v1/grants/{grant_id}").status_code == 204
        assert waiting.result(LONG_WAIT / 2).status_code == status
        wait_until(lambda: CONSOLE not in socket.namespaces, "the socket to be ended")


def test_a_wait_of_others_goes_on_when_somebody_loses_a_right(deck: Deck, long_run: str) -> None:
    add_person(deck, "leaver", None)
    add_person(deck, "stayer", None)
    taken = grant(deck, "leaver", "read", "tag:web")
    grant(deck, "stayer", "read", "tag:web")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(Program(deck, "stayer", scope="read").get, f"/runs/{long_run}?wait=4")
        with pytest.raises(TimeoutError):
            waiting.result(1)
        assert deck.api("DELETE", f"/api/v1/grants/{taken}").status_code == 204
        with pytest.raises(TimeoutError):
            waiting.result(1)
        assert waiting.result(30).status_code == 200


def test_a_download_is_cut_when_its_reader_is_kept_out(deck: Deck) -> None:
    size = 64 << 20
    run = deck.run(task={"kind": "command", "command": f"head -c {size} /dev/zero"}, hosts=["web1"])
    add_person(deck, "reader", "viewer")
    program = Program(deck, "reader", scope="read")
    path = f"{deck.url}/api/v1/runs/{run['id']}/output?host=web1"
    with httpx.stream("GET", path, headers=program.headers, timeout=60) as answer:
        assert int(answer.headers["Content-Length"]) == size
        pieces = answer.iter_raw(1 << 16)
        next(pieces)
        assert deck.api("PATCH", "/api/v1/people/reader", json={"is_disabled": True}).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in pieces:
                pass
        assert answer.num_bytes_downloaded < size


def test_rooms_close_when_a_host_loses_its_tag(deck: Deck, long_run: str) -> None:
    add_person(deck, "tagged", None)
    grant(deck, "tagged", "read", "tag:web")
    room = f"run:{long_run}"
    tagged, vera = Program(deck, "tagged", scope="read"), Program(deck, "vera", scope="read")
    with tagged.socket() as socket, vera.socket() as other:
        assert joins(socket, room)
        assert joins(other, room)
        deck.api("PATCH", "/api/v1/hosts/web1", json={"tags": ["other"]})
        try:
            assert not joins(socket, room)
            deck.api("POST", f"/api/v1/runs/{long_run}/cancel")
            wait_until(lambda: any(data.get("ended") for _, data in other.news), "word of the end")
            assert [data for event, data in socket.news if event == "run:changed"] == []
        finally:
            deck.api("PATCH", "/api/v1/hosts/web1", json={"tags": ["web"]})


def test_rooms_of_all_hosts_are_for_those_who_may_read_all(deck: Deck) -> None:
    add_person(deck, "some", None)
    grant(deck, "some", "read", "tag:web")
    with Program(deck, "some", scope="read").socket() as socket:
        assert not joins(socket, "hosts")
        assert joins(socket, "some-hosts")
        deck.api("POST", "/api/v1/hosts/master/test")
        deck.api("PATCH", "/api/v1/hosts/web1", json={"tags": ["web", "more"]})
        wait_until(lambda: ("hosts:changed", {}) in socket.news, "word of a change")
        assert all(data == {} for event, data in socket.news if event.startswith("hosts:"))
    deck.api("PATCH", "/api/v1/hosts/web1", json={"tags": ["web"]})
    with Program(deck, "vera", scope="read").socket() as socket:
        assert joins(socket, "hosts")
        assert not joins(socket, "some-hosts")


def test_a_token_limited_to_tags_hears_no_toasts(deck: Deck) -> None:
    narrow = Program(deck, "oskar", scope="run", host_tags=["web"])
    wide = Program(deck, "oskar", scope="run")
    with narrow.socket() as deaf, wide.socket() as hearing:
        for text in ("db7 is lost.", "and again"):
            sent = deck.api("POST", "/api/v1/toasts", json={"text": text, "role": "operator"})
            assert sent.status_code == 202

        def heard() -> list[str]:
            return [data["text"] for event, data in hearing.news if event == "toast:new"]

        wait_until(lambda: len(heard()) == 2, "the toasts")
        assert [event for event, *_ in deaf.news if event == "toast:new"] == []
