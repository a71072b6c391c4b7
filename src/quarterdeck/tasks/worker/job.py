"""One order on a worker, from the queue to its end, and those who wait for its news."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.protocol.orders import Order, OrderStatus
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.output.writer import OutputWriter
from quarterdeck.tasks.states import RunState, advance
from quarterdeck.tasks.worker.kept_orders import KeptOrder

logger = logging.getLogger(__name__)

_LET_GO_SECONDS: Final = 3.0


class JobExecution(Protocol):
    """What a job runs."""

    async def run(self, sink: "JobOutput") -> Result:
        """Run to the end. Raises QuarterdeckError when the task was surely not started."""

    async def cancel(self, grace_seconds: float | None = None) -> bool | None:
        """End it, politely first; returns whether all of it is gone, None when that can't be known."""


class Job:
    """Runs on the loop; threads read its status and wait for news."""

    def __init__(self, kept: KeptOrder, clock: Clock) -> None:
        self.order, self.intent = kept.order, kept.intent
        self.state = RunState(kept.status.state)
        self.sizes = Sizes(kept.status.out_bytes, kept.status.err_bytes)
        self.is_collected = False
        """Whether the master has fetched the end, and so needs no late result."""
        self.is_on_record = bool(kept.intent)
        """Whether history and file have it; until then its end can't be written there."""
        self.is_concluding = False
        self.is_recorded = False
        """Whether its end is in the history already."""
        self.is_kept = False
        """Whether its end is in its file, so that memory may forget it."""
        self.was_left_running = False
        """Whether somebody was answered that the task goes on, and waits to hear of its end."""
        self._message, self._exit_status = kept.status.message, kept.status.exit_status
        self._gone = kept.status.gone
        self._details: Mapping[str, Any] = kept.status.details  # Any: JSON
        self._started_at, self._finished_at = kept.status.started_at, kept.status.finished_at
        self._ended_at: datetime | None = None
        self._clock = clock
        self._news = threading.Condition()
        self._is_released = False
        self._execution: JobExecution | None = None
        self._running: asyncio.Task[Result] | None = None
        self._stopped: tuple[RunState, str] | None = None
        self._proved = asyncio.Event()
        self._end_status: OrderStatus | None = None
        self.saving = asyncio.Lock()
        """Held while its file is written, so that nothing older ever takes the place of its end."""

    @property
    def started_at(self) -> datetime | None:
        return self._started_at

    @property
    def has_begun(self) -> bool:
        return self._running is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended and everybody may know: its end is on disk and can't become another one."""
        return self.state.is_terminal

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, though perhaps that is not on disk yet."""
        return self.is_over or self._end_status is not None

    def status(self, head: str = "", seq: int = 0) -> OrderStatus:
        return OrderStatus(
            id=self.order.id,
            state=self.state,
            run=self.order.run,
            host=self.order.host,
            exit_status=self._exit_status,
            message=self._message,
            started_at=self._started_at,
            finished_at=self._finished_at,
            out_bytes=self.sizes.out,
            err_bytes=self.sizes.err,
            gone=self._gone,
            details=dict(self._details),
            head=head,
            seq=seq,
        )

    def wait(self, state: str, seen: int | None, seconds: float) -> None:
        """Return at the end, and with a known number of bytes ``seen`` at anything new; or after the time."""
        with self._news:
            self._news.wait_for(lambda: self._has_news(state, seen), seconds)

    def release(self) -> None:
        """Let go of all who wait."""
        self._is_released = True
        self._tell()

    async def run(self, execution: JobExecution, sink: "JobOutput", limit_seconds: float | None) -> None:
        """Run to the end; every way to fail becomes a state with its message."""
        if self._stopped or self.has_ended:
            return
        try:
            self._execution = execution
            self._running = asyncio.ensure_future(execution.run(sink))
            result = await self._result_in_time(self._running, limit_seconds)
            if self._stopped:
                await self._proved.wait()
            self._end(result)
        except QuarterdeckError as error:
            self._end(Result(None, RunState.FAILED, error.message))
        except Exception:
            logger.exception("order %s failed unexpectedly", self.order.id)
            self._end(
                Result(None, RunState.FAILED, "A fault of Quarterdeck; the worker's log has the details.")
            )

    async def stop(self, state: RunState, message: str, *, grace_seconds: float | None = None) -> None:
        """End it with this state; returns when the process tree is gone or could not be ended."""
        if self.has_ended or self._stopped:
            return
        self._stopped = (state, message)
        if self._execution is None or self._running is None:
            self._gone = True
            self._end(Result(None, state, message))
            return
        self._move(RunState.CANCELLING)
        try:
            self._gone = await self._execution.cancel(grace_seconds)
        finally:
            self._proved.set()
        await asyncio.wait({self._running}, timeout=_LET_GO_SECONDS)
        self._running.cancel()

    def leave(self) -> None:
        """Stop following it without ending it: the next worker takes it up again."""
        if self._running is not None:
            self._running.cancel()

    def fail(self, message: str) -> None:
        """End it as failed for a reason of the worker's own."""
        self._end(Result(None, RunState.FAILED, message))

    def take_over(self, end: OrderStatus) -> None:
        """End it as the history says that it has ended."""
        self.is_recorded = True
        self._gone = end.gone
        self._end_status = end

    def finish(self, result: Result) -> None:
        """End it as it ended while nobody followed it."""
        self._end(result)

    def lose(self, message: str, *, gone: bool) -> None:
        """End it as lost, when it was under way before a restart."""
        self._gone = gone
        self._end(Result(None, RunState.LOST, message))

    def begin(self, at: datetime | None = None) -> None:
        self._started_at = at or self._clock.now()
        self._move(RunState.RUNNING)

    def note_end(self, at: datetime) -> None:
        """Take over when it ended, for one whose end is only learned of later."""
        self._ended_at = at

    def note_gone(self, gone: bool | None) -> None:
        """Take over the proof of an end that nobody here asked for."""
        self._gone = gone

    def note_sizes(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._tell()

    async def _result_in_time(self, running: "asyncio.Task[Result]", limit_seconds: float | None) -> Result:
        await asyncio.wait({running}, timeout=limit_seconds)
        if not running.done() and not self._stopped:
            await self.stop(RunState.TIMED_OUT, timed_out_message(self.order))
        try:
            return await running
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            return Result(None, *self._stopped)

    def end_status(self) -> OrderStatus:
        """Return the status that is to be kept and then published."""
        end = self._end_status or self.status()
        return msgspec.structs.replace(end, out_bytes=self.sizes.out, err_bytes=self.sizes.err)

    def publish(self) -> None:
        """Let everybody know of the end."""
        end = self.end_status()
        self._exit_status, self._message, self._details = end.exit_status, end.message, end.details
        self._finished_at = end.finished_at
        self._move(RunState(end.state))

    def _end(self, result: Result) -> None:
        if self.has_ended:
            return
        state, message = self._stopped or (result.state, result.message)
        self._end_status = msgspec.structs.replace(
            self.status(),
            state=state,
            message=message,
            exit_status=result.exit_status,
            details=dict(result.details),
            finished_at=self._ended_at or self._clock.now(),
        )

    def _move(self, state: RunState) -> None:
        self.state = advance(self.state, state)
        self._tell()

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def _has_news(self, state: str, seen: int | None) -> bool:
        if self.is_over or self._is_released:
            return True
        return seen is not None and (self.sizes.total > seen or bool(state and state != self.state))


class JobOutput:
    """Where an execution tells what happens: the output goes into the file, then into the news.

    What is spooled elsewhere has no writer here, and tells only how much there is.
    """

    def __init__(self, job: Job, writer: OutputWriter | None = None) -> None:
        self._job, self._writer = job, writer
        self._stopping: asyncio.Task[None] | None = None

    async def started(self) -> None:
        self._job.begin()

    def began(self, at: datetime) -> None:
        """Take over when it began, for one that another process started."""
        self._job.begin(at)

    def grown(self, sizes: Sizes) -> None:
        """Note how much output there is by now."""
        if sizes != self._job.sizes:
            self._job.note_sizes(sizes)

    def ended(self, at: datetime) -> None:
        """Take over when it ended, which may be long ago."""
        self._job.note_end(at)

    def proved(self, gone: bool | None) -> None:
        """Note the proof of an end that the execution itself has seen to."""
        self._job.note_gone(gone)

    async def write(self, stream: Stream, data: bytes) -> None:
        if self._stopping is not None or self._writer is None:
            return
        try:
            self._writer.append(stream, data)
        except QuarterdeckError as error:
            # Beside the task, which waits for this very call to return before it can end.
            self._stopping = asyncio.ensure_future(self._job.stop(RunState.FAILED, error.message))
            return
        self._job.note_sizes(self._writer.sizes)


def timed_out_message(order: Order) -> str:
    return f"It took longer than the limit of {order.timeout_seconds:,g} s and was stopped."
