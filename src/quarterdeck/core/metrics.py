"""Figures about this node for Prometheus."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from quarterdeck.core.lag import LoopLag

Reader = Callable[[], float]

_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """A registry of its own; what other parts count is read from them when somebody asks."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._read = _Readers()
        self._registry.register(self._read)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        lag = Histogram(
            "quarterdeck_loop_lag_seconds",
            "How late the event loop wakes what it should wake.",
            buckets=_LAG_BUCKETS,
            registry=self._registry,
        )
        self._lag = LoopLag(lag.observe)
        self.add_gauge(
            "quarterdeck_loop_lag_last_seconds", "The last sample of it.", lambda: self.lag_seconds
        )

    @property
    def lag_seconds(self) -> float:
        return self._lag.seconds

    def add_gauge(self, name: str, about: str, read: Reader) -> None:
        """Show a figure that goes up and down, such as open sockets."""
        self._read.gauges[name] = (about, read)

    def add_counter(self, name: str, about: str, read: Reader) -> None:
        """Show a figure that only grows; its name gets ``_total`` at the end."""
        self._read.counters[name.removesuffix("_total")] = (about, read)

    async def watch_loop(self) -> None:
        """Sample the lag of the running loop until cancelled."""
        await self._lag.watch()

    def render(self) -> bytes:
        """Return the text that Prometheus reads, of the type ``content_type``."""
        return generate_latest(self._registry)


class _Readers(Collector):
    def __init__(self) -> None:
        self.gauges: dict[str, tuple[str, Reader]] = {}
        self.counters: dict[str, tuple[str, Reader]] = {}

    def collect(self) -> Iterable[Metric]:
        for name, (about, read) in self.gauges.items():
            yield GaugeMetricFamily(name, about, value=read())
        for name, (about, read) in self.counters.items():
            yield CounterMetricFamily(name, about, value=read())
