"""States of hosts: what a heartbeat costs as a contact, and a round of the watch over 1,000 workers.

``heartbeat`` is one call of ``HealthWatch.note_heartbeat`` that says nothing new, ``round`` a whole round in
which every worker was heard, ``back`` the time in which 1,000 lost workers are well again and on record.
``noted_one_by_one`` is what a round had to do for each worker that it asked, before heartbeats counted.
Everything is in one process on a database and a history on disk. Prints one JSON object.
"""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from quarterdeck import __version__
from quarterdeck.core.config import Settings
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.health import HealthWatch
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.parts import Parts

HOSTS = 1_000
ROUNDS = 20
BEATS = 200
"""Heartbeats of each worker."""


class Bench:
    """A watch over workers that are well, in one home."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        parts.loop.bind(asyncio.get_running_loop())
        self.watch = HealthWatch(
            parts.hosts,
            parts.history,
            parts.clock,
            parts.settings,
            publish=lambda *_words, **_more: None,
            announce=lambda *_words: None,
        )
        parts.hosts.import_hosts(parts.actor, [_draft(number) for number in range(HOSTS)])
        self.ids = [host.id for host in parts.hosts.list_hosts()]

    def beat(self) -> None:
        """Let each worker send a heartbeat."""
        now = time.time()
        for host_id in self.ids:
            self.watch.note_heartbeat(host_id, __version__, now, now, 15.0)

    async def settle(self, times: int) -> float:
        """Let each send some, with what they change on disk; returns the seconds."""
        began = time.perf_counter()
        for _ in range(times):
            self.beat()
            while self.watch.is_settling:
                await asyncio.sleep(0.001)
        return time.perf_counter() - began

    def heartbeat_seconds(self) -> float:
        began = time.perf_counter()
        for _ in range(BEATS):
            self.beat()
        return (time.perf_counter() - began) / (BEATS * HOSTS)

    async def rounds(self) -> tuple[float, float]:
        """Return the seconds of a round by the clock and of the processor."""
        seconds, busy = [], 0.0
        for _ in range(ROUNDS):
            self.beat()
            began, worked = time.perf_counter(), time.process_time()
            await self.watch.round()
            seconds.append(time.perf_counter() - began)
            busy += time.process_time() - worked
        return statistics.median(seconds), busy / ROUNDS

    async def one_by_one(self, state: HostState) -> float:
        """Note a contact with each by itself, in a thread; returns the seconds of the processor."""
        worked = time.process_time()
        for host_id in self.ids:
            await asyncio.to_thread(self.parts.hosts.note_contact, host_id, state, "", __version__)
        return time.process_time() - worked


def _draft(number: int) -> HostDraft:
    return HostDraft(
        f"w{number:04}",
        HostKind.WORKER,
        address=f"http://127.0.0.1:{20_000 + number}",
        tags=(f"rack-{number % 40}", "web"),
        secrets={"token": "a-workers-bearer-of-enough-length"},
    )


async def measure(parts: Parts) -> dict[str, float]:
    bench = Bench(parts)
    await bench.watch.round()
    await bench.settle(3)
    heartbeat = bench.heartbeat_seconds()
    wall, busy = await bench.rounds()
    alone = await bench.one_by_one(HostState.WELL)
    await bench.one_by_one(HostState.LOST)
    await bench.watch.round()
    back = await bench.settle(1)
    await asyncio.sleep(parts.settings.health_seconds / 2)  # answers that come at once count as one
    back += await bench.settle(1)
    return {
        "heartbeat_microseconds": round(heartbeat * 1e6, 2),
        "round_milliseconds": round(wall * 1e3, 1),
        "round_cpu_milliseconds": round(busy * 1e3, 1),
        "round_percent_of_a_core": round(busy / parts.settings.health_seconds * 100, 2),
        "noted_one_by_one_cpu_milliseconds": round(alone * 1e3, 1),
        "back_seconds": round(back, 2),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Settings(home=Path(folder)))
        found = asyncio.run(measure(parts))
        parts.close()
    print(json.dumps({"hosts": HOSTS} | found))


if __name__ == "__main__":
    main()
