"""How the end of an order becomes known: in the history, on disk, then to everybody, each once."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from quarterdeck.core.errors import Busy, NotFound
from quarterdeck.history.service import History
from quarterdeck.protocol.orders import OrderStatus
from quarterdeck.tasks.states import TERMINAL, RunState
from quarterdeck.tasks.worker.job import Job
from quarterdeck.tasks.worker.kept_orders import KeptOrder, KeptOrders

logger = logging.getLogger(__name__)


class OrderEndings:
    """Lives on the loop. ``settle`` and ``owe`` are told of each end once it is known to all."""

    def __init__(
        self,
        files: KeptOrders,
        history: History,
        *,
        settle: Callable[[Job], None],
        owe: Callable[[Job], None],
    ) -> None:
        self._files, self._history = files, history
        self._settle, self._owe = settle, owe

    async def conclude(self, job: Job) -> None:
        """Put the end on disk, then let everybody know; whoever was told of it never hears otherwise."""
        if job.is_concluding:
            return
        job.is_concluding = True
        end = job.end_status()
        async with job.saving:
            # The history first: a kill between the two leaves an outcome, which the next worker takes over.
            await self._record(job, end)
            job.is_kept = await self._keep(job, end)
        job.publish()
        if job.is_kept:
            self._settle(job)
        self._owe(job)

    async def take_over(self, job: Job) -> bool:
        """End a job as the history says that it has ended; returns whether it does.

        That is so when the last worker was killed after the outcome was written and before the file was.
        """
        try:
            outcome = (await asyncio.to_thread(self._history.get, job.intent)).pair
        except NotFound:
            return False
        if outcome is None or outcome.detail.get("state") not in TERMINAL:
            return False
        told = outcome.detail
        end = msgspec.structs.replace(
            job.status(),
            state=RunState(told["state"]),
            exit_status=told.get("exit_status"),
            message=str(told.get("error", "")),
            gone=told.get("gone"),
            finished_at=outcome.at,
        )
        job.take_over(end)
        return True

    async def _record(self, job: Job, end: OrderStatus) -> None:
        if job.is_recorded:
            return
        try:
            await self._history.conclude_async(job.intent, end.state == RunState.SUCCEEDED, _outcome(end))
        except (Busy, NotFound, OSError) as error:
            logger.error("the end of order %s is not in the history: %s", job.order.id, error)

    async def _keep(self, job: Job, end: OrderStatus) -> bool:
        try:
            await asyncio.to_thread(self._files.save, KeptOrder(job.order, end, job.intent))
        except OSError as error:
            logger.error("the end of order %s is not on disk: %s", job.order.id, error)
            return False
        return True


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
