"""Tasks on this node's own machine: a command under ``sh``, or a built-in task in a thread."""

import asyncio
import errno
import os
import pwd
import signal
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from quarterdeck.core.errors import Busy, Invalid, QuarterdeckError
from quarterdeck.core.ids import new_id
from quarterdeck.protocol.tasks import BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.executor import Result, Sink, Stream
from quarterdeck.tasks.local.builtins import run_builtin
from quarterdeck.tasks.local.processes import MARKER, ProcessTree
from quarterdeck.tasks.states import RunState

GRACE_SECONDS: Final = 5.0
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PAUSE_BYTES: Final = 1 << 20
_QUIET_SECONDS: Final = 1.0
_LEFT_OPEN_SECONDS: Final = 10.0
_COLLECT_SECONDS: Final = 1.0
LEFT_RUNNING: Final = (
    "The command has ended but left processes in the background; what they print is not kept."
)
START_FAULTS: Final = {
    None: "A command can't hold a NUL or half a character.",
    errno.E2BIG: "This is too long for one command; put it into a script.",
}
"""Why a command can't be started, by the system's number of the error."""


class LocalExecution:
    """One task on this machine, with the rights of the account that the node runs under.

    ``marker`` names the task to its processes, so that they are found again after a restart.
    """

    def __init__(self, task: Task, *, marker: str = "", grace_seconds: float = GRACE_SECONDS) -> None:
        if isinstance(task, CallTask):
            raise Invalid({"task": "API calls are made by the master, not by the host itself."})
        self._task: CommandTask | BuiltinTask = task
        self._marker = marker or new_id()
        self._grace_seconds = grace_seconds
        self._tree: ProcessTree | None = None
        self._cancelled = asyncio.Event()

    async def run(self, sink: Sink) -> Result:
        """Run to the end. Raises Invalid or Busy when the task could not be started."""
        if self._cancelled.is_set():
            return Result(None, RunState.CANCELLED)
        if isinstance(self._task, BuiltinTask):
            return await self._run_builtin(self._task, sink)
        return await self._run_command(self._task, sink)

    async def cancel(self, grace_seconds: float | None = None) -> bool | None:
        """End the process tree, politely first. None for a built-in task: a thread can't be ended."""
        self._cancelled.set()
        if isinstance(self._task, BuiltinTask):
            return None
        grace = self._grace_seconds if grace_seconds is None else grace_seconds
        return True if self._tree is None else await self._tree.end(grace)

    async def _run_builtin(self, task: BuiltinTask, sink: Sink) -> Result:
        await sink.started()
        work = asyncio.ensure_future(asyncio.to_thread(run_builtin, task))
        cancelled = asyncio.ensure_future(self._cancelled.wait())
        await asyncio.wait({work, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        cancelled.cancel()
        if not work.done():
            work.cancel()
            return Result(None, RunState.CANCELLED)
        try:
            answer = await work
        except QuarterdeckError as error:
            return Result(None, RunState.FAILED, error.message)
        except OSError as error:
            return Result(None, RunState.FAILED, f"The machine can't tell: {error.strerror}.")
        await sink.write(Stream.OUT, answer.text.encode())
        return Result(0, RunState.SUCCEEDED, details=answer.details)

    async def _run_command(self, task: CommandTask, sink: Sink) -> Result:
        process = await _start(task.command, self._marker)
        self._tree = ProcessTree(self._marker, session=process.pid)
        try:
            if self._cancelled.is_set():
                return Result(None, RunState.CANCELLED)
            await sink.started()
            async for stream, data in process.output():
                await sink.write(stream, data)
            return self._result(process)
        finally:
            if process.returncode is None:  # the node stops, or the output can't be kept
                self._tree.kill()
                await process.collect()
            process.close()

    def _result(self, process: "_Process") -> Result:
        status = process.returncode
        if self._cancelled.is_set():
            return Result(shell_status(status), RunState.CANCELLED)
        if status is not None and status < 0:
            return Result(shell_status(status), RunState.FAILED, ended_by(-status))
        message = "" if process.is_closed else LEFT_RUNNING
        return Result(status, RunState.SUCCEEDED if status == 0 else RunState.FAILED, message)


class _Process(asyncio.SubprocessProtocol):
    """A running command: its output in the order in which the loop saw it, then its status."""

    def __init__(self) -> None:
        self._transport: asyncio.SubprocessTransport | None = None
        self._pending: deque[tuple[Stream, bytes]] = deque()
        self._pending_bytes = 0
        self._open = {1, 2}
        self._flows = True
        self._exited_at: float | None = None
        self._news = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._transport.get_pid() if self._transport else -1

    @property
    def returncode(self) -> int | None:
        return self._transport.get_returncode() if self._transport else None

    @property
    def is_closed(self) -> bool:
        """Whether all who could write to the output have let go of it."""
        return not self._open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)  # as the protocol promises

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._pending.append((Stream.OUT if fd == 1 else Stream.ERR, data))
        self._pending_bytes += len(data)
        self._news.set()
        if self._pending_bytes > _PAUSE_BYTES:
            self._let_flow(allowed=False)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        self._news.set()

    def process_exited(self) -> None:
        self._exited_at = asyncio.get_running_loop().time()
        self._news.set()

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """Yield chunks until the command has ended and its output with it.

        A process left in the background may hold the output open; it is listened to a little longer.
        """
        while True:
            while self._pending:
                stream, data = self._pending.popleft()
                self._pending_bytes -= len(data)
                if self._pending_bytes <= _PAUSE_BYTES // 4:
                    self._let_flow(allowed=True)
                yield stream, data
            if self._exited_at is not None and (self.is_closed or self._is_left_open()):
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), None if self._exited_at is None else _QUIET_SECONDS)
            except TimeoutError:
                return

    async def collect(self) -> None:
        """Wait a moment for the status of a command that was killed, so that no dead process is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_COLLECT_SECONDS):
                while self._exited_at is None:
                    self._news.clear()
                    await self._news.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _is_left_open(self) -> bool:
        passed = asyncio.get_running_loop().time() - (self._exited_at or 0)
        return passed > _LEFT_OPEN_SECONDS

    def _let_flow(self, *, allowed: bool) -> None:
        if allowed is self._flows:  # pipes of Python before 3.11.4 can't tell
            return
        self._flows = allowed
        for descriptor in self._open:
            pipe = self._transport.get_pipe_transport(descriptor) if self._transport else None
            if pipe is None or pipe.is_closing():
                continue
            reading = cast("asyncio.ReadTransport", pipe)  # what a child's output is
            if allowed:
                reading.resume_reading()
            else:
                reading.pause_reading()


async def _start(command: str, marker: str) -> _Process:
    surroundings = environment()
    try:
        _, process = await asyncio.get_running_loop().subprocess_exec(
            _Process,
            "/bin/sh",
            "-c",
            command.encode(),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            cwd=surroundings["HOME"],
            env=surroundings | {MARKER: marker},
        )
    except ValueError as error:
        raise Invalid({"command": START_FAULTS[None]}) from error
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise Invalid({"command": START_FAULTS[errno.E2BIG]}) from error
        raise Busy(f"The machine can't start a command: {error.strerror}; try again.") from error
    return process


def environment() -> dict[str, str]:
    """Return an environment made anew from the account: nothing of the node's own goes along."""
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError:  # a container may run under a number without an account
        name, home = str(os.getuid()), "/"
    else:
        name, home = account.pw_name, account.pw_dir
    return {
        "PATH": _PATH,
        "HOME": home if Path(home).is_dir() else "/",
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }


def shell_status(status: int | None) -> int | None:
    """Return the exit status as a shell tells it, also of what a signal has ended."""
    return status if status is None or status >= 0 else 128 - status


def ended_by(number: int) -> str:
    """Return a sentence about the signal that ended a command."""
    try:
        return f"It was ended by signal {number} ({signal.Signals(number).name})."
    except ValueError:
        return f"It was ended by signal {number}."
