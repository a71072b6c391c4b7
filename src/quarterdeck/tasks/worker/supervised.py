"""A command on a worker, as the worker sees it: it runs under the supervisor and is only followed here."""

import asyncio
import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from quarterdeck.core.errors import Busy, Invalid, QuarterdeckError
from quarterdeck.protocol.orders import Order
from quarterdeck.protocol.tasks import CommandTask
from quarterdeck.tasks.executor import Result
from quarterdeck.tasks.local.execution import (
    GRACE_SECONDS,
    LEFT_RUNNING,
    START_FAULTS,
    ended_by,
    environment,
    shell_status,
)
from quarterdeck.tasks.local.processes import ProcessTree
from quarterdeck.tasks.options import OnOutputLimit
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.worker.job import JobOutput, timed_out_message
from quarterdeck.tasks.worker.supervision import Ended, Followed, NotStarted, Supervision

_START_SECONDS: Final = 15.0
_LEFTOVER_GRACE_SECONDS: Final = 0.5
_NO_START: Final = "The supervisor of the worker's tasks ended before the task began; it did not run."
_GONE: Final = "The supervisor of the worker's tasks ended while the task ran"


class SupervisedExecution:
    """An order's command. ``followed`` is given for one that an earlier worker has started."""

    def __init__(
        self, order: Order, supervision: Supervision, output: Path, *, followed: Followed | None = None
    ) -> None:
        self._order, self._supervision, self._output = order, supervision, output
        self._followed = followed
        self._is_sent = followed is not None
        self._is_cancelled = False
        self._is_known = asyncio.Event()
        """Set once it is known whether there is a process, and which."""
        self.was_lost = False
        """Whether its output was left by a supervisor that ended unexpectedly."""

    async def run(self, sink: JobOutput) -> Result:
        """Run to the end. Raises Invalid or Busy when the command could not be started."""
        if self._is_cancelled and not self._is_sent:
            return Result(None, RunState.CANCELLED)
        try:
            if self._followed is None:
                wanted = _wanted(self._order, self._output)
                self._is_sent = True
                self._followed = await self._supervision.start(self._order.id, wanted)
            return await self._follow(self._followed, sink)
        finally:
            self._is_known.set()

    async def cancel(self, grace_seconds: float | None = None) -> bool | None:
        """End the process tree, politely first, whether or not the supervisor still answers."""
        self._is_cancelled = True
        if not self._is_sent:
            return True
        try:
            await asyncio.wait_for(self._is_known.wait(), _START_SECONDS)
        except TimeoutError:
            return None
        return await self._tree().end(GRACE_SECONDS if grace_seconds is None else grace_seconds)

    async def _follow(self, followed: Followed, sink: JobOutput) -> Result:
        has_begun = False
        while (facts := await followed.news()) is not None:
            if not has_begun:
                has_begun = True
                sink.began(datetime.fromtimestamp(facts.began, UTC))
                self._is_known.set()
            sink.grown(Sizes(facts.out, facts.err))
            if facts.end is not None:
                return self._take_end(facts.end, sink)
        self._is_known.set()
        if followed.refusal is not None:
            raise _refusal(followed.refusal)
        return await self._lost(followed, sink)

    def _take_end(self, end: Ended, sink: JobOutput) -> Result:
        sink.ended(datetime.fromtimestamp(end.at, UTC))
        if end.gone is not None:
            sink.proved(end.gone)
        if self._is_cancelled:
            return Result(shell_status(end.status), RunState.CANCELLED)
        return result_of(self._order, end)

    async def _lost(self, followed: Followed, sink: JobOutput) -> Result:
        """Make the best of what the supervisor has left: its record, and processes that go on unheard."""
        self.was_lost = True
        recorded = self._supervision.record_of(self._order.id)
        if recorded is not None and recorded.end is not None:
            return self._take_end(recorded.end, sink)
        if followed.facts is None and not self._supervision.has_record(self._order.id):
            sink.proved(True)
            return Result(None, RunState.LOST, _NO_START)
        followed.facts = followed.facts or recorded
        gone = await self._tree().end(_LEFTOVER_GRACE_SECONDS)
        sink.proved(gone)
        return Result(None, RunState.LOST, f"{_GONE}; {_what_is_left(gone)}")

    def _tree(self) -> ProcessTree:
        facts = self._followed.facts if self._followed else None
        return ProcessTree(self._order.id, session=facts.pid if facts else None)


def result_of(order: Order, end: Ended) -> Result:
    """Return what an end means, with words for people where the exit status does not say it all."""
    status = shell_status(end.status)
    details: dict[str, Any] = {"not_kept_bytes": end.dropped} if end.dropped else {}  # Any: JSON
    match end.reason:
        case "time":
            return Result(status, RunState.TIMED_OUT, timed_out_message(order), details)
        case "output":
            message = f"It printed more than {_size(order.output_bytes)} and was stopped."
            return Result(status, RunState.FAILED, message, details)
        case "disk":
            message = f"The worker can't keep the output ({end.detail}); make room on its disk."
            return Result(status, RunState.FAILED, message, details)
    if end.status is not None and end.status < 0:
        return Result(status, RunState.FAILED, ended_by(-end.status), details)
    words = [LEFT_RUNNING] if end.left else []
    if end.dropped:
        words.append(
            f"The output was cut at {_size(order.output_bytes)}: {end.dropped:,} bytes are not kept."
        )
    return Result(status, RunState.SUCCEEDED if status == 0 else RunState.FAILED, " ".join(words), details)


def _wanted(order: Order, output: Path) -> dict[str, Any]:  # Any: JSON
    """Return what the supervisor has to know; raises Invalid for a command that no shell could take."""
    command = order.task.command if isinstance(order.task, CommandTask) else ""
    try:
        command.encode()
    except UnicodeEncodeError as error:
        raise Invalid({"command": START_FAULTS[None]}) from error
    surroundings = environment()
    mark = ""
    if order.on_output_limit == OnOutputLimit.CUT:
        size = _size(order.output_bytes)
        mark = f"\n[The output is cut here, at its limit of {size}; the command went on.]\n"
    return {
        "command": command,
        "cwd": surroundings["HOME"],
        "env": surroundings,
        "limit": order.timeout_seconds,
        "output": str(output.absolute()),
        "output_bytes": order.output_bytes,
        "mark": mark,
    }


def _refusal(refusal: NotStarted) -> QuarterdeckError:
    if refusal.errno in START_FAULTS:
        return Invalid({"command": START_FAULTS[refusal.errno]})
    if refusal.errno == errno.EEXIST:
        return Busy("This task was begun before; it is not run a second time.")
    if refusal.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Busy(f"The worker can't keep the output ({refusal.reason}); make room on its disk.")
    return Busy(f"The machine can't start a command: {refusal.reason}; try again.")


def _what_is_left(gone: bool) -> str:
    return "what was left of the task was ended." if gone else "some of it is still there."


def _size(count: int) -> str:
    return f"{count >> 20:,} MiB" if count >= 1 << 20 else f"{count:,} bytes"
