"""Heartbeats as a worker makes them, and a master's end of them without a server around it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from quarterdeck.core.actors import SYSTEM
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.ingest import Ingest
from quarterdeck.protocol.line import CodeJoin
from quarterdeck.protocol.samples import Facts, Frame, Heartbeat, HeartbeatAnswer
from tests.hosts.factories import Node, open_node

TOKEN = "what-this-worker-shows-to-its-master-1"
FACTS = Facts(hostname="far", system="Debian GNU/Linux 12 (bookworm)", processors=4)


@dataclass
class Answer:
    """What came back for one post."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def beat(self) -> HeartbeatAnswer:
        assert self.status == 200, self.body
        return msgspec.msgpack.decode(self.body, type=HeartbeatAnswer)

    @property
    def problem(self) -> dict[str, Any]:  # Any: JSON
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = msgspec.json.decode(self.body)
        return document


@dataclass
class Desk:
    """A master's ingest with one worker, ``far``, that has joined."""

    node: Node
    fleet: Fleet
    attention: Attention
    ingest: Ingest
    host_id: str
    bad_bearers: list[str] = field(default_factory=list)

    @property
    def now(self) -> HostNow:
        now = self.fleet.now(self.host_id)
        assert now is not None
        return now

    def time(self) -> float:
        """The master's time."""
        return self.node.clock.now().timestamp()

    def beat(self, *frames: Frame, **members: Any) -> Answer:  # Any: members of a heartbeat
        """Send a heartbeat of the worker as its clock, which goes right, would make it."""
        values: dict[str, Any] = {"node": "far", "version": "1", "sent_at": self.time(), "facts": FACTS}
        return self.send(msgspec.msgpack.encode(Heartbeat(frames=list(frames), **values | members)))

    def send(self, *pieces: bytes, token: str = TOKEN, method: str = "POST", **headers: str) -> Answer:
        """Send any body in pieces; ``headers`` have underscores for dashes."""
        return self.node.loop.run(post(self.ingest, pieces, token=token, method=method, **headers))


async def post(app: Any, pieces: tuple[bytes, ...], *, token: str, method: str, **headers: str) -> Answer:
    """Call an ASGI application as the server would."""
    sent: list[dict[str, Any]] = []
    coming = [
        {"type": "http.request", "body": piece, "more_body": place < len(pieces)}
        for place, piece in enumerate(pieces, 1)
    ]
    given = {"authorization": f"Bearer {token}"} if token else {}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": "/nodes/heartbeat",
        "client": ("192.0.2.9", 1),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await app(scope, receive, send)
    start, body = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], found, body["body"])


@contextmanager
def open_desk(home: Path) -> Iterator[Desk]:
    """Open a home with a worker that has joined by a code."""
    with open_node(home) as node:
        fleet, bad = Fleet(), list[str]()
        attention = Attention(node.hosts, node.clock, watch_own=lambda *_: None)
        ingest = Ingest(
            node.hosts,
            node.history,
            fleet,
            attention,
            node.clock,
            on_bad_bearer=lambda bearer, address: bad.append(f"{bearer} {address}"),
        )
        yield Desk(node, fleet, attention, ingest, join(node, "far", TOKEN), bad)


def join(node: Node, name: str, token: str) -> str:
    """Let a worker join by a code; returns its id."""
    code = node.hosts.invitations.invite(SYSTEM, name, (), pin="").code
    wanted = CodeJoin(code=code, bearer=f"bearer-of-the-master-for-{name}-0123456789", token=token, node=name)
    return node.hosts.invitations.join(wanted, "192.0.2.9").audience
