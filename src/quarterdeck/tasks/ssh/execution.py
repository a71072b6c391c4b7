"""A command over SSH: its exact output, how it ended, and the proof that it is gone when cancelled."""

import asyncio
import secrets
from typing import Final

from quarterdeck.hosts.ssh import SshError, SshPool, SshTarget, StartUnknown
from quarterdeck.hosts.ssh_channel import Abandoned, RemoteCommand, answer_of, start_command
from quarterdeck.tasks.executor import Result, Sink, Stream
from quarterdeck.tasks.ssh.ending import ending_line, proof_in
from quarterdeck.tasks.ssh.shell import Marker, checked_line, joined, running_line
from quarterdeck.tasks.states import RunState

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
        self._line = checked_line(running_line(self._mark, command), command)
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
            for stream, data in joined(chunks):
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
        line = ending_line(
            self._mark,
            self._marker.group,
            self._grace_seconds,
            start=self._marker.start,
            is_trusted=not self._remote.has_ended,
        )
        seconds = self._target.connect_seconds + self._grace_seconds + _ANSWER_SECONDS
        try:
            async with asyncio.timeout(seconds):
                return proof_in(
                    await answer_of(self._pool, self._target, line, silence_seconds=_SILENCE_SECONDS)
                )
        except (SshError, TimeoutError):
            return None

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
