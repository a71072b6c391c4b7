"""How every host is doing now: the last frame of each put together, and its last ten minutes."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from quarterdeck.metrics.figures import BY_KEY, Row, row_of
from quarterdeck.metrics.ring import KEPT_SECONDS, Ring
from quarterdeck.protocol.samples import Facts, Frame, Interface, Mount, Temperature

IDLE_SECONDS: Final = 15.0

Listener = Callable[["HostNow", Row], None]
"""Is told of each new sample, on the thread that brought it; it must be quick and raise nothing."""


@dataclass(slots=True)
class HostNow:
    """What is known of a host now; ``at`` is when it was sampled, by this master's clock, 0 for never."""

    host_id: str
    at: float = 0.0
    interval_seconds: float = IDLE_SECONDS
    values: dict[str, float] = field(default_factory=dict)
    cores: list[float] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    temperatures: list[Temperature] = field(default_factory=list)
    facts: Facts | None = None
    ring: Ring = field(default_factory=Ring)


class Fleet:
    """The figures of all hosts by their ids; filled on the loop, read from any thread."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostNow] = {}
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self.taken = 0
        """How many samples were taken in."""

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def now(self, host_id: str) -> HostNow | None:
        """Return what is known of a host, or None when nothing was ever heard of it."""
        return self._hosts.get(host_id)

    def all(self) -> dict[str, HostNow]:
        """Return a copy of the table; its values go on changing."""
        with self._lock:
            return dict(self._hosts)

    def take_facts(self, host_id: str, facts: Facts) -> None:
        self._of(host_id).facts = facts

    def take(self, host_id: str, frame: Frame, *, at: float, interval_seconds: float = IDLE_SECONDS) -> bool:
        """Take in a sample; returns False when it is a delta and there is nothing to apply it to.

        ``at`` is when it was made by this master's clock. One that is older than the last is passed over,
        unless by more than what a worker sends late: then this master's clock was set back.
        """
        host = self._hosts.get(host_id)
        if not frame.is_full and (host is None or not host.at):
            return False
        host = host or self._of(host_id)
        if host.at - KEPT_SECONDS <= at <= host.at:
            return True
        if at < host.at:
            host.ring = Ring()
        known = {key: value for key, value in frame.values.items() if key in BY_KEY}
        host.values = known if frame.is_full else host.values | known
        for name in ("cores", "mounts", "interfaces", "temperatures"):
            if (content := getattr(frame, name)) is not None:
                setattr(host, name, content)
            elif frame.is_full:
                setattr(host, name, [])
        host.at, host.interval_seconds = at, interval_seconds
        self.taken += 1
        row = row_of(host.values)
        host.ring.append(at, row)
        for listener in self._listeners:
            listener(host, row)
        return True

    def forget(self, host_ids: Iterable[str]) -> None:
        """Drop what is known of removed hosts."""
        with self._lock:
            for host_id in host_ids:
                self._hosts.pop(host_id, None)

    def _of(self, host_id: str) -> HostNow:
        with self._lock:
            return self._hosts.setdefault(host_id, HostNow(host_id))
