"""The workers of a simulated fleet: the worker's API over real sockets, for orders that run nothing.

They speak what ``protocol`` says, and keep no history; so there is none to read or to verify.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qs

import msgspec
import uvicorn

from quarterdeck import __version__
from quarterdeck.core.asgi import Receive, Scope, Send, header, send_json, send_problem
from quarterdeck.core.clock import Clock, SystemClock
from quarterdeck.core.errors import Busy, Invalid, NotFound, QuarterdeckError, TooLarge, Unauthenticated
from quarterdeck.core.security import same
from quarterdeck.hosts.membership import Member
from quarterdeck.protocol.orders import Health, JoinAnswer, JoinRequest, Order, Receipt
from quarterdeck.protocol.samples import Watching
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.simulation.beats import SimulatedBeats
from quarterdeck.tasks.simulation.fleet import Manner, SimulatedHost
from quarterdeck.tasks.simulation.keys import FleetKeys
from quarterdeck.tasks.simulation.sockets import listening_sockets
from quarterdeck.tasks.simulation.timing import Latency
from quarterdeck.tasks.simulation.worker_orders import SimulatedOrder, SimulatedOrders

S = TypeVar("S", bound=msgspec.Struct)

_BODY_BYTES: Final = 1_000_000
_LONGEST_WAIT_SECONDS: Final = 25.0
_GIGABYTE: Final = 1 << 30


class SimulatedWorkers:
    """All workers of a fleet, as one ASGI app that tells them apart by the address that was called."""

    def __init__(
        self,
        hosts: Sequence[SimulatedHost],
        keys: FleetKeys,
        latency: Latency,
        seed: int,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._began = self._clock.monotonic()
        self._bearer, self._latency = keys.bearer, latency
        self._hosts = [host for host in hosts if host.manner is not Manner.REFUSING]
        self._workers = {
            (host.address, host.port): SimulatedOrders(host, latency, self._clock) for host in self._hosts
        }
        beating = [host for host in self._hosts if host.manner is not Manner.DROPPING]
        self._beats = SimulatedBeats(beating, self._clock, seed, keys.members_file)
        self._sockets: list[socket.socket] = []
        self._server = _Server(uvicorn.Config(
            self, interface="asgi3", http="httptools", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        ))  # fmt: skip
        self._serving: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Take the place of every worker that does not refuse; raises OSError, and then has none of them."""
        self._sockets = listening_sockets(self._hosts)

    async def serve(self) -> None:
        """Answer from now on."""
        if self._sockets:
            self._serving = asyncio.ensure_future(self._server.serve(self._sockets))
            await self._beats.serve()

    async def close(self) -> None:
        """Let nobody in any more, and end all orders."""
        self._server.should_exit = True
        await self._beats.close()
        for worker in self._workers.values():
            await worker.end()
        if self._serving:
            await self._serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        worker = self._workers[tuple(scope["server"])]
        try:
            await asyncio.sleep(self._latency.network_seconds())
            if worker.host.manner is Manner.DROPPING:
                raise Busy(f"{worker.host.name} takes nothing, as it was told to (--refusing).")
            if not same(header(scope, b"authorization"), f"Bearer {self._bearer}"):
                raise Unauthenticated("Only the master of this fleet may call its workers.")
            await self._answer(worker, scope, receive, send)
        except QuarterdeckError as error:
            await send_problem(send, error)

    async def _answer(self, worker: SimulatedOrders, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"], scope["path"].strip("/").split("/"):
            case "GET", ["health"]:
                await send_json(send, HTTPStatus.OK, self._health(worker))
            case "POST", ["join"]:
                wanted = await _read(receive, JoinRequest)
                worker.audience = wanted.audience
                self._beats.join(worker.host.name, Member(wanted.master_url, wanted.worker_token))
                await send_json(send, HTTPStatus.OK, JoinAnswer(node=worker.host.name, version=__version__))
            case "POST", ["sampling"]:
                self._beats.watch(worker.host.name, await _read(receive, Watching))
                await send_json(send, HTTPStatus.OK, {})
            case "GET", ["processes"]:
                await send_json(send, HTTPStatus.OK, self._beats.processes(worker.host.name))
            case "POST", ["process_task"]:
                begun = worker.accept(await _read(receive, Order))
                await send_json(
                    send, HTTPStatus.ACCEPTED, Receipt(id=begun.order.id, state=begun.status.state)
                )
            case "GET" | "POST", ["tasks", order_id, *rest]:
                await _answer_order(worker.get(order_id), "/".join(rest), scope, send)
            case _:
                raise NotFound("A simulated worker has no such page; it keeps no history.")

    def _health(self, worker: SimulatedOrders) -> Health:
        """Return made-up figures; only the clock and what runs are so."""
        return Health(
            node=worker.host.name,
            version=__version__,
            time=self._clock.now(),
            joined=bool(worker.audience),
            running=worker.running,
            uptime_seconds=round(self._clock.monotonic() - self._began, 1),
            load=(0.08, 0.11, 0.09),
            processors=4,
            memory_bytes=8 * _GIGABYTE,
            memory_available_bytes=6 * _GIGABYTE,
            disk_bytes=50 * _GIGABYTE,
            disk_free_bytes=28 * _GIGABYTE,
        )


class _Server(uvicorn.Server):
    """Leaves the signals to the command, which ends more than this."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _answer_order(order: SimulatedOrder, what: str, scope: Scope, send: Send) -> None:
    query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    match scope["method"], what:
        case "POST", "cancel":
            await order.cancel()
            await send_json(send, HTTPStatus.OK, order.status)
        case "GET", "":
            await order.until_end(_seconds(query))
            await send_json(send, HTTPStatus.OK, order.status)
        case "GET", "page":
            seen = Sizes(_whole(query, "out"), _whole(query, "err"))
            await order.wait(_seconds(query), query.get("state", ""), seen)
            await _send_bytes(send, msgspec.msgpack.encode(order.page(seen)), b"application/msgpack")
        case "GET", "output":
            stream = Stream.ERR if query.get("stream") == Stream.ERR else Stream.OUT
            await _send_bytes(send, order.output(stream, _whole(query, "from")), b"application/octet-stream")
        case _:
            raise NotFound("A simulated worker has no such page.")


async def _send_bytes(send: Send, body: bytes, media_type: bytes) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, kind: type[S]) -> S:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > _BODY_BYTES:
            raise TooLarge("That is larger than any order.")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid({"body": "This is not a message of a master."}) from error


def _seconds(query: dict[str, str]) -> float:
    text = query.get("wait", "0")
    whole, _, part = text.partition(".")
    if not (whole + part).isdecimal() or len(text) > 12:
        raise Invalid({"wait": "This must be a number of seconds."})
    return min(float(text), _LONGEST_WAIT_SECONDS)


def _whole(query: dict[str, str], name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Invalid({name: "This must be a whole number of bytes."})
    return int(text)
