"""The limits of a run in time, watched on the master's side for every kind of task alike.

Output notes only the time at which it came. One timer for a host's part looks at that when the nearest
limit would be over, and is set anew: 5,000 lines a second cost no more timers than none.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from quarterdeck.hosts.ssh import SshTarget
from quarterdeck.tasks.executor import Notes, Sink, Stream
from quarterdeck.tasks.options import RunOptions

QUEUE_LEEWAY_SECONDS: Final = 20.0
"""An SSH connection may wait for the handshakes of others; the pool itself counts from its own start."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; None where there is no such limit."""

    total_seconds: float
    total_leeway_seconds: float = 0
    """A worker keeps the total by itself and is only waited for."""
    connect_seconds: float | None = None
    connect_leeway_seconds: float = 0
    first_byte_seconds: float | None = None
    silence_seconds: float | None = None

    @classmethod
    def of(cls, options: RunOptions, total_seconds: float, **leeways: float) -> Self:
        return cls(
            total_seconds,
            connect_seconds=options.connect_seconds,
            first_byte_seconds=options.first_byte_seconds,
            silence_seconds=options.silence_seconds,
            **leeways,
        )

    @property
    def unreached(self) -> str:
        return f"It could not be reached within {self.connect_seconds or 0:g} s."


def target_within(target: SshTarget, options: RunOptions) -> SshTarget:
    """Return the target with the run's own limit for reaching it, each host on the way included."""
    if options.connect_seconds is None:
        return target
    jump = target_within(target.jump, options) if target.jump else None
    return replace(target, connect_seconds=options.connect_seconds, jump=jump)


class Watch:
    """Knows when one execution is over its limits. Made when it begins; lives on the loop."""

    def __init__(
        self, limits: Limits, *, spent_seconds: float = 0, has_started: bool = False, has_output: bool = False
    ) -> None:
        """``spent_seconds`` of the total were over before: a task taken up again may be an old one."""
        self._limits = limits
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._began = self._now()
        self._spent = spent_seconds
        self._started = self._began if has_started else None
        self._latest = self._began if has_output else None
        self._turn: asyncio.Future[None] | None = None
        """Done when a limit begins to count that may be over before those that counted until then."""

    def note_started(self) -> None:
        if self._started is None:
            self._started = self._now()
            self._wake()

    def note_output(self) -> None:
        if self._latest is None:
            self._wake()
        self._latest = self._now()

    async def until_over(self, running: asyncio.Task[Any]) -> str:
        """Wait for the end of the execution, or of the first limit: then return what to say of it."""
        while not running.done():
            deadline, text = min(self._deadlines())
            left = deadline - self._now()
            if left <= 0:
                return text
            waited: set[asyncio.Future[Any]] = {running}
            if self._limits.first_byte_seconds is not None or self._limits.silence_seconds is not None:
                self._turn = asyncio.get_running_loop().create_future()
                waited.add(self._turn)
            await asyncio.wait(waited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return ""

    def _wake(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def _deadlines(self) -> list[tuple[float, str]]:
        """Return when each limit that counts now would be over, with its text."""
        limits = self._limits
        left = max(0.0, limits.total_seconds - self._spent)
        total = self._began + left + limits.total_leeway_seconds
        found = [(total, f"It took longer than its limit of {limits.total_seconds:,.0f} s.")]
        if self._started is None:
            if limits.connect_seconds is not None:
                until = self._began + limits.connect_seconds + limits.connect_leeway_seconds
                found.append((until, limits.unreached))
        elif self._latest is None and limits.first_byte_seconds is not None:
            until = self._started + limits.first_byte_seconds
            found.append((until, f"No output within {limits.first_byte_seconds:g} s."))
        elif limits.silence_seconds is not None:
            until = (self._latest or self._started) + limits.silence_seconds
            found.append((until, f"It was silent for {limits.silence_seconds:g} s."))
        return found


class WatchedSink:
    """Tells the watch of what goes into another sink."""

    def __init__(self, sink: Sink, watch: Watch) -> None:
        self._sink, self._watch = sink, watch

    async def started(self) -> None:
        self._watch.note_started()
        await self._sink.started()

    async def write(self, stream: Stream, data: bytes) -> None:
        if data:
            self._watch.note_output()
        await self._sink.write(stream, data)

    async def note(self, message: str) -> None:
        if isinstance(self._sink, Notes):
            await self._sink.note(message)
