"""Output on its way to the screens: at most 20 messages a second of each host, only when somebody looks."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.loglines import LineMaker, as_wire
from quarterdeck.tasks.output import Sizes

Publish = Callable[..., None]
"""``publish(event, data, room=…)``."""

_TICK_SECONDS: Final = 0.05
_MOST_BYTES: Final = 64 * 1024
"""What one message carries; what a host prints beyond that in one tick is left for the page to fetch."""


class Feed:
    """Takes what executions print and publishes it as lines, ``run:output``. Lives on the loop.

    A message says how much of each stream came before its lines (``at``) and how much is whole after
    them (``next``). A page whose own count is not ``at`` has missed something and asks for it.
    """

    def __init__(self, publish: Publish, is_watched: Callable[[str], bool]) -> None:
        self._publish = publish
        self._is_watched = is_watched
        self._flows: dict[tuple[str, str], _Flow] = {}

    def take(self, run: str, host: str, stream: Stream, data: bytes, *, before: Sizes) -> None:
        """Take the next bytes of a stream, which are in the file already; ``before`` is what was there."""
        key = (run, host)
        if not self._is_watched(f"run:{run}"):
            self._forget(key)
            return
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(before)
        if flow.size >= _MOST_BYTES:
            flow.restart(before)
        flow.take(stream, data)
        if flow.timer is None:
            flow.timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._flush, key)

    def close(self, run: str, host: str) -> None:
        """Publish the rest of a host's output: it has ended."""
        if (run, host) in self._flows:
            self._flush((run, host))
            self._forget((run, host))

    def _forget(self, key: tuple[str, str]) -> None:
        flow = self._flows.pop(key, None)
        if flow is not None and flow.timer is not None:
            flow.timer.cancel()

    def _flush(self, key: tuple[str, str]) -> None:
        flow = self._flows[key]
        if flow.timer is not None:
            flow.timer.cancel()
            flow.timer = None
        if flow.size:
            run, host = key
            self._publish("run:output", {"run": run, "host": host} | flow.message(), room=f"run:{run}")


class _Flow:
    """What one host has printed since the last message."""

    def __init__(self, start: Sizes) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self.restart(start)

    def restart(self, start: Sizes) -> None:
        """Leave out what is pending and go on from here."""
        self.size = 0
        self._maker = LineMaker(start)
        self._pending: list[tuple[Stream, bytes]] = []

    def take(self, stream: Stream, data: bytes) -> None:
        self._pending.append((stream, data))
        self.size += len(data)

    def message(self) -> dict[str, Any]:  # Any: JSON
        """Return what is pending as the lines of one message, and forget it."""
        pending, self._pending, self.size = self._pending, [], 0
        before = self._maker.whole
        lines = [line for stream, data in pending for line in self._maker.take(stream, data)]
        lines += self._maker.open_lines({stream for stream, _ in pending})
        after = self._maker.whole
        return {"at": [before.out, before.err], "next": [after.out, after.err], "lines": as_wire(lines)}
