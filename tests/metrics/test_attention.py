"""Who is looked at: leases that end, hosts of each kind told once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.metrics.attention import Attention
from tests.deck import wait_until
from tests.hosts.factories import Node, open_node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with open_node(tmp_path / "home") as node:
        yield node


Watched = list[tuple[str, float, float]]


@pytest.fixture
def watched() -> Watched:
    """What the master was told to sample itself."""
    return []


@pytest.fixture
def attention(node: Node, watched: Watched) -> Attention:
    def watch_own(host_id: str, interval: float, seconds: float) -> None:
        watched.append((host_id, interval, seconds))

    return Attention(node.hosts, node.clock, watch_own=watch_own)


@pytest.fixture
def own_id(node: Node) -> str:
    return node.hosts.register(SYSTEM, HostDraft("master", HostKind.MASTER)).id


def test_a_look_lasts_twenty_seconds(node: Node, attention: Attention) -> None:
    attention.look(["a"])
    assert (attention.interval_of("a"), attention.interval_of("b")) == (1, 15)
    node.clock.forward(19)
    assert attention.looked_at() == {"a"}
    node.clock.forward(2)
    assert attention.looked_at() == set()
    assert attention.interval_of("a") == 15


def test_the_master_samples_its_own_machine_and_is_told_once(
    node: Node, attention: Attention, watched: Watched, own_id: str
) -> None:
    for _ in range(5):
        attention.look([own_id])
    wait_until(lambda: bool(watched), "the master's own collector to be told")
    node.clock.forward(11)
    attention.look([own_id])
    wait_until(lambda: len(watched) == 2, "it to be told again")
    assert watched == [(own_id, 1, 30)] * 2


def test_a_removed_host_is_passed_over(attention: Attention, watched: Watched, own_id: str) -> None:
    attention.look(["gone", own_id])
    wait_until(lambda: bool(watched), "the other to be told")
    assert watched == [(own_id, 1, 30)]


def test_ended_looks_are_forgotten(node: Node, attention: Attention) -> None:
    attention.look([str(number) for number in range(1_000)])
    node.clock.forward(21)
    attention.look(["a"])
    assert len(attention._until) == 1
