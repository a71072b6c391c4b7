"""A real master whose fleet is fed with samples: ``python -m tests.metrics.fleet_node HOME PORT COUNT``.

The hosts are rows of its tables and are never called; their samples go into the real Fleet once a second.
``HOME/fed`` says that there are figures. Names written into ``HOME/lost.txt`` are noted as lost, others as
well. ``silent-…`` send no samples any more.
"""

import asyncio
import math
import sys
from functools import cached_property
from pathlib import Path

from sqlalchemy import insert

from quarterdeck.core import serve
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.config import Bind, Settings
from quarterdeck.core.ids import new_id
from quarterdeck.hosts.models import Host, HostState, HostTag
from quarterdeck.master import create_asgi
from quarterdeck.master_parts import MasterParts
from quarterdeck.metrics.watching import Watching
from quarterdeck.protocol.samples import Frame
from tests.deck import PASSWORD

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9CkvEfkQzZ0kFfT4Yl8mPq9vZ9hQ0hQ0hQ0hQ0hQ0h"
TAGS = ("web", "db", "cache")


def names_of(count: int) -> list[str]:
    """Return the names of so many hosts: two without figures, two that went silent, others with figures."""
    special = ["plain-1", "plain-2", "silent-1", "silent-2"][: max(0, count - 1)]
    return [f"host-{number:04}" for number in range(count - len(special))] + special


def sample_values(number: int, second: float) -> dict[str, float]:
    """Return figures that move slowly and differ from host to host."""
    wave = (1 + math.sin(second / (40 + number % 17) + number)) / 2
    return {
        "cpu": 2 + 95 * wave * ((number * 7919) % 100) / 100,
        "load": 8 * wave,
        "memory": 20 + (number * 31) % 70 + 3 * wave,
        "disk": (number * 37) % 96 + wave / 10,
        "received": 1e6 * wave * (number % 9),
        "sent": 4e5 * wave * (number % 5),
    }


class Feeding(Watching):
    """Feeds the fleet beside telling the viewers."""

    parts: "FedParts"

    async def run(self) -> None:
        await asyncio.gather(super().run(), self.parts.feed())


class FedParts(MasterParts):
    """A master's parts with hosts in them."""

    count = 0

    @cached_property
    def watching(self) -> Watching:
        made = Feeding(
            self.live,
            self.fleet,
            self.clock,
            targets_of=self.hosts.list.targets_by_id,
            look=self.attention.look,
        )
        made.parts = self
        return made

    async def feed(self) -> None:
        """Fill ten minutes of the past, then go on once a second."""
        await asyncio.to_thread(self.fill)
        hosts = await asyncio.to_thread(self.hosts.list_hosts)
        known = {host.name: host for host in hosts if host.name in set(names_of(self.count))}
        fed = [host for name, host in known.items() if not name.startswith("plain")]
        now = self.clock.now().timestamp()
        for number, host in enumerate(fed):
            end = now - 300 if host.name.startswith("silent") else now
            for at in range(int(now) - 600, int(end), 15):
                self.take(host.id, number, at)
        (self.settings.home / "fed").touch()
        while True:
            now = self.clock.now().timestamp()
            for number, host in enumerate(fed):
                if not host.name.startswith("silent"):
                    self.take(host.id, number, now)
            lost = self.settings.home / "lost.txt"
            names = set(lost.read_text().split()) if lost.exists() else set()
            for host in (known["host-0000"], known["host-0001"]) if len(known) > 1 else ():
                state = HostState.LOST if host.name in names else HostState.WELL
                reason = "It did not answer four times." if host.name in names else ""
                await asyncio.to_thread(self.hosts.contacts.note, host.id, state, reason)
            await asyncio.sleep(1)

    def take(self, host_id: str, number: int, at: float) -> None:
        frame = Frame(at=at, is_full=True, values=sample_values(number, at))
        self.fleet.take(host_id, frame, at=at, interval_seconds=1)

    def fill(self) -> None:
        """List the hosts, and the people who look at them, once."""
        if self.hosts.counts().total >= self.count > 0 or "ada" in {
            each.name for each in self.access.list_people()
        }:
            return
        for name, role in (("ada", Role.ADMINISTRATOR), ("vera", Role.VIEWER)):
            self.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
        rows = [self.row(number, name) for number, name in enumerate(names_of(self.count))]
        if rows:
            with self.db.write() as session:
                session.execute(insert(Host), rows)
                tags = [{"host_id": row["id"], "tag": TAGS[n % 3]} for n, row in enumerate(rows)]
                session.execute(insert(HostTag), tags)

    def row(self, number: int, name: str) -> dict[str, object]:
        state, reason = HostState.WELL, ""
        if name.startswith("silent") or number % 90 == 50:
            state, reason = HostState.LOST, "It did not answer four times; the connection was refused."
        elif number % 70 == 30:
            state, reason = HostState.LATE, "It did not answer twice."
        return {
            "id": new_id(),
            "name": name,
            "kind": "ssh",
            "state": state,
            "state_reason": reason,
            "address": f"10.0.{number // 250}.{number % 250}",
            "port": 22,
            "username": "root",
            "host_key": KEY,
            "last_seen": self.clock.now(),
            "created_at": self.clock.now(),
        }


def main(home: str, port: str, count: str) -> int:
    FedParts.count = int(count)
    settings = Settings(home=Path(home), bind=Bind("127.0.0.1", int(port)))
    app = create_asgi(settings, FedParts(settings))
    return serve.run(app, settings.bind, before_end=app.stop)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
