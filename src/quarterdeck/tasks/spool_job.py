"""One order on a worker, from the queue to its end, and those who wait for its news."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.protocol.orders import OrderStatus
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.kept_orders import KeptOrder
from quarterdeck.tasks.local import LocalExecution
from quarterdeck.tasks.output import OutputWriter, Sizes
from quarterdeck.tasks.states import RunState, advance

logger = logging.getLogger(__name__)

MOST_OUTPUT_BYTES: Final = 1 << 30
"""A command that prints without end must not fill the disk."""
_LET_GO_SECONDS: Final = 3.0


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
        self.is_kept = False
        """Whether its end is in its file, so that memory may forget it."""
        self.was_left_running = False
        """Whether somebody was answered that the task goes on, and waits to hear of its end."""
        self._message, self._exit_status = kept.status.message, kept.status.exit_status
        self._gone = kept.status.gone
        self._details: Mapping[str, Any] = kept.status.details  # Any: JSON
        self._started_at, self._finished_at = kept.status.started_at, kept.status.finished_at
        self._clock = clock
        self._news = threading.Condition()
        self._is_released = False
        self._execution: LocalExecution | None = None
        self._running: asyncio.Task[Result] | None = None
        self._stopped: tuple[RunState, str] | None = None
        self._proved = asyncio.Event()
        self._end_status: OrderStatus | None = None

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

    async def run(self, writer: OutputWriter) -> None:
        """Run to the end; every way to fail becomes a state with its message."""
        if self._stopped or self.has_ended:
            return
        if self._clock.now() > self.order.deadline:
            self._end(Result(None, RunState.FAILED, "It had to wait for others until its deadline was over."))
            return
        try:
            self._execution = LocalExecution(self.order.task, marker=self.order.id)
            self._running = asyncio.ensure_future(self._execution.run(_Output(self, writer)))
            result = await self._result_in_time(self._running)
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

    def fail(self, message: str) -> None:
        """End it as failed for a reason of the worker's own."""
        self._end(Result(None, RunState.FAILED, message))

    def lose(self, message: str, *, gone: bool) -> None:
        """End it as lost, when it was under way before a restart."""
        self._gone = gone
        self._end(Result(None, RunState.LOST, message))

    def begin(self) -> None:
        self._started_at = self._clock.now()
        self._move(RunState.RUNNING)

    def note_sizes(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._tell()

    async def _result_in_time(self, running: "asyncio.Task[Result]") -> Result:
        limit = self.order.timeout_seconds or None
        await asyncio.wait({running}, timeout=limit)
        if not running.done() and limit and not self._stopped:
            await self.stop(
                RunState.TIMED_OUT, f"It took longer than the limit of {limit:,g} s and was stopped."
            )
        try:
            return await running
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            return Result(None, *self._stopped)

    def end_status(self) -> OrderStatus:
        """Return the status that is to be kept and then published."""
        return self._end_status or self.status()

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
            finished_at=self._clock.now(),
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


class _Output:
    """Where the task's output goes: into the file, then the news."""

    def __init__(self, job: Job, writer: OutputWriter) -> None:
        self._job, self._writer = job, writer
        self._stopping: asyncio.Task[None] | None = None

    async def started(self) -> None:
        self._job.begin()

    async def write(self, stream: Stream, data: bytes) -> None:
        if self._stopping is not None:
            return
        try:
            self._writer.append(stream, data)
        except QuarterdeckError as error:
            self._give_up(error.message)
            return
        self._job.note_sizes(self._writer.sizes)
        if self._writer.sizes.total > MOST_OUTPUT_BYTES:
            self._give_up(f"It printed more than {MOST_OUTPUT_BYTES >> 20:,} MiB and was stopped.")

    def _give_up(self, message: str) -> None:
        # Beside the task, which waits for this very call to return before it can end.
        self._stopping = asyncio.ensure_future(self._job.stop(RunState.FAILED, message))
