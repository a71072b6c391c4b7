"""All that a worker does of sampling: the collector, the heartbeat, and the processes on request."""

import asyncio
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.loop import Loop
from quarterdeck.hosts.membership import Membership
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.sampling.collector import Collector
from quarterdeck.metrics.sampling.heartbeat import NodeNow, Sender, lease_seconds
from quarterdeck.metrics.sampling.processes import ProcessList
from quarterdeck.metrics.sampling.sampler import Sampler
from quarterdeck.protocol.samples import Facts, Frame, HeartbeatAnswer, Watching

_OWN: Final = "own"


class NodeSampling:
    """Lives on the worker's loop, from ``start`` to ``stop``."""

    def __init__(
        self, settings: Settings, clock: Clock, loop: Loop, membership: Membership, node: NodeNow
    ) -> None:
        self._loop, self._idle_seconds = loop, float(settings.sample_seconds)
        self._sender = Sender(
            membership,
            clock,
            node,
            obey=self._obey,
            interval_seconds=lambda: self.collector.interval_seconds,
        )
        self.collector = Collector(
            Sampler(clock),
            clock,
            deliver=self._take,
            deliver_facts=self._take_facts,
            idle_seconds=self._idle_seconds,
        )
        self.processes = ProcessList(clock)
        self._own = Fleet()
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._running = [loop.create_task(work) for work in (self.collector.run(), self._sender.run())]

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        self._sender.close()

    @property
    def machine(self) -> HostNow | None:
        """What is known of this machine now; None before the first sample."""
        return self._own.now(_OWN)

    def _take(self, frame: Frame) -> None:
        self._own.take(_OWN, frame, at=frame.at, interval_seconds=self.collector.interval_seconds)
        self._sender.take(frame)

    def _take_facts(self, facts: Facts) -> None:
        self._own.take_facts(_OWN, facts)
        self._sender.take_facts(facts)

    def watch(self, watching: Watching) -> None:
        """Sample often for a while; from any thread. Raises Busy while the node starts or stops."""
        self._loop.run(self._watch(watching), timeout_seconds=5)

    async def _watch(self, watching: Watching) -> None:
        self.collector.watch(watching.interval_seconds, watching.for_seconds)

    def _obey(self, answer: HeartbeatAnswer) -> None:
        seconds = answer.interval_seconds
        if seconds < self._idle_seconds:
            self.collector.watch(seconds, lease_seconds(seconds))
        else:
            self.collector.rest_every(seconds)
