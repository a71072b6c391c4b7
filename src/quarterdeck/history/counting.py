"""How much happened today, for the landing page: counted on raw bytes, and each byte only once."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from quarterdeck.core.clock import Clock
from quarterdeck.history import segments
from quarterdeck.history.lines import encode_text

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Today:
    """Since midnight UTC: what was begun or happened, what was refused, what failed."""

    actions: int
    denied: int
    failed: int


@dataclass(slots=True)
class _Count:
    """The figures of one file so far."""

    offset: int = 0
    found: list[int] = field(default_factory=lambda: [0, 0, 0, 0])


class DayCounts:
    """Remembers how far each of today's files is counted."""

    def __init__(self, folder: Path, node: str, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        # In canonical lines a kind stands behind the node, where no value can imitate it.
        before = b'"node":"%s","kind":' % encode_text(node)
        self._patterns = (
            before + b'"intent"',
            before + b'"event"',
            before + b'"denied"',
            b'"detail":{"result":"failed"',
        )
        self._counts: dict[str, _Count] = {}
        self._lock = threading.Lock()

    def today(self) -> Today:
        day = self._clock.now().date().isoformat()
        found = [item for item in segments.list_segments(self._folder) if item.day == day]
        with self._lock:
            self._counts = {item.path.name: self._counts.get(item.path.name, _Count()) for item in found}
            for segment in found:
                self._count(segment.path, self._counts[segment.path.name])
            sums = [
                sum(figures) for figures in zip(*(item.found for item in self._counts.values()), strict=True)
            ]
        intents, events, denied, failed = sums or (0, 0, 0, 0)
        return Today(intents + events, denied, failed)

    def _count(self, path: Path, count: _Count) -> None:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            while count.offset < end:
                content = os.pread(file.fileno(), min(_CHUNK, end - count.offset), count.offset)
                content = content[: content.rfind(b"\n") + 1]
                if not content:
                    return
                for number, pattern in enumerate(self._patterns):
                    count.found[number] += content.count(pattern)
                count.offset += len(content)
