"""Revoking a worker: from one moment on it may say nothing here, and nothing more is asked of it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, NotFound, Unreachable
from quarterdeck.history.service import History
from quarterdeck.hosts import store
from quarterdeck.hosts.changes import Changes
from quarterdeck.hosts.contacts import MAX_REASON
from quarterdeck.hosts.links import Links
from quarterdeck.hosts.models import HostKind, HostRecord, HostState, WorkerLink
from quarterdeck.hosts.worker_calls import WorkerCalls

logger = logging.getLogger(__name__)

EndOrders = Callable[[str, str], Awaitable[int]]
"""Ends what a worker, by its id, has to do, with a message; returns how many orders that were."""
REVOKED: Final = "The worker was revoked."


class Revoking:
    """The worker's token and bearer go first; its orders are ended with the bearer as it was until then."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        calls: WorkerCalls,
        links: Links,
        changes: Changes,
    ) -> None:
        self._db, self._history, self._clock = db, history, clock
        self._calls, self._links, self._changes = calls, links, changes
        self._end_orders: EndOrders | None = None

    def end_orders_by(self, end_orders: EndOrders) -> None:
        """Say who ends the orders of a revoked worker: whoever follows them in this process."""
        self._end_orders = end_orders

    def begin(self, actor: Actor, host: HostRecord) -> WorkerLink:
        """Refuse the worker from now on; returns how to reach it one last time. Raises Conflict."""
        if host.kind is not HostKind.WORKER:
            raise Conflict(f"{host.name} is no worker: there is no token of it to revoke.")
        if host.state is HostState.REVOKED:
            raise Conflict(f"{host.name} is revoked already.")
        link = self._links.worker_link(host.id)
        with self._db.write() as session:
            row = store.find_by_id(session, host.id)
            row.state, row.state_reason = HostState.REVOKED, f"Revoked by {actor.label}."
            row.state_since, row.flapping_since = self._clock.now(), None
            row.token = row.token_digest = None
            row.joined = False
        self._changes.note([host.id])
        return link

    async def end_orders(self, host: HostRecord) -> int:
        """End what this process follows on a revoked worker; how that went stands with each run."""
        return await self._end_orders(host.id, REVOKED) if self._end_orders else 0

    async def finish(self, host: HostRecord, link: WorkerLink) -> dict[str, Any]:  # Any: JSON
        """End the worker's orders and tell it; returns what the history keeps of that."""
        ended = await self.end_orders(host)
        try:
            await self._calls.call(link, "POST", "/revoke")
        except (Unreachable, NotFound) as error:  # a worker of an older version can't be told
            logger.info("%s was revoked and could not be told: %s", host.name, error.message)
            return {"orders_ended": ended, "told": False, "reason": error.message}
        return {"orders_ended": ended, "told": True}

    def note_untold(self, host: HostRecord, reason: str) -> None:
        """Have the list say that the worker itself does not know."""
        with self._db.write() as session:
            row = store.find_by_id(session, host.id)
            row.state_reason = f"{row.state_reason} The worker was not told: {reason}"[:MAX_REASON]
        self._changes.note([host.id])
