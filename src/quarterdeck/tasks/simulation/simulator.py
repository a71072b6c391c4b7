"""A simulated fleet as a whole: what it is made of, where it listens, until it is told to end."""

import asyncio
from dataclasses import dataclass, field

from quarterdeck.core.errors import Busy
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.tasks.simulation import registration
from quarterdeck.tasks.simulation.fleet import Shares, places_from, ssh_hosts, workers
from quarterdeck.tasks.simulation.keys import FleetKeys
from quarterdeck.tasks.simulation.ssh_server import SimulatedSsh
from quarterdeck.tasks.simulation.timing import Latency, MaxStartups
from quarterdeck.tasks.simulation.worker_server import SimulatedWorkers


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What somebody asked for."""

    hosts: int
    port: int
    workers: int = 0
    seed: int = 1
    latency_milliseconds: float = 0
    shares: Shares = field(default_factory=Shares)
    max_startups: MaxStartups | None = None


class Simulator:
    """The fleet of one process."""

    def __init__(self, plan: Plan, keys: FleetKeys) -> None:
        """Raises Invalid for shares of more than all hosts."""
        self.keys = keys
        self._port = plan.port
        places = places_from(plan.port)
        self.hosts = ssh_hosts(plan.hosts, places, plan.shares, plan.seed)
        self.workers = workers(plan.workers, places, plan.shares, plan.seed, behind=plan.hosts)
        latency = Latency(plan.latency_milliseconds, plan.seed)
        self._ssh = SimulatedSsh(self.hosts, keys, latency, max_startups=plan.max_startups, seed=plan.seed)
        self._workers = SimulatedWorkers(self.workers, keys, latency, plan.seed)

    @property
    def drafts(self) -> list[HostDraft]:
        """SSH hosts and workers as the list of hosts takes them."""
        return [
            *registration.ssh_drafts(self.hosts, self.keys),
            *registration.worker_drafts(self.workers, self.keys),
        ]

    def listen(self) -> None:
        """Take the places of all hosts, so that nobody else can; raises Busy."""
        try:
            self._ssh.listen()
            self._workers.listen()
        except OSError as error:
            raise Busy(
                f"The fleet can't listen from port {self._port} on: {error.strerror or error}. "
                "End what listens there (another fleet?), or choose another --port."
            ) from error

    async def serve(self, stopped: asyncio.Event) -> None:
        """Answer until told to stop."""
        await self._ssh.serve()
        await self._workers.serve()
        try:
            await stopped.wait()
        finally:
            await self._workers.close()
            await self._ssh.close()
