"""The master's end of heartbeats over real sockets: it can go away, come back on the same port, and see."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import uvicorn

from quarterdeck.core import serve
from quarterdeck.core.asgi import Receive, Scope, Send, header
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.config import Bind
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.ingest import Ingest
from quarterdeck.protocol.samples import Heartbeat
from tests.certificates import Certificate
from tests.hosts.factories import Node, open_node
from tests.metrics.desk import TOKEN, join


class MasterEnd:
    """Serves an ingest of its own from ``start`` to ``stop``; each start is that of a master anew."""

    def __init__(
        self,
        node: Node,
        address: str = "127.0.0.1",
        *,
        idle_seconds: float = 15,
        certificate: Certificate | None = None,
    ) -> None:
        self.node, self.address, self.port = node, address, 0
        self.idle_seconds, self.certificate = idle_seconds, certificate
        self.host_id = join(node, "far", TOKEN)
        self.beats: list[Heartbeat] = []
        self.sizes: list[int] = []
        """Bytes of each body."""
        self.peers: set[tuple[str, int]] = set()
        """Address and port of each connection."""
        self._serving: Future[None] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.address}:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """What makes a worker one of this master."""
        settings = {"QUARTERDECK_MASTER_URL": self.url, "QUARTERDECK_WORKER_BEARER_TOKEN": TOKEN}
        if self.certificate:
            settings["QUARTERDECK_MASTER_PIN"] = self.certificate.fingerprint
        return settings

    @property
    def now(self) -> HostNow | None:
        return self.fleet.now(self.host_id)

    def start(self) -> Self:
        clock = SystemClock()
        self.fleet = Fleet()
        self.attention = Attention(
            self.node.hosts,
            clock,
            watch_own=lambda *_: None,
            fleet=self.fleet,
            idle_seconds=self.idle_seconds,
        )
        self.ingest = Ingest(
            self.node.hosts,
            self.node.history,
            self.fleet,
            self.attention,
            clock,
            on_bad_bearer=lambda *_: None,
        )
        self.ingest.on_heartbeat(lambda _id, beat, _at: self.beats.append(beat))
        listener = serve.listen(Bind(self.address, self.port))
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(serve.configure(self._app))
        self._server.config.lifespan = "off"
        if self.certificate:
            self._server.config.ssl_certfile = self._server.config.ssl_keyfile = self.certificate.path
        self._serving = self.node.loop.submit(self._server._serve([listener]))
        return self

    def stop(self) -> None:
        if self._serving is not None:
            self._server.should_exit = True
            self._serving.result(10)
            self._serving = None

    def intervals(self) -> list[float]:
        """Seconds between the samples that are kept."""
        now = self.now
        times = [at for at, _ in now.ring.since()] if now else []
        return [after - before for before, after in itertools.pairwise(times)]

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.peers.add(tuple(scope["client"]))
        self.sizes.append(int(header(scope, b"content-length") or 0))
        await self.ingest(scope, receive, send)


@contextmanager
def master_end(home: Path, address: str = "127.0.0.1", **more: Any) -> Iterator[MasterEnd]:
    """Yield a master's end that is there; ``more`` are arguments of it."""
    with open_node(home) as node:
        master = MasterEnd(node, address, **more)
        try:
            yield master.start()
        finally:
            master.stop()
