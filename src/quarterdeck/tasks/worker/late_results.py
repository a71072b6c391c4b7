"""Tells the master how a task ended when nobody asked any more, with a limited number of tries."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from quarterdeck.core.errors import QuarterdeckError, Unreachable
from quarterdeck.protocol.orders import OrderStatus
from quarterdeck.tasks.worker.job import Job

logger = logging.getLogger(__name__)

_COLLECT_SECONDS: Final = 3.0
"""A master that follows an order fetches its end within this time."""
_PAUSES: Final = (1, 2, 5, 10, 20, 40, 60)


class LateResults:
    """Lives on the loop. ``report`` blocks and is called in a thread."""

    def __init__(
        self, report: Callable[[OrderStatus], None], status_of: Callable[[Job], OrderStatus]
    ) -> None:
        self._report, self._status_of = report, status_of
        self._tasks: set[asyncio.Task[None]] = set()

    def owe(self, job: Job) -> None:
        """Report the end of a job later, unless the master has fetched it by then."""
        task = asyncio.ensure_future(self._see_to(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drop(self) -> None:
        """Give up what is not reported yet; a master that was told of an order asks for it again."""
        for task in list(self._tasks):
            task.cancel()

    async def _see_to(self, job: Job) -> None:
        if not job.was_left_running:
            await asyncio.sleep(_COLLECT_SECONDS)
        if job.is_collected:
            return
        for pause in (*_PAUSES, None):
            if await self._is_settled(job):
                return
            if pause is not None:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        logger.warning("the end of order %s is not reported; the master can ask for it", job.order.id)

    async def _is_settled(self, job: Job) -> bool:
        try:
            await asyncio.to_thread(self._report, self._status_of(job))
        except Unreachable as error:
            logger.info("the end of order %s could not be reported: %s", job.order.id, error.message)
            return False
        except QuarterdeckError as error:
            logger.warning("the end of order %s was not taken: %s", job.order.id, error.message)
        return True
