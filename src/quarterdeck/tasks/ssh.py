"""A command over SSH: its exact output, how it ended, and the proof that it is gone when cancelled."""

import asyncio
import itertools
import secrets
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.ssh import SshError, SshPool, SshTarget, StartUnknown
from quarterdeck.hosts.ssh_channel import Abandoned, RemoteCommand, start_command
from quarterdeck.tasks.executor import Result, Sink, Stream
from quarterdeck.tasks.ssh_shell import Marker, ending_line, running_line
from quarterdeck.tasks.states import RunState

LONGEST_LINE_BYTES: Final = 130_000  # Linux takes 128 KiB in one argument
GRACE_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 5.0
_MARKER_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_NOT_SENT: Final = Result(None, RunState.CANCELLED, "Cancelled before the command was sent.")


class SshExecution:
    """One command on one SSH host."""

    def __init__(
        self, pool: SshPool, target: SshTarget, command: str, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        """``grace_seconds`` is the time between asking the command to end and killing it."""
        self._mark = secrets.token_hex(16)
        self._line = _checked_line(self._mark, command)
        self._pool = pool
        self._target = target
        self._grace_seconds = grace_seconds
        self._marker = Marker(self._mark)
        self._marked = asyncio.Event()
        self._remote = RemoteCommand()
        self._cancelling = False
        self._gone: bool | None = None

    async def run(self, sink: Sink) -> Result:
        """Run the command to its end; raises SshError or Invalid when it was surely not started."""
        if self._cancelling:
            return _NOT_SENT
        try:
            await start_command(self._pool, self._target, self._line, self._remote)
        except Abandoned:
            return _NOT_SENT
        except StartUnknown as error:
            return Result(None, RunState.LOST, error.message)
        try:
            await sink.started()
            await self._pass_output_on(sink)
        finally:
            self._marked.set()
            self._remote.close()
        return self._result()

    async def cancel(self) -> bool | None:
        """End the command and all it started; takes the grace, and a few seconds more if need be."""
        self._cancelling = True
        if self._remote.give_up():
            return True
        if failure := await self._remote.start_failure():
            return None if isinstance(failure, StartUnknown) else True
        self._gone = await self._end_group()
        if not self._gone:
            self._remote.close()
        return self._gone

    async def _pass_output_on(self, sink: Sink) -> None:
        while chunks := await self._remote.read(_SILENCE_SECONDS):
            for stream, data in _joined(chunks):
                passed = self._unmarked(data) if stream is Stream.ERR else data
                if passed:
                    await sink.write(stream, passed)
            self._remote.resume()
        if rest := self._marker.rest():
            await sink.write(Stream.ERR, rest)

    def _unmarked(self, data: bytes) -> bytes:
        passed = self._marker.feed(data)
        if self._marker.group is not None:
            self._marked.set()
        return passed

    async def _end_group(self) -> bool | None:
        """End the process group by a second session; None when the host does not tell."""
        try:
            async with asyncio.timeout(_MARKER_SECONDS):
                await self._marked.wait()
        except TimeoutError:
            return None
        if self._marker.group is None:
            return None
        # Once the command itself is over, its number may belong to somebody else's process.
        group = None if self._remote.has_ended else self._marker.group
        seconds = self._target.connect_seconds + self._grace_seconds + _ANSWER_SECONDS
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(ending_line(self._mark, group, self._grace_seconds))
        except (SshError, TimeoutError):
            return None
        return {b"gone": True, b"there": False}.get(answer.strip().rpartition(b"\n")[2])

    async def _ask(self, line: str) -> bytes:
        """Return what a short command prints."""
        remote = RemoteCommand()
        answer = b""
        try:
            await start_command(self._pool, self._target, line, remote)
            while chunks := await remote.read(_SILENCE_SECONDS):
                answer += b"".join(data for is_err, data in chunks if not is_err)
                remote.resume()
        finally:
            remote.close()
        return answer

    def _result(self) -> Result:
        remote = self._remote
        if self._cancelling and (self._gone or remote.has_ended):
            return Result(remote.exit_status, RunState.CANCELLED, "Cancelled.")
        if not remote.has_ended:
            return Result(None, RunState.LOST, self._lost_message())
        details = {"signal": remote.exit_signal} if remote.exit_signal else {}
        state = RunState.SUCCEEDED if remote.exit_status == 0 else RunState.FAILED
        return Result(remote.exit_status, state, self._end_message(), details)

    def _lost_message(self) -> str:
        if self._cancelling:
            return f"{self._target.name} did not prove that the command is gone. Look whether it still runs."
        return (
            f"The connection to {self._target.name} was cut while the command ran. "
            "It may still be running there; look before you run it again."
        )

    def _end_message(self) -> str:
        if self._marker.group is None:
            return (
                f"{self._target.name} did not run the command: the login shell of {self._target.username} "
                "or a forced command answered instead."
            )
        if self._remote.exit_signal:
            return f"Ended by signal {self._remote.exit_signal}."
        if not self._remote.was_drained:
            return (
                "The command ended, but something it started still holds its output open; that is not kept."
            )
        return ""


def _checked_line(mark: str, command: str) -> str:
    """Return the line that runs a command; raises Invalid for what no shell can be given."""
    if not command.strip():
        raise Invalid({"command": "Give a command."})
    if "\0" in command or any("\ud800" <= char <= "\udfff" for char in command):
        raise Invalid({"command": "A command can't contain a NUL or half a character."})
    line = running_line(mark, command)
    if len(line.encode()) > LONGEST_LINE_BYTES:
        raise Invalid({"command": "The command is too long for a shell's argument. Put it into a script."})
    return line


def _joined(chunks: list[tuple[bool, bytes]]) -> Iterator[tuple[Stream, bytes]]:
    """Join neighbours of the same stream, so that the sink is called less often."""
    if len(chunks) == 1:
        yield (Stream.ERR if chunks[0][0] else Stream.OUT), chunks[0][1]
        return
    for is_err, group in itertools.groupby(chunks, itemgetter(0)):
        yield (Stream.ERR if is_err else Stream.OUT), b"".join(data for _, data in group)
