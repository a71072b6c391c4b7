"""Keeps samples in SQL: writes what came in once a minute, rolls up hours that are over, drops what is old.

A crash loses what came since the last minute; an orderly end loses nothing.
"""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.metrics.figures import Row
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.metrics.kept import store
from quarterdeck.metrics.kept.chunks import COARSE, FINE, HOUR, MEDIUM, Step, empty, pack, roll_up
from quarterdeck.metrics.kept.recorder import OpenChunk, Recorder

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 60
DAY: Final = 86_400
_LATE_SECONDS: Final = 120
"""How long after its end an hour is rolled up; what comes later has it rolled up again."""
_HOSTS_AT_ONCE: Final = 50
_HOURS_A_ROUND: Final = 200
"""Hours of single hosts: 1,000 hosts are through in five minutes, 0.5 s of a core in each."""
_JUMP_SECONDS: Final = 600
_WAIT_AFTER_JUMP_SECONDS: Final = 3_600
_DROPS_A_ROUND: Final = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many seconds each step is kept."""

    fine: int = 24 * HOUR
    medium: int = 30 * DAY
    coarse: int = 366 * DAY

    @classmethod
    def of(cls, settings: Settings) -> "Kept":
        return cls(
            settings.samples_fine_hours * HOUR,
            settings.samples_medium_days * DAY,
            settings.samples_coarse_days * DAY,
        )

    def seconds(self, step: Step) -> int:
        return {FINE: self.fine, MEDIUM: self.medium, COARSE: self.coarse}[step]


class Keeper:
    """Use ``take`` on the loop; all that reads or writes the database is for threads, one at a time."""

    def __init__(
        self, db: Database, clock: Clock, kept: Kept, *, known_hosts: Callable[[], Collection[str]]
    ) -> None:
        self._db, self._clock, self.kept = db, clock, kept
        self._known_hosts = known_hosts
        self.recorder = Recorder()
        self.chunks_written = 0
        """Pieces of the samples of one host that were stored, since the start."""
        self._busy = threading.Lock()
        self._stored_hosts: set[str] | None = None
        self._is_failing = False
        self._last = (self._now(), clock.monotonic())
        self._no_drops_before = 0.0

    def take(self, host: HostNow, row: Row) -> None:
        """Take down a sample, for ``Fleet.listen``. One that is too old to be rolled up is passed over."""
        if host.at > self._now() - self.kept.fine + 2 * HOUR:
            self.recorder.take(host, row)

    async def run(self) -> None:
        """Keep going until cancelled; what fails is told once and tried again."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Do a round in a thread; call it at an orderly end too."""
        await asyncio.to_thread(self.round)

    def round(self) -> None:
        """Write, roll up, drop; a failure of the database leaves everything for the next round."""
        with self._busy:
            try:
                known = set(self._known_hosts())
                self.recorder.forget(self.recorder.host_ids() - known)
                self.flush()
                self.roll_up()
                self._drop_removed(known)
                self._drop_old()
            except SQLAlchemyError as error:
                self._tell_failing(error)
            except Exception:  # the top of a loop that must go on
                logger.exception("keeping the samples failed; it is tried again")
            else:
                self._tell_well()

    def flush(self) -> None:
        """Write all that is not stored yet in one transaction. Raises SQLAlchemyError, and loses nothing."""
        chunks = self.recorder.dirty()
        self._merge([chunk for chunk in chunks if not chunk.is_merged])
        copies = self.recorder.copies(chunks)
        packed = [
            store.Packed(FINE, chunk.host_id, chunk.start, pack(values), is_open=True)
            for chunk, values in zip(chunks, copies, strict=True)
        ]
        try:
            with self._db.write() as session:
                store.write(session, packed)
        except BaseException:
            self.recorder.keep(chunks)
            raise
        self.chunks_written += len(packed)
        self.recorder.let_go()
        if self._stored_hosts is not None:
            self._stored_hosts.update(chunk.host_id for chunk in chunks)

    def roll_up(self) -> None:
        """Roll up hours that are over, a few hosts in each transaction."""
        before = int((self._now() - _LATE_SECONDS) // HOUR) * HOUR
        with self._db.read() as session:
            keys = store.open_keys(session, before, _HOURS_A_ROUND * HOUR // FINE.chunk_seconds)
        hours: dict[int, set[str]] = defaultdict(set)
        for host_id, start in keys:
            hours[start // HOUR * HOUR].add(host_id)
        for hour, host_ids in hours.items():
            names = sorted(host_ids)
            for first in range(0, len(names), _HOSTS_AT_ONCE):
                self._roll_up_hour(hour, names[first : first + _HOSTS_AT_ONCE])

    def _roll_up_hour(self, hour: int, host_ids: list[str]) -> None:
        starts = list(range(hour, hour + HOUR, FINE.chunk_seconds))
        day, week = MEDIUM.start_of(hour), COARSE.start_of(hour)
        with self._db.read() as session:
            fine = store.fetch(session, FINE, starts, host_ids)
            days = store.fetch(session, MEDIUM, [day], host_ids)
            weeks = store.fetch(session, COARSE, [week], host_ids)
        rows = []
        for host_id in host_ids:
            of_host = {start: fine[host_id, start] for start in starts if (host_id, start) in fine}
            medium = days.get((host_id, day)) or empty(MEDIUM)
            coarse = weeks.get((host_id, week)) or empty(COARSE)
            roll_up(hour, of_host, medium, coarse)
            rows.append(store.Packed(MEDIUM, host_id, day, pack(medium)))
            rows.append(store.Packed(COARSE, host_id, week, pack(coarse)))
        with self._db.write() as session:
            store.write(session, rows)
            store.close(session, starts, host_ids)

    def _merge(self, chunks: list[OpenChunk]) -> None:
        """Add what is stored to chunks that were begun anew, as after a start."""
        by_start: dict[int, list[OpenChunk]] = defaultdict(list)
        for chunk in chunks:
            by_start[chunk.start].append(chunk)
        for start, some in by_start.items():
            with self._db.read() as session:
                stored = store.fetch(session, FINE, [start], [chunk.host_id for chunk in some])
            self.recorder.merge((chunk, stored.get((chunk.host_id, start))) for chunk in some)

    def _drop_removed(self, known: set[str]) -> None:
        """Remove the chunks of hosts that have been removed."""
        if self._stored_hosts is None:
            with self._db.read() as session:
                self._stored_hosts = store.host_ids(session)
        for host_id in self._stored_hosts - known:
            with self._db.write() as session:
                store.drop_host(session, host_id)
            self._stored_hosts.discard(host_id)

    def _drop_old(self) -> None:
        """Remove what is older than it is kept, but nothing within an hour after the clock has jumped."""
        now, monotonic = self._now(), self._clock.monotonic()
        jumped = (now - self._last[0]) - (monotonic - self._last[1])
        self._last = (now, monotonic)
        if abs(jumped) > _JUMP_SECONDS:
            logger.warning("the clock has jumped by %.0f s; old samples are dropped in an hour", jumped)
            self._no_drops_before = monotonic + _WAIT_AFTER_JUMP_SECONDS
        if monotonic < self._no_drops_before:
            return
        for step in (FINE, MEDIUM, COARSE):
            self._drop_old_of(step, now - self.kept.seconds(step) - step.chunk_seconds)

    def _drop_old_of(self, step: Step, last: float) -> None:
        for _ in range(_DROPS_A_ROUND):
            with self._db.read() as session:
                start = store.oldest(session, step)
            if start is None or start > last:
                return
            with self._db.write() as session:
                store.drop(session, step, start)

    def _tell_failing(self, error: SQLAlchemyError) -> None:
        if not self._is_failing:
            logger.error(
                "samples can't be stored (%s); memory keeps two hours of them, and it is tried again",
                str(error.__cause__ or error).splitlines()[0],
            )
        self._is_failing = True

    def _tell_well(self) -> None:
        if self._is_failing:
            logger.info("samples are stored again; %d chunks were lost", self.recorder.lost)
        self._is_failing = False

    def _now(self) -> float:
        return self._clock.now().timestamp()
