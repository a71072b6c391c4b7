"""All processes that a task started, found again and ended.

A task's first process leads a session of its own and carries a marker in its environment, and
children inherit both. The session finds those that cleared their environment, the marker those that
left the session, and, after a restart, those of a task that this node no longer remembers starting.
"""

import asyncio
import os
import signal
from typing import Final

import psutil

MARKER: Final = "DECK_TASK_ID"
_POLL_SECONDS: Final = 0.05
_KILL_SECONDS: Final = 2.0


class ProcessTree:
    """The processes of tasks. ``session`` is the first one's id, None when it isn't known any more."""

    def __init__(self, *markers: str, session: int | None = None) -> None:
        self._markers = frozenset(markers)
        self._session = session

    def members(self) -> list[psutil.Process]:
        """Return what is alive; a dead process that nobody has collected yet does not count."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    async def end(self, grace_seconds: float) -> bool:
        """Ask all to end, then kill what is left; returns whether all are gone.

        When the wait itself is called off, everything is killed at once.
        """
        try:
            if await self._signal_until_gone(signal.SIGTERM, grace_seconds):
                return True
            return await self._signal_until_gone(signal.SIGKILL, _KILL_SECONDS)
        except asyncio.CancelledError:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill everything now, without waiting for the proof."""
        self._signal(self.members(), signal.SIGKILL)

    async def _signal_until_gone(self, number: signal.Signals, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        signalled: set[psutil.Process] = set()
        while members := await asyncio.to_thread(self.members):
            # Children born after the first signal get theirs; nobody is asked twice to end politely.
            news = [process for process in members if process not in signalled]
            self._signal(members if number is signal.SIGKILL else news, number)
            signalled.update(news)
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _signal(self, processes: list[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            try:
                process.send_signal(number)  # checks that the id was not given to another process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # gone is what was wanted; what may not be ended shows in the proof

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if self._session is not None and os.getsid(process.pid) == self._session:
                return True
            return process.environ().get(MARKER) in self._markers
        except (psutil.Error, OSError):
            return False  # gone meanwhile, or another account's
