"""The watch over all hosts: hears heartbeats, asks the workers that sent none, and makes first contacts.

A worker whose heartbeat came is well without being asked, and costs a round a few comparisons. The others
are asked for their health: those of older versions, and those whose heartbeats do not get through.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from quarterdeck import __version__
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Unreachable
from quarterdeck.history.service import History
from quarterdeck.hosts.changes import ROOM, Publish
from quarterdeck.hosts.contacts import Report
from quarterdeck.hosts.models import HostKind, HostRecord, HostState, WorkerLink
from quarterdeck.hosts.notices import Announce, Notices
from quarterdeck.hosts.probing import reason_of, verdict
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.standing import (
    ANSWERS_AGAIN,
    NO_SKEW,
    SKEW_ENDS_SECONDS,
    Skew,
    Standing,
    after_answer,
    after_measure,
    after_miss,
)

logger = logging.getLogger(__name__)

Rows = dict[str, tuple[Any, tuple[str, ...]]]  # Any: a row of the tables
"""What the tables say of each host, by id, with its tags."""

_AT_ONCE: Final = 100
_LOOKS_AT_ONCE: Final = 20
_LOOK_AGAIN_SECONDS: Final = 60
_SAVE_SECONDS: Final = 60
_LATE_BEATS: Final = 1.5
"""A heartbeat may be half an interval behind before its worker is asked."""
_LATE_ROUNDS: Final = 2.5
"""But whoever has the master look often wants to know soon, however seldom workers send."""
_RETURN_SECONDS: Final = 30.0
"""In which all workers are back after a restart of their master: till then none that was well is asked."""


@dataclass(slots=True)
class _Watched:
    """What memory holds of a worker; ``known`` is what the tables say of it: state, reason and version."""

    standing: Standing
    known: tuple[str, str, str]
    skew: Skew = NO_SKEW
    known_skew: float | None = None
    version: str = ""
    heard: float = float("-inf")
    """When its last heartbeat came, by the clock that nobody sets."""
    interval_seconds: float = 0.0
    was_there: bool = False
    """It was in the list when this node started."""
    counted: float = float("-inf")
    """When an answer of it was counted last."""
    is_quiet: bool = False
    """The next heartbeat will say nothing new unless the version or the clock differs."""


class HealthWatch:
    """Runs on the master's loop for as long as the master does."""

    def __init__(
        self,
        hosts: Hosts,
        history: History,
        clock: Clock,
        settings: Settings,
        *,
        publish: Publish,
        announce: Announce,
    ) -> None:
        self._hosts, self._history, self._clock, self._settings = hosts, history, clock, settings
        self._publish = publish
        self._notices = Notices(announce, hosts.silences.is_silenced)
        self._watched: dict[str, _Watched] = {}
        self._next_look: dict[str, float] = {}
        self._known: Rows = {}
        self._silenced: set[str] = set()
        self._due: dict[str, Report] = {}
        self._settling: asyncio.Task[None] | None = None
        # Nobody reads the tables for _watched while somebody writes what _watched says.
        self._turn = asyncio.Lock()
        self._save_at = clock.monotonic() + _SAVE_SECONDS
        self._patient_until = float("-inf")

    async def run(self) -> None:
        """Watch until cancelled; a round that fails is logged and the next one begins in its time."""
        self._patient_until = self._clock.monotonic() + _RETURN_SECONDS
        while True:
            began = self._clock.monotonic()
            try:
                await self.round()
            except Exception:
                logger.exception("a round of the watch over the hosts failed")
            passed = self._clock.monotonic() - began
            await asyncio.sleep(max(0.1, self._settings.health_seconds - passed))

    def note_heartbeat(
        self,
        host_id: str,
        version: str,
        sent_at: float,
        received_at: float,
        interval_seconds: float | None = None,
    ) -> None:
        """Take in a worker's sign of life; on the loop, and cheap: the database hears of changes only.

        The times are in seconds since 1970, ``sent_at`` by the worker's clock; ``interval_seconds`` is how
        often it sends. Its samples being old does not matter: that it speaks is what counts.
        """
        worker = self._watched.get(host_id)
        if worker is None:
            return  # a round has not seen it yet, or it was removed
        worker.heard = self._clock.monotonic()
        worker.interval_seconds = interval_seconds or self._settings.sample_seconds
        ahead = sent_at - received_at
        if worker.is_quiet and version == worker.version and -SKEW_ENDS_SECONDS <= ahead <= SKEW_ENDS_SECONDS:
            self._hosts.contacts.see(host_id)
            return
        self._hear(host_id, worker, version, ahead)

    @property
    def is_settling(self) -> bool:
        """Tell whether what heartbeats have changed is being written down."""
        return self._settling is not None

    async def round(self) -> None:
        """Ask the workers that sent no heartbeat, look at new SSH hosts, and tell what changed."""
        async with self._turn:
            rows = await asyncio.to_thread(self._read)
            self._follow(rows)
            self._note_changes_from_outside(rows)
        hosts = await asyncio.to_thread(self._hosts.list.by_ids, self._due_ids(rows))
        reports = [*self._own(hosts), *await self._ask_silent(hosts)]
        for host in hosts:
            if host.state is HostState.REVOKED:  # perhaps by another process, which follows no orders
                await self._hosts.revoking.end_orders(host)
        await self._look_at_new(hosts)
        async with self._turn:
            # A heartbeat may have come since its worker was asked.
            await asyncio.to_thread(self._conclude, [each for each in reports if self._stands(each)])
        self._tell_ages()
        if self._clock.monotonic() >= self._save_at:
            await self.save()

    async def save(self) -> None:
        """Write the times of contact that only memory holds; call it at the end too."""
        self._save_at = self._clock.monotonic() + _SAVE_SECONDS
        await asyncio.to_thread(self._hosts.contacts.save_times)

    # Heartbeats

    def _hear(self, host_id: str, worker: _Watched, version: str, ahead: float) -> None:
        """Take in a heartbeat that may say something new."""
        worker.skew = after_measure(worker.skew, ahead)
        self._count_answer(worker)
        worker.version = version
        self._hosts.contacts.see(host_id)
        report = _report(host_id, worker, *verdict(version, skew=worker.skew.seconds))
        if not self._is_news(worker, report):
            worker.is_quiet = worker.skew == NO_SKEW and worker.standing == Standing(HostState.WELL)
            return
        worker.is_quiet = False
        self._due[host_id] = report
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._settle())

    def _count_answer(self, worker: _Watched) -> None:
        """Count an answer; of a lost worker's, those that come all at once are one."""
        now, is_lost = self._clock.monotonic(), worker.standing.state is HostState.LOST
        if is_lost and worker.standing.good and now - worker.counted < self._settings.health_seconds / 2:
            return
        worker.standing, worker.counted = after_answer(worker.standing), now

    async def _settle(self) -> None:
        """Write down what heartbeats have changed: all that has come meanwhile in one go."""
        try:
            while self._due:
                async with self._turn:
                    due, self._due = self._due, {}
                    await asyncio.to_thread(self._conclude, list(due.values()))
        except Exception:
            logger.exception("what heartbeats said was not noted; the next ones say it again")
        finally:
            self._settling = None

    # A round

    def _read(self) -> Rows:
        self._hosts.silences.refresh()
        return self._hosts.list.watched()

    def _follow(self, rows: Rows) -> None:
        """Take over what the tables say: other processes, tests and people change it too."""
        self._hosts.contacts.recall_flapping(row.id for row, _ in rows.values() if row.flapping_since)
        for row, _ in rows.values():
            if row.kind != HostKind.WORKER:
                continue
            known = (row.state, row.state_reason, row.version)
            worker = self._watched.get(row.id)
            if worker is None:
                worker = self._watched[row.id] = _Watched(Standing(HostState(row.state)), known)
                worker.skew, worker.was_there = Skew(row.clock_skew_seconds), not self._known
            elif worker.known != known or worker.known_skew != row.clock_skew_seconds:
                worker.is_quiet = False
                if worker.standing.state != row.state:
                    worker.standing = Standing(HostState(row.state), worker.standing.missed)
            worker.known, worker.known_skew = known, row.clock_skew_seconds

    def _due_ids(self, rows: Rows) -> list[str]:
        """Return the hosts that there is something to do about: of a well fleet, this node alone."""
        return [
            row.id
            for row, _ in rows.values()
            if row.kind == HostKind.MASTER
            or (row.kind == HostKind.SSH and not row.host_key and not row.seen_key)
            or (row.kind == HostKind.WORKER and self._is_silent(row))
        ]

    def _is_silent(self, row: Any) -> bool:  # Any: a row of the tables
        """Tell whether a worker's heartbeat is overdue, and long enough after this node's own start."""
        worker = self._watched[row.id]
        is_awaited = worker.was_there and worker.heard == float("-inf")
        if is_awaited and row.joined and row.state == HostState.WELL:
            return self._clock.monotonic() >= self._patient_until
        return not self._was_heard(worker)

    def _own(self, hosts: list[HostRecord]) -> list[Report]:
        """Return what there is to say of this node itself: that it runs."""
        own = [host for host in hosts if host.kind is HostKind.MASTER]
        for host in own:
            self._hosts.contacts.see(host.id)
        wanted = (HostState.WELL, "", __version__)
        return [
            Report(host.id, *wanted)
            for host in own
            if (host.state, host.state_reason, host.version) != wanted
        ]

    async def _ask_silent(self, hosts: list[HostRecord]) -> list[Report]:
        """Ask the workers whose heartbeat is overdue; returns what is new of them."""
        silent = [
            host for host in hosts if host.kind is HostKind.WORKER and host.state is not HostState.REVOKED
        ]
        if not silent:
            return []
        links = await asyncio.to_thread(self._hosts.links.worker_links, silent)
        limit = asyncio.Semaphore(_AT_ONCE)
        reports = await asyncio.gather(*(self._ask(limit, host, link) for host, link in links))
        return [each for each in reports if self._is_news(self._watched[each.host_id], each)]

    def _was_heard(self, worker: _Watched) -> bool:
        often = self._settings.health_seconds
        patience = min(_LATE_BEATS * worker.interval_seconds, _LATE_ROUNDS * often)
        return self._clock.monotonic() - worker.heard <= max(patience, often)

    def _stands(self, report: Report) -> bool:
        worker = self._watched.get(report.host_id)
        return worker is None or worker.standing.state is report.state

    async def _ask(self, limit: asyncio.Semaphore, host: HostRecord, link: WorkerLink) -> Report:
        worker = self._watched[host.id]
        async with limit:
            asked = self._clock.now()
            try:
                health, fault = await self._hosts.probing.ask_worker(host, link)
            except Unreachable as error:
                return self._miss(host, worker, reason_of(error, host.name))
        between = asked + (self._clock.now() - asked) / 2
        self._history.note_witness(host.name, health.head, health.seq)
        self._hosts.contacts.see(host.id)
        self._count_answer(worker)
        worker.skew = after_measure(worker.skew, (health.time - between).total_seconds())
        return _report(host.id, worker, *verdict(health.version, fault, worker.skew.seconds))

    def _miss(self, host: HostRecord, worker: _Watched, reason: str) -> Report:
        worker.standing = after_miss(worker.standing)
        worker.is_quiet = False
        if worker.standing.state is HostState.WELL:
            reason = host.state_reason  # once is nothing
        return Report(
            host.id, worker.standing.state, reason, host.version, host.clock_skew_seconds, knows_clock=True
        )

    def _is_news(self, worker: _Watched, report: Report) -> bool:
        """Tell whether the tables say something else."""
        said = (report.state, report.reason, report.version)
        return said != worker.known or report.clock_skew_seconds != worker.known_skew

    def _conclude(self, reports: list[Report]) -> None:
        """Write down what contacts said and tell what came of it; in a thread."""
        if reports:
            self._hosts.contacts.note_all(reports)
            for each in reports:
                if worker := self._watched.get(each.host_id):
                    worker.known = (each.state, each.reason, each.version)
                    worker.known_skew = each.clock_skew_seconds
        self._hosts.contacts.settle()
        self._notices.tell(self._hosts.contacts.take_news())

    async def _look_at_new(self, hosts: list[HostRecord]) -> None:
        """Fetch the keys of SSH hosts that nobody has seen yet, a minute apart for those that are down."""
        now = self._clock.monotonic()
        due = [host for host in hosts if host.awaits_key and self._next_look.get(host.id, now) <= now]
        for host in due:
            self._next_look[host.id] = now + _LOOK_AGAIN_SECONDS
        limit = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(host: HostRecord) -> None:
            async with limit:
                await self._hosts.probing.test(host)

        await asyncio.gather(*(look(host) for host in due))

    def _note_changes_from_outside(self, current: Rows) -> None:
        """Tell the pages of hosts that the command line or another master changed, and of silences."""
        silenced = self._hosts.silences.silenced()
        if self._known:
            changed = [each for each in current if self._known.get(each) != current[each]]
            removed = self._known.keys() - current.keys()
            self._hosts.changes.note({*changed, *removed, *(silenced ^ self._silenced)})
        self._silenced = silenced
        for gone in self._watched.keys() - current.keys():
            del self._watched[gone]
        for gone in self._next_look.keys() - current.keys():
            del self._next_look[gone]
        self._notices.forget(self._notices.held - current.keys())
        self._known = current

    def _tell_ages(self) -> None:
        """Let open pages renew the ages of all hosts that answered, in one small message."""
        at = self._clock.now().isoformat()
        missed = sorted(host_id for host_id, worker in self._watched.items() if worker.standing.missed)
        self._publish("hosts:seen", {"at": at, "missed": missed}, room=ROOM)


def _report(host_id: str, worker: _Watched, reason: str, version: str) -> Report:
    """Return what there is to say of a worker that answered."""
    state = worker.standing.state
    if state is HostState.LOST:
        reason = ANSWERS_AGAIN
    return Report(host_id, state, reason, version, worker.skew.seconds, knows_clock=True)
