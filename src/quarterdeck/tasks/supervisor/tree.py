"""All processes of one command, found by session and marker as in ``tasks/local/processes.py``, and ended.

The worker ends them itself when somebody cancels; this is for what must also happen while it is away.
"""

import os
import signal
from collections.abc import Mapping

MARKER = "DECK_TASK_ID"
GRACE_SECONDS = 5.0
KILL_SECONDS = 2.0


class Ending:
    """Asks the processes of a command to end, then kills what is left, a step at a time."""

    def __init__(self, marker: str, session: int, now: float) -> None:
        self._mark = f"{MARKER}={marker}".encode()
        self._session = session
        self._kill_at = now + GRACE_SECONDS
        self._give_up_at = self._kill_at + KILL_SECONDS
        self._asked: set[int] = set()
        self.is_over = False
        self.gone: bool | None = None
        """Whether all are proved gone; None until it is over, and where nothing can be found out."""

    def step(self, now: float) -> None:
        """Signal what is there by now; at the end ``gone`` says what came of it."""
        members = self._members()
        if members is None:
            self._signal_group(now)
        elif not members:
            self.is_over = self.gone = True
        elif now >= self._give_up_at:
            self.is_over, self.gone = True, False
        else:
            self._signal(members, now)

    def _signal(self, members: list[int], now: float) -> None:
        must_end = now >= self._kill_at
        for pid in members:
            if must_end or pid not in self._asked:
                _send(pid, signal.SIGKILL if must_end else signal.SIGTERM)
                self._asked.add(pid)

    def _signal_group(self, now: float) -> None:
        """Do what can be done where there is no /proc: signal the group, and prove nothing."""
        number = signal.SIGKILL if now >= self._kill_at else signal.SIGTERM
        if number == signal.SIGKILL or not self._asked:
            _send(-self._session, number)
        self._asked.add(self._session)
        self.is_over = number == signal.SIGKILL

    def _members(self) -> list[int] | None:
        try:
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
        except OSError:
            return None
        found = {
            pid: parent
            for pid in pids
            if pid != os.getpid() and (parent := self._parent_of_ours(pid)) is not None
        }
        return parents_first(found)

    def _parent_of_ours(self, pid: int) -> int | None:
        """Return the parent's id of a process of the command, None for any other process."""
        try:
            # Behind the last bracket: the name before it is the process's own choice.
            state, parent, _, session = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:4]
            if state in (b"Z", b"X"):
                return None
            is_ours = int(session) == self._session or self._has_mark(pid)
            return int(parent) if is_ours else None
        except (OSError, ValueError):
            return None  # gone meanwhile, or another account's

    def _has_mark(self, pid: int) -> bool:
        return self._mark in _read(f"/proc/{pid}/environ").split(b"\0")


def parents_first(parents: Mapping[int, int]) -> list[int]:
    """Return processes, given with the ids of their parents, each behind its parent.

    A shell whose child is ended before itself goes on with what comes after that child.
    """
    ordered: list[int] = []
    waiting = dict(parents)
    while waiting:
        # Numbers are used again, so two looks may see a circle: then any order will do.
        ready = [pid for pid, parent in waiting.items() if parent not in waiting] or list(waiting)
        ordered += ready
        for pid in ready:
            del waiting[pid]
    return ordered


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib would cost 1 MB
        content = file.read()
    return content or b""


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone is what was wanted; what may not be ended shows in the proof
