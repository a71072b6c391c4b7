"""A whole master: its own figures, those of a worker beside it, and of one behind NAT, and who looks."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]  # it ships no types

from tests.deck import Deck, running_deck, wait_until
from tests.dialling import DiallingWorker, join


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        yield deck


@pytest.fixture(scope="module")
def far(deck: Deck, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiallingWorker]:
    worker = join(deck, tmp_path_factory.mktemp("far") / "home")
    yield worker
    worker.end()


def fleet(deck: Deck) -> dict[str, dict[str, Any]]:  # Any: JSON
    return {host["name"]: host for host in deck.api("GET", "/api/v1/fleet").json()["hosts"]}


def has_figures(deck: Deck, name: str) -> bool:
    return name in (hosts := fleet(deck)) and hosts[name]["figures"] is not None


@contextlib.contextmanager
def looking(deck: Deck, *names: str) -> Iterator[None]:
    """Look at hosts as a page does, over a socket."""
    client = socketio.Client()
    client.connect(deck.url, headers={"Authorization": f"Bearer {deck.token}"}, namespaces=["/console"])
    try:
        ids = [host["id"] for name, host in fleet(deck).items() if name in names]
        answer = client.call("figures:watch", {"hosts": ids}, namespace="/console")
        assert answer["ok"], answer
        yield
    finally:
        client.disconnect()


def sampled(deck: Deck, name: str, times: int, seconds: float) -> list[str]:
    """Return so many different moments of samples of a host."""
    seen: list[str] = []

    def has_seen() -> bool:
        at = fleet(deck)[name]["sampled_at"]
        if at not in seen:
            seen.append(at)
        return len(seen) >= times

    wait_until(has_seen, f"{times} samples of {name}", seconds)
    return seen


@pytest.mark.parametrize("name", ["master", "worker", "far"])
def test_each_kind_of_host_has_figures(deck: Deck, far: DiallingWorker, name: str) -> None:
    wait_until(lambda: has_figures(deck, name), f"figures of {name}", 30)
    host = fleet(deck)[name]
    assert 0 < host["figures"]["memory"] < 100


@pytest.mark.parametrize("name", ["master", "worker", "far"])
def test_a_look_makes_each_kind_of_host_move_every_second(deck: Deck, far: DiallingWorker, name: str) -> None:
    wait_until(lambda: has_figures(deck, name), f"figures of {name}", 30)
    with looking(deck, name):
        assert len(sampled(deck, name, 6, 40)) == 6
        assert fleet(deck)[name]["interval_seconds"] == 1


def test_heartbeats_leave_no_lines_in_the_history(deck: Deck, far: DiallingWorker) -> None:
    wait_until(lambda: has_figures(deck, "far"), "figures of far", 30)
    with looking(deck, "far"):
        before = deck.api("GET", "/api/v1/history?limit=100").json()["entries"]
        assert len(sampled(deck, "far", 5, 40)) == 5
        after = deck.api("GET", "/api/v1/history?limit=100").json()["entries"]
    new = [entry for entry in after if entry not in before]
    assert not [entry for entry in new if "heartbeat" in str(entry) or "sampling" in str(entry)]


def test_after_a_restart_all_are_back_within_30_seconds(
    deck: Deck, far: DiallingWorker, tmp_path: Path
) -> None:
    wait_until(lambda: has_figures(deck, "far"), "figures of far", 30)
    deck.stop()
    deck.start()
    wait_until(lambda: all(has_figures(deck, name) for name in ("master", "worker", "far")), "all back", 32)
