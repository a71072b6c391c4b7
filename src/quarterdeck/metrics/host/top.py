"""The processes of a host that use most, asked for when somebody wants to see them."""

from collections.abc import Callable
from typing import Final

import httpx

from quarterdeck.core.errors import NotFound, Unreachable
from quarterdeck.hosts.models import HostKind, HostRecord, HostState
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.worker_calls import decoded
from quarterdeck.metrics.sampling.processes import Order
from quarterdeck.protocol.samples import Processes

_TIMEOUT: Final = httpx.Timeout(10, connect=4)

Own = Callable[[Order], Processes]
"""Reads the processes of the master's own machine; takes half a second."""


class TopProcesses:
    """Asks workers over their API, and the master itself without a detour."""

    def __init__(self, hosts: Hosts, own: Own) -> None:
        self._hosts, self._own = hosts, own

    def of(self, host: HostRecord, order: Order) -> Processes:
        """Return the processes of a host that use most; raises Unreachable with the reason."""
        if host.kind is HostKind.MASTER:
            return self._own(order)
        if host.kind is HostKind.SSH:
            raise Unreachable("Only workers are asked; run “ps aux --sort=-pcpu | head” here instead.")
        if host.state is HostState.REVOKED:
            raise Unreachable(f"{host.name} has been revoked and is not asked.")
        link = self._hosts.worker_link(host)
        ask = self._hosts.calls.call(link, "GET", f"/processes?order={order}", timeout=_TIMEOUT)
        try:
            return decoded(self._hosts.loop.run(ask), Processes, link)
        except NotFound as error:
            message = f"The worker of {host.name} is too old to be asked; upgrade it."
            raise Unreachable(message) from error
