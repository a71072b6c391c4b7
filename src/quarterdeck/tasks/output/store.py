"""The output of runs in append-only files: two streams apart, and the order in which they came.

``<run>/<host>.out`` and ``<host>.err`` hold exactly the bytes of each stream (``stream_files.py``),
``<host>.idx`` the order of arrival (``arrivals.py``), ``<host>.lines`` where lines begin
(``line_index.py``); the last can be deleted at any time.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from quarterdeck.core.errors import NotFound
from quarterdeck.core.security import private_directory
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Chunk, Sizes
from quarterdeck.tasks.output.line_index import LineIndex, index_lines, line_index_of, maker_at, maker_at_end
from quarterdeck.tasks.output.loglines import LineMaker, Place
from quarterdeck.tasks.output.stream_files import (
    FOR_EVER,
    SCANNED_BYTES,
    TOGETHER_BYTES,
    TOGETHER_MICROSECONDS,
    chunks_after,
    chunks_between,
    chunks_of,
    chunks_up_to,
    read_bytes,
    scan_of,
    size_of,
    sizes_of,
)
from quarterdeck.tasks.output.writer import OutputWriter

DROPPED: Final = "output_dropped"
"""Among the details of a host: how many bytes came after its output was cut."""
_RUN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,199}\Z")
_LOCKS: Final = 64


class OutputStore:
    """The output of all runs below one folder. Reading never locks and may happen while it is written."""

    def __init__(self, folder: Path, *, counts_lines: bool = False) -> None:
        """``counts_lines`` keeps an index of lines beside what is written: for those who show it."""
        self._folder = private_directory(folder)
        self._counts_lines = counts_lines
        self._written: set[Path] = set()
        """What has a writer, who alone adds to its index of lines."""
        self._indexing = [threading.Lock() for _ in range(_LOCKS)]

    def writer(self, run: str, host: str) -> OutputWriter:
        """Open the output of a run on a host, to begin it or to go on with it; one writer at a time."""
        base = self._base(run, host)
        private_directory(base.parent)
        if not self._counts_lines:
            return OutputWriter(base, self.sizes(run, host))
        with self._lock_of(base):
            index_lines(base)
            self._written.add(base)
        with ExitStack() as undo:
            undo.callback(self._written.discard, base)
            writer = OutputWriter(base, self.sizes(run, host), closed=self._written.discard)
            writer.count_lines()
            undo.pop_all()
        return writer

    def path(self, run: str, host: str, stream: Stream) -> Path:
        """Return the file of a stream, which may not be there yet; raises NotFound for a hostile name."""
        base = self._base(run, host)
        return base.with_name(f"{base.name}.{stream}")

    def sizes(self, run: str, host: str) -> Sizes:
        return sizes_of(self._base(run, host))

    def read(self, run: str, host: str, stream: Stream, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from ``start`` up to ``end`` (excluded); empty when there are none."""
        path = self.path(run, host, stream)
        stop = size_of(path) if end is None else end
        return read_bytes(path, max(start, 0), stop)

    def chunks_after(self, run: str, host: str, seen: Sizes, limit_bytes: int) -> list[Chunk]:
        """Return what came after the bytes already seen, in the order of arrival, up to a limit."""
        return chunks_up_to(self._base(run, host), seen, limit_bytes)

    def chunks_from(self, run: str, host: str, seen: Sizes, stream: Stream | None = None) -> Iterator[Chunk]:
        """Yield what came after the bytes already seen, in the order of arrival; of one stream or both."""
        base = self._base(run, host)
        if stream is not None:
            return chunks_of(base, stream, seen.of(stream))
        return chunks_after(base, seen, TOGETHER_BYTES, TOGETHER_MICROSECONDS)

    def scan(self, run: str, host: str, seen: Sizes, stream: Stream | None = None) -> Iterator[Chunk]:
        """Do the same in large pieces, whose times say little: for those who go through all of it."""
        base = self._base(run, host)
        if stream is not None:
            return scan_of(base, stream, seen.of(stream))
        return chunks_after(base, seen, SCANNED_BYTES, FOR_EVER)

    def bytes_of(self, run: str, host: str, stream: Stream, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of one stream from ``start`` up to ``end`` (excluded), in pieces."""
        for chunk in chunks_between(self._base(run, host), stream, start, end):
            yield chunk.data

    def line_index(self, run: str, host: str) -> LineIndex:
        """Return the index of lines, to be opened by ``with``; made first where it is missing."""
        base = self._base(run, host)
        with self._lock_of(base):
            if base not in self._written:
                index_lines(base)
        return line_index_of(base)

    def maker_at(self, run: str, host: str, place: Place) -> LineMaker:
        """Return what makes lines from a place on."""
        return maker_at(self._base(run, host), place)

    def maker_at_end(self, run: str, host: str) -> LineMaker:
        """Return what has gone through all of the output: it knows how many lines there are."""
        with self.line_index(run, host) as index:
            return maker_at_end(self._base(run, host), index.last())

    def _lock_of(self, base: Path) -> threading.Lock:
        return self._indexing[hash(base) % len(self._indexing)]

    def _base(self, run: str, host: str) -> Path:
        if not _RUN.match(run) or not _HOST.match(host):
            raise NotFound("There is no output under this name.")
        return self._folder / run / host
