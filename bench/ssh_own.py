"""Quarterdeck's own side of the SSH measurement, in a process of its own: ``python -m bench.ssh_own WHAT``.

``runs`` times the command cold and warm; ``startups`` counts the hosts that fail when their sshd drops
connections.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from bench.ssh_figures import AT_ONCE, COMMAND, WARM_ROUNDS, Fleet, Stopwatch, medians
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.serve import allow_many_files
from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.ssh.execution import SshExecution


class Kept:
    """A sink that keeps what comes."""

    def __init__(self) -> None:
        self.output = b""

    async def started(self) -> None:
        pass

    async def write(self, stream: Stream, data: bytes) -> None:
        self.output += data


def targets_of(fleet: Fleet, connect_seconds: float) -> list[SshTarget]:
    key = Path(fleet.key_file).read_text()
    return [
        SshTarget(
            host_id=address,
            name=address,
            address=address,
            port=fleet.port,
            username="root",
            private_key=key,
            host_key=fleet.host_keys[address],
            connect_seconds=connect_seconds,
        )
        for address in fleet.addresses
    ]


async def runs(fleet: Fleet, pool: SshPool) -> dict[str, Any]:
    """Run the command on all hosts, on new connections and then on those."""
    targets = targets_of(fleet, 60)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(target: SshTarget) -> None:
        sink = Kept()
        async with places:
            result = await SshExecution(pool, target, COMMAND).run(sink)
        assert result.exit_status == 0
        assert sink.output.startswith(b"Filesystem")

    async def everywhere(name: str) -> dict[str, float]:
        watch = Stopwatch(len(targets))
        await asyncio.gather(*(one(target) for target in targets))
        return watch.read(name)

    cold = await everywhere("cold")
    return cold | medians([await everywhere("warm") for _ in range(WARM_ROUNDS)])


async def startups(fleet: Fleet, pool: SshPool) -> dict[str, Any]:
    """Run the command everywhere at once with the usual connect limit; tell how many hosts failed."""
    began = time.perf_counter()

    async def one(target: SshTarget) -> str:
        try:
            return str((await SshExecution(pool, target, COMMAND).run(Kept())).state)
        except QuarterdeckError as error:
            return error.message

    states = Counter(await asyncio.gather(*(one(target) for target in targets_of(fleet, 10))))
    failed = sum(count for state, count in states.items() if state != "succeeded")
    return {"hosts": len(fleet.addresses), "failed": failed, "wall_s": round(time.perf_counter() - began, 3)}


MEASURED: dict[str, Callable[[Fleet, SshPool], Awaitable[dict[str, Any]]]] = {
    "runs": runs,
    "startups": startups,
}


async def measure(what: str, fleet: Fleet) -> dict[str, Any]:
    pool = SshPool()
    try:
        return await MEASURED[what](fleet, pool)
    finally:
        await pool.close()


if __name__ == "__main__":
    allow_many_files()
    print(json.dumps(uvloop.run(measure(sys.argv[1], Fleet(**json.load(sys.stdin))))))
