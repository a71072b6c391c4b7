"""One host's part of a run while it is under way: from the queue to a state that never changes again."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, QuarterdeckError
from quarterdeck.core.ui.words import size_text
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.ssh import Reason, SshError
from quarterdeck.tasks.dispatch.jobs import Job, JobHost
from quarterdeck.tasks.dispatch.limits import QUEUE_LEEWAY_SECONDS, Limits, Watch, WatchedSink
from quarterdeck.tasks.executor import Execution, Result, Stream
from quarterdeck.tasks.options import OnOutputLimit
from quarterdeck.tasks.output.feed import Feed
from quarterdeck.tasks.output.store import DROPPED, OutputStore
from quarterdeck.tasks.output.writer import OutputWriter
from quarterdeck.tasks.states import RunState, advance

logger = logging.getLogger(__name__)

_CANCEL_SECONDS: Final = 15.0
_LET_GO_SECONDS: Final = 5.0
_WORKER_LEEWAY_SECONDS: Final = 20.0
_UNKNOWN: Final = "Whether it ended on the host is not known."


class HostRun:
    """Drives one execution. Lives on the loop; ``changed`` hears of every new state."""

    def __init__(
        self,
        job: Job,
        part: JobHost,
        *,
        output: OutputStore,
        feed: Feed,
        clock: Clock,
        changed: Callable[["HostRun", RunState], None],
    ) -> None:
        self.job = job
        self.host = part.host
        self.order = part.order
        self.goes_on_alone = part.order is not None or bool(part.kept_mark)
        """It goes on on its host when the master ends, and is taken up again."""
        self.state = part.state
        self.started_at = part.started_at
        self.finished_at: datetime | None = None
        self.message = ""
        self.exit_status: int | None = None
        self.gone: bool | None = None
        self.details: Mapping[str, Any] = {}
        self.dropped_bytes = 0
        """What it printed after its output was cut."""
        self.failure: QuarterdeckError | None = None
        """Why the task was surely not started, for what is known of the host."""
        self._output, self._feed, self._clock, self._changed = output, feed, clock, changed
        self._execution: Execution | None = None
        self._running: asyncio.Task[Result] | None = None
        self._is_taken_up = part.is_taken_up
        self._stop_asked = (RunState.CANCELLED, "Cancelled before the master was restarted.")
        self._stopped: tuple[RunState, str] | None = None
        self._stop_ended = asyncio.Event()
        self._again: asyncio.Task[None] | None = None
        self._is_left = False

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal

    @property
    def execution(self) -> Execution | None:
        """What runs it; None while it waits."""
        return self._execution

    @property
    def may_be_there(self) -> bool:
        """Whether it may be at work on its host without this master, now or after its end."""
        return self.goes_on_alone and (self._is_taken_up or self.state is not RunState.QUEUED)

    @property
    def may_begin(self) -> bool:
        """Whether there is anything left to do here: it has not ended, and is not left to a later start."""
        return not self.is_over and not self._is_left

    async def run(self, execution: Execution) -> None:
        """Run to the end; every way to fail becomes a state with its message."""
        if not self.may_begin:
            return
        was_cancelling = self.state is RunState.CANCELLING
        self.approach()
        try:
            with self._output.writer(self.job.run_id, self.host.name) as writer:
                watch = self._watch(writer)
                sink = WatchedSink(_Output(self, writer, self._feed), watch)
                self._execution = execution
                self._running = asyncio.ensure_future(execution.run(sink))
                if was_cancelling:
                    self._cancel_again()
                result = await self._result_in_time(self._running, watch)
        except QuarterdeckError as error:
            self.failure = error
            result = self._not_begun(error)
        except Exception:
            logger.exception("run %s failed unexpectedly on %s", self.job.run_id, self.host.name)
            result = Result(None, RunState.FAILED, "A fault of Quarterdeck; the log has the details.")
        self.end(result)

    def _not_begun(self, error: QuarterdeckError) -> Result:
        """Return the end of a task that was surely not started; too late is an end of its own if limited."""
        is_limited = self.job.options.connect_seconds is not None
        if is_limited and isinstance(error, SshError) and error.reason is Reason.TIMEOUT:
            return Result(None, RunState.TIMED_OUT, self._limits().unreached)
        return Result(None, RunState.FAILED, error.message)

    async def _result_in_time(self, running: asyncio.Task[Result], watch: Watch) -> Result:
        try:
            over = await watch.until_over(running)
            if over and not self._stopped:
                await self.stop(RunState.TIMED_OUT, over)
            if self._stopped:
                await self._stop_ended.wait()
            return await running
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            return Result(None, *self._stopped)
        finally:
            running.cancel()

    def _cancel_again(self) -> None:
        """Stop what was to be stopped before it was followed here: its host may not know of it."""
        self._again = asyncio.ensure_future(self.stop(*self._stop_asked))

    def _limits(self) -> Limits:
        return Limits.of(
            self.job.options,
            self.job.timeout_seconds,
            total_leeway_seconds=_WORKER_LEEWAY_SECONDS if self.order is not None else 0,
            connect_leeway_seconds=QUEUE_LEEWAY_SECONDS if self.host.kind is HostKind.SSH else 0,
        )

    def _watch(self, writer: OutputWriter) -> Watch:
        """Begin to watch the limits where the task stands: it may be taken up again long after its start."""
        spent = (self._clock.now() - self.started_at).total_seconds() if self.started_at else 0
        return Watch(
            self._limits(),
            spent_seconds=spent,
            has_started=self.started_at is not None,
            has_output=writer.sizes.total > 0,
        )

    async def stop(self, state: RunState, message: str, *, cancel_seconds: float = _CANCEL_SECONDS) -> None:
        """End it with this state, the process tree first; returns when its end is known or given up."""
        if self.is_over or self._stopped:
            return
        if self._execution is None or self._running is None:
            self._stop_early(state, message)
            return
        self._stopped = (state, message)
        self._move(RunState.CANCELLING)
        try:
            self.gone = await asyncio.wait_for(self._execution.cancel(), cancel_seconds)
        except (QuarterdeckError, TimeoutError) as error:
            logger.warning(
                "the end of run %s on %s is not proved: %s", self.job.run_id, self.host.name, error
            )
        finally:
            self._stopped = (state, f"{message} {_UNKNOWN}" if self.gone is None else message)
            await asyncio.wait({self._running}, timeout=min(_LET_GO_SECONDS, cancel_seconds / 3))
            self._running.cancel()
            self._stop_ended.set()

    def _stop_early(self, state: RunState, message: str) -> None:
        """End what has not begun; what an earlier master may have begun is stopped once it is followed."""
        if self.may_be_there:
            self._stop_asked = (state, message)
            self._move(RunState.CANCELLING)
            return
        self.gone = True
        self.end(Result(None, state, message))

    def leave(self) -> None:
        """Stop following without touching the task: it goes on, or waits on, and is taken up again later."""
        self._is_left = True
        if self._running is not None:
            self._running.cancel()

    def end(self, result: Result) -> None:
        """Take over a result; what was asked to stop ends as that, whatever the task made of it."""
        if self.is_over:
            return
        state, message = self._stopped or (result.state, result.message)
        self.exit_status, self.message, self.details = result.exit_status, message[:500], result.details
        if self.dropped_bytes:
            self.details = {**result.details, DROPPED: self.dropped_bytes}
        self.finished_at = self._clock.now()
        self._feed.close(self.job.run_id, self.host.name)
        self._move(state)

    def fail(self, error: QuarterdeckError, state: RunState = RunState.FAILED, message: str = "") -> None:
        """End it as surely not started."""
        self.failure = error
        self.end(Result(None, state, message or error.message))

    def wait(self, reason: str) -> None:
        """Say why it is still queued."""
        if self.state is RunState.QUEUED:
            self.say(reason)

    def say(self, message: str) -> None:
        """Show a message while it waits or runs."""
        if not self.is_over and message != self.message:
            self.message = message[:500]
            self._changed(self, self.state)

    def approach(self) -> None:
        """Leave the queue; what is stored as queued has surely not begun."""
        if self.state is RunState.QUEUED:
            self.message = ""
        self._move(RunState.CONNECTING)

    def begin(self) -> None:
        self.started_at = self.started_at or self._clock.now()
        self._move(RunState.RUNNING)

    def _move(self, state: RunState) -> None:
        before = self.state
        self.state = advance(before, state)
        if self.state is not before:
            self._changed(self, before)


class _Output:
    """The sink of one execution: the file first, then whoever looks."""

    def __init__(self, host_run: HostRun, writer: OutputWriter, feed: Feed) -> None:
        self._host_run, self._writer, self._feed = host_run, writer, feed
        self._stopping: asyncio.Task[None] | None = None

    async def started(self) -> None:
        self._host_run.begin()

    async def note(self, message: str) -> None:
        self._host_run.say(message)

    async def write(self, stream: Stream, data: bytes) -> None:
        if self._stopping:
            return
        job, host = self._host_run.job, self._host_run.host
        room = max(0, job.options.output_bytes - self._writer.sizes.total)
        try:
            self._writer.append(stream, data[:room])
        except Busy as error:
            self._give_up(error.message)
            return
        if room and self._writer.lines is not None:
            self._feed.take(job.run_id, host.name, stream, data[:room], lines=self._writer.lines)
        if len(data) > room:
            self._go_beyond(len(data) - room)

    def _go_beyond(self, length: int) -> None:
        """End what prints more than it may, or count what is not kept of it."""
        job, host = self._host_run.job, self._host_run.host
        if job.options.on_output_limit is OnOutputLimit.HALT:
            self._give_up(f"It printed more than {size_text(job.options.output_bytes)} and was stopped.")
            return
        if not self._host_run.dropped_bytes:
            self._feed.tell_cut(job.run_id, host.name)
        self._host_run.dropped_bytes += length

    def _give_up(self, message: str) -> None:
        """Stop the task from beside it: its cancel may wait for this very call to return."""
        self._stopping = asyncio.ensure_future(self._host_run.stop(RunState.FAILED, message))
