"""Figures on the wire and on the page: what a thousand hosts cost whoever looks at them.

Viewers are sockets of a process of their own, which speak engine.io's frames by hand; the server is another
with a real Fleet, whose hosts change every figure every second. Viewers watch 62 hosts and 10 figures each:
all the same ones, and 1,000 of them ones of their own. Times are from the message's own second on, so they
hold the making of it and what the viewers' process needs. Pages are asked of the web app itself, in this
process, as a signed-in person. Prints JSON: the server's processor in percent of a core and ms a tick, ms
from making to receiving, KB of the server's own memory (USS) a socket, Mbit/s a viewer on the wire.
"""

import argparse
import asyncio
import gzip
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil
import uvloop
from sqlalchemy import insert

from bench.broadcast import CONNECT_AT_ONCE, Viewer, cpu_ms, wait_for
from bench.matrix import signed_in
from quarterdeck.core import serve
from quarterdeck.core.actors import Actor, ActorKind, Role, Target
from quarterdeck.core.asgi import Receive, Scope, Send, send_json
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.config import Bind, Settings
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.ids import new_id
from quarterdeck.core.live.service import CONSOLE, Live, LiveOptions
from quarterdeck.core.loop import Loop
from quarterdeck.hosts.models import Host, HostTag
from quarterdeck.master_parts import MasterParts
from quarterdeck.metrics import live as edge
from quarterdeck.metrics.figures import FIGURES, KEYS
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.watching import Watching
from quarterdeck.protocol.samples import Frame

HOSTS = 1_000
WATCHED = 62
FIGURE_COUNT = 10
WARM_UP_SECONDS = 3


def host_id(number: int) -> str:
    return f"01HOST{number:020}"


def sample(number: int, second: float) -> Frame:
    """Return a sample of which every figure differs from the one before."""
    chance = random.Random(number * 1_000_003 + int(second))  # noqa: S311  # figures, no secrets
    values = {figure.key: chance.uniform(0, 100) * figure.step * 2 for figure in FIGURES}
    return Frame(at=second, is_full=True, values=values)


def serve_figures(port: int) -> int:
    viewer = Actor(ActorKind.PERSON, "bench", role=Role.VIEWER, credential_id="bench")
    live = Live(lambda _scope: viewer, LiveOptions())
    fleet = Fleet()

    def targets_of(ids: Collection[str]) -> dict[str, Target]:
        return {each: Target(f"host:{each}") for each in ids}

    watching = Watching(live, fleet, SystemClock(), targets_of=targets_of)
    edge.register(live, watching)

    async def sampled() -> None:
        while True:
            now = time.time()
            for number in range(WATCHED):
                fleet.take(host_id(number), sample(number, now), at=now, interval_seconds=1)
            await asyncio.sleep(1)

    tasks: list[asyncio.Task[None]] = []

    async def begin() -> None:
        tasks.extend([asyncio.create_task(sampled()), asyncio.create_task(watching.run())])

    async def web(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 404, None)

    async def counts(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"viewers": watching.viewers, "held": watching.counters.held})

    app = Dispatcher(
        web,
        loop=Loop(),
        sockets=live,
        hot={"/publish": counts},
        startup=[live.start, begin],
        stopping=[live.stop],
    )
    return serve.run(app, Bind("127.0.0.1", port), before_end=app.stop)


class Watcher(Viewer):
    """A viewer that watches hosts; ``delays`` are in nanoseconds since the making of each message."""

    def __init__(self, port: int, delays: list[int], hosts: list[str], heard: list[int]) -> None:
        super().__init__(port, delays)
        self._hosts, self._heard = hosts, heard

    def data_received(self, data: bytes) -> None:
        self._heard[0] += len(data)
        super().data_received(data)

    def _take(self, payload: bytes) -> None:
        if payload.startswith(b'42/console,["figures"'):
            made_at = float(payload.partition(b'"at":')[2].partition(b",")[0])
            self._delays.append(int((time.time() - made_at) * 1e9))
        elif payload.startswith(b"43/console,0"):
            assert b'"values"' in payload, payload[:300]
            self.joined.set_result(None)
        elif payload.startswith(b"40"):
            watch = {"hosts": self._hosts, "figures": list(KEYS[:FIGURE_COUNT])}
            self._send_long(f'42{CONSOLE},0["figures:watch",{json.dumps(watch)}]'.encode())
        elif not payload.startswith(b"42"):
            super()._take(payload)

    def _frame_end(self) -> int:
        if self._buffer[1] == 127:
            self._start = 10
            return self._start + (int.from_bytes(self._buffer[2:10]) if len(self._buffer) >= 10 else 1 << 20)
        return super()._frame_end()

    def _send_long(self, payload: bytes) -> None:
        head = bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2) + bytes(4)
        self._transport.write(head + payload)


async def view(port: int, count: int, seconds: int, pid: int, *, is_own: bool) -> dict[str, float]:
    loop, process = asyncio.get_running_loop(), psutil.Process(pid)
    delays: list[int] = []
    heard = [0]
    idle_bytes = process.memory_full_info().uss
    watchers: list[Watcher] = []
    while len(watchers) < count:
        batch = []
        for number in range(len(watchers), min(count, len(watchers) + CONNECT_AT_ONCE)):
            chosen = random.Random(number).sample(range(WATCHED), WATCHED - 1) if is_own else range(WATCHED)  # noqa: S311
            hosts = [host_id(each) for each in chosen]
            batch.append(
                loop.create_connection(
                    lambda hosts=hosts: Watcher(port, delays, hosts, heard),  # type: ignore[misc]  # bound now
                    "127.0.0.1",
                    port,
                )
            )
        opened = [watcher for _, watcher in await asyncio.gather(*batch)]
        await asyncio.gather(*(watcher.joined for watcher in opened))
        watchers += opened
    await asyncio.sleep(WARM_UP_SECONDS)
    socket_bytes = (process.memory_full_info().uss - idle_bytes) / count
    delays.clear()
    heard[0], before, began = 0, cpu_ms(process), time.monotonic()
    await asyncio.sleep(seconds)
    passed, used = time.monotonic() - began, cpu_ms(process) - before
    ordered = sorted(delays)
    return {
        "cpu_percent": round(used / passed / 10, 1),
        "cpu_ms_a_tick": round(used / passed, 1),
        "p50_ms": round(ordered[len(ordered) // 2] / 1e6, 1),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] / 1e6, 1),
        "kb_per_socket": round(socket_bytes / 1024, 1),
        "messages_a_second": round(len(delays) / passed / count, 2),
        "mbit_a_viewer": round(heard[0] * 8 / 1e6 / passed / count, 3),
    }


def measure(count: int, seconds: int, *, is_own: bool = False) -> dict[str, float]:
    listener = serve.listen(Bind("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    command = [sys.executable, "-m", "bench.figures", "--serve", str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(port)
            return uvloop.run(view(port, count, seconds, process.pid, is_own=is_own))
        finally:
            process.terminate()


def fill(parts: MasterParts, count: int) -> None:
    """Store hosts and give each ten minutes of samples, 15 s apart."""
    now = parts.clock.now()
    chance = random.Random(5)  # noqa: S311  # figures, no secrets
    hosts = [
        {
            "id": new_id(),
            "name": f"host-{number:04}.example.org",
            "kind": "worker",
            "state": "lost" if number % 100 == 0 else "well",
            "state_reason": "It did not answer four times." if number % 100 == 0 else "",
            "address": f"10.0.{number // 250}.{number % 250}",
            "port": 5001,
            "scheme": "https",
            "last_seen": now,
            "created_at": now,
        }
        for number in range(count)
    ]
    tags = [
        {"host_id": host["id"], "tag": tag}
        for number, host in enumerate(hosts)
        for tag in (("web", "db", "cache")[number % 3], f"rack-{number % 20:02}")
    ]
    with parts.db.write() as session:
        session.execute(insert(Host), hosts)
        session.execute(insert(HostTag), tags)
    for host in hosts:
        cpu = chance.uniform(2, 90)
        for step in range(41):
            cpu = min(100.0, max(0.0, cpu + chance.gauss(0, 6)))
            at = now.timestamp() - 600 + step * 15
            values = {
                figure.key: chance.uniform(0, 100) * (1 if figure.step < 1 else 3e5) for figure in FIGURES
            }
            parts.fleet.take(str(host["id"]), Frame(at=at, is_full=True, values=values | {"cpu": cpu}), at=at)


def pages(count: int, rounds: int) -> dict[str, Any]:
    """Return times and weights of the pages of so many hosts; each time with a sample of every host."""
    with tempfile.TemporaryDirectory() as folder:
        parts = MasterParts(Settings(home=Path(folder)))
        client = signed_in(parts)
        fill(parts, count)
        results: dict[str, Any] = {}
        for name, path in (
            ("fleet_of_all", "/fleet?size=1000"),
            ("fleet_by_load", "/fleet?size=1000&sort=-load"),
            ("fleet_first_page", "/fleet"),
            ("wall", "/fleet/wall"),
            (
                "rows_of_a_screen",
                "/fleet/rows?" + "&".join(f"id={each}" for each in list(parts.fleet.all())[:30]),
            ),
            ("csv", "/fleet.csv"),
        ):
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            sizes = {"bytes": len(answer.data), "gzip_bytes": len(gzip.compress(answer.data))}
            walls, cpus = [], []
            for _ in range(rounds):
                move(parts)
                one = once(client, path)
                walls.append(one[0])
                cpus.append(one[1])
            results[name] = {"ms": statistics.median(walls), "cpu_ms": statistics.median(cpus)} | sizes
        parts.close()
    return results


def move(parts: MasterParts) -> None:
    """Let every host send a sample, so that nothing drawn before holds."""
    for each, host in parts.fleet.all().items():
        at = host.at + 0.001
        parts.fleet.take(each, Frame(at=at, values={"cpu": random.uniform(0, 100)}), at=at)  # noqa: S311


def once(client: Any, path: str) -> tuple[float, float]:  # Any: Flask's test client
    wall, cpu = time.perf_counter(), time.thread_time()
    client.get(path)
    return (time.perf_counter() - wall) * 1000, (time.thread_time() - cpu) * 1000


def main(counts: list[int], seconds: int, rounds: int) -> dict[str, Any]:
    serve.allow_many_files()  # the viewers take as many as the server
    return {
        "pages_of_1000_hosts": pages(HOSTS, rounds),
        "viewers_of_the_same_hosts": {str(count): measure(count, seconds) for count in counts},
        "viewers_of_their_own": {"1000": measure(1_000, seconds, is_own=True)},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT")
    parser.add_argument("--sockets", type=int, nargs="+", default=[50, 200, 500, 2000, 5000])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    if chosen.serve:
        sys.exit(serve_figures(chosen.serve))
    print(json.dumps(main(chosen.sockets, chosen.seconds, chosen.rounds), indent=2))
