"""Rooms, who is in them, and publishing to them from any thread."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Role
from quarterdeck.core.asgi import Receive, Scope, Send, send_problem
from quarterdeck.core.errors import Forbidden, QuarterdeckError
from quarterdeck.core.live.cheap import YIELD_EVERY, CheapManager, GuardedServer, encoded_event
from quarterdeck.core.live.origin import has_bearer, refusal

logger = logging.getLogger(__name__)
_library_logger = logging.getLogger(f"{__name__}.library")
_library_logger.setLevel(logging.ERROR)  # below that it writes every frame

Identify = Callable[[Scope], Actor]
RoomCheck = Callable[[Actor, str], bool]
EventHandler = Callable[[str, Actor, tuple[object, ...]], Awaitable[dict[str, Any]]]  # Any: JSON
"""Takes the socket's id, who it is and what was sent; returns the acknowledgement."""
Event = Callable[[str], Awaitable[None]]
"""Is awaited with the id of a viewer."""

CONSOLE: Final = "/console"
EVERYBODY: Final = "all"
_MOST_ROOMS: Final = 50
_MOST_ROOM_NAME: Final = 200
_MOST_WAITING_NEWS: Final = 10_000
_MOST_FRAME_BYTES: Final = 64 * 1024
_SWEEP_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """What a node sets; the times and limits are the library's names and defaults where it has them."""

    public_url: str = ""
    trusted_proxies: int = 0
    stock: bool = False
    has_console: bool = True
    is_public: bool = False
    """Whether programs may come without any credentials, to a namespace that is open to anybody."""
    ping_interval: float = 25
    ping_timeout: float = 20
    queue_limit: int = 1000
    """Packets that may wait for one viewer before it is dropped."""
    sweep_seconds: float = _SWEEP_SECONDS
    """How often credentials are looked at again and unused connections are closed."""


@dataclass(slots=True)
class LiveCounters:
    """What happened since the start."""

    published: int = 0
    dropped_news: int = 0
    dropped_peers: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A namespace beside the console's: who may enter, and what is done for a viewer that has, or has left.

    ``may_enter`` is asked in a thread. What is sent to the namespace reaches all of its viewers; other events
    than those named are passed over.
    """

    namespace: str
    may_enter: Callable[[Actor], bool]
    is_public: bool = False
    """Nobody is asked who they are."""
    entered: Event
    left: Event
    events: Mapping[str, Event] = field(default_factory=dict)


@dataclass(slots=True)
class Viewer:
    """A connected socket: who it was when it connected, with what, and the rooms that it asked for."""

    actor: Actor
    scope: Scope
    namespace: str = CONSOLE
    rooms: set[str] = field(default_factory=set)


class Live:
    """The Socket.IO side of a node: an ASGI application, and ``publish`` for everyone else."""

    def __init__(self, identify: Identify, options: LiveOptions | None = None) -> None:
        self._identify = identify
        self._options = options or LiveOptions()
        self._checks: dict[str, RoomCheck] = {}
        self._doors: dict[str, Door] = {}
        self._own_check: Callable[[Actor], bool] = lambda _actor: False
        self.viewers: dict[str, Viewer] = {}
        self._on_leave: list[Callable[[str], None]] = []
        self._on_check: list[Callable[[], Awaitable[None]]] = []
        self._news: deque[tuple[str, dict[str, Any], str]] = deque()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.counters = LiveCounters()
        self.server = self._make_server()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = refusal(
            scope,
            public_url=self._options.public_url,
            trusted_proxies=self._options.trusted_proxies,
            began_with_bearer=self._began_with_bearer(scope),
            is_public=self._options.is_public,
        )
        if not reason:
            await self.server.handle_request(scope, receive, send)
            return
        self.counters.refused += 1
        logger.warning("a socket is refused: %s", reason)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send_problem(send, Forbidden(reason))

    @property
    def sockets(self) -> int:
        return len(self.server.eio.sockets)

    @property
    def room_kinds(self) -> frozenset[str]:
        """The first words of the rooms that may be asked for."""
        return frozenset(self._checks)

    async def start(self) -> None:
        """Begin to publish, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(self._publish_news()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Let every connection go; long polls are answered."""
        self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.viewers.clear()
        if isinstance(self.server.manager, CheapManager):
            self.server.manager.forget_all()
        for socket in list(self.server.eio.sockets.values()):
            socket.queue.put_nowait(None)
        await self.server.shutdown()

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        """Send news to a room, from any thread; in the order of the calls, and without waiting.

        Before the node has started and after it has stopped nobody can be listening: the news is let go.
        """
        loop = self._loop
        if loop is None:
            return
        with self._lock:
            if len(self._news) >= _MOST_WAITING_NEWS:
                self.counters.dropped_news += 1
                return
            self._news.append((event, data, room))
        self.counters.published += 1
        self._on_loop(loop, self._wake.set)

    def is_watched(self, room: str) -> bool:
        """Tell whether anybody is in a room, so that costly news need not be made; for the loop."""
        return bool(self.server.manager.rooms.get(CONSOLE, {}).get(room))

    def open(self, door: Door) -> None:
        """Let viewers into a namespace beside the console's; before the node starts."""
        name = door.namespace
        self._doors[name] = door

        async def connect(sid: str, environ: dict[str, Any], _auth: object = None) -> bool:
            return await self._enter(door, sid, environ["asgi.scope"])

        async def disconnect(sid: str, *_reason: object) -> None:
            if self.viewers.pop(sid, None):
                await door.left(sid)

        self.server.on("connect", connect, namespace=name)
        self.server.on("disconnect", disconnect, namespace=name)
        for event, call in door.events.items():
            self.server.on(event, _without_arguments(call), namespace=name)

    async def send(self, event: str, data: Any, *, namespace: str, to: str | None = None) -> None:
        """Send to all viewers of a namespace, or to one of them; on the loop."""
        await self.server.emit(event, data, namespace=namespace, to=to)

    def allow_room(self, prefix: str, check: RoomCheck) -> None:
        """Let those join rooms named ``prefix`` or ``prefix:…`` for whom ``check(actor, room)`` is true.

        The check runs in a thread, so it may ask the database. Rooms without a check can't be joined.
        """
        self._checks[prefix.rstrip(":")] = check

    def on_event(self, name: str, handler: EventHandler) -> None:
        """Have an event of the pages answered; one at a time of each viewer."""

        async def take(sid: str, *arguments: object) -> dict[str, Any]:
            viewer = self.viewers.get(sid)
            if viewer is None:
                return {"ok": False, "error": "The connection has ended."}
            return await handler(sid, viewer.actor, arguments)

        self.server.on(name, take, namespace=CONSOLE)

    def on_leave(self, call: Callable[[str], None]) -> None:
        """Have a call told of each viewer that leaves, whatever made it leave; on the loop."""
        self._on_leave.append(call)

    def on_check(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have what viewers follow checked anew, whenever rooms are: rights may have changed."""
        self._on_check.append(call)

    def has_waiting(self, sid: str) -> bool:
        """Tell whether packets wait for a viewer, as it takes them more slowly than they come."""
        socket = self._socket_of(sid)
        return socket is not None and not socket.queue.empty()

    async def send_to(self, sids: Iterable[str], event: str, text: str) -> None:
        """Send one event, whose data is JSON already, straight to these viewers; for the loop.

        It is encoded once. Who has left is passed over, and one that is too slow is dropped as ever.
        """
        if not isinstance(self.server.manager, CheapManager):
            data = msgspec.json.decode(text)
            for sid in sids:
                await self.server.emit(event, data, to=sid, namespace=CONSOLE)
            return
        packets = encoded_event(event, text, CONSOLE)
        for number, sid in enumerate(sids, start=1):
            if (socket := self._socket_of(sid)) is not None:
                socket.offer(packets)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def allow_own_rooms(self, check: Callable[[Actor], bool]) -> None:
        """Put those into the rooms of their person, their roles and everybody for whom the check is true."""
        self._own_check = check

    def check_credentials(self) -> None:
        """End the sockets of whoever may do something else by now than when connecting; from any thread.

        Rooms that are no longer open to somebody are left, as a host's tags may have changed.
        """
        loop = self._loop
        if loop is not None:
            self._on_loop(loop, lambda: self._tasks.append(loop.create_task(self._check_credentials())))

    def disconnect_actor(self, credential_id: str) -> None:
        """End the sockets of a session or token that has ended; from any thread."""
        loop = self._loop
        if loop is not None:
            self._on_loop(loop, lambda: self._tasks.append(loop.create_task(self._disconnect(credential_id))))

    def _socket_of(self, sid: str) -> Any:  # Any: the library's own socket
        return self.server.eio.sockets.get(self.server.manager.eio_sid_from_sid(sid, CONSOLE))

    def _began_with_bearer(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        sids = parse_qs(scope["query_string"].decode("latin-1")).get("sid", [""])
        environ = self.server.environ.get(sids[0])
        return environ is not None and has_bearer(environ["asgi.scope"])

    def _make_server(self) -> GuardedServer:
        options = self._options
        server = GuardedServer(
            client_manager=None if options.stock else CheapManager(),
            async_mode="asgi",
            cors_allowed_origins=[],  # judged before, in origin.py; the library's answers would allow reading
            async_handlers=False,  # one event of a client at a time: a flood of them waits in its socket
            namespaces=[CONSOLE] if options.has_console else ["-"],  # none means the library's default
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            max_http_buffer_size=_MOST_FRAME_BYTES,
            logger=_library_logger,
            engineio_logger=_library_logger,
        )
        server.is_stock = options.stock
        server.queue_limit = options.queue_limit
        server.on_drop, server.greet = self._note_drop, self._greet
        events = {"connect": self._connect, "disconnect": self._forget}
        events |= {"room:join": self._join, "room:leave": self._leave}
        for event, handler in events.items() if options.has_console else ():
            server.on(event, handler, namespace=CONSOLE)
        return server

    async def _enter(self, door: Door, sid: str, scope: Scope) -> bool:
        actor = await self._actor_of(scope) or NOBODY
        if not await self._is_open_to(door, actor):
            return False
        self.viewers[sid] = Viewer(actor, scope, door.namespace)
        return True

    async def _greet(self, namespace: str, sid: str) -> None:
        if sid in self.viewers and (door := self._doors.get(namespace)):
            await door.entered(sid)

    async def _is_open_to(self, door: Door, actor: Actor) -> bool:
        return door.is_public or await asyncio.to_thread(door.may_enter, actor)

    async def _connect(self, sid: str, environ: dict[str, Any], _auth: object = None) -> bool:
        scope = environ["asgi.scope"]
        actor = await self._actor_of(scope)
        if actor is None:
            return False
        self.viewers[sid] = Viewer(actor, scope)
        for room in _own_rooms(actor) if self._own_check(actor) else ():
            await self.server.enter_room(sid, room, namespace=CONSOLE)
        return True

    async def _forget(self, sid: str, *_reason: object) -> None:
        if self.viewers.pop(sid, None):
            for call in self._on_leave:
                call(sid)

    async def _join(self, sid: str, *arguments: object) -> dict[str, object]:
        viewer, room = self.viewers.get(sid), _room_in(arguments)
        if viewer is None or room is None:
            return {"ok": False, "error": "Name the room as {room: …}."}
        if room not in viewer.rooms and len(viewer.rooms) >= _MOST_ROOMS:
            return {"ok": False, "error": f"At most {_MOST_ROOMS} rooms; leave one first."}
        if not await self._may_join(viewer.actor, room):
            return {"ok": False, "error": "There is no such room, or it is not open to you."}
        if sid in self.viewers:  # the client may have left meanwhile
            viewer.rooms.add(room)
            await self.server.enter_room(sid, room, namespace=CONSOLE)
        return {"ok": True}

    async def _leave(self, sid: str, *arguments: object) -> dict[str, object]:
        viewer, room = self.viewers.get(sid), _room_in(arguments)
        if viewer is None or room not in viewer.rooms:
            return {"ok": False, "error": "You are not in that room."}
        viewer.rooms.discard(room)
        await self.server.leave_room(sid, room, namespace=CONSOLE)
        return {"ok": True}

    async def _may_join(self, actor: Actor, room: str) -> bool:
        check = self._checks.get(room.partition(":")[0])
        if check is None:
            return False
        try:
            return await asyncio.to_thread(check, actor, room)
        except QuarterdeckError:  # a room of something that is absent or hidden
            return False

    async def _actor_of(self, scope: Scope) -> Actor | None:
        """Return who shows these credentials now, or None for nobody."""
        try:
            actor = await asyncio.to_thread(self._identify, scope)
        except QuarterdeckError:
            return None
        return None if actor.kind is ActorKind.NOBODY else actor

    async def _publish_news(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._news:
                event, data, room = self._news.popleft()
                try:
                    await self.server.emit(event, data, room=room, namespace=CONSOLE)
                except Exception:  # the top of a loop that must go on: one event that JSON can't say
                    logger.exception("the event %s could not be published", event)

    async def _disconnect(self, credential_id: str) -> None:
        for sid, viewer in list(self.viewers.items()):
            if viewer.actor.credential_id == credential_id:
                await self.server.disconnect(sid, namespace=viewer.namespace)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._options.sweep_seconds)
            try:
                self._tasks = [task for task in self._tasks if not task.done()]
                await self._end_unused()
                await self._check_credentials()
            except Exception:  # the top of a loop that must go on
                logger.exception("looking after the sockets failed")

    async def _end_unused(self) -> None:
        """Close connections that never joined a namespace, or whose session was ended."""
        oldest = time.monotonic() - self._options.sweep_seconds
        for eio_sid, environ in list(self.server.environ.items()):
            is_used = any(
                self.server.manager.sid_from_eio_sid(eio_sid, namespace)
                for namespace in list(self.server.manager.get_namespaces())
            )
            if not is_used and environ["quarterdeck.connected_at"] < oldest:
                await self.server.end_connection(eio_sid)

    async def _check_credentials(self) -> None:
        """End the sockets whose session or token has expired, or whose owner's role has changed."""
        by_credential: dict[tuple[str, str], list[str]] = {}
        for sid, viewer in self.viewers.items():
            key = (viewer.namespace, viewer.actor.credential_id or sid)
            by_credential.setdefault(key, []).append(sid)
        for (namespace, _), sids in by_credential.items():
            first = self.viewers.get(sids[0])
            if first is not None and await self._has_changed(first):
                for sid in sids:
                    await self.server.disconnect(sid, namespace=namespace)
        await self._check_rooms()

    async def _check_rooms(self) -> None:
        for sid, viewer in list(self.viewers.items()):
            for room in list(viewer.rooms):
                if not await self._may_join(viewer.actor, room) and sid in self.viewers:
                    viewer.rooms.discard(room)
                    await self.server.leave_room(sid, room, namespace=CONSOLE)
        for call in self._on_check:
            await call()

    async def _has_changed(self, viewer: Viewer) -> bool:
        door = self._doors.get(viewer.namespace)
        if door is not None and not await self._is_open_to(door, viewer.actor):
            return True
        if door is not None and door.is_public:
            return False
        actor, known = await self._actor_of(viewer.scope), viewer.actor
        return actor is None or replace(actor, address=known.address) != known

    def _note_drop(self, reason: str) -> None:
        self.counters.dropped_peers += 1
        logger.info("a viewer is dropped: %s", reason)

    def _on_loop(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:  # closed since we looked: the node has ended, and its viewers with it
            logger.debug("news after the end of the loop")


def _without_arguments(call: Event) -> Callable[..., Awaitable[None]]:
    async def handle(sid: str, *_arguments: object) -> None:
        await call(sid)

    return handle


def _own_rooms(actor: Actor) -> list[str]:
    """Return the rooms that an actor is in without asking: its own, its roles', everybody's."""
    rooms = [EVERYBODY]
    if actor.person_id:
        rooms.append(f"person:{actor.person_id}")
    if actor.role:
        roles = list(Role)
        rooms += [f"role:{role}" for role in roles[: roles.index(actor.role) + 1]]
    return rooms


def _room_in(arguments: tuple[object, ...]) -> str | None:
    match arguments:
        case ({"room": str(room)},) if 0 < len(room) <= _MOST_ROOM_NAME:
            return room
    return None
