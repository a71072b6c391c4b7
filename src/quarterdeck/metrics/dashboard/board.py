"""Sends the figures of the master's machine to whoever looks at its live page; nothing runs for nobody."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.live.service import Live
from quarterdeck.metrics.dashboard.message import Content, displayed, dynamic_of, envelope, static_of
from quarterdeck.metrics.figures import Row
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.protocol.samples import Facts

logger = logging.getLogger(__name__)

NAMESPACE: Final = "/dashboard"
NEWS: Final = "my_response"
HEARTBEAT_SECONDS: Final = 5.0
"""After so long without a change everything is sent again, so that viewers know that all is well."""
_AGAIN_SECONDS: Final = 1.0
_MISSED: Final = 3
"""A sample that is late by so many intervals is no longer sent as if it were of now."""

Look = Callable[[Collection[str]], None]
"""Has these hosts sampled every second for a while."""


class Board:
    """What is on show now, and who looks. Everything but ``heard`` is for the loop.

    A viewer gets everything once; then one message, encoded once, goes to all when a figure changed by
    what the page shows, or ``HEARTBEAT_SECONDS`` have passed.
    """

    def __init__(
        self, live: Live, fleet: Fleet, clock: Clock, *, own_id: Callable[[], str], look: Look
    ) -> None:
        self._live, self._fleet, self._clock = live, fleet, clock
        self._own_id, self._look = own_id, look
        self._viewers: set[str] = set()
        self._someone, self._news = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.count = 0
        """How many messages went to all since somebody began to look."""
        self._shown: tuple[float, ...] = ()
        self._facts: Facts | None = None
        self._due_at = 0.0
        self._looked_at = float("-inf")
        fleet.listen(self.heard)

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def heard(self, host: HostNow, _row: Row) -> None:
        """Note that a sample came; from any thread, and for every host."""
        if self._viewers and self._loop and host.host_id == self._own_id():
            self._loop.call_soon_threadsafe(self._news.set)

    async def entered(self, sid: str) -> None:
        """Greet a viewer, and show it everything that is known."""
        parts = self._parts()
        if not self._viewers:
            self.count, self._shown, self._facts = 0, _shown_of(parts), self._facts_now()
            self._due_at = self._clock.monotonic() + HEARTBEAT_SECONDS
        self._viewers.add(sid)
        self._someone.set()
        await self._send({"data": "Connected", "count": 0}, to=sid)
        if parts:
            await self._send(envelope(self.count, **parts), to=sid)

    async def left(self, sid: str) -> None:
        self._viewers.discard(sid)
        if not self._viewers:
            self._someone.clear()
            self._looked_at = float("-inf")

    async def ping(self, sid: str) -> None:
        """Answer at once, so that the page can tell the round trip."""
        await self._live.send("my_pong", None, namespace=NAMESPACE, to=sid)

    async def run(self) -> None:
        """Send until cancelled; a round that fails is logged, and the next one begins in a moment."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._someone.wait()
            try:
                await self._round()
            except Exception:
                logger.exception("the live page could not be told the figures; it is tried again")
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _round(self) -> None:
        """Have the machine sampled often, wait for a sample or the time of a sign of life, and tell."""
        now = self._clock.monotonic()
        if (own_id := self._own_id()) and now - self._looked_at >= HEARTBEAT_SECONDS:
            self._looked_at = now
            self._look([own_id])
        try:
            async with asyncio.timeout(self._due_at - now):
                await self._news.wait()
        except TimeoutError:
            self._shown, self._due_at = (), self._clock.monotonic() + HEARTBEAT_SECONDS
        self._news.clear()
        if self._viewers:
            await self._tell()

    async def _tell(self) -> None:
        parts, facts = self._parts(), self._facts_now()
        shown = _shown_of(parts)
        if self._facts == facts:
            parts.pop("static", None)
        if not parts or (shown == self._shown and "static" not in parts):
            return
        self._shown, self._facts = shown, facts
        self._due_at = self._clock.monotonic() + HEARTBEAT_SECONDS
        self.count += 1
        await self._send(envelope(self.count, **parts))

    def _parts(self) -> dict[str, Content]:
        """Return what is known; figures that are not of now are left out."""
        host = self._fleet.now(self._own_id())
        if host is None:
            return {}
        parts = {"static": static_of(host.facts)} if host.facts else {}
        is_fresh = self._clock.now().timestamp() - host.at <= (_MISSED * host.interval_seconds + 1)
        if is_fresh and (dynamic := dynamic_of(host)):
            parts["dynamic"] = dynamic
        return parts

    def _facts_now(self) -> Facts | None:
        host = self._fleet.now(self._own_id())
        return host.facts if host else None

    async def _send(self, content: Content, to: str | None = None) -> None:
        await self._live.send(NEWS, content, namespace=NAMESPACE, to=to)


def _shown_of(parts: dict[str, Content]) -> tuple[float, ...]:
    return displayed(parts["dynamic"]) if "dynamic" in parts else ()
