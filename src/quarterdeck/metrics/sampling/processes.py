"""The processes of this machine that use most, on request."""

import threading
from enum import StrEnum
from typing import Final, NamedTuple

import psutil

from quarterdeck.core.clock import Clock
from quarterdeck.protocol.samples import Processes, ProcessUse

MOST: Final = 20
_APART_SECONDS: Final = 0.5
_FRESH_SECONDS: Final = 30.0


class Order(StrEnum):
    """By what processes are put in order."""

    CPU = "cpu"
    MEMORY = "memory"


class _Reading(NamedTuple):
    at: float
    seconds: dict[tuple[int, float], float]
    """Of processor time, by process id and start."""


class ProcessList:
    """Reads all processes twice, half a second apart, or against the reading before when that is recent.

    Names only: arguments often hold secrets. Safe from many threads, which wait for one another.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._before: _Reading | None = None

    def top(self, order: Order, most: int = MOST) -> Processes:
        """Return the processes that use most; takes half a second when nobody asked for a while."""
        with self._lock:
            before = self._before
            if before is None or not _APART_SECONDS <= self._clock.monotonic() - before.at <= _FRESH_SECONDS:
                before = self._read()[0]
                threading.Event().wait(_APART_SECONDS)
            self._before, uses = self._read()
        seconds = max(self._before.at - before.at, 0.001)
        found = [_with_share(use, key, before, self._before, seconds) for key, use in uses.items()]
        found.sort(key=lambda use: use.cpu_percent if order is Order.CPU else use.memory_bytes, reverse=True)
        return Processes(at=self._clock.now().timestamp(), count=len(found), top=found[:most])

    def _read(self) -> tuple[_Reading, dict[tuple[int, float], ProcessUse]]:
        now, seconds, uses = self._clock.monotonic(), {}, {}
        memory_total = psutil.virtual_memory().total
        for process in psutil.process_iter(["name", "username", "cpu_times", "memory_info", "create_time"]):
            known = process.info
            times, memory = known["cpu_times"], known["memory_info"]
            key = (process.pid, known["create_time"] or 0.0)
            seconds[key] = times.user + times.system if times else 0.0
            resident = memory.rss if memory else 0
            uses[key] = ProcessUse(
                pid=process.pid,
                name=(known["name"] or "")[:64],
                user=(known["username"] or "")[:64],
                memory_percent=round(100 * resident / memory_total, 1) if memory_total else 0.0,
                memory_bytes=resident,
                started_at=known["create_time"] or 0.0,
            )
        return _Reading(now, seconds), uses


def _with_share(
    use: ProcessUse, key: tuple[int, float], before: _Reading, after: _Reading, seconds: float
) -> ProcessUse:
    # One that began since then has used all of its time since then.
    used = after.seconds[key] - before.seconds.get(key, 0.0)
    return ProcessUse(
        pid=use.pid,
        name=use.name,
        user=use.user,
        cpu_percent=round(max(0.0, 100 * used / seconds), 1),
        memory_percent=use.memory_percent,
        memory_bytes=use.memory_bytes,
        started_at=use.started_at,
    )
