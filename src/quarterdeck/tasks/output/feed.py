"""Output on its way to the screens: at most 20 messages a second of a run, only of what somebody looks at."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.loglines import LineMaker, as_wire

Publish = Callable[..., None]
"""``publish(event, data, room=…)``."""

_TICK_SECONDS: Final = 0.05
_MOST_BYTES: Final = 64 * 1024
"""What a message carries of one host; what it prints beyond that in one tick is left to be fetched."""
_MOST_BYTES_OF_ALL: Final = 256 * 1024


def room_of(run: str, host: str) -> str:
    """Return the room that a page joins to get a host's output; it comes to the room of the run."""
    return f"output:{run}/{host}"


class Feed:
    """Takes what executions print and publishes it as lines, ``run:output``. Lives on the loop.

    Of each host a message says how many lines of each stream came before its own (``first``). A page that
    has fewer has missed some and asks for them by number.
    """

    def __init__(self, publish: Publish, is_watched: Callable[[str], bool]) -> None:
        self._publish = publish
        self._is_watched = is_watched
        self._runs: dict[str, _RunFlow] = {}

    def take(self, run: str, host: str, stream: Stream, data: bytes, *, lines: LineMaker) -> None:
        """Take the next bytes of a stream, which are in the file already; ``lines`` has gone through them."""
        if not self._is_watched(room_of(run, host)):
            self._forget(run, host)
            return
        known = self._flow_of(run, host)
        if known is not None:
            known.take(stream, data)
        else:
            self._runs.setdefault(run, _RunFlow()).hosts[host] = _Flow(lines)
        self._wake(run)

    def tell_cut(self, run: str, host: str) -> None:
        """Let the pages know that no more of a host's output is kept."""
        if (flow := self._flow_of(run, host)) is not None:
            flow.has_news = True
            self._wake(run)

    def close(self, run: str, host: str) -> None:
        """Forget a host, which has ended, once what is pending of it is out."""
        flow = self._flow_of(run, host)
        if flow is not None:
            flow.is_closing = True
            if not flow.has_news:
                self._forget(run, host)

    def _flow_of(self, run: str, host: str) -> "_Flow | None":
        return self._runs[run].hosts.get(host) if run in self._runs else None

    def _wake(self, run: str) -> None:
        flows = self._runs[run]
        if flows.timer is None:
            flows.timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self.flush, run)

    def _forget(self, run: str, host: str) -> None:
        flows = self._runs.get(run)
        if flows is None:
            return
        flows.hosts.pop(host, None)
        if not flows.hosts:
            if flows.timer is not None:
                flows.timer.cancel()
            del self._runs[run]

    def flush(self, run: str) -> None:
        """Publish what is pending of a run; called by its timer."""
        flows = self._runs[run]
        if flows.timer is not None:
            flows.timer.cancel()
            flows.timer = None
        parts, room = [], _MOST_BYTES_OF_ALL
        for host, flow in list(flows.hosts.items()):
            if flow.has_news:
                if flow.size > room:
                    flow.jump()
                room -= flow.size
                parts.append({"host": host} | flow.message())
            if flow.is_closing:
                self._forget(run, host)
        if parts:
            news = {"run": run, "sent": _now_ms(), "hosts": parts}
            self._publish("run:output", news, room=f"run:{run}")


class _RunFlow:
    """The hosts of one run that are looked at; they share the messages."""

    def __init__(self) -> None:
        self.hosts: dict[str, _Flow] = {}
        self.timer: asyncio.TimerHandle | None = None


class _Flow:
    """What one host has printed since the last message.

    It begins, and after a flood goes on, where the writer stands: its first message has no lines, and
    tells the pages by its numbers that there is something to fetch.
    """

    def __init__(self, writer_lines: LineMaker) -> None:
        self._writer_lines = writer_lines
        self.is_closing = False
        self.jump()

    def jump(self) -> None:
        """Leave out what is pending and go on from where the writer is."""
        self.size = 0
        self.has_news = True
        self._maker = self._writer_lines.copy()
        self._pending: list[tuple[Stream, bytes, int]] = []

    def take(self, stream: Stream, data: bytes) -> None:
        self.has_news = True
        if self.size + len(data) > _MOST_BYTES:
            self.jump()
            return
        self._pending.append((stream, data, _now_ms()))
        self.size += len(data)

    def message(self) -> dict[str, Any]:  # Any: JSON
        """Return what is pending as one host's part of a message, and forget it."""
        pending, self._pending, self.size, self.has_news = self._pending, [], 0, False
        before = self._maker.lines
        lines = [line for stream, data, at in pending for line in self._maker.take(stream, data, at)]
        return {
            "first": [before.out, before.err],
            "lines": as_wire(lines),
            "open": as_wire(self._maker.open_lines()),
        }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
