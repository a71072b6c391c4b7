"""Proves a history: chain, keys, numbers, end, pairs and index; names file and line of the first fault."""

import fcntl
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from quarterdeck.history import segments, sidecar
from quarterdeck.history.lines import GENESIS, Kind, LineError, Sealer
from quarterdeck.history.locking import wait_for_lock
from quarterdeck.history.segments import HEAD, LOCK, Head, HeadError, Segment
from quarterdeck.history.sidecar import Block

MOST_FAULTS: Final = 20
_PROGRESS_LINES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: ``line`` is 0 when it concerns the file as a whole."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}, line {self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome: no faults means that nothing was changed, dropped, swapped, cut off or added."""

    faults: tuple[Fault, ...]
    lines: int
    files: int
    open_intents: int
    """Actions that were begun and have no outcome: under way now, or cut off by a crash."""
    last_hash: str

    @property
    def is_whole(self) -> bool:
        return not self.faults


class _Member(msgspec.Struct):
    id: str
    kind: Kind
    pair: str


@dataclass(slots=True)
class _Walk:
    """How far the proof has come."""

    seq: int = 0
    digest: str = GENESIS
    file: str = ""
    line: int = 0
    open: dict[str, tuple[str, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)

    def fault(self, file: str, line: int, message: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(file, line, message))


_decoder: Final = msgspec.json.Decoder(_Member)


def verify(
    folder: Path,
    sealer: Sealer,
    *,
    expected: Collection[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Walk the whole chain in constant memory.

    ``expected`` are hashes that others saw and that must be in it; ``progress`` is told the number
    of lines now and then. Raises OSError when a file can't be read.
    """
    walk = _Walk(missing=set(expected))
    head, sizes = _snapshot(folder, sealer, walk)
    is_sound = True
    for segment, size in sizes:
        is_sound = size == 0 or _walk_segment(walk, sealer, segment, size, progress)
        if not is_sound:
            break
    if is_sound:
        _check_end(walk, head)
        for digest in sorted(walk.missing):
            walk.fault(HEAD, 0, f"another node saw the line with hash {digest}, which is not in this history")
    return Verification(tuple(walk.faults), walk.seq, len(sizes), len(walk.open), walk.digest)


def _snapshot(folder: Path, sealer: Sealer, walk: _Walk) -> tuple[Head | None, list[tuple[Segment, int]]]:
    """Return the head and the length of each file at one moment, between two batches."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _look(folder, sealer, walk)
    try:
        wait_for_lock(lock, fcntl.LOCK_SH)
        return _look(folder, sealer, walk)
    finally:
        os.close(lock)


def _look(folder: Path, sealer: Sealer, walk: _Walk) -> tuple[Head | None, list[tuple[Segment, int]]]:
    sizes = [(segment, segment.path.stat().st_size) for segment in segments.list_segments(folder)]
    try:
        return segments.read_head(folder, sealer), sizes
    except HeadError as error:
        if any(size for _, size in sizes):
            walk.fault(HEAD, 0, f"{error}; so nothing proves that no lines are missing at the end")
        return None, sizes


def _walk_segment(
    walk: _Walk, sealer: Sealer, segment: Segment, size: int, progress: Callable[[int], None]
) -> bool:
    """Check one file; returns False when the chain is broken and what follows can't be judged."""
    walk.file, walk.line = segment.path.name, 0
    if segment.first_seq != walk.seq + 1:
        walk.fault(walk.file, 1, _gap(walk.seq + 1, segment.first_seq))
        return False
    blocks, offset = _blocks(walk, sealer, segment), 0
    with segment.path.open("rb") as file:
        for line in segments.lines_between(file.fileno(), 0, size):
            walk.line += 1
            try:
                walk.digest = sealer.check(line, seq=walk.seq + 1, prev=walk.digest)
            except LineError as error:
                walk.fault(walk.file, walk.line, str(error))
                return False
            walk.seq += 1
            offset += len(line) + 1
            _note_line(walk, line)
            if blocks and offset >= blocks[-1].end:
                _check_block(walk, segment, blocks.pop(), offset)
            if walk.seq % _PROGRESS_LINES == 0:
                progress(walk.seq)
    if offset < size:
        walk.fault(
            walk.file, walk.line + 1, "it is unfinished: a write was cut off, or somebody added to the file"
        )
        return False
    return True


def _gap(wanted: int, found: int) -> str:
    if found > wanted:
        return f"the lines numbered {wanted} to {found - 1}, which stood before it, are missing"
    return f"it begins at number {found} by its name, but {wanted} should follow"


def _note_line(walk: _Walk, line: bytes) -> None:
    if walk.missing:
        walk.missing.discard(walk.digest)
    member = _decoder.decode(line)
    if member.kind is Kind.INTENT:
        walk.open[member.id] = (walk.file, walk.line)
    elif member.pair and walk.open.pop(member.pair, None) is None:
        walk.fault(walk.file, walk.line, f"it is the outcome of {member.pair}, which was not begun before it")
    elif member.kind is Kind.OUTCOME and not member.pair:
        walk.fault(walk.file, walk.line, "it is an outcome that belongs to no intent")


def _blocks(walk: _Walk, sealer: Sealer, segment: Segment) -> list[Block]:
    """Return the blocks of the index, the first one last; a damaged index is a fault of its own."""
    index = sidecar.load(segment.index, sealer)
    if not index.is_sound:
        walk.fault(
            segment.index.name,
            index.entries + 1,
            "it was changed; `quarterdeck history rebuild` makes it anew",
        )
    return list(index.blocks())[::-1]


def _check_block(walk: _Walk, segment: Segment, block: Block, offset: int) -> None:
    if (block.end, block.last_seq, block.last_hash) != (offset, walk.seq, walk.digest):
        message = "it does not fit its file; `quarterdeck history rebuild` makes it anew"
        walk.fault(segment.index.name, 0, message)


def _check_end(walk: _Walk, head: Head | None) -> None:
    if head is None:
        return
    if walk.seq < head.seq:
        message = (
            f"{head.seq - walk.seq} lines are missing at the end: the chain went on to number {head.seq}"
        )
        file, line = (walk.file, walk.line + 1) if head.segment == walk.file else (head.segment, 1)
        walk.fault(file, line, message)
