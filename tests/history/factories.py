"""Histories, actors and faulty disks for the tests of the history."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quarterdeck.core.actors import Actor, ActorKind, Role
from quarterdeck.history.disk import Disk
from quarterdeck.history.lines import Entry, Kind, Record, Sealer
from quarterdeck.history.service import History
from quarterdeck.history.verify import Verification, verify

KEY = b"k" * 32
NOON = datetime(2026, 7, 24, 12, 0, tzinfo=UTC)
ADA = Actor(ActorKind.PERSON, "ada", "10.0.0.1", Role.ADMINISTRATOR)
OSKAR = Actor(ActorKind.PERSON, "oskar", "10.0.0.2", Role.OPERATOR)


class SetClock:
    """A clock that stands still, or moves by a step each time it is read."""

    def __init__(self, now: datetime = NOON, step: timedelta = timedelta(0)) -> None:
        self.moment = now
        self.step = step

    def now(self) -> datetime:
        self.moment += self.step
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()


def make_history(folder: Path, **changes: Any) -> History:  # Any: whatever History takes
    standard: dict[str, Any] = {
        "key": KEY,
        "node": "master",
        "clock": SetClock(step=timedelta(microseconds=7)),
        "segment_bytes": 1_000_000,
        "ballast_bytes": 0,
    }
    return History(folder, **(standard | changes))


def record(number: int = 1, **changes: Any) -> Record:  # Any: members of a record
    members = {"kind": Kind.EVENT, "actor": "ada", "action": "host.test", "object": f"host:web-{number}"}
    return Record(**(members | changes))


def check(folder: Path) -> Verification:
    return verify(folder, Sealer("master", KEY))


def journal_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def all_lines(folder: Path) -> list[bytes]:
    return [line for path in journal_files(folder) for line in path.read_bytes().splitlines()]


class FaultyDisk(Disk):
    """The real disk, but the n-th changing call fails, once or from then on."""

    def __init__(self, fail_at: int, code: int = errno.EIO, *, for_good: bool = False) -> None:
        self.calls = 0
        self.fail_at = fail_at
        self.code = code
        self.for_good = for_good

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.fail_at or (self.for_good and self.calls > self.fail_at):
            raise OSError(self.code, os.strerror(self.code))

    def write(self, descriptor: int, content: bytes, offset: int) -> None:
        try:
            self._count()
        except OSError:
            os.pwrite(descriptor, content[: len(content) // 2], offset)  # torn, as a real one is
            raise
        super().write(descriptor, content, offset)

    def sync(self, descriptor: int) -> None:
        self._count()
        super().sync(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        self._count()
        super().truncate(descriptor, length)

    def sync_folder(self, folder: Path) -> None:
        self._count()
        super().sync_folder(folder)


class FullDisk(Disk):
    """A disk of so many bytes: what the folder holds counts, blocks of the ballast too."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size

    def _room(self) -> int:
        used = sum(path.stat().st_size for path in self.folder.iterdir())
        return self.size - used

    def write(self, descriptor: int, content: bytes, offset: int) -> None:
        growth = offset + len(content) - os.fstat(descriptor).st_size
        if growth > 0 and growth > self._room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(descriptor, content, offset)

    def reserve(self, descriptor: int, length: int) -> None:
        if length - os.fstat(descriptor).st_size > self._room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().reserve(descriptor, length)


def write_events(
    history: History, count: int, actor_of: Callable[[int], Actor] = lambda _: ADA
) -> list[Entry]:
    """Write many events in their order, all waiting at once, as a busy node's tasks do."""

    async def write() -> list[Entry]:
        writing = (history.event_async(actor_of(n), "host.test", f"host:{n}") for n in range(count))
        return list(await asyncio.gather(*writing))

    return asyncio.run(write())


def wait_until(is_ready: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Poll until ready, or fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        threading.Event().wait(0.01)
