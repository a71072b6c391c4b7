"""A worker's calls to its master."""

from typing import TypeVar

import msgspec

from quarterdeck.core.errors import Conflict, Forbidden, QuarterdeckError, Unreachable
from quarterdeck.hosts.master_link import detail_of, exchange
from quarterdeck.hosts.membership import Membership
from quarterdeck.protocol.orders import Handed, HandedAnswer, OrderStatus

S = TypeVar("S", bound=msgspec.Struct)


class Rejected(QuarterdeckError):
    """The master understood and said no; asking again would not help."""

    status = 409
    title = "The master refused"


class MasterCalls:
    """Each call opens a connection of its own and blocks for up to some seconds: call it in a thread."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def hand(self, handed: Handed) -> HandedAnswer:
        """Give the master a task to run on its own machine."""
        body = self._post("/tasks/process", handed)
        try:
            return msgspec.json.decode(body, type=HandedAnswer)
        except msgspec.DecodeError as error:
            raise Unreachable("What answers at the master's address is not a master.") from error

    def report(self, status: OrderStatus) -> None:
        """Tell the master how a task ended that took longer than its answer."""
        self._post("/tasks/result", status)

    def _post(self, path: str, message: msgspec.Struct) -> bytes:
        """Return the body of a 2xx answer; raises Conflict, Forbidden, Rejected or Unreachable."""
        member = self._membership.current()
        if member is None:
            raise Conflict(
                "This worker knows no master yet. Add it there as a host of kind worker, "
                "or set QUARTERDECK_MASTER_URL and QUARTERDECK_WORKER_BEARER_TOKEN."
            )
        status, body = exchange(member, path, msgspec.json.encode(message))
        if status in (401, 403):
            raise Forbidden(f"The master refuses this worker{detail_of(body)}")
        if 400 <= status < 500 and status not in (408, 429):
            raise Rejected(f"The master refused{detail_of(body)}")
        if not 200 <= status < 300:
            raise Unreachable(f"The master answered {status}{detail_of(body)}")
        return body
