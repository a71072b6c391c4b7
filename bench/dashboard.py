"""The live page's namespace ``/dashboard`` with many viewers: one message every two seconds, and their pings.

The server is one process with the real Board; a new sample of a made-up machine comes every two seconds. The
viewers are another process, which speaks engine.io's frames by hand, on the same machine. Two windows are
measured: messages alone, then with a ``my_ping`` of every viewer each five seconds, as the page sends it.
Prints JSON: the server's CPU in percent of a core, its memory (RSS, and USS a socket), ms from the sample
to its arrival, and the round trip of pings in ms. ``model`` are the figures of the dashboard that this one
replaces (gunicorn with gevent, its best), measured the same way on the project's kind of machine.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from bench.broadcast import CONNECT_AT_ONCE, VIEWER, Viewer, wait_for
from quarterdeck.core import serve
from quarterdeck.core.asgi import Receive, Scope, Send, send_json
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.config import Bind
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.live.service import Live, LiveOptions
from quarterdeck.core.loop import Loop
from quarterdeck.metrics.dashboard.board import NAMESPACE, Board
from quarterdeck.metrics.dashboard.live import register
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.protocol.samples import Facts, Frame, Mount

MODEL = {
    "50": {"cpu_percent": 1.6},
    "200": {"cpu_percent": 5.6},
    "500": {"cpu_percent": 13.1, "rss_mb": 107, "round_trip_p50_ms": 2.9, "round_trip_p95_ms": 30},
}
OWN = "own"
PERIOD_SECONDS = 2.0
PING_SECONDS = 5.0


def serve_board(port: int, stock: bool) -> int:
    live, fleet = Live(lambda _scope: VIEWER, LiveOptions(stock=stock)), Fleet()
    board = Board(live, fleet, SystemClock(), own_id=lambda: OWN, look=lambda _hosts: None)
    register(live, lambda *_asked: True, board, own_name=lambda: "master", is_public=False)
    process, sent_at = psutil.Process(), {}  # type: tuple[psutil.Process, dict[int, int]]
    tasks = []

    async def sample() -> None:
        fleet.take_facts(OWN, Facts(hostname="deck-1", processors=4, memory_bytes=16_000_000_000))
        for number in range(1_000_000):
            sent_at[board.count + 1] = time.monotonic_ns()
            values = {"cpu": float(number % 90), "memory": 20 + number % 7 / 2, "load": 0.5, "swap": 0.0}
            mounts = [Mount("/", 100_000_000_000, 60_000_000_000)]
            frame = Frame(at=time.time(), is_full=True, values=values, cores=[10, 20, 30, 40], mounts=mounts)
            fleet.take(OWN, frame, at=frame.at, interval_seconds=PERIOD_SECONDS)
            await asyncio.sleep(PERIOD_SECONDS)

    async def start() -> None:
        await live.start()
        tasks.extend([asyncio.create_task(sample()), asyncio.create_task(board.run())])

    async def state(_scope: Scope, _receive: Receive, send: Send) -> None:
        memory = process.memory_full_info()
        content = {"cpu_ns": time.process_time_ns(), "rss": memory.rss, "uss": memory.uss, "sent_at": sent_at}
        await send_json(send, 200, content)

    async def web(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 404, None)

    hot = {"/state": state, "/publish": web}
    app = Dispatcher(web, loop=Loop(), sockets=live, hot=hot, startup=[start], stopping=[live.stop])
    return serve.run(app, Bind("127.0.0.1", port), before_end=app.stop)


class Watcher(Viewer):
    """A viewer of the live page; arrivals are kept with the number of the message."""

    def __init__(self, port: int, arrivals: list[tuple[int, int]], round_trips: list[int]) -> None:
        super().__init__(port, [])
        self._arrivals, self._round_trips = arrivals, round_trips
        self._pinged_at = 0

    def _take(self, payload: bytes) -> None:
        if payload.startswith(b"0"):
            self._send(f"40{NAMESPACE},".encode())
        elif payload.startswith(b'42/dashboard,["my_pong"'):
            self._round_trips.append(time.monotonic_ns() - self._pinged_at)
        elif payload.startswith(b"42"):
            number = int(payload.rpartition(b'"count":')[2].rstrip(b"}]"))
            if b"static" not in payload and number:
                self._arrivals.append((number, time.monotonic_ns()))
        else:
            super()._take(payload)

    def ping(self) -> None:
        self._pinged_at = time.monotonic_ns()
        self._send(b'42/dashboard,["my_ping"]')


async def watch(port: int, count: int, seconds: float) -> dict[str, Any]:
    loop, arrivals, trips = asyncio.get_running_loop(), list[tuple[int, int]](), list[int]()
    watchers: list[Watcher] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        idle = await state_of(client)
        while len(watchers) < count:
            batch = [
                loop.create_connection(lambda: Watcher(port, arrivals, trips), "127.0.0.1", port)
                for _ in range(min(CONNECT_AT_ONCE, count - len(watchers)))
            ]
            opened = [watcher for _, watcher in await asyncio.gather(*batch)]
            await asyncio.gather(*(watcher.joined for watcher in opened))
            watchers += opened
        await asyncio.sleep(PERIOD_SECONDS)
        before = await state_of(client)
        arrivals.clear()
        quiet = await percent_over(client, seconds)
        delays = delays_of(arrivals, (await state_of(client))["sent_at"])
        pinging = [loop.create_task(ping_on(watcher)) for watcher in watchers]
        busy = await percent_over(client, seconds)
        for task in pinging:
            task.cancel()
    return {
        "cpu_percent": round(quiet, 2),
        "cpu_percent_with_pings": round(busy, 2),
        "rss_mb": round(before["rss"] / 1e6, 1),
        "kb_per_socket": round((before["uss"] - idle["uss"]) / count / 1024, 1),
        "messages": len(delays),
        "p50_ms": quantile(delays, 50),
        "p99_ms": quantile(delays, 99),
        "round_trip_p50_ms": quantile(trips, 50),
        "round_trip_p95_ms": quantile(trips, 95),
    }


async def ping_on(watcher: Watcher) -> None:
    await asyncio.sleep(random.random() * PING_SECONDS)  # noqa: S311 - no secret
    while True:
        watcher.ping()
        await asyncio.sleep(PING_SECONDS)


async def state_of(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/state")).raise_for_status().json()
    return answer


async def percent_over(client: httpx.AsyncClient, seconds: float) -> float:
    """Return the server's CPU in percent of a core over a while."""
    before, began = await state_of(client), time.monotonic_ns()
    await asyncio.sleep(seconds)
    after = await state_of(client)
    return float(100 * (after["cpu_ns"] - before["cpu_ns"]) / (time.monotonic_ns() - began))


def delays_of(arrivals: list[tuple[int, int]], sent_at: dict[str, int]) -> list[int]:
    return [at - sent_at[str(number)] for number, at in arrivals if str(number) in sent_at]


def quantile(values: list[int], percent: int) -> float:
    return round(statistics.quantiles(values, n=100)[percent - 1] / 1e6, 1)


def measure(count: int, seconds: float, stock: bool) -> dict[str, Any]:
    listener = serve.listen(Bind("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    command = [sys.executable, "-m", "bench.dashboard", "--serve", str(port)]
    root = Path(__file__).parents[1]
    with subprocess.Popen([*command, "--stock"] if stock else command, cwd=root) as process:
        try:
            wait_for(port)
            return uvloop.run(watch(port, count, seconds))
        finally:
            process.terminate()


def main(counts: list[int], seconds: float, *, with_stock: bool) -> dict[str, Any]:
    serve.allow_many_files()  # the viewers take as many as the server
    results: dict[str, Any] = {}
    for count in counts:
        ours = measure(count, seconds, stock=False)
        results[str(count)] = {"ours": ours}
        if with_stock:
            results[str(count)]["stock"] = measure(count, seconds, stock=True)
        if model := MODEL.get(str(count)):
            ratio = round(model["cpu_percent"] / max(ours["cpu_percent"], 0.01), 1)
            results[str(count)] |= {"model": model, "times_less_cpu": ratio}
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT")
    parser.add_argument("--stock", action="store_true", help="also with the library's own broadcast")
    parser.add_argument("--viewers", type=int, nargs="+", default=[50, 200, 500, 2000, 5000])
    parser.add_argument("--seconds", type=float, default=20)
    chosen = parser.parse_args()
    if chosen.serve:
        sys.exit(serve_board(chosen.serve, chosen.stock))
    print(json.dumps(main(chosen.viewers, chosen.seconds, with_stock=chosen.stock), indent=2))
