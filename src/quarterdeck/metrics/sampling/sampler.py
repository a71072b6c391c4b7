"""One sample of this machine by psutil: nothing here blocks, and no program is started."""

import os
from typing import Final

import psutil

from quarterdeck.core.clock import Clock
from quarterdeck.metrics.figures import BY_KEY
from quarterdeck.metrics.sampling.counters import (
    Counters,
    busy_percent,
    interfaces_between,
    outside,
    rate,
    read_counters,
    summed,
    wait_percent,
)
from quarterdeck.metrics.sampling.facts import read_facts
from quarterdeck.metrics.sampling.mounts import Mounts, used_percent
from quarterdeck.metrics.sampling.temperatures import Temperatures
from quarterdeck.protocol.samples import Facts, Frame, Mount

_SLOW_SECONDS: Final = 5
"""For what changes slowly and costs more to read: file systems and swap."""
_FACTS_SECONDS: Final = 60


class Sampler:
    """Samples relative to the sample before: the first one is of the time since this was made.

    Use it from one thread at a time.
    """

    def __init__(
        self, clock: Clock, *, mounts: Mounts | None = None, temperatures: Temperatures | None = None
    ) -> None:
        self._clock = clock
        self._mounts, self._temperatures = mounts or Mounts(), temperatures or Temperatures()
        self._before = read_counters(clock.monotonic())
        self._last_mounts: list[Mount] = []
        self._last_swap: float | None = None
        self._slow_due = self._facts_due = clock.monotonic()
        self._facts: Facts | None = None

    def sample(self) -> Frame:
        """Return a full frame of this moment."""
        now = self._clock.monotonic()
        before, self._before = self._before, read_counters(now)
        interfaces = interfaces_between(before, self._before)
        self._read_slow(now)
        mounts = self._last_mounts
        temperatures = self._temperatures.latest(now)
        values = _processors(before, self._before) | _memory()
        seconds = self._before.at - before.at
        values["disk_read"] = rate(before.disk_read, self._before.disk_read, seconds)
        values["disk_write"] = rate(before.disk_written, self._before.disk_written, seconds)
        values["received"] = sum(each.received_rate for each in outside(interfaces))
        values["sent"] = sum(each.sent_rate for each in outside(interfaces))
        values["processes"] = len(psutil.pids())
        if sized := [used_percent(mount) for mount in mounts if mount.total_bytes and not mount.hangs]:
            values["disk"] = max(sized)
        if self._last_swap is not None:
            values["swap"] = self._last_swap
        if temperatures:
            values["temperature"] = max(each.celsius for each in temperatures)
        return Frame(
            at=self._clock.now().timestamp(),
            is_full=True,
            values={key: _rounded(key, value) for key, value in values.items()},
            cores=[
                round(busy_percent(*pair)) for pair in zip(before.cores, self._before.cores, strict=False)
            ],
            mounts=mounts,
            interfaces=interfaces,
            temperatures=temperatures,
        )

    def facts(self) -> Facts:
        """Return the facts, read anew when the last reading is a minute old."""
        now = self._clock.monotonic()
        if self._facts is None or now >= self._facts_due:
            self._facts, self._facts_due = read_facts(self._facts), now + _FACTS_SECONDS
        return self._facts

    def _read_slow(self, now: float) -> None:
        if now >= self._slow_due:
            swap = psutil.swap_memory()
            self._last_swap = 100 * swap.used / swap.total if swap.total else None
            self._last_mounts, self._slow_due = self._mounts.read(), now + _SLOW_SECONDS


def _rounded(key: str, value: float) -> float:
    """Return a figure as precise as it is kept; a whole number takes fewer bytes on the way."""
    decimals = BY_KEY[key].decimals
    return round(value, decimals) if decimals else round(value)


def _processors(before: Counters, after: Counters) -> dict[str, float]:
    was, is_ = summed(before.cores), summed(after.cores)
    values = {"cpu": busy_percent(was, is_), "cpu_wait": wait_percent(was, is_)}
    if hasattr(os, "getloadavg"):
        values["load"] = os.getloadavg()[0]
    return values


def _memory() -> dict[str, float]:
    """Return the share in use. What the kernel would give back at once, such as caches, is not in use."""
    memory = psutil.virtual_memory()
    return {"memory": 100 * (memory.total - memory.available) / memory.total if memory.total else 0.0}
