"""The worker's side of runs: takes orders, runs them here, keeps their output, tells how they ended."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, Conflict, NotFound, QuarterdeckError
from quarterdeck.core.loop import Loop
from quarterdeck.core.security import private_directory
from quarterdeck.history.service import History
from quarterdeck.protocol.orders import Order, OrderStatus, OutputChunk, OutputPage, Receipt
from quarterdeck.protocol.tasks import BuiltinTask
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.order_checks import ORDER_ID, check_content, check_seal, detail_of
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.worker.job import Job
from quarterdeck.tasks.worker.kept_orders import KeptOrder, KeptOrders
from quarterdeck.tasks.worker.late_results import LateResults
from quarterdeck.tasks.worker.order_endings import OrderEndings
from quarterdeck.tasks.worker.order_runs import CANCELLED, OUTPUT, OrderRuns
from quarterdeck.tasks.worker.supervision import Followed

logger = logging.getLogger(__name__)

MASTER: Final = "master"
_STOPPED: Final = "The worker was stopped while the task ran; the task was ended."
_STOP_SECONDS: Final = 3.0
_STOP_GRACE_SECONDS: Final = 1.0
_MOST_REMEMBERED: Final = 2000
_MOST_FORESTALLED: Final = 1000
_CANCEL_SECONDS: Final = 12.0


class Spool:
    """Safe for threads; what runs, runs on the loop."""

    def __init__(
        self,
        folder: Path,
        *,
        history: History,
        clock: Clock,
        loop: Loop,
        concurrency: int,
        waiters: int,
        report: Callable[[OrderStatus], None],
    ) -> None:
        private_directory(folder)
        self._files = KeptOrders(folder / "orders")
        self._runs = OrderRuns(folder, clock)
        self.output = self._runs.output
        self._history, self._clock, self._loop = history, clock, loop
        self._concurrency = concurrency
        self._slots: asyncio.Semaphore | None = None
        self._late_results = LateResults(report, lambda job: job.status(*history.witness()))
        self._endings = OrderEndings(self._files, history, settle=self._runs.settle, owe=self._owe)
        self._waiting = threading.BoundedSemaphore(waiters)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._nonces: dict[str, datetime] = {}
        self._forestalled: dict[str, None] = {}
        """Ids of orders whose cancel has overtaken them on the way."""
        self._work: set[Future[None]] = set()
        self._is_stopping = self._leaves_running = False

    # --- taking orders ---

    def accept(self, actor: Actor, order: Order, *, audience: str = "") -> Receipt:
        """Put an order on record and in the queue.

        Sent again, it is answered with the state of the first. Raises Invalid, Conflict or Forbidden for
        an order that can't be carried out, on record too, and Busy when there can be no record.
        """
        if self._is_stopping:
            raise Busy("The worker is stopping; try again in a moment.")
        try:
            check_seal(order, audience)
            if known := self._find(order.id):
                return self._receipt(_same(known, order))
            check_content(order, self._clock.now())
            job, is_new = self._reserve(order)
        except QuarterdeckError as error:
            self._record_refusal(actor, order, error)
            raise
        return self._begin(actor, job) if is_new else self._receipt(job)

    def _begin(self, actor: Actor, job: Job) -> Receipt:
        order = job.order
        try:
            intent = self._history.intend(actor, "task.run", f"order:{order.id}", detail=detail_of(order))
            job.intent = intent.id
            self._files.save(KeptOrder(order, job.status(), intent.id))
            job.is_on_record = True
            self._history.note_witness(MASTER, order.master_head, order.master_seq)
            self._submit(self._see_through(job))
        except Exception as error:
            self._give_back(job, error)
            raise
        return self._receipt(job)

    def _submit(self, work: Coroutine[Any, Any, None]) -> None:  # Any: what a coroutine may yield and be sent
        future = self._loop.submit(work)
        self._work.add(future)
        future.add_done_callback(self._work.discard)

    def _give_back(self, job: Job, error: Exception) -> None:
        """Forget an order that could not be begun, so that it may be sent again."""
        with self._lock:
            self._jobs.pop(job.order.id, None)
            self._nonces.pop(job.order.nonce, None)
        self._files.remove(job.order.id)
        if job.intent:
            self._history.conclude(job.intent, False, {"error": str(error)})

    def _reserve(self, order: Order) -> tuple[Job, bool]:
        """Make the job; or return, with False, what another thread has made of the same order meanwhile."""
        with self._lock:
            if order.id in self._jobs:
                return _same(self._jobs[order.id], order), False
            if order.id in self._forestalled:
                raise Conflict("This order was cancelled before it came; it is not run.")
            if order.nonce in self._nonces:
                raise Conflict("This nonce was used by another order; this one may be a replay.")
            self._forget_old()
            self._nonces[order.nonce] = order.deadline
            job = Job(KeptOrder(order, OrderStatus(id=order.id, state=RunState.QUEUED)), self._clock)
            self._jobs[order.id] = job
            return job, True

    def _forget_old(self) -> None:
        """Leave to the files what has ended, once it is much; a nonce counts until its order is too late."""
        if len(self._jobs) < _MOST_REMEMBERED:
            return
        now = self._clock.now()
        self._jobs = {id_: job for id_, job in self._jobs.items() if not job.is_kept}
        self._nonces = {nonce: deadline for nonce, deadline in self._nonces.items() if deadline > now}

    def _record_refusal(self, actor: Actor, order: Order, error: QuarterdeckError) -> None:
        object_ = f"order:{order.id}" if ORDER_ID.match(order.id) else "order"
        detail = {"run": order.run[:64], "host": order.host[:200], "error": error.message}
        self._history.event(actor, "order.refused", object_, detail=detail)

    def _receipt(self, job: Job) -> Receipt:
        head, seq = self._history.witness()
        return Receipt(id=job.order.id, state=job.state, head=head, seq=seq)

    # --- telling how they stand ---

    @property
    def running(self) -> int:
        """How many orders wait or run."""
        return sum(not job.is_over for job in list(self._jobs.values()))

    def status(self, order_id: str) -> OrderStatus:
        """Return where an order stands; raises NotFound."""
        return self._status(self._get(order_id))

    def wait(
        self, order_id: str, seconds: float, *, state: str = "", seen: Sizes | None = None
    ) -> OrderStatus:
        """Return the status at the end, with ``seen`` at any news too, or after the time.

        Answers at once when many wait already: the threads are needed for everything else.
        """
        job = self._get(order_id)
        if seconds > 0 and not job.is_over and self._waiting.acquire(blocking=False):
            try:
                job.wait(state, seen.total if seen else None, seconds)
            finally:
                self._waiting.release()
        return self._status(job)

    def page(self, order_id: str, seconds: float, *, state: str, seen: Sizes, limit_bytes: int) -> OutputPage:
        """Return the status and the output after what is ``seen``, once there is news or after the time."""
        status = self.wait(order_id, seconds, state=state, seen=seen)
        chunks = self.output.chunks_after(order_id, OUTPUT, seen, limit_bytes)
        return OutputPage(status, [OutputChunk(c.stream, c.offset, c.data) for c in chunks])

    def read(self, order_id: str, stream: Stream, start: int, limit_bytes: int) -> bytes:
        """Return the bytes of a stream from an offset, up to a limit."""
        self._get(order_id)
        return self.output.read(order_id, OUTPUT, stream, start, start + limit_bytes)

    def tail(self, order_id: str, stream: Stream, limit_bytes: int) -> bytes:
        """Return the last bytes of a stream."""
        size = self.output.sizes(order_id, OUTPUT).of(stream)
        return self.output.read(order_id, OUTPUT, stream, max(0, size - limit_bytes), size)

    def expect_report(self, order_id: str) -> None:
        """Note that somebody was told to wait for the end of a task."""
        self._get(order_id).was_left_running = True

    def _status(self, job: Job) -> OrderStatus:
        status = job.status(*self._history.witness())
        job.is_collected |= status.is_terminal
        return status

    def _get(self, order_id: str) -> Job:
        job = self._find(order_id)
        if job is None:
            raise NotFound("This worker has no order of this id.")
        return job

    def _find(self, order_id: str) -> Job | None:
        if job := self._jobs.get(order_id):
            return job
        kept = self._files.get(order_id)
        return Job(kept, self._clock) if kept else None

    # --- ending them ---

    def cancel(self, actor: Actor, order_id: str) -> OrderStatus:
        """End an order and its processes; returns when it is known whether they are gone."""
        self._forestall(order_id)
        job = self._get(order_id)
        if job.is_over:
            return self._status(job)
        detail = {"run": job.order.run, "host": job.order.host}
        with self._history.action(
            actor, "task.cancel", f"order:{order_id}", detail=detail, essential=True
        ) as outcome:
            self._loop.run(self._cancel(job), timeout_seconds=_CANCEL_SECONDS)
            job.wait("", None, 2)
            outcome["gone"] = job.status().gone
        return self._status(job)

    def _forestall(self, order_id: str) -> None:
        """Make sure that an order which comes after its own cancel does not begin."""
        with self._lock:
            if order_id in self._jobs or not ORDER_ID.match(order_id):
                return
            self._forestalled[order_id] = None
            if len(self._forestalled) > _MOST_FORESTALLED:
                del self._forestalled[next(iter(self._forestalled))]

    async def recover(self) -> None:
        """Take up again what still runs, begin what waited, and close what nobody looks after any more."""
        kept = await asyncio.to_thread(self._files.recent, self._clock.now())
        jobs = [Job(item, self._clock) for item in kept]
        self._jobs |= {job.order.id: job for job in jobs}
        self._nonces |= {job.order.nonce: job.order.deadline for job in jobs}
        waiting = [job for job in jobs if job.state is RunState.QUEUED]
        begun = [job for job in jobs if not job.is_over and job not in waiting]
        for job in begun:
            if await self._endings.take_over(job):
                self._runs.count_output(job)
        found = await self._runs.find(begun)
        for job in begun:
            if followed := found.get(job.order.id):
                self._submit(self._see_through(job, followed))
        rest = [job for job in begun if job.order.id not in found]
        await self._runs.close_lost(rest)
        for job in rest:
            await self._endings.conclude(job)
        for job in waiting:
            self._submit(self._see_through(job))

    def leave_running(self) -> None:
        """Have ``stop`` leave commands and what waits to the next worker; built-in tasks end all the same."""
        self._leaves_running = True

    async def stop(self) -> None:
        """End what runs, on record, and let go of everybody who waits; within a few seconds."""
        self._is_stopping = True
        self._late_results.drop()
        jobs = [job for job in list(self._jobs.values()) if not job.is_over]
        for job in jobs:
            job.release()
        if self._leaves_running:
            for job in [job for job in jobs if not isinstance(job.order.task, BuiltinTask)]:
                jobs.remove(job)
                job.leave()
        stops = (self._end(job, RunState.LOST, _STOPPED, _STOP_GRACE_SECONDS) for job in jobs)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.gather(*stops)
                work = [asyncio.wrap_future(each) for each in list(self._work)]
                await asyncio.gather(*work, return_exceptions=True)  # each has told its own failure
        except TimeoutError:
            logger.warning("some tasks did not end in time; the next start accounts for them")
        await self._runs.close()

    # --- on the loop ---

    def _owe(self, job: Job) -> None:
        if not self._is_stopping:
            self._late_results.owe(job)

    async def _see_through(self, job: Job, followed: Followed | None = None) -> None:
        """Run an order, or with ``followed`` go on with one whose command runs already."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._concurrency)
        if followed is not None and self._slots.locked():
            await self._take_up(job, followed)  # it runs anyway: more at once than the settings want
        else:
            async with self._slots:
                await (self._take_up(job, followed) if followed else self._run(job))
        if job.has_ended:
            await self._endings.conclude(job)

    async def _run(self, job: Job) -> None:
        if job.has_ended or self._is_stopping:
            return
        if await self._save(job, RunState.RUNNING):
            await self._runs.run(job)
        else:
            job.fail("The worker can't keep its orders; make room on its disk.")

    async def _take_up(self, job: Job, followed: Followed) -> None:
        was_cancelling = job.state is RunState.CANCELLING
        running = asyncio.ensure_future(self._runs.follow(job, followed))
        if was_cancelling:
            await asyncio.sleep(0)  # so that there is something to cancel
            await job.stop(RunState.CANCELLED, CANCELLED)
        await running

    async def _cancel(self, job: Job) -> None:
        """End a job for good: a worker that ends meanwhile goes on with that at its next start."""
        if job.has_begun:
            await self._save(job, RunState.CANCELLING)
        await self._end(job, RunState.CANCELLED, CANCELLED)

    async def _save(self, job: Job, state: RunState) -> bool:
        """Put a job's next state on disk, before it happens; returns whether that is done."""
        kept = KeptOrder(job.order, msgspec.structs.replace(job.status(), state=state), job.intent)
        async with job.saving:
            if job.is_concluding:
                return True
            try:
                await asyncio.to_thread(self._files.save, kept)
            except OSError as error:
                logger.error("the state of order %s is not on disk: %s", job.order.id, error)
                return False
        return True

    async def _end(self, job: Job, state: RunState, message: str, grace_seconds: float | None = None) -> None:
        await job.stop(state, message, grace_seconds=grace_seconds)
        if not job.has_begun and job.is_on_record:  # else it is concluded once it is
            await self._endings.conclude(job)  # it may wait in the queue for long


def _same(job: Job, order: Order) -> Job:
    if job.order.digest != order.digest:
        raise Conflict("Another order has this id; nothing was done.")
    return job
