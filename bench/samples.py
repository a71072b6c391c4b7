"""Keeping samples: what 1,000 hosts cost a master, what they take in the database, how long reading takes.

Twelve figures of each host walk at random and come every 15 s. Cost: ten minutes of 1,000 hosts with a
round of writing each minute, and the rolling up of an hour; CPU time of the whole process, of which the walk
itself is taken off. Size: one host's chunks of a week are really written, all three steps; bytes a day are
those of whole days in it, and the totals are those times 1,000 hosts and the days that each step is kept: an
extrapolation. Reading: one host, and eight at once, with all chunks of a year in the database; 300 points,
best of five.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from quarterdeck.core.db import Base, Database
from quarterdeck.metrics.figures import FIGURES, KEYS, Row
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.kept import store
from quarterdeck.metrics.kept.chunks import COARSE, FINE, HOUR, MEDIUM, STEPS, Step, Values, empty, pack
from quarterdeck.metrics.kept.keeper import DAY, Keeper, Kept
from quarterdeck.metrics.kept.models import SampleChunk
from quarterdeck.metrics.kept.ranges import Span
from quarterdeck.metrics.kept.series import SeriesReader

START = 1_795_305_600.0
HOSTS = 1_000
MINUTES = 10
MOST = (100, 20, 8, 100, 30, 100, 8e7, 8e7, 2e7, 2e7, 900, 90)
"""The upper ends of the walks, in the order of FIGURES."""


class SetClock:
    """Both times stand where they are put."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at


def walk(seed: int) -> Iterator[Row]:
    """Yield samples that walk at random between 0 and what is usual at most, as precise as they are sent."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    values = [chance.random() * most for most in MOST]
    decimals = [figure.decimals for figure in FIGURES]
    while True:
        for place, most in enumerate(MOST):
            values[place] = min(most, max(0.0, values[place] + chance.gauss(0, most / 60)))
        yield tuple(round(value, places) for value, places in zip(values, decimals, strict=True))


class World:
    """A keeper over SQLite in a folder, whose hosts are h0, h1 …"""

    def __init__(self, folder: Path, hosts: int, kept: Kept) -> None:
        self.path = folder / "samples.db"
        self.database = Database(f"sqlite:///{self.path}")
        Base.metadata.create_all(self.database.engine)
        self.clock, self.names = SetClock(), [f"h{number}" for number in range(hosts)]
        self.keeper = Keeper(self.database, self.clock, kept, known_hosts=lambda: self.names)
        self.walks = [walk(number) for number in range(hosts)]
        self.walked = 0.0

    def live(self, seconds: int, *, each: int = 15, round_seconds: int = 60) -> None:
        """Let time pass with a sample of each host in each step."""
        for _ in range(seconds // each):
            self.clock.at += each
            for name, row in zip(self.names, self._rows(), strict=True):
                self.keeper.take(HostNow(name, at=self.clock.at, interval_seconds=each), row)
            if self.clock.at % round_seconds == 0:
                self.keeper.round()

    def _rows(self) -> list[Row]:
        began = time.process_time()
        rows = [next(each) for each in self.walks]
        self.walked += time.process_time() - began
        return rows

    def bytes_a_day(self, step: Step, of_days: float) -> float:
        """Return the bytes of one host's chunks of a step, for each day."""
        with self.database.read() as session:
            total = session.scalar(
                select(func.sum(func.length(SampleChunk.samples))).where(
                    SampleChunk.step_seconds == step.seconds
                )
            )
        return (total or 0) / of_days / len(self.names)

    def file_bytes(self) -> int:
        with self.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.path.stat().st_size


def cost(folder: Path) -> dict[str, float]:
    """Return what 1,000 hosts cost: minutes of samples, then an hour that is rolled up."""
    world = World(folder, HOSTS, Kept())
    world.live(60)
    written, world.walked, began = written_bytes(), 0.0, time.process_time()
    world.live(60 * MINUTES)
    spent = time.process_time() - began - world.walked
    written = written_bytes() - written
    rounds, most = time.process_time(), 0.0
    world.clock.at = START + HOUR + 180
    while True:
        before = time.process_time()
        world.keeper.round()
        took = time.process_time() - before
        most = max(most, took)
        if took < 0.01:
            break
    rolled = time.process_time() - rounds
    world.database.close()
    return {
        "cpu_seconds_a_minute": spent / MINUTES,
        "microseconds_a_sample": spent / MINUTES / HOSTS / 4 * 1e6,
        "cpu_seconds_to_roll_up_an_hour": rolled,
        "of_that_in_one_round_at_most": most,
        "megabytes_written_a_minute": written / MINUTES / 1e6,
        "percent_of_a_core": 100 * (spent / MINUTES / 60 + rolled / HOUR),
    }


def written_bytes() -> int:
    """Return what this process has had written to disk."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def size(folder: Path) -> dict[str, object]:
    """Return what samples weigh, of a week of one host that was really written."""
    world = World(folder, 1, Kept(fine=8 * DAY, medium=400 * DAY, coarse=400 * DAY))
    world.live(7 * DAY, round_seconds=3_600)
    world.live(HOUR, round_seconds=60)
    days = {step: world.bytes_a_day(step, 7) for step in STEPS}
    file_share = world.file_bytes() / sum(each * 7 for each in days.values())
    world.database.close()
    kept = Kept()
    steady = {step: days[step] * kept.seconds(step) / DAY * HOSTS for step in STEPS}
    month = steady[FINE] + 30 * HOSTS * (days[MEDIUM] + days[COARSE])
    return {
        "file_to_contents": file_share,
        "gigabytes_of_the_first_month": month * file_share / 1e9,
        "gigabytes_after_a_year": sum(steady.values()) * file_share / 1e9,
        "steps": {
            f"{step.seconds}_s": {
                "bytes_a_host_and_day": round(days[step]),
                "days_kept": kept.seconds(step) / DAY,
                "gigabytes_of_1000_hosts": steady[step] * file_share / 1e9,
            }
            for step in STEPS
        },
    }


def write_a_year(world: World) -> None:
    """Write all chunks that 8 hosts have after a year, of lines that walk at random."""
    chance = random.Random(0)  # noqa: S311 - no secret
    kept = Kept()
    for step in STEPS:
        starts = step.starts(world.clock.at - kept.seconds(step), world.clock.at)
        for name in world.names:
            rows = [store.Packed(step, name, start, pack(_chunk(step, chance))) for start in starts]
            with world.database.write() as session:
                store.write(session, rows)


def _chunk(step: Step, chance: random.Random) -> Values:
    values = empty(step)
    for place, most in enumerate(MOST):
        value = chance.random() * most
        for slot in range(step.slots):
            value = min(most, max(0.0, value + chance.gauss(0, most / 60)))
            for line, factor in zip(step.columns(place), (0.9, 1.0, 1.1), strict=False):
                values[line.start + slot] = round(value * factor, 2)
    return values


def reading(folder: Path) -> dict[str, object]:
    """Return how long reading takes, in milliseconds, of hosts of which a year is written."""
    world = World(folder, 8, Kept())
    write_a_year(world)
    world.live(600)
    reader = SeriesReader(world.database, world.clock, Fleet(), world.keeper)
    now, times = world.clock.at, {}
    for name, seconds in (("24_h", DAY), ("7_d", 7 * DAY), ("30_d", 30 * DAY), ("1_y", 365 * DAY)):
        span = Span(now - seconds, now)
        times[name] = {
            "one_host_one_figure_ms": best(lambda span=span: reader.read("h0", ["cpu"], span, 300)),
            "one_host_all_figures_ms": best(lambda span=span: reader.read("h0", KEYS, span, 300)),
            "eight_hosts_one_figure_ms": best(
                lambda span=span: reader.read_steps(world.names, ["cpu"], span, 300)
            ),
        }
    world.database.close()
    return times


def best(call: Callable[[], object]) -> float:
    """Return the least of five times, in milliseconds."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        call()
        times.append(1_000 * (time.perf_counter() - began))
    return min(times)


def main() -> None:
    figures: dict[str, object] = {}
    for name, part in (("cost", cost), ("size", size), ("reading", reading)):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            print(f"{name} …", file=sys.stderr)
            figures[name] = part(Path(folder))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
