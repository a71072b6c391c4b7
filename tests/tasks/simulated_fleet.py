"""A simulated fleet for tests: in this process, in a loop and a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.tasks.simulation.fleet import Manner
from quarterdeck.tasks.simulation.keys import fleet_keys
from quarterdeck.tasks.simulation.registration import TAG, add_fleet
from quarterdeck.tasks.simulation.simulator import Plan, Simulator
from tests.deck import free_port
from tests.tasks.conftest import ADA, Node


@dataclass
class Fleet:
    """A fleet that answers."""

    simulator: Simulator
    loop: asyncio.AbstractEventLoop
    stopped: asyncio.Event
    thread: threading.Thread

    def names(self, *manners: Manner) -> set[str]:
        return {host.name for host in self.simulator.hosts if host.manner in manners}

    def add_to(self, node: Node) -> None:
        add_fleet(node.parts.hosts, ADA, self.simulator.drafts)

    def end(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(10)


StartFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[StartFleet]:
    """Start fleets that end with the test: ``fleet(50, shares=Shares(failing=10))``."""
    fleets: list[Fleet] = []

    def start(hosts: int, **more: Any) -> Fleet:  # Any: members of a plan
        plan = Plan(hosts=hosts, port=free_port(), **more)
        started = _started(Simulator(plan, fleet_keys(tmp_path / "simulation")))
        fleets.append(started)
        return started

    yield start
    for each in fleets:
        each.end()


def names_of(node: Node) -> list[str]:
    """Return the names of the whole fleet as it is listed."""
    return [host.name for host in node.parts.hosts.list_hosts(tags=(TAG,))]


def _started(simulator: Simulator) -> Fleet:
    simulator.listen()
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=_run, args=(loop, simulator.serve(stopped)))
    thread.start()
    return Fleet(simulator, loop, stopped, thread)


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(work)
    loop.close()
