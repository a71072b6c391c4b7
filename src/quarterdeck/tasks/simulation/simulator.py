"""A simulated fleet as a whole: what it is made of, where it listens, until it is told to end."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

from quarterdeck.core.errors import Busy
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.tasks.simulation import registration
from quarterdeck.tasks.simulation.fleet import Shares, SimulatedHost, places_from, ssh_hosts
from quarterdeck.tasks.simulation.keys import FleetKeys
from quarterdeck.tasks.simulation.ssh_server import SimulatedSsh
from quarterdeck.tasks.simulation.timing import Latency, MaxStartups


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What somebody asked for."""

    hosts: int
    port: int
    seed: int = 1
    latency_milliseconds: float = 0
    shares: Shares = field(default_factory=Shares)
    max_startups: MaxStartups | None = None


class Simulator:
    """The fleet of one process."""

    def __init__(self, hosts: list[SimulatedHost], keys: FleetKeys, plan: Plan) -> None:
        self.hosts, self.keys = hosts, keys
        self._port = plan.port
        latency = Latency(plan.latency_milliseconds, plan.seed)
        self._ssh = SimulatedSsh(hosts, keys, latency, max_startups=plan.max_startups, seed=plan.seed)

    @classmethod
    def of(cls, plan: Plan, keys: FleetKeys) -> Self:
        """Make a fleet; raises Invalid for shares of more than all hosts."""
        return cls(ssh_hosts(plan.hosts, places_from(plan.port), plan.shares, plan.seed), keys, plan)

    @property
    def drafts(self) -> list[HostDraft]:
        """The hosts as the list of hosts takes them."""
        return registration.ssh_drafts(self.hosts, self.keys)

    def listen(self) -> None:
        """Take the places of all hosts, so that nobody else can; raises Busy."""
        try:
            self._ssh.listen()
        except OSError as error:
            raise Busy(
                f"The fleet can't listen from port {self._port} on: {error.strerror or error}. "
                "End what listens there (another fleet?), or choose another --port."
            ) from error

    async def serve(self, stopped: asyncio.Event) -> None:
        """Answer until told to stop."""
        await self._ssh.serve()
        try:
            await stopped.wait()
        finally:
            await self._ssh.close()
