"""A served Watching over a real Fleet, and clients of it that know what they were told."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import socketio  # type: ignore[import-untyped]  # it ships no types

from quarterdeck.core.actors import Actor, ActorKind, Grant, Level, Target
from quarterdeck.core.asgi import Scope, header
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.live.service import CONSOLE, Live
from quarterdeck.metrics import live as edge
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.watching import Watching
from quarterdeck.protocol.samples import Frame
from tests.core.live_server import Cast, live_serving
from tests.core.server import until


class NarrowedCast(Cast):
    """The cast, and Gerda, who has no role but a grant on what is tagged ``web``."""

    def __call__(self, scope: Scope) -> Actor:
        name = header(scope, b"authorization").removeprefix("Bearer ")
        if name == "gerda":
            grants = (Grant(Level.READ, "tag:web"),)
            return Actor(ActorKind.PERSON, "gerda", grants=grants, credential_id="gerda")
        return super().__call__(scope)


@dataclass
class World:
    """The parts under test; ``tags`` are those of the hosts that there are, by id."""

    live: Live
    fleet: Fleet
    watching: Watching
    port: int
    cast: NarrowedCast
    tags: dict[str, frozenset[str]]
    looked: list[set[str]] = field(default_factory=list)
    at: float = 1_000.0

    def sample(self, host_id: str, is_full: bool = False, **values: float) -> None:
        """Let a sample of a host arrive, a second after the one before."""
        self.at += 1
        self.fleet.take(host_id, Frame(at=self.at, is_full=is_full, values=values), at=self.at)


@contextlib.asynccontextmanager
async def watching_world(hosts: dict[str, str], **options: Any) -> AsyncIterator[World]:  # Any: of Live
    """Serve hosts with a tag each; nothing is told but by ``watching.tick``."""
    cast = NarrowedCast()
    async with live_serving(cast, **options) as (live, port):
        tags = {host_id: frozenset({tag}) for host_id, tag in hosts.items()}
        looked: list[set[str]] = []

        def targets_of(ids: Collection[str]) -> dict[str, Target]:
            return {each: Target(f"host:{each}", tags[each]) for each in ids if each in tags}

        fleet = Fleet()
        watching = Watching(
            live, fleet, SystemClock(), targets_of=targets_of, look=lambda ids: looked.append(set(ids))
        )
        edge.register(live, watching)
        yield World(live, fleet, watching, port, cast, tags, looked)


async def watch(client: socketio.AsyncClient, *hosts: str, **more: Any) -> dict[str, Any]:  # Any: JSON
    answer: dict[str, Any] = await client.call(
        "figures:watch", {"hosts": list(hosts)} | more, namespace=CONSOLE
    )
    return answer


def messages(client: socketio.AsyncClient) -> list[dict[str, Any]]:
    """Return the figures that a client was told, oldest first."""
    return [data for name, *rest in client.news if name == "figures" for data in rest]


async def told(client: socketio.AsyncClient, count: int) -> list[dict[str, Any]]:
    """Wait for so many messages in all, and return them."""
    await until(lambda: len(messages(client)) >= count, f"{count} messages of figures")
    return messages(client)


def values_of(message: dict[str, Any], host_id: str, keys: Sequence[str] = KEYS) -> dict[str, float | None]:
    """Return the figures of a host in a message, by key; ``keys`` are those that were asked for."""
    _, *pairs = message["hosts"][host_id]
    return {keys[number]: value for number, value in zip(pairs[::2], pairs[1::2], strict=True)}
