"""The one that samples a machine, however many look: rarely while nobody does, often during a lease."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, Protocol

from quarterdeck.core.clock import Clock
from quarterdeck.protocol.samples import Facts, Frame

logger = logging.getLogger(__name__)

SHORTEST_SECONDS: Final = 1.0
LONGEST_LEASE_SECONDS: Final = 120.0
_FIRST_SECONDS: Final = 1.0


class Source(Protocol):
    """Where samples come from: a Sampler, each call in a thread."""

    def sample(self) -> Frame: ...

    def facts(self) -> Facts: ...


class Collector:
    """Delivers each full frame to ``deliver``, and the facts at first and when they change, on the loop.

    ``phase`` says, from 0 to 1, how much of the first pause is left out.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        deliver: Callable[[Frame], None],
        deliver_facts: Callable[[Facts], None],
        idle_seconds: float = 15.0,
        phase: Callable[[], float] = random.random,
    ) -> None:
        self._source, self._clock = source, clock
        self._deliver, self._deliver_facts = deliver, deliver_facts
        self._idle_seconds, self._phase = idle_seconds, phase
        self._watched_seconds, self._until = idle_seconds, 0.0
        self._facts: Facts | None = None
        self._woken = asyncio.Event()

    @property
    def interval_seconds(self) -> float:
        """How often it samples now."""
        if self._clock.monotonic() < self._until:
            return min(self._watched_seconds, self._idle_seconds)
        return self._idle_seconds

    def watch(self, interval_seconds: float, for_seconds: float) -> None:
        """Sample that often for so long, from now on; a longer lease that runs stays. On the loop only."""
        was = self.interval_seconds
        until = self._clock.monotonic() + min(for_seconds, LONGEST_LEASE_SECONDS)
        self._watched_seconds = max(SHORTEST_SECONDS, interval_seconds)
        self._until = max(self._until, until)
        if self.interval_seconds < was:
            self._woken.set()

    def rest_every(self, seconds: float) -> None:
        """Sample so often while nobody looks. On the loop only."""
        self._idle_seconds = max(SHORTEST_SECONDS, seconds)

    async def run(self) -> None:
        """Sample until cancelled; a sample that fails is logged, and the next one comes in its time."""
        due = self._clock.monotonic() + min(_FIRST_SECONDS, self._idle_seconds)
        is_first = True
        while True:
            if await self._wait_until(due):
                due = min(due, self._clock.monotonic() + _FIRST_SECONDS)
                continue
            try:
                await self.step()
            except Exception:
                logger.exception("a sample of this machine failed; the next one is taken in its time")
            if is_first:  # nodes that were started together are apart from here on
                is_first, due = False, due - self.interval_seconds * self._phase()
            # By the plan and not by the end of the sample, else a second would be a little longer each time.
            due = max(due + self.interval_seconds, self._clock.monotonic())

    async def step(self) -> None:
        """Take one sample and deliver it."""
        facts, frame = await asyncio.to_thread(self._read)
        if facts != self._facts:
            self._deliver_facts(facts)
            self._facts = facts
        self._deliver(frame)

    def _read(self) -> tuple[Facts, Frame]:
        return self._source.facts(), self._source.sample()

    async def _wait_until(self, due: float) -> bool:
        """Wait; tells whether it was woken before, because somebody began to look."""
        left = due - self._clock.monotonic()
        if left <= 0:
            return False
        try:
            await asyncio.wait_for(self._woken.wait(), left)
        except TimeoutError:
            return False
        self._woken.clear()
        return True
