"""Keeps the sidecars up to date, when the writer has nothing better to do."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quarterdeck.history import segments, sidecar
from quarterdeck.history.disk import Disk
from quarterdeck.history.lines import LineError, Sealer
from quarterdeck.history.segments import Head, HeadError, Segment
from quarterdeck.history.sidecar import BLOCK_LINES, ENTRY_BYTES

_READ_BYTES: Final = 512 * 1024


@dataclass(slots=True)
class _Mark:
    """How far one segment is indexed."""

    entries: int
    offset: int
    last_seq: int


class Indexer:
    """Appends index entries; call it under the journal's lock."""

    def __init__(self, folder: Path, sealer: Sealer, disk: Disk) -> None:
        self._folder = folder
        self._sealer = sealer
        self._disk = disk
        self._marks: dict[str, _Mark] = {}
        self._complete: set[str] = set()
        self.made = 0

    def backlog(self, head: Head) -> int:
        """Return how many full blocks of the newest segment are not indexed yet."""
        mark = self._marks.get(head.segment)
        if mark is None:
            segment = segments.segment_of(self._folder / head.segment)
            if segment is None:
                return 0
            mark = self._mark(segment)
        return (head.seq - mark.last_seq) // BLOCK_LINES

    def advance(self, blocks: int) -> bool:
        """Index up to that many blocks, newest segment first; returns whether any is left. Raises OSError."""
        try:
            head = segments.read_head(self._folder, self._sealer)
        except HeadError:
            return False  # the next record settles where the chain ends
        for segment in reversed(segments.list_segments(self._folder)):
            if segment.path.name in self._complete:
                continue
            is_open = segment.path.name == head.segment
            blocks -= self._advance(segment, blocks, head.offset if is_open else None)
            if blocks <= 0:
                return True
            if not is_open:
                self._complete.add(segment.path.name)
                self._marks.pop(segment.path.name, None)
        return False

    def _mark(self, segment: Segment) -> _Mark:
        if segment.path.name not in self._marks:
            found = sidecar.load(segment.index, self._sealer)
            last = found.block(found.entries - 1).last_seq if found.entries else segment.first_seq - 1
            self._marks[segment.path.name] = _Mark(found.entries, found.end, last)
        return self._marks[segment.path.name]

    def _advance(self, segment: Segment, blocks: int, limit: int | None) -> int:
        """Index blocks of one segment; ``limit`` is the durable length of one that is still written to."""
        mark, made = self._mark(segment), 0
        with segment.path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size if limit is None else limit
            while made < blocks and mark.offset < end:
                content = _next_lines(file.fileno(), mark.offset, end)
                lines = content.count(b"\n")
                if not lines or (limit is not None and lines < BLOCK_LINES):
                    break
                if not self._add(segment, mark, content, lines):
                    break
                made += 1
        self.made += made
        return made

    def _add(self, segment: Segment, mark: _Mark, content: bytes, lines: int) -> bool:
        try:
            entry = sidecar.make_entry(content, mark.offset, self._sealer)
        except LineError:
            return False  # verify tells what is wrong with the line; the search scans from here on
        descriptor = self._disk.open(segment.index, os.O_RDWR | os.O_CREAT)
        try:
            self._disk.write(descriptor, entry, mark.entries * ENTRY_BYTES)
            self._disk.truncate(descriptor, (mark.entries + 1) * ENTRY_BYTES)
        finally:
            os.close(descriptor)
        mark.entries, mark.offset, mark.last_seq = (
            mark.entries + 1,
            mark.offset + len(content),
            mark.last_seq + lines,
        )
        return True


def _next_lines(descriptor: int, offset: int, end: int) -> bytes:
    """Return up to 1,000 whole lines from there."""
    content = b""
    while content.count(b"\n") < BLOCK_LINES and offset + len(content) < end:
        more = os.pread(descriptor, min(_READ_BYTES, end - offset - len(content)), offset + len(content))
        if not more:
            break
        content += more
    cut = -1
    for _ in range(min(BLOCK_LINES, content.count(b"\n"))):
        cut = content.index(b"\n", cut + 1)
    return content[: cut + 1]
