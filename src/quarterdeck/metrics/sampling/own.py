"""The master's own machine: sampled in its own process, without a heartbeat."""

from collections.abc import Callable

from quarterdeck.core.clock import Clock
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.sampling.collector import Collector
from quarterdeck.metrics.sampling.sampler import Sampler
from quarterdeck.protocol.samples import Facts, Frame


class OwnMachine:
    """Feeds the fleet with the samples of the host whose id ``host_id`` returns; None while there is none."""

    def __init__(
        self, fleet: Fleet, clock: Clock, host_id: Callable[[], str | None], *, idle_seconds: float
    ) -> None:
        self._fleet, self._clock, self._host_id = fleet, clock, host_id
        self._facts: Facts | None = None
        self.collector = Collector(
            Sampler(clock),
            clock,
            deliver=self._take,
            deliver_facts=self._keep_facts,
            idle_seconds=idle_seconds,
        )

    async def run(self) -> None:
        """Sample until cancelled."""
        await self.collector.run()

    def watch(self, host_id: str, interval_seconds: float, for_seconds: float) -> None:
        """Sample that often for so long, if this is the host that is meant."""
        if host_id == self._host_id():
            self.collector.watch(interval_seconds, for_seconds)

    def _keep_facts(self, facts: Facts) -> None:
        self._facts = facts

    def _take(self, frame: Frame) -> None:
        if (host_id := self._host_id()) is None:
            return
        now = self._fleet.now(host_id)
        if self._facts and (now is None or now.facts is not self._facts):
            self._fleet.take_facts(host_id, self._facts)
        self._fleet.take(host_id, frame, at=frame.at, interval_seconds=self.collector.interval_seconds)
