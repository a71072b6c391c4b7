"""What runs a worker's orders: commands under the supervisor, built-in tasks in the worker itself."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.security import private_directory
from quarterdeck.protocol.tasks import BuiltinTask
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.local.execution import LocalExecution
from quarterdeck.tasks.local.processes import ProcessTree
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.worker.job import Job, JobOutput
from quarterdeck.tasks.worker.supervised import SupervisedExecution, result_of
from quarterdeck.tasks.worker.supervision import Followed, Supervision

logger = logging.getLogger(__name__)

CANCELLED: Final = "Cancelled by the master."
OUTPUT: Final = "task"
"""What the output of an order is filed under, beside its id."""
_RESTARTED: Final = "The worker ended while the task ran; what was left of the task was ended."
_BOTH_ENDED: Final = (
    "The worker and the supervisor of its tasks ended while the task ran; what was left of it was ended."
)
_UNKNOWN: Final = "The worker ended while the task was about to begin; whether it ran is not known."
_NOT_BEGUN: Final = "The worker ended before the task began; it did not run."
_LATE: Final = "It had to wait for others until its deadline was over."
_CANT_KEEP: Final = "The worker can't keep the output; make room on its disk."
_LEFTOVER_GRACE_SECONDS: Final = 0.5
_LIMIT_LEEWAY_SECONDS: Final = 15.0
"""The supervisor keeps a command's time limit; so much later the worker does it itself."""


class OrderRuns:
    """Lives on the loop. Every way to fail becomes the end of the job, with its message."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.output = OutputStore(folder / "runs")
        self._supervision = Supervision(folder / "supervisor")
        self._clock = clock

    async def run(self, job: Job) -> None:
        """Run an order that was never begun."""
        if self._clock.now() >= job.order.deadline:
            job.fail(_LATE)
            return
        try:
            if isinstance(job.order.task, BuiltinTask):
                await self._run_builtin(job)
            else:
                private_directory(self._output_base(job).parent)
                await self.follow(job, None)
        except (QuarterdeckError, OSError) as error:
            logger.error("order %s could not be run: %s", job.order.id, error)
            job.fail(_CANT_KEEP)

    async def follow(self, job: Job, followed: Followed | None) -> None:
        """Run an order's command; with ``followed``, go on with what an earlier worker has started."""
        base = self._output_base(job)
        execution = SupervisedExecution(job.order, self._supervision, base, followed=followed)
        await job.run(execution, JobOutput(job), self._limit_seconds(job))
        if execution.was_lost:
            self._close_output(job)

    async def find(self, jobs: list[Job]) -> dict[str, Followed]:
        """Return those of these orders that still run under a supervisor, or ended there, by their ids."""
        if jobs:
            await self._supervision.find()
        self._supervision.sweep({job.order.id for job in jobs})
        found = {job.order.id: self._supervision.take_up(job.order.id) for job in jobs}
        return {id_: followed for id_, followed in found.items() if followed is not None}

    async def close_lost(self, jobs: list[Job]) -> None:
        """End what was under way and runs under no supervisor any more, and what is left of it."""
        for job in jobs:
            await self._take_recorded_end(job)
        lost = [job for job in jobs if not job.has_ended]
        if not lost:
            return
        gone = await ProcessTree(*(job.order.id for job in lost)).end(_LEFTOVER_GRACE_SECONDS)
        for job in lost:
            self._close_output(job)
            job.lose(self._why_lost(job), gone=gone)

    def settle(self, job: Job) -> None:
        """Let go of what the supervisor holds of an order whose end is known to all."""
        if not isinstance(job.order.task, BuiltinTask):
            self._supervision.forget(job.order.id)

    def count_output(self, job: Job) -> None:
        """Note how much output there is of what runs no more."""
        job.note_sizes(self.output.sizes(job.order.id, OUTPUT))

    def _close_output(self, job: Job) -> None:
        """File what a crash left without a record, and count it; only where no supervisor writes any more."""
        try:
            self.output.writer(job.order.id, OUTPUT).close()
            self.count_output(job)
        except (QuarterdeckError, OSError) as error:
            logger.error("the output of order %s can't be put in order: %s", job.order.id, error)

    async def close(self) -> None:
        await self._supervision.close()

    async def _run_builtin(self, job: Job) -> None:
        with self.output.writer(job.order.id, OUTPUT) as writer:
            execution = LocalExecution(job.order.task, marker=job.order.id)
            await job.run(execution, JobOutput(job, writer), job.order.timeout_seconds or None)

    def _output_base(self, job: Job) -> Path:
        return self.output.path(job.order.id, OUTPUT, Stream.OUT).with_suffix("")

    def _limit_seconds(self, job: Job) -> float | None:
        if not job.order.timeout_seconds:
            return None
        passed = (self._clock.now() - job.started_at).total_seconds() if job.started_at else 0.0
        return max(0.0, job.order.timeout_seconds - passed) + _LIMIT_LEEWAY_SECONDS

    async def _take_recorded_end(self, job: Job) -> None:
        """End a job as its record says: the command ended while no worker was there."""
        recorded = self._supervision.record_of(job.order.id)
        if job.has_ended or recorded is None or recorded.end is None:
            return
        self._close_output(job)
        result, gone = result_of(job.order, recorded.end), recorded.end.gone
        if job.state is RunState.CANCELLING:
            result = Result(result.exit_status, RunState.CANCELLED, CANCELLED)
            gone = await ProcessTree(job.order.id).end(_LEFTOVER_GRACE_SECONDS)
        job.begin(datetime.fromtimestamp(recorded.began, UTC))
        job.note_end(datetime.fromtimestamp(recorded.end.at, UTC))
        job.note_gone(gone)
        job.finish(result)

    def _why_lost(self, job: Job) -> str:
        if isinstance(job.order.task, BuiltinTask):
            return _RESTARTED
        if self._supervision.has_record(job.order.id) or job.sizes.total:
            return _BOTH_ENDED
        # A supervisor that is there says what it never heard of; a power cut could have taken a record.
        return _NOT_BEGUN if self._supervision.is_connected else _UNKNOWN
