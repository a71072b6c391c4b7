"""A real master under ten thousand bad attempts: its memory is bounded, and who is signed in is served."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from quarterdeck.core.limits import KNOWN_ADDRESSES
from tests.access.hostile_provider import CLIENT_ID, HostileProvider, running
from tests.deck import Deck
from tests.end_to_end.flood import BEARERS, FORGED, Flood
from tests.end_to_end.visitor import Visitor, add_cast, signed_in

PAGES = ("/hosts", "/api/v1/me", "/runs", "/account", "/history")
PAUSE_SECONDS = 0.05
MOST_GROWTH = 48_000_000
"""docs/limits.md says this, and what was measured."""


class Master(Deck):
    verb = "master"


@dataclass
class Reading:
    """What somebody saw who went on reading pages."""

    statuses: list[int] = field(default_factory=list)

    def go_on(self, visitor: Visitor, until: threading.Event) -> None:
        while not until.wait(PAUSE_SECONDS):
            path = PAGES[len(self.statuses) % len(PAGES)]
            self.statuses.append(visitor.get(path).status_code)


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with running(lambda: datetime.now(UTC)) as provider:
        yield provider


@pytest.fixture
def deck(tmp_path: Path, provider: HostileProvider) -> Iterator[Deck]:
    deck = Master(
        tmp_path / "home",
        QUARTERDECK_IDENTITY_COMPANY_ISSUER=provider.url,
        QUARTERDECK_IDENTITY_COMPANY_CLIENT_ID=CLIENT_ID,
    )
    try:
        deck.start()
        deck.add_person("ada", "administrator")
        deck.token = deck.new_token("ada", "admin")
        add_cast(deck)
        yield deck
    finally:
        deck.close()


def test_ten_thousand_bad_attempts_leave_memory_and_others_alone(deck: Deck) -> None:
    assert deck.process is not None
    master = psutil.Process(deck.process.pid)
    with signed_in(deck, "oskar") as reader, signed_in(deck, "vera", "127.0.0.9") as vera:
        for path in PAGES:
            assert reader.get(path).status_code == 200
        before = master.memory_info().rss
        flood, reading = Flood(deck.port, f"quarterdeck_session={vera.cookie}"), Reading()
        with reading_on(reading, reader):
            asyncio.run(flood.run())
        growth = master.memory_info().rss - before
        assert reader.get("/hosts").status_code == 200
    assert flood.attempts == 10_000
    assert set(reading.statuses) == {200}
    assert growth < MOST_GROWTH
    assert_only_refusals(flood)
    assert KNOWN_ADDRESSES <= known_addresses(deck) <= KNOWN_ADDRESSES + flood.lines_opened - BEARERS
    recorded = deck.api("GET", f"/api/v1/history?q={FORGED}&limit=1").json()["entries"]
    assert recorded == []
    assert "Traceback" not in deck.log()


@contextlib.contextmanager
def reading_on(reading: Reading, reader: Visitor) -> Iterator[None]:
    is_over = threading.Event()
    thread = threading.Thread(target=reading.go_on, args=(reader, is_over))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(60)


def assert_only_refusals(flood: Flood) -> None:
    expected = {
        "bearer": {401},
        "jwt": {401},
        "refresh": {401, 429},
        "sign-in": {401, 429},
        "API sign-in": {401, 429},
        "provider start": {303, 429},
        "provider callback": {400, 401, 403, 429},
        "handshake": {101, 401, 403},  # a namespace, and not the transport, refuses nobody
        "garbage": {101},
    }
    assert flood.statuses.keys() == expected.keys()
    for door, answers in flood.statuses.items():
        assert set(answers) <= expected[door], (door, answers)


def known_addresses(deck: Deck) -> int:
    text = deck.api("GET", "/metrics").text
    return int(float(text.split("\nquarterdeck_addresses_known ")[1].split("\n")[0]))
