"""Which hosts somebody looks at now, so that these are sampled more often."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, QuarterdeckError
from quarterdeck.hosts.models import HostKind, WorkerLink
from quarterdeck.hosts.service import Hosts
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.protocol.samples import Watching

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 20.0
TOLD_SECONDS: Final = 30.0
"""For how long a worker samples often when it is told once."""
_AGAIN_SECONDS: Final = 10.0
_AT_ONCE: Final = 50
_STEADY_STEPS: Final = 3

WatchOwn = Callable[[str, float, float], None]
"""Has a host that the master samples itself sampled so often for so long; called on the loop."""


class Attention:
    """Leases by host: whoever looks says so again at least every 20 s.

    A worker that sends heartbeats is told in their answers; ``/sampling`` tells it to begin. Those that
    the ``fleet`` hears of as often already are not told by that way again.
    """

    def __init__(
        self,
        hosts: Hosts,
        clock: Clock,
        *,
        watch_own: WatchOwn,
        fleet: Fleet | None = None,
        idle_seconds: float = 15.0,
        watched_seconds: float = 1.0,
    ) -> None:
        self._hosts, self._clock, self._watch_own, self._fleet = hosts, clock, watch_own, fleet
        self._idle_seconds, self._watched_seconds = idle_seconds, watched_seconds
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def look(self, host_ids: Collection[str]) -> None:
        """Take note that these hosts are looked at for the next 20 s; from any thread, and at once."""
        now = self._clock.monotonic()
        with self._lock:
            self._drop_ended(now)
            for host_id in host_ids:
                self._until[host_id] = now + LEASE_SECONDS
            due = [
                host_id
                for host_id in set(host_ids)
                if self._told.get(host_id, now) <= now and not self._is_sampled_often(host_id)
            ]
            for host_id in due:
                self._told[host_id] = now + _AGAIN_SECONDS
        if due:
            try:
                self._hosts.loop.submit(self._tell(due))
            except Busy:
                logger.debug("nobody is told to sample: the node is starting or stopping")

    def is_looked_at(self, host_id: str) -> bool:
        """Tell whether somebody looks at a host now; from any thread."""
        return self._until.get(host_id, 0.0) > self._clock.monotonic()

    def interval_of(self, host_id: str) -> float:
        """Return how often a host is to be sampled now, in seconds."""
        return self._watched_seconds if self.is_looked_at(host_id) else self._idle_seconds

    def looked_at(self) -> set[str]:
        """Return the ids of the hosts that somebody looks at now."""
        now = self._clock.monotonic()
        with self._lock:
            return {host_id for host_id, until in self._until.items() if until > now}

    def _is_sampled_often(self, host_id: str) -> bool:
        """Tell whether the answers to a host's heartbeats make it go on as it does."""
        now = self._fleet.now(host_id) if self._fleet else None
        age = self._clock.now().timestamp() - now.at if now else 0.0
        return (
            now is not None
            and now.interval_seconds <= self._watched_seconds < self._idle_seconds
            and age < _STEADY_STEPS * self._watched_seconds
        )

    def _drop_ended(self, now: float) -> None:
        for host_id in [host_id for host_id, until in self._until.items() if until <= now]:
            self._until.pop(host_id)
            self._told.pop(host_id, None)

    async def _tell(self, host_ids: list[str]) -> None:
        links, own = await asyncio.to_thread(self._sorted, host_ids)
        for host_id in own:
            self._watch_own(host_id, self._watched_seconds, TOLD_SECONDS)
        limit = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._tell_one(limit, link) for link in links))

    def _sorted(self, host_ids: list[str]) -> tuple[list[WorkerLink], list[str]]:
        """Return how to call the workers among these hosts, and the others; removed ones are passed over."""
        links, own = [], []
        for host_id in host_ids:
            try:
                if self._hosts.list.get_by_id(host_id).kind is HostKind.WORKER:
                    links.append(self._hosts.links.worker_link(host_id))
                else:
                    own.append(host_id)
            except QuarterdeckError as error:
                logger.debug("a host is not told to sample: %s", error.message)
        return links, own

    async def _tell_one(self, limit: asyncio.Semaphore, link: WorkerLink) -> None:
        watching = Watching(interval_seconds=self._watched_seconds, for_seconds=TOLD_SECONDS)
        async with limit:
            try:
                await self._hosts.calls.call(link, "POST", "/sampling", content=msgspec.json.encode(watching))
            except QuarterdeckError as error:
                # Older, or out of reach: the answer to its next heartbeat tells it, if one comes.
                logger.debug("%s was not told to sample more often: %s", link.name, error.message)
