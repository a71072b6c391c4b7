"""The worker's side of runs: takes orders, runs them here, keeps their output, tells how they ended."""

import asyncio
import logging
import threading
from collections.abc import Callable
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
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.kept_orders import ORDER_ID, KeptOrder, KeptOrders
from quarterdeck.tasks.late_results import LateResults
from quarterdeck.tasks.order_checks import check_content, check_seal, detail_of
from quarterdeck.tasks.output import OutputStore, Sizes
from quarterdeck.tasks.processes import ProcessTree
from quarterdeck.tasks.spool_job import Job
from quarterdeck.tasks.states import RunState

logger = logging.getLogger(__name__)

MASTER: Final = "master"
_HOST: Final = "task"
"""What the output of an order is filed under, beside its id."""
_STOPPED: Final = "The worker was stopped while the task ran; the task was ended."
_RESTARTED: Final = "The worker ended while the task ran; what was left of the task was ended."
_NOT_BEGUN: Final = "The worker ended before the task began; it did not run."
_STOP_SECONDS: Final = 3.0
_STOP_GRACE_SECONDS: Final = 1.0
_LEFTOVER_GRACE_SECONDS: Final = 0.5
_MOST_REMEMBERED: Final = 2000
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
        self.output = OutputStore(folder / "runs")
        self._history, self._clock, self._loop = history, clock, loop
        self._concurrency = concurrency
        self._slots: asyncio.Semaphore | None = None
        self._late_results = LateResults(report, lambda job: job.status(*history.witness()))
        self._waiting = threading.BoundedSemaphore(waiters)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._nonces: dict[str, datetime] = {}
        self._work: set[Future[None]] = set()
        self._is_stopping = False

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
            future = self._loop.submit(self._see_through(job))
        except Exception as error:
            self._give_back(job, error)
            raise
        self._work.add(future)
        future.add_done_callback(self._work.discard)
        return self._receipt(job)

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
        chunks = self.output.chunks_after(order_id, _HOST, seen, limit_bytes)
        return OutputPage(status, [OutputChunk(c.stream, c.offset, c.data) for c in chunks])

    def read(self, order_id: str, stream: Stream, start: int, limit_bytes: int) -> bytes:
        """Return the bytes of a stream from an offset, up to a limit."""
        self._get(order_id)
        return self.output.read(order_id, _HOST, stream, start, start + limit_bytes)

    def tail(self, order_id: str, stream: Stream, limit_bytes: int) -> bytes:
        """Return the last bytes of a stream."""
        size = self.output.sizes(order_id, _HOST).of(stream)
        return self.output.read(order_id, _HOST, stream, max(0, size - limit_bytes), size)

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
        job = self._get(order_id)
        if job.is_over:
            return self._status(job)
        detail = {"run": job.order.run, "host": job.order.host}
        with self._history.action(
            actor, "task.cancel", f"order:{order_id}", detail=detail, essential=True
        ) as outcome:
            stopping = self._end(job, RunState.CANCELLED, "Cancelled by the master.")
            self._loop.run(stopping, timeout_seconds=_CANCEL_SECONDS)
            job.wait("", None, 2)
            outcome["gone"] = job.status().gone
        return self._status(job)

    async def recover(self) -> None:
        """Close what was under way when the worker ended, and end what is left of it on the machine."""
        kept = await asyncio.to_thread(self._files.recent, self._clock.now())
        jobs = [Job(item, self._clock) for item in kept]
        self._jobs |= {job.order.id: job for job in jobs}
        self._nonces |= {job.order.nonce: job.order.deadline for job in jobs}
        open_jobs = [job for job in jobs if not job.is_over]
        if not open_jobs:
            return
        gone = await ProcessTree(*(job.order.id for job in open_jobs)).end(_LEFTOVER_GRACE_SECONDS)
        for job in open_jobs:
            self.output.writer(job.order.id, _HOST).close()  # files what a crash left without a record
            job.note_sizes(self.output.sizes(job.order.id, _HOST))
            job.lose(_NOT_BEGUN if job.state is RunState.QUEUED else _RESTARTED, gone=gone)
            await self._conclude(job)

    async def stop(self) -> None:
        """End what runs, on record, and let go of everybody who waits; within a few seconds."""
        self._is_stopping = True
        self._late_results.drop()
        jobs = [job for job in list(self._jobs.values()) if not job.is_over]
        for job in jobs:
            job.release()
        stops = (self._end(job, RunState.LOST, _STOPPED, _STOP_GRACE_SECONDS) for job in jobs)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.gather(*stops)
                work = [asyncio.wrap_future(each) for each in list(self._work)]
                await asyncio.gather(*work, return_exceptions=True)  # each has told its own failure
        except TimeoutError:
            logger.warning("some tasks did not end in time; the next start accounts for them")

    # --- on the loop ---

    async def _see_through(self, job: Job) -> None:
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._concurrency)
        try:
            async with self._slots:
                await self._run(job)
        except (QuarterdeckError, OSError) as error:
            logger.error("order %s could not be run: %s", job.order.id, error)
            job.fail("The worker can't keep the output; make room on its disk.")
        await self._conclude(job)

    async def _run(self, job: Job) -> None:
        if job.has_ended:
            return
        with self.output.writer(job.order.id, _HOST) as writer:
            running = msgspec.structs.replace(job.status(), state=RunState.RUNNING)
            await asyncio.to_thread(self._files.save, KeptOrder(job.order, running, job.intent))
            await job.run(writer)

    async def _end(self, job: Job, state: RunState, message: str, grace_seconds: float | None = None) -> None:
        await job.stop(state, message, grace_seconds=grace_seconds)
        if not job.has_begun and job.is_on_record:  # else it is concluded once it is
            await self._conclude(job)  # it may wait in the queue for long

    async def _conclude(self, job: Job) -> None:
        """Put the end on disk, then let everybody know; whoever was told of it never hears otherwise."""
        if job.is_concluding:
            return
        job.is_concluding = True
        end = job.end_status()
        kept = KeptOrder(job.order, end, job.intent)
        results = await asyncio.gather(
            asyncio.to_thread(self._files.save, kept),
            self._history.conclude_async(job.intent, end.state == RunState.SUCCEEDED, _outcome(end)),
            return_exceptions=True,
        )
        for error in results:
            if isinstance(error, BaseException):
                logger.error("the end of order %s is not on disk: %s", job.order.id, error)
        job.is_kept = not isinstance(results[0], BaseException)
        job.publish()
        if not self._is_stopping:
            self._late_results.owe(job)


def _same(job: Job, order: Order) -> Job:
    if job.order.digest != order.digest:
        raise Conflict("Another order has this id; nothing was done.")
    return job


def _outcome(end: OrderStatus) -> dict[str, Any]:  # Any: JSON
    """Return what the history keeps of an end."""
    detail: dict[str, Any] = {"state": end.state, "bytes": end.out_bytes + end.err_bytes}
    if end.exit_status is not None:
        detail["exit_status"] = end.exit_status
    if end.message:
        detail["error"] = end.message
    if end.gone is not None:
        detail["gone"] = end.gone
    return detail
