"""The output of one command on its way into the files that ``tasks/output/store.py`` reads.

Its writer is not used here: it would bring in three times the memory of the whole supervisor.
"""

import os
import time

from quarterdeck.tasks.output.index_record import ERR, OUT, RECORD

NAMES = {OUT: "out", ERR: "err"}


class Spooled:
    """Appends chunks of two streams; whatever fails leaves the files as they were before the chunk."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._files: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self.sizes = {OUT: 0, ERR: 0}

    @property
    def total(self) -> int:
        return self.sizes[OUT] + self.sizes[ERR]

    def append(self, stream: int, data: bytes) -> None:
        """Write a chunk, then its record; raises OSError when the disk refuses either."""
        name = NAMES[stream]
        self._write(name, data)
        place = (self.sizes[stream], self.total, time.time_ns() // 1000)
        try:
            self._write("idx", RECORD.pack(stream, len(data), *place))
        except OSError:
            self._cut(name, self.sizes[stream])
            raise
        self.sizes[stream] += len(data)

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _write(self, name: str, data: bytes) -> None:
        descriptor = self._open(name)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            self._cut(name, self._ends[name])
            raise
        self._ends[name] += len(data)

    def _cut(self, name: str, end: int) -> None:
        try:
            os.ftruncate(self._files[name], end)
            self._ends[name] = end
        except OSError:
            return  # the first error is the one to tell

    def _open(self, name: str) -> int:
        if name not in self._files:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._files[name] = os.open(f"{self._base}.{name}", flags, 0o600)
            self._ends[name] = os.fstat(self._files[name]).st_size
        return self._files[name]
