"""A command on an SSH host that goes on without its connection, and is visited for its output and end."""

import asyncio
import logging
import random
import secrets
from typing import Final

from quarterdeck.hosts.ssh import Reason, SshError, SshPool, SshTarget, StartUnknown
from quarterdeck.hosts.ssh_channel import Abandoned, RemoteCommand, answer_of, start_command
from quarterdeck.tasks.executor import Notes, Result, Sink
from quarterdeck.tasks.options import DEFAULT_OUTPUT_BYTES
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.ssh.ending import proof_in
from quarterdeck.tasks.ssh.kept_shell import Visit, kept_ending_line, removal_line, visiting_line
from quarterdeck.tasks.ssh.kept_words import Hearing, KeptEnd
from quarterdeck.tasks.ssh.shell import checked_line, joined
from quarterdeck.tasks.states import RunState

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 900.0
"""How long a host may be out of reach before its command is given up as lost."""
_SILENCE_SECONDS: Final = 5.0
_REST_SECONDS: Final = 10.0
"""Within this time after the end the rest of the output comes, or is asked for again."""
_ANSWER_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 15.0
_NOT_RUN: Final = {
    "never": (RunState.LOST, "The connection ended before the command began; it did not run."),
    "nowhere": (
        RunState.FAILED,
        "{name} has no folder where output can be kept (tried $XDG_STATE_HOME, $HOME/.local/state, /var/tmp "
        "and /tmp); the command did not run. Make one writable, or run it without keeping it running.",
    ),
    "full": (RunState.FAILED, "{name} has no room for output in {folder}; the command did not run."),
    "unclear": (RunState.LOST, "{name} has no sign in {folder} of whether the command began."),
}
_HOPELESS: Final = (Reason.HOST_KEY_CHANGED, Reason.HOST_KEY_UNCONFIRMED, Reason.KEY_UNREADABLE)
_NOT_SENT: Final = Result(None, RunState.CANCELLED, "Cancelled before the command was sent.")


class KeptExecution:
    """One command on one SSH host, started at most once by all the masters that know its mark.

    A later master makes it with ``visit`` ATTACH, what it has ``seen`` of the output, and whether the
    command ``was_begun`` for all it knows.
    """

    def __init__(
        self,
        pool: SshPool,
        target: SshTarget,
        command: str,
        mark: str,
        *,
        visit: Visit = Visit.START,
        seen: Sizes | None = None,
        was_begun: bool = False,
        output_bytes: int = DEFAULT_OUTPUT_BYTES,
        grace_seconds: float = GRACE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._pool, self._target, self._command, self._mark = pool, target, command, mark
        self._visit, self._seen, self._was_begun = visit, seen or Sizes(), was_begun
        self._output_bytes = output_bytes
        self._grace_seconds, self._patience_seconds = grace_seconds, patience_seconds
        self._remote = RemoteCommand(keeps_input=True)
        self._is_told = self._is_told_now = self._is_cancelling = self._is_over = False
        """Whether a visitor said that it began, ever and in this visit; and whether all of it is over."""
        self._gone: bool | None = None
        self._may_start_late = visit is Visit.ATTACH
        self._cancelled = asyncio.Event()
        checked_line(self._line("0" * 32), command)

    async def run(self, sink: Sink) -> Result:
        """Follow the command to its end, over as many connections as it takes.

        Raises SshError or Invalid when it was surely not started.
        """
        if self._is_cancelling:
            return _NOT_SENT
        patience = _Patience(self._patience_seconds)
        while True:
            outcome = await self._attempt(sink)
            if isinstance(outcome, Result):
                return outcome
            if self._is_told_now:
                patience.renew()
            if patience.is_over or outcome.reason in _HOPELESS:
                return self._lost(outcome)
            await self._tell(sink, self._away_message(outcome))
            if await self._pause(patience.next_pause()):
                return self._cancelled_result(None)

    async def cancel(self) -> bool | None:
        """End the command and all it started, or see to it that it never starts."""
        self._is_cancelling = True
        if not (self._is_told or self._may_start_late) and self._remote.give_up():
            self._gone = True
        else:
            self._gone = await self._end_there()
            self._is_over = self._is_over or self._gone is True
        if not self._gone:
            self._remote.close()
        self._cancelled.set()
        return self._gone

    async def remove(self) -> None:
        """Remove what the host holds of a command whose end is stored; what stays is removed in days."""
        if not self._is_over:
            return
        line = removal_line(self._mark, is_lock_kept=self._may_start_late)
        try:
            async with asyncio.timeout(self._target.connect_seconds + _ANSWER_SECONDS):
                await answer_of(self._pool, self._target, line, silence_seconds=_SILENCE_SECONDS)
        except (SshError, TimeoutError) as error:
            logger.info("the output of a command stays on %s for some days: %s", self._target.name, error)

    def _line(self, word: str) -> str:
        return visiting_line(
            self._mark, word, self._visit, self._command, seen=self._seen, output_bytes=self._output_bytes
        )

    async def _attempt(self, sink: Sink) -> Result | SshError:
        """Return how it ended, or why this visit was cut; raises SshError when it was surely not started."""
        try:
            return await self._visit_once(sink)
        except Abandoned:
            return self._cancelled_result(None)
        except SshError as error:
            if not (self._is_told or self._may_start_late):
                raise
            return error

    async def _tell(self, sink: Sink, message: str) -> None:
        if isinstance(sink, Notes) and not self._is_cancelling:
            await sink.note(message)

    async def _visit_once(self, sink: Sink) -> Result:
        """Return how the command ended; raises SshError when the visit ended before it."""
        word = secrets.token_hex(16)
        remote = self._remote = RemoteCommand(keeps_input=True)
        self._is_told_now = False
        try:
            await start_command(self._pool, self._target, self._line(word), remote)
        except StartUnknown as error:
            self._may_start_late = True  # the line may lie on the host and begin when nobody expects it
            text = f"The connection to {self._target.name} was cut while the command was being started."
            raise SshError(error.reason, text) from error
        try:
            hearing = Hearing(word)
            await self._listen(sink, remote, hearing)
        finally:
            remote.close()
        return self._result(remote, hearing)

    async def _listen(self, sink: Sink, remote: RemoteCommand, hearing: Hearing) -> None:
        while chunks := await _read(remote, within=_REST_SECONDS if hearing.end else None):
            for stream, data in joined(chunks):
                passed = hearing.feed(stream, data)
                if hearing.said == "begun" and not self._is_told_now:
                    await self._note_begun(sink)
                if passed:
                    await sink.write(stream, passed)
                    self._seen = self._seen.plus(stream, len(passed))
            if hearing.said not in ("", "begun") or self._has_all(hearing.end):
                return
            remote.resume()

    async def _note_begun(self, sink: Sink) -> None:
        self._is_told_now = True
        if self._is_told:
            await self._tell(sink, "")
            return
        self._is_told, self._visit = True, Visit.ATTACH
        await sink.started()

    def _has_all(self, end: KeptEnd | None) -> bool:
        return end is not None and self._seen.out >= end.sizes.out and self._seen.err >= end.sizes.err

    def _result(self, remote: RemoteCommand, hearing: Hearing) -> Result:
        if self._has_all(hearing.end) and hearing.end:
            self._is_over = True
            return self._ended(hearing.end)
        if hearing.said in ("", "begun"):
            return self._cut(remote, is_answered=bool(hearing.said))
        return self._not_run(hearing)

    def _ended(self, end: KeptEnd) -> Result:
        if self._is_cancelling:
            return self._cancelled_result(end.exit_status)
        if end.exit_status is None:
            return Result(
                None,
                RunState.LOST,
                f"The command ended on {self._target.name} without leaving its exit status: it was killed "
                "from outside, or the host was restarted.",
            )
        state = RunState.SUCCEEDED if end.exit_status == 0 else RunState.FAILED
        return Result(end.exit_status, state, _words_about(end, self._target.name))

    def _cut(self, remote: RemoteCommand, *, is_answered: bool) -> Result:
        """Return the end when somebody else answered in the command's place; raises SshError otherwise."""
        name = self._target.name
        if not is_answered and remote.has_ended and not (self._is_told or self._may_start_late):
            return Result(
                remote.exit_status,
                RunState.FAILED,
                f"{name} did not run the command: the login shell of {self._target.username} "
                "or a forced command answered instead.",
            )
        self._may_start_late = self._may_start_late or not self._is_told
        raise SshError(Reason.LOST, f"The connection to {name} was cut.")

    def _not_run(self, hearing: Hearing) -> Result:
        self._is_over = hearing.said in ("never", "full")
        if self._is_cancelling and self._is_over:
            return Result(None, RunState.CANCELLED, "Cancelled.")
        state, text = _NOT_RUN.get(hearing.said, _NOT_RUN["never"])
        if hearing.said == "never" and (self._was_begun or self._is_told):
            text = "{name} has no trace of the command any more, though it had begun there."
        return Result(None, state, text.format(name=self._target.name, folder=hearing.folder[:200]))

    async def _end_there(self) -> bool | None:
        """Have the host end it; asked again while the host is out of reach and there is time."""
        line = kept_ending_line(self._mark, self._grace_seconds)
        seconds = self._target.connect_seconds + self._grace_seconds + _ANSWER_SECONDS
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        answer = await answer_of(
                            self._pool, self._target, line, silence_seconds=_SILENCE_SECONDS
                        )
                    except SshError as error:
                        logger.info("a cancel did not reach %s: %s", self._target.name, error.message)
                    else:
                        return proof_in(answer)
                    await asyncio.sleep(_jitter(1.0))
        except TimeoutError:
            return None

    def _cancelled_result(self, exit_status: int | None) -> Result:
        if self._gone is False or (self._gone is None and self._cancelled.is_set()):
            text = f"{self._target.name} did not prove that the command is gone. Look whether it still runs."
            return Result(exit_status, RunState.LOST, text)
        return Result(exit_status, RunState.CANCELLED, "Cancelled.")

    def _away_message(self, error: SshError) -> str:
        if self._is_told or self._was_begun:
            return f"{error.message} Connecting again; the command goes on there meanwhile."
        return f"{error.message} Connecting again, to see whether it has begun."

    def _lost(self, error: SshError) -> Result:
        text = f"{error.message} It was not reached again in time, so how the command ended is not known. "
        return Result(None, RunState.LOST, f"{text}Its output stays on {self._target.name} for some days.")

    async def _pause(self, seconds: float) -> bool:
        """Wait; returns whether it was cancelled meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._cancelled.wait()
        except TimeoutError:
            return False
        return True


class _Patience:
    """How long, and how often, a host that is out of reach is asked again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin anew, because the host answered."""
        self._deadline, self._failures = asyncio.get_running_loop().time() + self._seconds, 0

    @property
    def is_over(self) -> bool:
        return asyncio.get_running_loop().time() >= self._deadline

    def next_pause(self) -> float:
        self._failures += 1
        return _jitter(min(_LONGEST_PAUSE_SECONDS, 0.2 * 2 ** min(self._failures, 10)))


async def _read(remote: RemoteCommand, *, within: float | None) -> list[tuple[bool, bytes]]:
    """Return the next output; nothing when the visit has ended, or the rest does not come in time."""
    try:
        async with asyncio.timeout(within):
            return await remote.read(_SILENCE_SECONDS)
    except TimeoutError:
        return []


def _words_about(end: KeptEnd, name: str) -> str:
    if end.how == "open":
        return "The command ended, but something it started still holds its output open; that is not kept."
    if end.how == "short":
        return f"Not all output was kept on {name}: it reached the limit, or the disk there is full."
    return ""


def _jitter(seconds: float) -> float:
    return random.uniform(seconds / 2, seconds)  # noqa: S311 - spreads load, guards nothing
