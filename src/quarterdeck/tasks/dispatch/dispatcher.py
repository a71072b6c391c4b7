"""Runs the runs: each host's part is a task on the loop, as many at once as the settings allow."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, QuarterdeckError
from quarterdeck.core.log import request_id
from quarterdeck.core.loop import Loop
from quarterdeck.hosts.models import HostRecord
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.jobs import Job
from quarterdeck.tasks.dispatch.reach import Reach, expiry_of
from quarterdeck.tasks.dispatch.recorder import Recorder
from quarterdeck.tasks.dispatch.spread import Spread
from quarterdeck.tasks.executor import Execution, Result
from quarterdeck.tasks.output.feed import Feed
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.states import RunState, overall

logger = logging.getLogger(__name__)

STOPPED: Final = "The master was stopped while it ran."
_STOP_SECONDS: Final = 1.5
_CONCLUDE_SECONDS: Final = 0.75
_FAULT: Final = "A fault of Quarterdeck; the log has the details."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the dispatcher works with and whom it tells."""

    loop: Loop
    clock: Clock
    output: OutputStore
    recorder: Recorder
    feed: Feed
    prepare: Callable[[Job], Mapping[str, Execution | QuarterdeckError]]
    """Makes the executions of a job by host id; reads the database, so it is called in a thread."""
    reach: Reach
    bar: Callable[[Job, HostRecord], str]
    """Says why a part must not begin by now, or nothing; reads the database, so it is called in a thread."""
    on_began: Callable[[Job, Sequence[HostRun]], Awaitable[None]]
    """Watches a run that began, for the word that it takes long; cancelled at the run's end."""
    on_host_end: Callable[[HostRun], None]
    on_ended: Callable[[str], Awaitable[None]]
    """Concludes the run of this id, whose end is stored."""


class Dispatcher:
    """Takes jobs from any thread and sees them through on the loop."""

    def __init__(self, around: Surroundings, *, concurrency: int) -> None:
        self._around = around
        self._slots = asyncio.Semaphore(concurrency)
        self._share = max(1, concurrency * 3 // 4)
        """What one run may take at most, so that a run on 1,000 hosts leaves room for the next one."""
        self._active: dict[str, _ActiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def check_open(self) -> None:
        """Raise Busy when nothing new can begin, before anything is written about it."""
        if self._is_stopping:
            raise Busy("The master is stopping; start it again after that.")
        self._around.loop.submit(asyncio.sleep(0))

    def begin(self, job: Job) -> None:
        """Hand over a job; returns at once. Raises Busy when the loop does not run."""
        self._around.loop.submit(self.take(job))

    def cancel(self, run_id: str, message: str) -> None:
        """Ask to end a run on all its hosts; returns at once."""
        self._around.loop.submit(self._cancel(run_id, message))

    async def end_host(self, host_id: str, message: str) -> int:
        """Cancel what one host has to do, in all runs; returns how many parts that were."""
        parts = [part for active in self._active.values() for part in active.parts]
        ours = [part for part in parts if part.host.id == host_id and not part.is_over]
        await asyncio.gather(*(part.stop(RunState.CANCELLED, message) for part in ours))
        return len(ours)

    async def take(self, job: Job) -> None:
        """Start a job; for callers on the loop."""
        active = _ActiveRun(job, self._around, share=self._share)
        self._active[job.run_id] = active
        if self._is_stopping:
            active.give_up(RunState.LOST, STOPPED)
        self._keep(self._see_through(active))

    async def stop(self) -> None:
        """End what runs here within a few seconds, and leave to the workers what runs there."""
        self._is_stopping = True
        for active in self._active.values():
            active.leave_waiting()
        parts = [part for active in self._active.values() for part in active.parts if part.may_begin]
        for part in parts:
            if part.may_be_there:
                part.leave()
        ours = [part for part in parts if not part.may_be_there]
        stops = (part.stop(RunState.LOST, STOPPED, cancel_seconds=_STOP_SECONDS) for part in ours)
        await asyncio.gather(*stops)
        for part in ours:
            part.end(Result(None, RunState.LOST, STOPPED))
        await self._finish_tasks()

    async def _finish_tasks(self) -> None:
        """Let the concluding of runs come to its end, then let go of what only follows a worker."""
        if self._tasks:
            _, left = await asyncio.wait(set(self._tasks), timeout=_CONCLUDE_SECONDS)
            for task in left:
                task.cancel()
        try:
            await asyncio.wait_for(self._around.recorder.settle(), _CONCLUDE_SECONDS)
        except TimeoutError:
            logger.warning("not every change of runs is stored; the next start brings them in order")

    async def _cancel(self, run_id: str, message: str) -> None:
        active = self._active.get(run_id)
        if active is not None:
            await asyncio.gather(*(part.stop(RunState.CANCELLED, message) for part in active.parts))

    def _keep(self, work: Any) -> None:  # Any: a coroutine's three type arguments say nothing here
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, active: "_ActiveRun") -> None:
        job = active.job
        request_id.set(job.request_id)
        watch = asyncio.ensure_future(self._around.on_began(job, active.parts))
        try:
            await active.run(self._slots)
            await self._around.recorder.settle()
            if active.is_over:
                await self._around.on_ended(job.run_id)
        except Exception:
            logger.exception("run %s could not be concluded; it is tried again at the next start", job.run_id)
        finally:
            watch.cancel()
            self._active.pop(job.run_id, None)


class _ActiveRun:
    """A run under way: its hosts, and the state that follows from theirs."""

    def __init__(self, job: Job, around: Surroundings, *, share: int) -> None:
        self.job = job
        self._around = around
        self._share = asyncio.Semaphore(min(share, job.options.at_once or share))
        self._expires_at = expiry_of(job.created_at, job.options.expires_seconds)
        self._tally: Counter[RunState] = Counter(job.ended)
        self._started_at = job.started_at
        self._over = asyncio.Event()
        self.parts = [
            HostRun(
                job,
                part,
                output=around.output,
                feed=around.feed,
                clock=around.clock,
                changed=self._on_change,
            )
            for part in job.hosts
        ]
        self._tally.update(part.state for part in self.parts)
        self._spread = Spread(job, self.parts)

    @property
    def is_over(self) -> bool:
        return all(part.is_over for part in self.parts)

    async def run(self, slots: asyncio.Semaphore) -> None:
        """Return when every host has ended; what still waits for a slot by then waits no more."""
        try:
            executions = await asyncio.to_thread(self._around.prepare, self.job)
        except Exception:
            logger.exception("run %s could not be prepared", self.job.run_id)
            self.give_up(RunState.FAILED, _FAULT)
            return
        self._hold_back()
        work = [
            asyncio.ensure_future(self._run_part(part, executions[part.host.id], slots))
            for part in self.parts
        ]
        try:
            await self._over.wait()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    def give_up(self, state: RunState, message: str) -> None:
        """End every host's part without running it."""
        self._spread.stand_back()
        for part in self.parts:
            part.end(Result(None, state, message))

    def leave_waiting(self) -> None:
        """Let go of what waits for its host: it has surely not begun, and waits on after the next start."""
        if self._expires_at is not None:
            for part in self.parts:
                if part.state is RunState.QUEUED:
                    part.leave()

    async def _run_part(
        self, part: HostRun, execution: Execution | QuarterdeckError, slots: asyncio.Semaphore
    ) -> None:
        try:
            if part.state is RunState.QUEUED:
                await self._turn(part)
            if self._expires_at is not None and part.state is RunState.QUEUED:
                await self._run_when_reached(part, execution, self._expires_at, slots)
            else:
                async with self._share, slots:
                    await self._begin(part, execution)
        except Exception:
            logger.exception("run %s failed unexpectedly on %s", self.job.run_id, part.host.name)
            part.end(Result(None, RunState.FAILED, _FAULT))

    async def _turn(self, part: HostRun) -> None:
        if self._spread.must_wait(part):
            part.wait(f"Waits for the canary of {self.job.options.canary}.")
        await self._spread.turn(part)

    async def _begin(self, part: HostRun, execution: Execution | QuarterdeckError) -> None:
        # What an earlier master began goes on: ending it is the work of a cancel.
        is_new = part.may_begin and not part.may_be_there
        barred = await asyncio.to_thread(self._around.bar, self.job, part.host) if is_new else ""
        if barred:
            await part.stop(RunState.CANCELLED, barred)
        elif isinstance(execution, QuarterdeckError):
            part.fail(execution)
        else:
            await part.run(execution)

    async def _run_when_reached(
        self,
        part: HostRun,
        execution: Execution | QuarterdeckError,
        expires_at: datetime,
        slots: asyncio.Semaphore,
    ) -> None:
        """Look for the host before anything is sent; while it is away, wait without a slot."""
        reach = self._around.reach
        while part.may_begin:
            async with self._share, slots:
                fault = await reach.look(self.job, part, expires_at)
                if fault is None and part.may_begin:
                    part.approach()
                    # Once it is stored that it is no longer queued, a restart will not begin it again.
                    await self._around.recorder.settle()
                    await self._begin(part, execution)
            if fault is None:
                return
            await reach.until_there(self.job, part, expires_at, fault)
            execution = await self._prepared_anew(part)

    async def _prepared_anew(self, part: HostRun) -> Execution | QuarterdeckError:
        """Return the execution for a host that was away, and may have been changed meanwhile."""
        alone = replace(self.job, hosts=tuple(each for each in self.job.hosts if each.host is part.host))
        return (await asyncio.to_thread(self._around.prepare, alone))[part.host.id]

    def _hold_back(self) -> None:
        """End what has not begun, once the run is stopped by how its other hosts ended."""
        if self._spread.stopped:
            for part in self.parts:
                if part.state is RunState.QUEUED:
                    part.end(Result(None, RunState.CANCELLED, self._spread.stopped))

    def _on_change(self, part: HostRun, before: RunState) -> None:
        self._tally[before] -= 1
        self._tally[part.state] += 1
        self._tally = +self._tally
        self._note_part(part)
        self._note_run(part)
        if part.is_over:
            self._around.on_host_end(part)
            if self._spread.note_end(part, self._tally):
                self._hold_back()
            if all(state.is_terminal for state in self._tally):
                self._over.set()

    def _note_part(self, part: HostRun) -> None:
        columns: dict[str, Any] = {
            "state": str(part.state),
            "started_at": part.started_at,
            "message": part.message,
        }
        if part.is_over:
            sizes = self._around.output.sizes(self.job.run_id, part.host.name)
            columns |= {
                "finished_at": part.finished_at,
                "exit_status": part.exit_status,
                "gone": part.gone,
                "details": dict(part.details),
                "out_bytes": sizes.out,
                "err_bytes": sizes.err,
            }
        self._around.recorder.note_host(self.job.run_id, part.host.id, **columns)

    def _note_run(self, part: HostRun) -> None:
        state = overall(self._tally)
        if part.started_at and self._started_at is None:
            self._started_at = part.started_at
        self._around.recorder.note_run(
            self.job.run_id,
            state=str(state),
            tally={str(each): count for each, count in self._tally.items()},
            started_at=self._started_at,
            is_active=not state.is_terminal,
            finished_at=self._around.clock.now() if state.is_terminal else None,
        )
