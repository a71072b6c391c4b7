"""Measures the history and prints JSON: ``python bench/history.py [MILLIONS] [--folder PATH]``.

Durable records a second from 32 and 1,000 waiting tasks and from 32 threads; then, on that many
millions of lines, the newest page, a rare actor's records, an entry with its pair, and the proof.
The lines are sealed and indexed as the writer does it, but without a sync for each batch.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.ids import new_id
from quarterdeck.history.appender import Appender
from quarterdeck.history.disk import Disk
from quarterdeck.history.lines import Kind, Record, Sealer, encode_members
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.service import History

KEY = b"k" * 32
ADA = Actor(ActorKind.PERSON, "ada", "10.0.0.1")
SEGMENT_BYTES = 256_000_000
BATCH = 1_000
RARE_EVERY = 110_000


class UnsyncedDisk(Disk):
    """For making test data only."""

    def sync(self, descriptor: int) -> None:
        """Leave it to the system."""


class RunningClock:
    """A clock on which ten million actions fill a month."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 7, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=260)
        return self.moment

    def monotonic(self) -> float:
        return time.monotonic()


@contextmanager
def fresh_history(folder: Path) -> Iterator[History]:
    history = History(folder, key=KEY, node="master", clock=SystemClock(), segment_bytes=SEGMENT_BYTES)
    yield history
    history.close()
    shutil.rmtree(folder)


async def write_tasks(history: History, tasks: int, turns: int) -> float:
    async def write() -> None:
        for _ in range(turns):
            await history.event_async(
                ADA, "task.run", "run:01kyaz7pmn8q4r5s6t7v8w9x0y", detail={"host": "web-1"}
            )

    start = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(tasks)))
    return tasks * turns / (time.perf_counter() - start)


def write_threads(history: History, threads: int, turns: int) -> float:
    def write() -> None:
        for _ in range(turns):
            history.event(ADA, "task.run", "run:01kyaz7pmn8q4r5s6t7v8w9x0y", detail={"host": "web-1"})

    running = [threading.Thread(target=write) for _ in range(threads)]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return threads * turns / (time.perf_counter() - start)


def measure_writing(folder: Path) -> dict[str, object]:
    figures: dict[str, object] = {}
    with fresh_history(folder) as history:
        history.event(ADA, "host.test")
        for name, tasks, turns in (("32_tasks", 32, 1_500), ("1000_tasks", 1_000, 60)):
            cpu = time.process_time()
            runs = [asyncio.run(write_tasks(history, tasks, turns)) for _ in range(3)]
            cpu = time.process_time() - cpu
            figures[f"durable_per_second_{name}"] = [round(rate) for rate in runs]
            figures[f"cpu_microseconds_{name}"] = round(cpu / (3 * tasks * turns) * 1e6, 1)
        rates = [write_threads(history, 32, 200) for _ in range(3)]
        figures["durable_per_second_32_threads"] = [round(rate) for rate in rates]
    return figures


def some_actions(start: int, count: int, chance: random.Random) -> Iterator[Record]:
    """Make pairs of intent and outcome of 200 actors on 500 hosts; now and then one of ``rare``."""
    for number in range(start, start + count, 2):
        actor = "rare" if number % RARE_EVERY == 0 else f"person-{chance.randrange(200):03d}"
        host, run, request = f"web-{chance.randrange(500):03d}", new_id(), new_id()
        detail = {"host": host, "command": "systemctl status nginx"}
        yield Record(Kind.INTENT, actor, "10.0.3.17", "task.run", f"run:{run}", request, "", detail)
        yield Record(
            Kind.OUTCOME, actor, "10.0.3.17", "task.run", f"run:{run}", request, "", {"result": "ok"} | detail
        )


def fill(folder: Path, lines: int) -> float:
    """Write that many lines; pairs name the intent that stands right before."""
    sealer, chance = Sealer("master", KEY), random.Random(7)  # noqa: S311 - test data
    appender = Appender(
        folder, sealer, clock=RunningClock(), segment_bytes=SEGMENT_BYTES, disk=UnsyncedDisk()
    )
    start = time.perf_counter()
    with appender.locked():
        appender.prepare()
        for number in range(0, lines, BATCH):
            records = list(some_actions(number, BATCH, chance))
            places = appender.append([encode_members(record) for record in records[::2]])
            appender.append(
                [
                    encode_members(
                        Record(
                            *(getattr(record, name) for name in Record.__struct_fields__[:6]),
                            place.id,
                            record.detail,
                        )
                    )
                    for record, place in zip(records[1::2], places, strict=True)
                ]
            )
    appender.close()
    return time.perf_counter() - start


def milliseconds(call: Callable[[], object], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(taken), 2)


def measure_reading(folder: Path, lines: int) -> dict[str, object]:
    figures: dict[str, object] = {"lines": lines, "write_without_sync_seconds": round(fill(folder, lines), 1)}
    history = History(
        folder, key=KEY, node="master", clock=SystemClock(), segment_bytes=SEGMENT_BYTES, ballast_bytes=0
    )
    start = time.perf_counter()
    history.rebuild()
    figures["index_microseconds_per_line"] = round((time.perf_counter() - start) / lines * 1e6, 2)
    figures["journal_mb"] = round(sum(path.stat().st_size for path in folder.glob("*.jsonl")) / 1e6)
    figures["index_mb"] = round(sum(path.stat().st_size for path in folder.glob("*.idx")) / 1e6)
    rare = list(history.export(HistoryQuery(actor="rare")))
    figures["rare_actor_records"] = len(rare)
    middle = rare[len(rare) // 2]
    figures["milliseconds"] = {
        "newest_50": milliseconds(lambda: history.page(HistoryQuery())),
        "rare_actor_all": milliseconds(lambda: history.page(HistoryQuery(actor="rare", limit=500))),
        "absent_actor": milliseconds(lambda: history.page(HistoryQuery(actor="absent"))),
        "one_host_newest_50": milliseconds(lambda: history.page(HistoryQuery(host="web-007"))),
        "one_day_in_the_middle": milliseconds(lambda: history.page(HistoryQuery(until=middle.at))),
        "entry_with_its_pair": milliseconds(lambda: history.get(middle.id)),
        "text_that_is_absent_first_call": milliseconds(
            lambda: history.page(HistoryQuery(q="absent text")), 3
        ),
    }
    start = time.perf_counter()
    result = history.verify()
    assert result.is_whole, result.faults
    figures["verify_lines_per_second"] = round(lines / (time.perf_counter() - start))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("millions", nargs="?", type=float, default=10)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure_writing(Path(folder) / "write")
        figures |= measure_reading(Path(folder) / "read", int(arguments.millions * 1_000_000))
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
