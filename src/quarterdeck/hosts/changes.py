"""Tells the pages which hosts changed, at most once a second however many did."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy
from quarterdeck.core.loop import Loop

ROOM: Final = "hosts"
"""Whose news name hosts: for those who may read all of them."""
BARE_ROOM: Final = "some-hosts"
"""The same news without a name."""
_PAUSE_SECONDS: Final = 1.0


class Publish(Protocol):
    """Sends a live event to a room; callable from any thread (``core.live``)."""

    def __call__(self, event: str, data: dict[str, Any], /, *, room: str) -> None: ...  # Any: JSON


Listener = Callable[[list[str]], None]
"""Gets the ids of hosts that were changed, added or removed; it must be quick and raise nothing."""


class Changes:
    """Collects ids from any thread and publishes ``hosts:changed`` from the loop."""

    def __init__(self, publish: Publish, loop: Loop, clock: Clock) -> None:
        self._publish, self._loop, self._clock = publish, loop, clock
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._last = -_PAUSE_SECONDS
        self._is_waiting = False
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Have this told of changed hosts at once, on the thread that changed them."""
        self._listeners.append(listener)

    def note(self, ids: Iterable[str]) -> None:
        """Have these hosts told of soon; without a running loop (the command line) nobody listens."""
        ids = list(ids)
        for listener in self._listeners:
            listener(ids)
        with self._lock:
            self._ids.update(ids)
            if not self._ids or self._is_waiting:
                return
            self._is_waiting = True
        try:
            self._loop.submit(self._tell())
        except Busy:
            with self._lock:
                self._ids.clear()
                self._is_waiting = False

    async def _tell(self) -> None:
        await asyncio.sleep(max(0.0, self._last + _PAUSE_SECONDS - self._clock.monotonic()))
        with self._lock:
            ids, self._ids = sorted(self._ids), set()
            self._is_waiting = False
            self._last = self._clock.monotonic()
        self._publish("hosts:changed", {"ids": ids}, room=ROOM)
        self._publish("hosts:changed", {}, room=BARE_ROOM)
