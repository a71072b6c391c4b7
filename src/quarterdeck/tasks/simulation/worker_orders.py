"""The orders of simulated workers: carried out by steps, with what they print kept in memory."""

import asyncio
from typing import Any, Final

import msgspec

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.protocol.orders import Order, OrderStatus, OutputChunk, OutputPage
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CommandTask, Task
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.order_checks import check_content, check_seal
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.simulation.answers import Err, Exit, Out, Pause, Step, steps_of
from quarterdeck.tasks.simulation.fleet import SimulatedHost
from quarterdeck.tasks.simulation.timing import Latency
from quarterdeck.tasks.states import RunState

_MOST_KEPT: Final = 50
_PAGE_BYTES: Final = 240 * 1024
_BUILTINS: Final = {
    Builtin.DISK_USE: "df -h /",
    Builtin.UPTIME: "uptime",
    Builtin.TOP_MEMORY: "free -m",
    Builtin.ROOT_FOLDERS: "echo bin boot dev etc home lib opt root srv tmp usr var",
}


class SimulatedOrder:
    """One order under way, or over."""

    def __init__(self, order: Order, host: SimulatedHost, latency: Latency, clock: Clock) -> None:
        self.order = order
        self.status = OrderStatus(id=order.id, state=RunState.QUEUED, run=order.run, host=order.host)
        self._host, self._latency, self._clock = host, latency, clock
        self._streams = {Stream.OUT: bytearray(), Stream.ERR: bytearray()}
        self._chunks: list[OutputChunk] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._work = asyncio.ensure_future(self._see_through())

    @property
    def sizes(self) -> Sizes:
        return Sizes(len(self._streams[Stream.OUT]), len(self._streams[Stream.ERR]))

    async def wait(self, seconds: float, state: str, seen: Sizes) -> None:
        """Return at the end, at any news after what is ``seen``, or after the time."""
        if self.status.is_terminal or self.status.state != state or self.sizes.total > seen.total:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        await asyncio.wait({waiting}, timeout=seconds)
        self._waiting.discard(waiting)

    async def until_end(self, seconds: float) -> None:
        """Return at the end, or after the time."""
        if seconds:
            await asyncio.wait({self._work}, timeout=seconds)

    def page(self, seen: Sizes) -> OutputPage:
        """Return the status, and what follows after what is ``seen`` in its order of arrival."""
        chunks: list[OutputChunk] = []
        room = _PAGE_BYTES
        for chunk in self._chunks:
            skipped = max(0, seen.of(Stream(chunk.stream)) - chunk.offset)
            if (data := chunk.data[skipped : skipped + room]) and room:
                chunks.append(OutputChunk(chunk.stream, chunk.offset + skipped, data))
                room -= len(data)
        return OutputPage(self.status, chunks)

    def output(self, stream: Stream, start: int) -> bytes:
        return bytes(self._streams[stream][start : start + _PAGE_BYTES])

    async def cancel(self) -> None:
        """End it; there is nothing that could be left."""
        if not self.status.is_terminal:
            self._work.cancel()
            await asyncio.wait({self._work})
            self._end(RunState.CANCELLED, message="Cancelled by the master.", gone=True)

    def let_go(self) -> None:
        """Answer whoever waits."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def _see_through(self) -> None:
        await asyncio.sleep(self._latency.network_seconds())
        self._change(state=RunState.RUNNING, started_at=self._clock.now())
        try:
            async with asyncio.timeout(self.order.timeout_seconds or None):
                await asyncio.sleep(self._latency.command_seconds(self._host))
                for step in steps_of(self._host, _command_of(self.order.task)):
                    await self._take(step)
        except TimeoutError:
            self._end(RunState.TIMED_OUT, message="It took longer than its limit.", gone=True)

    async def _take(self, step: Step) -> None:
        match step:
            case Out(data):
                self._keep(Stream.OUT, data)
            case Err(data):
                self._keep(Stream.ERR, data)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Exit(status):
                state = RunState.FAILED if status else RunState.SUCCEEDED
                self._end(state, exit_status=status)
        await asyncio.sleep(0)  # a long output must not hold up the others

    def _keep(self, stream: Stream, data: bytes) -> None:
        kept = self._streams[stream]
        self._chunks.append(OutputChunk(stream, len(kept), data))
        kept += data
        self._change(out_bytes=self.sizes.out, err_bytes=self.sizes.err)

    def _end(self, state: RunState, **members: Any) -> None:  # Any: members of a status
        if not self.status.is_terminal:
            self._change(state=state, finished_at=self._clock.now(), **members)

    def _change(self, **members: Any) -> None:  # Any: members of a status
        self.status = msgspec.structs.replace(self.status, **members)
        self.let_go()


class SimulatedOrders:
    """What one worker was told to do."""

    def __init__(self, host: SimulatedHost, latency: Latency, clock: Clock) -> None:
        self.host = host
        self.audience = ""
        """The worker's id in its master's list, once it has joined."""
        self._latency, self._clock = latency, clock
        self._orders: dict[str, SimulatedOrder] = {}

    @property
    def running(self) -> int:
        return sum(not each.status.is_terminal for each in self._orders.values())

    def accept(self, order: Order) -> SimulatedOrder:
        """Begin an order; sent again, it is the first one. Raises Invalid, Forbidden or Conflict."""
        check_seal(order, self.audience)
        if known := self._orders.get(order.id):
            if known.order.digest != order.digest:
                raise Conflict("Another order has this id; nothing was done.")
            return known
        check_content(order, self._clock.now())
        self._forget_old()
        begun = self._orders[order.id] = SimulatedOrder(order, self.host, self._latency, self._clock)
        return begun

    def get(self, order_id: str) -> SimulatedOrder:
        """Return an order; raises NotFound."""
        if order_id not in self._orders:
            raise NotFound("This worker has no order of this id.")
        return self._orders[order_id]

    async def end(self) -> None:
        """End everything, and answer whoever waits."""
        for each in list(self._orders.values()):
            each.let_go()
            await each.cancel()

    def _forget_old(self) -> None:
        over = [order_id for order_id, each in self._orders.items() if each.status.is_terminal]
        for order_id in over[: max(0, len(over) - _MOST_KEPT)]:
            del self._orders[order_id]


def _command_of(task: Task) -> str:
    """Return the command that answers a task."""
    match task:
        case CommandTask(command):
            return command
        case BuiltinTask(name):
            return _BUILTINS[name]
    raise Invalid({"task": "Workers run commands and built-in tasks."})
