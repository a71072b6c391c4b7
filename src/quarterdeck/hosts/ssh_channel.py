"""A command on an SSH host, as bytes that come in and the way it ends."""

import asyncio
import logging
import random
from collections import deque
from enum import Enum, auto
from typing import Final

import asyncssh

from quarterdeck.hosts.ssh import Lease, SshPool
from quarterdeck.hosts.ssh_errors import Reason, SshError, StartUnknown
from quarterdeck.hosts.ssh_target import SshTarget

logger = logging.getLogger(__name__)

HIGH_WATER_BYTES: Final = 256 * 1024
_REFUSALS: Final = 12
_INPUT_SECONDS: Final = 1.0
_REFUSALS_WHEN_UNUSED: Final = 5


class Abandoned(Exception):
    """The command was given up before it was sent; it surely does not run."""


class RemoteCommand(asyncssh.SSHClientSession[bytes]):
    """The receiving end of one command: asyncssh calls in, one reader takes out.

    When the reader is slow, the server is told to wait, so that no more than a window is held.
    """

    def __init__(self, *, keeps_input: bool = False) -> None:
        """``keeps_input`` leaves the command's input open, whose end then tells it of the session's end."""
        self.keeps_input = keeps_input
        self.exit_status: int | None = None
        self.exit_signal = ""
        self.is_opening = False
        self.is_sent = False
        self.is_closed = False
        self.cut: Exception | None = None
        self._given_up = False
        self._closed_here = False
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._lease: Lease | None = None
        self._starting: asyncio.Future[None] | None = None
        self._chunks: deque[tuple[bool, bytes]] = deque()
        self._held = 0
        self._paused = False
        self._input_end: asyncio.TimerHandle | None = None
        self._news: asyncio.Future[None] | None = None

    async def read(self, silence_seconds: float | None = None) -> list[tuple[bool, bytes]]:
        """Wait for output and take all there is, as (is it stderr, bytes) in order of arrival.

        An empty list means that no more will come, or that none came for ``silence_seconds`` since
        the command's exit.
        """
        while not self._chunks and not self.is_closed and not self._closed_here:
            self._news = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(silence_seconds if self.has_ended else None):
                    await self._news
            except TimeoutError:
                break
            finally:
                self._news = None
        chunks = list(self._chunks)
        self._chunks.clear()
        self._held = 0
        return chunks

    def resume(self) -> None:
        """Let the server send again after the reader has dealt with what it took."""
        if self._paused and self._channel and not self.is_closed:
            self._paused = False
            self._channel.resume_reading()

    @property
    def was_drained(self) -> bool:
        """Whether all output came in, up to the end of both streams."""
        return self.is_closed and not self._closed_here

    @property
    def has_ended(self) -> bool:
        """Whether the command itself is over; something it started may still hold its output open."""
        return self.exit_status is not None or bool(self.exit_signal)

    def give_up(self) -> bool:
        """Make sure that the command is not sent; returns False when it was sent already."""
        if self.is_sent:
            return False
        self._given_up = True
        if self._starting and not self.is_opening:
            self._starting.cancel()
        return True

    def close(self) -> None:
        """End the channel, whatever the command does; nothing more is read, even if the server is stuck."""
        if self._channel and not self.is_closed:
            self._closed_here = True
            self._channel.close()
            self._wake()

    async def start_failure(self) -> BaseException | None:
        """Wait until the command is started, and return what kept it from that."""
        if self._starting is None:
            return Abandoned()
        await asyncio.wait({self._starting})
        return Abandoned() if self._starting.cancelled() else self._starting.exception()

    def follow(self, starting: "asyncio.Future[None]") -> None:
        self._starting = starting

    def opens_on(self, lease: Lease) -> None:
        self._lease = lease
        self.is_opening = True

    def end_input_later(self) -> None:
        """Close the login shell's input, should it still run then; most commands are over before.

        The command's own input is empty from the start, by its line.
        """
        if self.keeps_input:
            return
        loop = asyncio.get_running_loop()
        self._input_end = loop.call_later(_INPUT_SECONDS, self._end_input)

    def _end_input(self) -> None:
        if self._channel and not self.is_closed:
            self._channel.write_eof()

    # What follows is called by asyncssh.

    def eof_received(self) -> bool:
        return True  # asyncssh would answer with a packet that nobody needs just before the end

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        self._channel = chan
        if self._given_up:
            chan.close()
            raise Abandoned
        self.is_sent = True
        if self._lease:
            self._lease.opened()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._chunks.append((datatype is not None, data))
        self._held += len(data)
        if self._held > HIGH_WATER_BYTES and not self._paused and self._channel:
            self._paused = True
            self._channel.pause_reading()
        self._wake()

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status
        self._wake()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.exit_signal = signal
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self.cut = exc
        if self._input_end:
            self._input_end.cancel()
        if self._lease:
            self._lease.end()
        self._wake()

    def _wake(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)


class _Opening(Enum):
    STARTED = auto()
    CUT = auto()
    REFUSED = auto()


async def start_command(
    pool: SshPool, target: SshTarget, command: str, receiver: RemoteCommand, *, is_urgent: bool = False
) -> None:
    """Start a command; a dead connection or a refused session leads to another connection.

    Raises StartUnknown when the command may have started, another SshError when it surely did not,
    and Abandoned when the receiver was given up in time. When cancelled, a command that is not yet
    sent is never sent, and its session is closed.
    """
    starting = asyncio.ensure_future(_start(pool, target, command, receiver, is_urgent=is_urgent))
    receiver.follow(starting)
    try:
        # Shielded, because asyncssh never closes a session whose opening was torn off half-way.
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if starting.cancelled() and task and not task.cancelling():
            raise Abandoned from None
        receiver.give_up()
        starting.add_done_callback(lambda ended: _let_go(ended, receiver))
        raise


def _let_go(starting: "asyncio.Future[None]", receiver: RemoteCommand) -> None:
    """Close what was started although nobody waits any more, and take note of what kept it from that."""
    if not starting.cancelled() and (error := starting.exception()):
        logger.debug("a command that was given up did not start: %s", error)
    receiver.close()


async def answer_of(pool: SshPool, target: SshTarget, command: str, *, silence_seconds: float) -> bytes:
    """Return what a short command prints that must not wait for those that run; raises SshError."""
    remote = RemoteCommand()
    answer = b""
    try:
        await start_command(pool, target, command, remote, is_urgent=True)
        while chunks := await remote.read(silence_seconds):
            answer += b"".join(data for is_err, data in chunks if not is_err)
            remote.resume()
    finally:
        remote.close()
    return answer


async def _start(
    pool: SshPool, target: SshTarget, command: str, receiver: RemoteCommand, *, is_urgent: bool
) -> None:
    cuts = refusals = 0
    while True:
        lease = await pool.lease(target, is_urgent=is_urgent)
        try:
            opening = await _open(lease, command, receiver, target)
        except BaseException:
            lease.end()
            raise
        if opening is _Opening.STARTED:
            return
        cuts += opening is _Opening.CUT
        refusals += opening is _Opening.REFUSED
        # sshd frees a session's place a moment after the session's end, so one refusal says little.
        is_used_up = opening is _Opening.REFUSED and refusals > 1 and not lease.refused()
        lease.end()
        if cuts > 1:
            raise _cut_before_start(target)
        if refusals >= (_REFUSALS_WHEN_UNUSED if is_used_up else _REFUSALS):
            raise _no_session(target)
        if opening is _Opening.REFUSED:
            await asyncio.sleep(_pause_seconds(refusals))


async def _open(lease: Lease, command: str, receiver: RemoteCommand, target: SshTarget) -> _Opening:
    receiver.opens_on(lease)
    try:
        await lease.connection.create_session(lambda: receiver, command)
    except (asyncssh.Error, OSError) as error:
        await asyncio.sleep(0)  # asyncssh notes the end of a connection one turn of the loop after failing
        if receiver.is_sent:
            raise _not_started(lease, target) from error
        return _Opening.CUT if lease.connection.is_closed() else _Opening.REFUSED
    finally:
        receiver.is_opening = False
    receiver.end_input_later()
    return _Opening.STARTED


def _pause_seconds(refusals: int) -> float:
    longest = 0.05 * 2 ** min(refusals, 4)
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing


def _cut_before_start(target: SshTarget) -> SshError:
    return SshError(
        Reason.LOST, f"The connection to {target.name} was cut before the command was sent. Try again."
    )


def _not_started(lease: Lease, target: SshTarget) -> SshError:
    if not lease.connection.is_closed():
        return SshError(
            Reason.SESSION,
            f"{target.name} let {target.username} in but refuses to run commands for that user.",
        )
    return StartUnknown(
        Reason.LOST,
        f"The connection to {target.name} was cut while the command was being started. "
        "It may or may not have run; look before you run it again.",
    )


def _no_session(target: SshTarget) -> SshError:
    return SshError(
        Reason.SESSION,
        f"{target.name} let {target.username} in but opens no session. "
        "The MaxSessions of its sshd may be 0 or used up.",
    )
