"""One 600-byte broadcast to many sockets: the cheap broadcast against python-socketio's own.

The server is one process. The viewers are another, which speaks engine.io's frames by hand. Both are on
the same machine, so times include what the client's process needs. Prints JSON: server CPU in ms a
broadcast, ms from sending to receiving, and KB of the server's own memory (USS) a socket.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from quarterdeck.core import serve
from quarterdeck.core.actors import Actor, ActorKind, Role
from quarterdeck.core.asgi import Receive, Scope, Send, send_json
from quarterdeck.core.config import Bind
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.live.service import CONSOLE, Live, LiveOptions
from quarterdeck.core.loop import Loop

VIEWER = Actor(ActorKind.TOKEN, "bench", role=Role.VIEWER, credential_id="bench")
FILLING = "x" * 520
CONNECT_AT_ONCE = 100


def serve_live(port: int, stock: bool) -> int:
    live = Live(lambda _scope: VIEWER, LiveOptions(stock=stock))

    async def publish(_scope: Scope, _receive: Receive, send: Send) -> None:
        live.publish("bench:tick", {"at": time.monotonic_ns(), "filling": FILLING}, room="all")
        await send_json(send, 200, live.sockets)

    async def web(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 404, None)

    app = Dispatcher(
        web,
        loop=Loop(),
        sockets=live,
        hot={"/publish": publish},
        startup=[live.start],
        stopping=[live.stop],
    )
    return serve.run(app, Bind("127.0.0.1", port), before_end=app.stop)


class Viewer(asyncio.Protocol):
    """A client that knows just as much WebSocket and engine.io as the measurement needs."""

    def __init__(self, port: int, delays: list[int]) -> None:
        self._port = port
        self._delays = delays
        self._buffer = b""
        self._is_open = False
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's
        self._transport.write(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Authorization: Bearer bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.joined.done():
            self.joined.set_exception(error or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head, head
            self._is_open, self._buffer = True, rest
        while len(self._buffer) >= 2 and (end_at := self._frame_end()) <= len(self._buffer):
            payload, self._buffer = self._buffer[self._start : end_at], self._buffer[end_at:]
            self._take(payload)

    def _frame_end(self) -> int:
        """Return where the first frame ends; its payload starts at ``_start``."""
        length = self._buffer[1]
        self._start = 4 if length == 126 else 2
        if length == 126:
            length = int.from_bytes(self._buffer[2:4]) if len(self._buffer) >= 4 else 65_536
        return self._start + length

    def _take(self, payload: bytes) -> None:
        if payload.startswith(b"42"):
            sent_at = int(payload.partition(b'"at":')[2].partition(b",")[0])
            self._delays.append(time.monotonic_ns() - sent_at)
        elif payload == b"2":
            self._send(b"3")
        elif payload.startswith(b"0"):
            self._send(f"40{CONSOLE},".encode())
        elif payload.startswith(b"40"):
            self.joined.set_result(None)

    def _send(self, payload: bytes) -> None:
        self._transport.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)  # masked with zeros


async def view(port: int, count: int, ticks: int, pid: int) -> dict[str, float]:
    loop, delays = asyncio.get_running_loop(), []  # type: tuple[asyncio.AbstractEventLoop, list[int]]
    process = psutil.Process(pid)
    idle_bytes = process.memory_full_info().uss
    began = cpu_ms(process)
    viewers: list[Viewer] = []
    while len(viewers) < count:
        batch = [
            loop.create_connection(lambda: Viewer(port, delays), "127.0.0.1", port)
            for _ in range(min(CONNECT_AT_ONCE, count - len(viewers)))
        ]
        opened = [viewer for _, viewer in await asyncio.gather(*batch)]
        await asyncio.gather(*(viewer.joined for viewer in opened))
        viewers += opened
    connecting = (cpu_ms(process) - began) / count
    socket_bytes = (process.memory_full_info().uss - idle_bytes) / count
    used = []
    async with httpx.AsyncClient() as client:
        await tick(client, port, delays, count)
        delays.clear()
        for number in range(1, ticks + 1):
            before = cpu_ms(process)
            await tick(client, port, delays, count * number)
            used.append(cpu_ms(process) - before)
    sorted_delays = sorted(delays)
    return {
        "cpu_ms": round(statistics.median(used), 1),
        "p50_ms": round(sorted_delays[len(delays) // 2] / 1e6, 1),
        "p99_ms": round(sorted_delays[len(delays) * 99 // 100] / 1e6, 1),
        "kb_per_socket": round(socket_bytes / 1024, 1),
        "connect_cpu_ms": round(connecting, 2),
    }


async def tick(client: httpx.AsyncClient, port: int, delays: list[int], wanted: int) -> None:
    """Broadcast once, and wait until everyone has it."""
    (await client.get(f"http://127.0.0.1:{port}/publish")).raise_for_status()
    async with asyncio.timeout(60):
        while len(delays) < wanted:
            await asyncio.sleep(0.02)


def cpu_ms(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2])) * 1000


def measure(count: int, ticks: int, stock: bool) -> dict[str, float]:
    listener = serve.listen(Bind("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    command = [sys.executable, str(Path(__file__)), "--serve", str(port)]
    with subprocess.Popen([*command, "--stock"] if stock else command) as process:
        try:
            wait_for(port)
            return uvloop.run(view(port, count, ticks, process.pid))
        finally:
            process.terminate()


def wait_for(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/publish")
        except httpx.TransportError:
            continue
        return
    raise TimeoutError("the server did not start")


def main(counts: list[int], ticks: int) -> dict[str, Any]:
    serve.allow_many_files()  # the viewers take as many as the server
    results: dict[str, Any] = {}
    for count in counts:
        cheap, stock = measure(count, ticks, stock=False), measure(count, ticks, stock=True)
        results[str(count)] = {
            "cheap": cheap,
            "stock": stock,
            "cpu_ratio": round(stock["cpu_ms"] / max(cheap["cpu_ms"], 0.1), 1),
        }
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--sockets", type=int, nargs="+", default=[500, 2000, 5000])
    parser.add_argument("--ticks", type=int, default=15)
    chosen = parser.parse_args()
    if chosen.serve:
        sys.exit(serve_live(chosen.serve, chosen.stock))
    print(json.dumps(main(chosen.sockets, chosen.ticks), indent=2))
