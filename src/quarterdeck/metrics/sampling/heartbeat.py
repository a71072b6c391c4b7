"""A worker's heartbeat: its samples since the last one, posted to its master over a connection that stays.

While the master is away the samples are kept for ten minutes and sent afterwards, so that its charts have
no gap where only the way was cut. Pauses between tries grow and are random: after the master's return not
all workers come at once, and all within 30 s.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from quarterdeck import __version__
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Forbidden, QuarterdeckError, Unreachable
from quarterdeck.core.ids import new_id
from quarterdeck.hosts.master_link import MasterConnection, detail_of
from quarterdeck.hosts.membership import Member, Membership
from quarterdeck.metrics.sampling.deltas import Deltas
from quarterdeck.protocol.samples import (
    HEARTBEAT_PATH,
    MEDIA_TYPE,
    Facts,
    Frame,
    Heartbeat,
    HeartbeatAnswer,
)

logger = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 25.0
"""So that after the master's return all workers are back within 30 s."""
KEPT_SECONDS: Final = 600.0
MOST_KEPT: Final = 60
MOST_SENT: Final = 30
"""Frames of one heartbeat: what has piled up goes out in several."""
_REFUSED_PAUSE: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_RENEW_SECONDS: Final = 10.0
"""How long a worker goes on sampling often after an answer that says so."""
_WITNESS_SECONDS: Final = 10.0


class Refused(Forbidden):
    """The master answers, but takes no heartbeat: the token counts no more, or it is an older master."""


class Unfit(QuarterdeckError):
    """The master takes heartbeats, but not these samples: to send them again would not help."""


class NoMaster(QuarterdeckError):
    """The worker was not joined yet."""


@dataclass(frozen=True, slots=True)
class NodeNow:
    """What a heartbeat says of the node beside its samples."""

    name: str
    running: Callable[[], int]
    witness: Callable[[], tuple[str, int]]


class Sender:
    """Sends what the collector delivers; ``obey`` gets each answer. Lives on the loop, posts in threads."""

    def __init__(
        self,
        membership: Membership,
        clock: Clock,
        node: NodeNow,
        *,
        obey: Callable[[HeartbeatAnswer], None],
        interval_seconds: Callable[[], float],
    ) -> None:
        self._membership, self._clock, self._node = membership, clock, node
        self._obey, self._interval_seconds = obey, interval_seconds
        self._connection = MasterConnection()
        self._deltas = Deltas()
        self._began, self._start, self._number = clock.monotonic(), new_id(), 0
        self._pending: deque[tuple[float, Frame]] = deque()
        self._latest: tuple[float, Frame] | None = None
        self._facts: Facts | None = None
        self._facts_are_known = False
        self._news = asyncio.Event()
        self._witness, self._witness_due = ("", 0), 0.0
        self._told = ""

    def take(self, frame: Frame) -> None:
        """Take in a sample, to be sent at once or once the master is there."""
        self._latest = (self._clock.monotonic(), frame)
        self._pending.append(self._latest)
        self._thin()
        self._news.set()

    def take_facts(self, facts: Facts) -> None:
        """Take in the facts, to be sent with the next sample."""
        self._facts, self._facts_are_known = facts, False

    async def run(self) -> None:
        """Send until cancelled."""
        tries = 0
        while True:
            await self._news.wait()
            try:
                await self.send()
            except QuarterdeckError as error:
                tries += 1
                await asyncio.sleep(self._fail(error, tries))
            except Exception:
                tries += 1
                logger.exception("a heartbeat failed; it is sent again")
                await asyncio.sleep(self._fail(Unreachable("A fault of this worker."), tries))
            else:
                tries = 0
                self._tell("")

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    async def send(self) -> None:
        """Send one heartbeat with the oldest samples that wait; raises Unreachable or Refused."""
        member = self._membership.current()
        if member is None:
            raise NoMaster("This worker knows no master yet.")
        waiting = list(self._pending)[:MOST_SENT]
        beat = self._beat(waiting)
        status, body = await asyncio.to_thread(self._post, member, beat)
        self._take_answer(_answer(status, body), waiting[-1][0] if waiting else 0.0)

    def _beat(self, waiting: list[tuple[float, Frame]]) -> Heartbeat:
        now, sent_at = self._clock.monotonic(), self._clock.now().timestamp()
        self._number += 1
        # By the clock that nobody sets: a sample is as old as it is, whatever the time was when it was taken.
        frames = [
            msgspec.structs.replace(self._deltas.next(frame), at=round(sent_at - (now - at), 3))
            for at, frame in waiting
        ]
        return Heartbeat(
            node=self._node.name,
            version=__version__,
            sent_at=sent_at,
            start=self._start,
            number=self._number,
            interval_seconds=self._interval_seconds(),
            running=self._node.running(),
            uptime_seconds=round(now - self._began, 1),
            frames=frames,
            facts=None if self._facts_are_known else self._facts,
        )

    def _post(self, member: Member, beat: Heartbeat) -> tuple[int, bytes]:
        """Add the end of the history and post; in a thread, for both wait for something."""
        if (now := self._clock.monotonic()) >= self._witness_due:
            self._witness, self._witness_due = self._node.witness(), now + _WITNESS_SECONDS
        head, seq = self._witness
        content = msgspec.msgpack.encode(msgspec.structs.replace(beat, head=head, seq=seq))
        return self._connection.post(member, HEARTBEAT_PATH, content, media_type=MEDIA_TYPE)

    def _take_answer(self, answer: HeartbeatAnswer, sent: float) -> None:
        while self._pending and self._pending[0][0] <= sent:
            self._pending.popleft()
        self._facts_are_known = True
        if answer.wants_full:
            self._deltas.forget()
            self._facts_are_known = False
            if not self._pending and self._latest:
                self._pending.append(self._latest)
        if not self._pending:
            self._news.clear()
        self._obey(answer)

    def _fail(self, error: QuarterdeckError, tries: int) -> float:
        """Take note of a heartbeat that failed; returns how long to wait before the next one."""
        self._deltas.forget()
        self._facts_are_known = False
        if isinstance(error, NoMaster):
            return _LOOK_SECONDS
        self._tell(error.message)
        if isinstance(error, Unfit):
            self._pending.clear()
            self._news.clear()
        return pause_seconds(tries, is_refused=isinstance(error, Refused))

    def _tell(self, reason: str) -> None:
        """Log that heartbeats fail, or are taken again; once for each reason."""
        if reason == self._told:
            return
        self._told = reason
        if reason:
            logger.warning("no heartbeat reaches the master: %s", reason)
        else:
            logger.info("heartbeats reach the master again")

    def _thin(self) -> None:
        """Drop what is too old, and of too many every second one of the older half."""
        oldest = self._clock.monotonic() - KEPT_SECONDS
        while self._pending and self._pending[0][0] < oldest:
            self._pending.popleft()
        if len(self._pending) > MOST_KEPT:
            kept = list(self._pending)
            half = len(kept) // 2
            self._pending = deque([*kept[:half:2], *kept[half:]])


def pause_seconds(tries: int, *, is_refused: bool) -> float:
    """Return how long to wait after so many failed tries; with jitter, so that not all come at once."""
    if is_refused:
        return random.uniform(_REFUSED_PAUSE / 2, _REFUSED_PAUSE)  # noqa: S311 - jitter, not a secret
    return random.uniform(0.5, min(LONGEST_PAUSE, 2.0 ** min(tries, 6)))  # noqa: S311 - as above


def lease_seconds(interval_seconds: float) -> float:
    """Return for how long an answer that asks for this interval counts: until the next one but one."""
    return max(_RENEW_SECONDS, 2.5 * interval_seconds)


def _answer(status: int, body: bytes) -> HeartbeatAnswer:
    if status == HTTPStatus.OK:
        try:
            return msgspec.msgpack.decode(body, type=HeartbeatAnswer)
        except msgspec.DecodeError as error:
            raise Refused("What answers at the master's address is not a master.") from error
    if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY):
        raise Unfit(f"The master does not take these samples{detail_of(body)}")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        raise Refused("The master is older than heartbeats; it asks for health instead.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Refused(f"The master refuses this worker{detail_of(body)}")
    raise Unreachable(f"The master answered {status}{detail_of(body)}")
