"""The worker's line to the supervisor of its commands, which outlives the worker.

Lives on the loop. The supervisor is found again after a restart, started when it is first needed, and
left to end when there has been nothing to do for a while.
"""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from quarterdeck.core.errors import Busy
from quarterdeck.core.security import private_directory
from quarterdeck.tasks import supervisor
from quarterdeck.tasks.supervisor.serving import SPEAKS

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PROGRAM: Final = Path(supervisor.__file__).with_name("__main__.py")
_ANSWER_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 60.0
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.2
_COLLECT_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 4_000_000


class Ended(msgspec.Struct, frozen=True):
    """How a command ended. ``reason`` is why the supervisor ended it or cut its output, if it did."""

    status: int | None
    at: float
    reason: str = ""
    detail: str = ""
    gone: bool | None = None
    left: bool = False
    dropped: int = 0


class Facts(msgspec.Struct, frozen=True):
    """Where a command stands, as the supervisor and its record tell it."""

    id: str
    pid: int
    began: float
    out: int = 0
    err: int = 0
    end: Ended | None = None


class NotStarted(Exception):
    """The command surely did not run; ``errno`` is the system's reason when there was one."""

    def __init__(self, reason: str, errno: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.errno = reason, errno


class Followed:
    """One command as it is known by now."""

    def __init__(self, id_: str, facts: Facts | None = None) -> None:
        self.id = id_
        self.facts = facts
        self.refusal: NotStarted | None = None
        self.is_lost = False
        """Whether the supervisor is gone, or is one that does not know the command."""
        self._news = asyncio.Event()

    async def news(self) -> Facts | None:
        """Wait for something new and return it; None when nothing will come any more."""
        await self._news.wait()
        self._news.clear()
        return None if self.is_lost or self.refusal else self.facts

    def take(self, facts: Facts) -> None:
        self.facts = facts
        self._news.set()

    def refuse(self, refusal: NotStarted) -> None:
        self.refusal = refusal
        self._news.set()

    def lose(self) -> None:
        self.is_lost = True
        self._news.set()


class _Hello(msgspec.Struct, frozen=True):
    speaks: int
    tasks: list[Facts]


class _Said(msgspec.Struct, frozen=True):
    say: str
    task: Facts | None = None
    id: str = ""
    errno: int | None = None
    reason: str = ""


class Supervision:
    """The only way to the supervisor; ``folder`` is its home."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_directory(folder)
        self._records = private_directory(folder / "tasks")
        self._followed: dict[str, Followed] = {}
        self._known: dict[str, Facts] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def is_connected(self) -> bool:
        return self._writer is not None

    async def find(self) -> None:
        """Connect to the supervisor that the last worker left behind, if there is one."""
        async with self._connecting:
            await self._connect()

    async def start(self, id_: str, wanted: Mapping[str, Any]) -> Followed:  # Any: JSON
        """Have a command started; its news tell what came of it. Raises Busy when it surely did not begin."""
        async with self._connecting:
            if self._writer is None:
                await self._start_and_connect()
        followed = self._followed[id_] = Followed(id_)
        self._send({"do": "start", "id": id_, **wanted})
        return followed

    def take_up(self, id_: str) -> Followed | None:
        """Follow a command that the last worker had started; None when the supervisor does not know it."""
        facts = self._known.pop(id_, None)
        if facts is None or self._writer is None:
            return None
        followed = self._followed[id_] = Followed(id_, facts)
        followed.take(facts)
        return followed

    def sweep(self, wanted: Container[str]) -> None:
        """Drop what is left of commands whose end an earlier worker had put on disk, all but the wanted."""
        for id_, facts in list(self._known.items()):
            if id_ not in wanted and facts.end is not None:
                del self._known[id_]
                self._send({"do": "forget", "id": id_})
        for path in self._records.glob("*.json"):
            if path.stem not in wanted and path.stem not in self._known:
                path.unlink(missing_ok=True)

    def record_of(self, id_: str) -> Facts | None:
        """Return what the record of a command says; None without one, and before it had begun."""
        try:
            return msgspec.json.decode(self._record(id_).read_bytes(), type=Facts)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def has_record(self, id_: str) -> bool:
        """Tell whether a supervisor ever took the command in hand."""
        return self._record(id_).exists()

    def forget(self, id_: str) -> None:
        """Let go of a command, once its end is on disk here or nothing more can be learned of it."""
        self._known.pop(id_, None)
        if self._followed.pop(id_, None) and self._writer is not None:
            self._send({"do": "forget", "id": id_})
        self._record(id_).unlink(missing_ok=True)
        self._end_when_idle()

    async def close(self) -> None:
        """End the line; the supervisor ends too unless a command still runs."""
        reading = self._reading
        self._send({"do": "leave"})
        self._hang_up()
        if reading is not None:
            await asyncio.wait({reading})

    def _record(self, id_: str) -> Path:
        return self._records / f"{id_}.json"

    # --- the line ---

    async def _start_and_connect(self) -> None:
        for _ in range(_TRIES):
            if await self._connect():
                return
            try:
                await asyncio.to_thread(self._start_supervisor)
            except OSError as error:
                raise Busy(
                    f"The worker can't start the supervisor of its tasks: {error.strerror}."
                ) from error
        if not await self._connect():
            raise Busy("The worker can't start the supervisor of its tasks; its log has the details.")

    def _start_supervisor(self) -> None:
        """Start it and wait until it listens; one that is there already makes this one end at once."""
        told, tells = os.pipe()
        with os.fdopen(told, "rb", buffering=0) as ready, os.fdopen(tells, "wb", buffering=0) as telling:
            self._processes.append(self._popen(telling.fileno()))
            telling.close()
            poll = select.poll()
            poll.register(ready, select.POLLIN)
            if not poll.poll(_ANSWER_SECONDS * 1000) or not ready.read(1):
                logger.info("a supervisor of tasks did not start; another one may be there")

    def _popen(self, stdout: int) -> subprocess.Popen[bytes]:
        """Start the program with nothing of the worker's: no descriptor, no variable, no session."""
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-I", "-S", str(_PROGRAM), str(self._folder.absolute())],
                env={"LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _collect(self) -> None:
        """Take note of supervisors that have ended, so that none is left as a dead process."""
        self._processes = [process for process in self._processes if process.poll() is None]

    async def _connect(self) -> bool:
        """Connect and take up what is followed; returns whether there is a supervisor."""
        try:
            reader, self._writer = await self._open()
            async with asyncio.timeout(_ANSWER_SECONDS):
                hello = _decoded(await reader.readline(), _Hello)
        except (OSError, TimeoutError):
            hello = None
        if hello is None or hello.speaks != SPEAKS:
            self._hang_up()
            return False
        self._known = {facts.id: facts for facts in hello.tasks}
        for followed in self._followed.values():
            if facts := self._known.pop(followed.id, None):
                followed.take(facts)
            else:
                followed.lose()
        self._reading = asyncio.ensure_future(self._read(reader))
        self._end_when_idle()
        return True

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        line = socket.socket(socket.AF_UNIX)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            # By the folder's descriptor: a whole path may be longer than a socket's may be.
            short = Path(f"/proc/self/fd/{folder}")
            line.connect(str((short if short.exists() else self._folder) / "socket"))
            line.setblocking(False)
            return await asyncio.open_unix_connection(sock=line, limit=_LONGEST_LINE)
        except BaseException:
            line.close()
            raise
        finally:
            os.close(folder)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Take news until the line ends; then look once whether the supervisor is still there."""
        try:
            while line := await reader.readline():
                self._take(_decoded(line, _Said))
        except (OSError, ValueError) as error:
            logger.error("the line to the supervisor of tasks broke: %s", error)
        self._reading = None
        self._hang_up()
        await asyncio.sleep(_PAUSE_SECONDS)
        self._collect()
        async with self._connecting:
            if self._writer is None and not await self._connect():
                if self._followed:
                    logger.error("the supervisor of tasks is gone, with %s tasks", len(self._followed))
                for followed in self._followed.values():
                    followed.lose()

    def _take(self, said: _Said | None) -> None:
        if said is None:
            return
        if said.task and (followed := self._followed.get(said.task.id)):
            followed.take(said.task)
        elif said.say == "refused" and (followed := self._followed.get(said.id)):
            followed.refuse(NotStarted(said.reason, said.errno))

    def _send(self, message: Mapping[str, Any]) -> None:  # Any: JSON
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _hang_up(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _end_when_idle(self) -> None:
        """Hang up after a while without commands: the supervisor ends by itself then."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._followed and not self._known:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._hang_up_if_idle)

    def _hang_up_if_idle(self) -> None:
        if not self._followed and not self._known:
            self._send({"do": "leave"})
            self._hang_up()
            asyncio.get_running_loop().call_later(_COLLECT_SECONDS, self._collect)


def _decoded(line: bytes, kind: type[T]) -> T | None:
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(line, type=kind)
    if line:
        logger.error("the supervisor of tasks said what this version does not understand: %.200r", line)
    return None
