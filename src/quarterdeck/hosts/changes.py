"""Tells the pages which hosts changed, at most once a second however many did."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, Final, Protocol

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy
from quarterdeck.core.loop import Loop

ROOM: Final = "hosts"
_PAUSE_SECONDS: Final = 1.0


class Publish(Protocol):
    """Sends a live event to a room; callable from any thread (``core.live``)."""

    def __call__(self, event: str, data: dict[str, Any], /, *, room: str) -> None: ...  # Any: JSON


class Changes:
    """Collects ids from any thread and publishes ``hosts:changed`` from the loop."""

    def __init__(self, publish: Publish, loop: Loop, clock: Clock) -> None:
        self._publish, self._loop, self._clock = publish, loop, clock
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._last = -_PAUSE_SECONDS
        self._is_waiting = False

    def note(self, ids: Iterable[str]) -> None:
        """Have these hosts told of soon; without a running loop (the command line) nobody listens."""
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
