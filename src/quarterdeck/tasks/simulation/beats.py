"""Heartbeats of simulated workers, over real sockets: a thousand of them from a few kept connections."""

import asyncio
import heapq
import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from quarterdeck import __version__
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Unreachable
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import write_private
from quarterdeck.hosts.master_link import MasterConnection
from quarterdeck.hosts.membership import Member
from quarterdeck.protocol.samples import (
    HEARTBEAT_PATH,
    MEDIA_TYPE,
    Heartbeat,
    HeartbeatAnswer,
    Processes,
    Watching,
)
from quarterdeck.tasks.simulation.fleet import SimulatedHost
from quarterdeck.tasks.simulation.walks import Walk

logger = logging.getLogger(__name__)

_CONNECTIONS: Final = 8
_IDLE_SECONDS: Final = 15.0
_LONGEST_PAUSE: Final = 25.0
_TICK_SECONDS: Final = 0.05
_KEEP_SECONDS: Final = 1.0


class _Beating:
    """One worker, and where its heartbeats stand."""

    def __init__(self, host: SimulatedHost, walk: Walk) -> None:
        self.host, self.walk = host, walk
        self.member: Member | None = None
        self.start, self.number, self.tries = new_id(), 0, 0
        self.facts_are_known = False
        self.interval, self.sampled, self.watched_until, self.due = _IDLE_SECONDS, 0.0, 0.0, 0.0


class SimulatedBeats:
    """Lives on the fleet's loop. Which master each worker has is kept in a file of the fleet's home."""

    def __init__(self, hosts: list[SimulatedHost], clock: Clock, seed: int, kept: Path) -> None:
        self._clock, self._kept = clock, kept
        self._began = clock.monotonic()
        at = clock.now().timestamp()
        self._workers = {host.name: _Beating(host, Walk(host, seed, at)) for host in hosts}
        self._queue: list[tuple[float, str]] = []
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="beats")
        self._local = threading.local()
        self._connections: list[MasterConnection] = []
        self._running: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._must_keep = False
        for name, member in _read(kept).items():
            if name in self._workers:
                self._workers[name].member = member

    async def serve(self) -> None:
        """Send from now on, spread over the time between two heartbeats."""
        for worker in self._workers.values():
            if worker.member is not None:
                self._plan(worker, random.uniform(0, _IDLE_SECONDS))  # noqa: S311 - no secret
        loop = asyncio.get_running_loop()
        self._running = [loop.create_task(self._send_due()), loop.create_task(self._keep_members())]

    async def close(self) -> None:
        """Send no more."""
        for task in (*self._running, *self._sending):
            task.cancel()
        self._keep()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def join(self, name: str, member: Member) -> None:
        """Take note of a worker's master; its first heartbeat follows within seconds."""
        worker = self._workers[name]
        worker.member, self._must_keep = member, True
        self._plan(worker, random.uniform(0.2, 5))  # noqa: S311 - no secret

    def watch(self, name: str, watching: Watching) -> None:
        """Have a worker send often for a while."""
        worker = self._workers[name]
        worker.interval = max(1.0, watching.interval_seconds)
        worker.watched_until = self._clock.monotonic() + min(120.0, watching.for_seconds)
        if worker.due > self._clock.monotonic() + worker.interval:
            self._plan(worker, random.uniform(0, worker.interval))  # noqa: S311 - no secret

    def processes(self, name: str) -> Processes:
        """Return a worker's made-up processes."""
        return self._workers[name].walk.processes(self._clock.now().timestamp())

    def _plan(self, worker: _Beating, seconds: float) -> None:
        worker.due = self._clock.monotonic() + seconds
        heapq.heappush(self._queue, (worker.due, worker.host.name))

    async def _send_due(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock.monotonic()
            while self._queue and self._queue[0][0] <= now:
                due, name = heapq.heappop(self._queue)
                worker = self._workers[name]
                if due == worker.due:  # else it was planned anew since
                    task = asyncio.get_running_loop().create_task(self._send(worker))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)

    async def _send(self, worker: _Beating) -> None:
        worker.due = 0.0
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._post, worker)
        except Unreachable as error:
            logger.debug("%s: %s", worker.host.name, error.message)
            worker.tries += 1
            worker.facts_are_known = False
            worker.walk.begin_anew()
            if worker.member is None:
                return
            pause = random.uniform(0.5, min(_LONGEST_PAUSE, 2.0 ** min(worker.tries, 6)))  # noqa: S311 - jitter
            self._plan(worker, pause)
            return
        worker.tries, worker.facts_are_known = 0, not answer.wants_full
        if answer.wants_full:
            worker.walk.begin_anew()
        is_watched = self._clock.monotonic() < worker.watched_until
        if not is_watched or answer.interval_seconds < worker.interval:
            worker.interval = answer.interval_seconds
        self._plan(worker, 0.1 if answer.wants_full else worker.interval)

    def _post(self, worker: _Beating) -> HeartbeatAnswer:
        """Send one heartbeat; in a thread. Raises Unreachable."""
        if worker.member is None:
            raise Unreachable("This worker has no master.")
        now, at = self._clock.monotonic(), self._clock.now().timestamp()
        worker.number += 1
        beat = Heartbeat(
            node=worker.host.name,
            version=__version__,
            sent_at=at,
            start=worker.start,
            number=worker.number,
            interval_seconds=worker.interval,
            uptime_seconds=round(now - self._began, 1),
            frames=[worker.walk.next(at, now - worker.sampled if worker.sampled else 0.0)],
            facts=None if worker.facts_are_known else worker.walk.facts(),
        )
        worker.sampled = now
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = MasterConnection()
            self._connections.append(connection)
        status, body = connection.post(
            worker.member, HEARTBEAT_PATH, msgspec.msgpack.encode(beat), media_type=MEDIA_TYPE
        )
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            worker.member = None  # removed from the list, or revoked: silent until it is joined anew
        if status != HTTPStatus.OK:
            raise Unreachable(f"The master answered {status}.")
        try:
            return msgspec.msgpack.decode(body, type=HeartbeatAnswer)
        except msgspec.DecodeError as error:
            raise Unreachable("What answers at the master's address is not a master.") from error

    async def _keep_members(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_SECONDS)
            self._keep()

    def _keep(self) -> None:
        if self._must_keep:
            self._must_keep = False
            members = {name: each.member for name, each in self._workers.items() if each.member}
            write_private(self._kept, msgspec.json.encode(members))


def _read(path: Path) -> dict[str, Member]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Member])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        logger.warning("%s can't be read: simulated workers send no heartbeats until they join anew", path)
        return {}
