"""A broadcast that costs no task and no timer per viewer (docs/decisions/0002-broadcast.md).

python-socketio encodes a broadcast once, but then makes one task for each client, and each client's
writer arms one timer for each packet. Here the encoded packet goes straight to each socket's queue,
and the writer waits without a timer. What the timers gave is kept by other means: the library's service
task still finds silent peers, and a queue over its cap drops the peer.

This touches internals: the versions are pinned, and tests/core/test_live_cheap.py checks them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from engineio import exceptions, packet  # type: ignore[import-untyped]  # it ships no types
from engineio.async_socket import AsyncSocket  # type: ignore[import-untyped]  # it ships no types
from socketio import AsyncManager, AsyncServer  # type: ignore[import-untyped]  # it ships no types
from socketio.packet import EVENT  # type: ignore[import-untyped]  # it ships no types

logger = logging.getLogger(__name__)

YIELD_EVERY: Final = 200
"""After so many viewers a broadcast lets the loop do something else."""
BAD_FRAME: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    exceptions.EngineIOError,
)
"""What the library raises, somewhere inside, for frames that are not valid."""
_FROM_CLIENTS: Final = (packet.CLOSE, packet.PONG, packet.MESSAGE, packet.UPGRADE)
ABORT_EXTENSION: Final = "quarterdeck.abort"
"""Scope extension of core/serve.py: a call that cuts the connection without waiting for the peer."""


class CheapSocket(AsyncSocket):  # type: ignore[misc]  # the library is untyped
    """An engine.io socket whose writer needs no timer and whose queue has an end."""

    on_drop: Callable[[str], None]
    queue_limit: int
    abort: Callable[[], None] | None
    was_dropped = False

    @classmethod
    def adopt(
        cls,
        socket: AsyncSocket,
        *,
        queue_limit: int,
        on_drop: Callable[[str], None],
        abort: Callable[[], None] | None,
    ) -> None:
        """Turn a socket that the library just made into one of this class.

        The library names its socket class in the middle of a method; this saves a copy of the method.
        """
        socket.__class__ = cls
        socket.queue_limit, socket.on_drop, socket.abort = queue_limit, on_drop, abort

    def offer(self, packets: list[packet.Packet]) -> None:
        """Queue packets that may be shared with other sockets; a peer that is too slow is dropped."""
        if self.closed or self.was_dropped:
            return
        if self.queue.qsize() + len(packets) > self.queue_limit:
            self.drop("its queue is full")
            return
        for item in packets:
            self.queue.put_nowait(item)

    def drop(self, reason: str) -> None:
        """Let go of a peer at once, without waiting for it."""
        if self.was_dropped:
            return
        self.was_dropped = True
        self._empty_queue()
        self.on_drop(reason)
        _keep(asyncio.ensure_future(self._end()))
        if self.abort is not None:
            self.abort()

    async def poll(self) -> list[packet.Packet]:
        """Wait for packets to send; an empty list ends the writer."""
        try:
            first = await self.queue.get()
        except asyncio.CancelledError:
            raise exceptions.QueueEmpty from None
        self.queue.task_done()
        packets = [] if first is None else [first]
        while packets and not self.queue.empty():
            item = self.queue.get_nowait()
            self.queue.task_done()
            if item is None:
                self.queue.put_nowait(None)
                break
            packets.append(item)
        return packets

    async def check_ping_timeout(self) -> bool:
        """Close a peer that no longer answers pings; its writer, which has no timer, is ended too."""
        is_alive: bool = await super().check_ping_timeout()
        if not is_alive and not self.was_dropped:
            self.drop("it did not answer a ping")
        return is_alive

    async def receive(self, pkt: packet.Packet) -> None:
        """Take a packet; one that no client sends ends the connection, and quietly."""
        if pkt.packet_type not in _FROM_CLIENTS:
            raise exceptions.SocketIsClosedError
        await super().receive(pkt)

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close without waiting for the queue: a peer that takes nothing would be waited for without end."""
        await super().close(wait=False, abort=abort, reason=reason)
        self.queue.put_nowait(None)  # whoever waits to send, also in a long poll, need not wait any longer

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> Any:  # Any: the library's own answers
        self.abort = abort_of(environ)
        return await super()._upgrade_websocket(environ)

    async def _websocket_handler(self, connection: Any) -> None:  # Any: the library's own wrapper
        """Serve a websocket; whatever ends it, nothing of it stays behind."""
        try:
            await super()._websocket_handler(connection)
        except BAD_FRAME as error:
            logger.info("a socket sent something that is not engine.io (%s)", type(error).__name__)
        finally:
            await self._end()
            self.server.sockets.pop(self.sid, None)

    async def _end(self) -> None:
        await self.close(abort=True, reason=self.server.reason.TRANSPORT_ERROR)

    def _empty_queue(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
            self.queue.task_done()


def abort_of(environ: dict[str, Any]) -> Callable[[], None] | None:
    """Return the call that cuts the connection of a request, where the server offers it."""
    call: Callable[[], None] | None = environ["asgi.scope"].get("extensions", {}).get(ABORT_EXTENSION)
    return call


class CheapManager(AsyncManager):  # type: ignore[misc]  # the library is untyped
    """Puts one encoded packet on the queue of every viewer, and knows each viewer's rooms.

    The library looks through all rooms when a viewer leaves, and each viewer is a room: thousands that
    leave together, as when a proxy restarts, would keep the loop busy for seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rooms_of: dict[tuple[str, str], set[str | None]] = {}

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        super().basic_enter_room(sid, namespace, room, eio_sid)
        self._rooms_of.setdefault((namespace, sid), set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        super().basic_leave_room(sid, namespace, room)
        self._rooms_of.get((namespace, sid), set()).discard(room)

    def basic_disconnect(self, sid: str, namespace: str, **_more: Any) -> None:  # Any: the library's extras
        for room in self._rooms_of.pop((namespace, sid), set()):
            super().basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)
                if not pending[namespace]:
                    del pending[namespace]

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return [room for room in self._rooms_of.get((namespace, sid), set()) if room is not None]

    def forget_all(self) -> None:
        """Empty every room: the node ends, and nobody is to be told of each viewer that leaves."""
        self.rooms.clear()
        self._rooms_of.clear()

    async def emit(
        self,
        event: str,
        data: Any,  # Any: whatever JSON can say
        namespace: str,
        room: str | None = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., Any] | None = None,
        to: str | None = None,
        **more: Any,  # Any: the library's own extras
    ) -> None:
        if callback is not None:  # each recipient gets a packet of its own: the library's way will do
            await super().emit(event, data, namespace, room, skip_sid, callback, to, **more)
            return
        packets = self._encode(event, data, namespace)
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        sockets = self.server.eio.sockets
        for number, (sid, eio_sid) in enumerate(self.get_participants(namespace, to or room), start=1):
            if sid not in skipped and (socket := sockets.get(eio_sid)) is not None:
                socket.offer(packets)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _encode(self, event: str, data: Any, namespace: str) -> list[packet.Packet]:
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        encoded = self.server.packet_class(EVENT, namespace=namespace, data=[event, *arguments]).encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        return [packet.Packet(packet.MESSAGE, part) for part in parts]


def encoded_event(event: str, text: str, namespace: str) -> list[packet.Packet]:
    """Return the packets of an event whose one argument is JSON already: what ``emit`` would make of it."""
    return [packet.Packet(packet.MESSAGE, f'{EVENT}{namespace},["{event}",{text}]')]


class GuardedServer(AsyncServer):  # type: ignore[misc]  # the library is untyped
    """A server that ends a connection at its first frame that is not valid, instead of logging each one."""

    is_stock: bool = False
    queue_limit: int = 0
    on_drop: Callable[[str], None]
    greet: Callable[[str, str], Awaitable[None]]
    """Is awaited with the namespace and the id of each viewer that was let in and has been told so."""

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> Any:
        environ["quarterdeck.connected_at"] = time.monotonic()
        if not self.is_stock:
            CheapSocket.adopt(
                self.eio.sockets[eio_sid],
                queue_limit=self.queue_limit,
                on_drop=self.on_drop,
                abort=abort_of(environ),
            )
        return await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        await super()._handle_connect(eio_sid, namespace, data)
        name = namespace or "/"
        if sid := self.manager.sid_from_eio_sid(eio_sid, name):
            await self.greet(name, sid)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """Take a frame; binary ones are refused, for nothing here uses them and they may come in parts."""
        try:
            if not isinstance(data, str) or data[:1] in ("5", "6"):
                raise ValueError("binary frames are not accepted")
            await super()._handle_eio_message(eio_sid, data)
        except BAD_FRAME as error:
            logger.info("a socket sent a frame that is not valid (%s); it is closed", type(error).__name__)
            await self.end_connection(eio_sid)

    async def end_connection(self, eio_sid: str) -> None:
        """Close a connection for good, without waiting for the peer."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is None or socket.closed:
            return
        await socket.close(wait=False, reason=self.reason.SERVER_DISCONNECT)
        socket.queue.put_nowait(None)


_tasks: set[asyncio.Future[Any]] = set()


def _keep(task: asyncio.Future[Any]) -> None:
    """Hold a task until it ends; the loop itself only holds it weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
