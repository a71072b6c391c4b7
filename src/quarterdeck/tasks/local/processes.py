"""All processes that a task started, found again and ended.

A task's first process leads a session of its own and carries a marker in its environment, and
children inherit both. The session finds those that cleared their environment, the marker those that
left the session, and, after a restart, those of a task that this node no longer remembers starting.
Descent finds those that did both, as what sudo starts on a terminal of its own.
"""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
from collections import defaultdict
from typing import Final

import psutil

from quarterdeck.tasks.supervisor.tree import parents_first

logger = logging.getLogger(__name__)

MARKER: Final = "DECK_TASK_ID"
_POLL_SECONDS: Final = 0.05
_KILL_SECONDS: Final = 2.0
_SUDO_SECONDS: Final = 5.0


class ProcessTree:
    """The processes of tasks. ``session`` is the first one's id, None when it isn't known any more."""

    def __init__(self, *markers: str, session: int | None = None) -> None:
        self._markers = frozenset(markers)
        self._session = session
        self._seen: set[psutil.Process] = set()
        """What was found before: its parent may have ended since, and with it the way to find it again."""

    def members(self) -> list[psutil.Process]:
        """Return what is alive, parents first; what is dead but not collected yet does not count."""
        found, children = [], defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            children[process.info["ppid"]].append(process)
            if process in self._seen or self._is_ours(process):
                found.append(process)
        for process in found:  # which grows meanwhile
            found += [child for child in children[process.pid] if child not in found]
        self._seen.update(found)
        alive = {process.pid: process for process in found if _is_alive(process)}
        return [alive[pid] for pid in parents_first({pid: each.info["ppid"] for pid, each in alive.items()})]

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
        _send(self.members(), signal.SIGKILL)

    async def _signal_until_gone(self, number: signal.Signals, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        signalled: set[psutil.Process] = set()
        while members := await asyncio.to_thread(self.members):
            # Children born after the first signal get theirs; nobody is asked twice to end politely.
            news = [process for process in members if process not in signalled]
            await asyncio.to_thread(_send, members if number is signal.SIGKILL else news, number)
            signalled.update(news)
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if self._session is not None and os.getsid(process.pid) == self._session:
                return True
            return process.environ().get(MARKER) in self._markers
        except (psutil.Error, OSError):
            return False  # gone meanwhile, or another account's


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Signal them; what stays, because it was gone already or may not be ended, shows in the proof."""
    denied = []
    for process in processes:
        try:
            process.send_signal(number)  # checks that the id was not given to another process
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            denied.append(process)
    if denied:
        _send_by_sudo(denied, number)


def _send_by_sudo(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Signal what belongs to root, as what a task runs under sudo does, if sudo asks for no password."""
    sudo = shutil.which("sudo")
    pids = [str(process.pid) for process in processes if process.is_running()]
    if sudo is None or not pids:
        return
    name = number.name.removeprefix("SIG")
    try:
        subprocess.run(  # noqa: S603 - numbers of processes, all above zero
            [sudo, "-n", "kill", "-s", name, *pids],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SUDO_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("sudo could not end %d processes: %s", len(pids), error)
