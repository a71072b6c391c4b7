"""Samples of a made-up machine, put into a real Fleet by hand; and a socket server that shows them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.live.service import Live, LiveOptions
from quarterdeck.core.loop import Loop
from quarterdeck.metrics.dashboard.board import Board
from quarterdeck.metrics.dashboard.live import register
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.protocol.samples import Facts, Frame, Interface, Mount, Temperature
from tests.core.live_server import Cast
from tests.core.server import serving

GB = 1_000_000_000
FACTS = Facts(
    hostname="deck-1",
    system="Debian GNU/Linux 12 (bookworm)",
    kernel="6.1.0-30-amd64",
    architecture="x86_64",
    processor="AMD EPYC",
    processors=4,
    cores=2,
    memory_bytes=16 * GB,
    swap_bytes=2 * GB,
    booted_at=1_795_000_000,
    addresses=["192.0.2.7", "198.51.100.9", "2001:db8::7"],
    python="3.11.7",
)
OWN = "the-masters-own-host"


def full_frame(at: float, **values: float) -> Frame:
    """Return a sample of everything; ``values`` replace figures."""
    figures = {"cpu": 12.5, "cpu_wait": 1.0, "load": 0.42, "memory": 25.0, "swap": 5.0, "disk": 40.0}
    figures |= {
        "received": 2048.0,
        "sent": 1024.0,
        "disk_read": 0.0,
        "disk_write": 4096.0,
        "processes": 180.0,
        "temperature": 51.5,
    }
    return Frame(
        at=at,
        is_full=True,
        values=figures | values,
        cores=[10.0, 15.0, 20.0, 5.0],
        mounts=[
            Mount("/boot", GB, GB // 2, "ext4", "/dev/sda2"),
            Mount("/", 100 * GB, 60 * GB, "ext4", "/dev/sda1"),
        ],
        interfaces=[Interface("eth0", 123_456, 654_321, 2048.0, 1024.0)],
        temperatures=[Temperature("cpu", 51.5)],
    )


def take(fleet: Fleet, host_id: str = OWN, *, at: float = 0, **values: float) -> None:
    """Put a full sample into a fleet: of now, unless a moment is given."""
    at = at or time.time()
    fleet.take(host_id, full_frame(at, **values), at=at, interval_seconds=1)


@dataclass
class Shown:
    """A board with its server, and which hosts it had looked at."""

    port: int
    fleet: Fleet
    board: Board
    live: Live
    looks: list[Collection[str]] = field(default_factory=list)
    is_broken: bool = False
    """Whether having the machine looked at fails."""

    def look(self, host_ids: Collection[str]) -> None:
        self.looks.append(host_ids)
        if self.is_broken:
            raise OSError("the sampler is gone")


def is_viewer(actor: Actor, verb: str, object_: str) -> bool:
    assert (verb, object_) == ("host.read", "host:master")
    return actor.role is not None


@contextlib.asynccontextmanager
async def showing(
    identify: Cast | None = None,
    *,
    is_public: bool = False,
    **options: Any,  # Any: members of LiveOptions
) -> AsyncIterator[Shown]:
    """Serve the namespace alone, with a fleet that the test fills."""
    live = Live(identify or Cast(), LiveOptions(is_public=is_public, **options))
    fleet = Fleet()
    board = Board(live, fleet, SystemClock(), own_id=lambda: OWN, look=lambda ids: shown.look(ids))
    register(live, is_viewer, board, own_name=lambda: "master", is_public=is_public)

    async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:  # Any: of the protocol
        raise AssertionError("no request is meant for the web application")

    dispatcher = Dispatcher(nothing, loop=Loop(), sockets=live, startup=[live.start], stopping=[live.stop])
    async with serving(dispatcher) as port:
        shown = Shown(port, fleet, board, live)
        running = asyncio.create_task(board.run())
        try:
            yield shown
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await dispatcher.stop()
