"""The journal's files: segments by size and day, and the head that says where the chain ends."""

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quarterdeck.history.lines import GENESIS, Sealer

HEAD: Final = "head"
LOCK: Final = "lock"
BALLAST: Final = "ballast"

_NAME: Final = re.compile(r"(\d{12})-(\d{4}-\d{2}-\d{2})\.jsonl\Z")
_HEAD: Final = struct.Struct("<8s40sQQ64s64s")
_MAGIC: Final = b"qdhead1\n"
HEAD_BYTES: Final = _HEAD.size


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the chain, by what its name says."""

    path: Path
    first_seq: int
    day: str

    @property
    def index(self) -> Path:
        return self.path.with_suffix(".idx")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last file, its durable length, and the last line's number and hash."""

    segment: str = ""
    offset: int = 0
    seq: int = 0
    hash: str = GENESIS


class HeadError(ValueError):
    """The head file is missing or not as the journal wrote it."""


def segment_for(folder: Path, first_seq: int, day: str) -> Segment:
    return Segment(folder / f"{first_seq:012d}-{day}.jsonl", first_seq, day)


def segment_of(path: Path) -> Segment | None:
    """Return what a file's name says, or None when it is no segment."""
    match = _NAME.match(path.name)
    return Segment(path, int(match[1]), match[2]) if match else None


def list_segments(folder: Path) -> list[Segment]:
    """Return the segments, oldest first; none when the folder is absent."""
    if not folder.is_dir():
        return []
    found = (segment_of(path) for path in folder.iterdir())
    return sorted((item for item in found if item), key=lambda item: item.path.name)


def pack_head(head: Head, sealer: Sealer) -> bytes:
    body = _HEAD.pack(_MAGIC, head.segment.encode(), head.offset, head.seq, head.hash.encode(), b"")
    return body[:-64] + sealer.mac(body).encode()


def unpack_head(content: bytes, sealer: Sealer) -> Head:
    """Read a head file; raises HeadError when a byte of it was changed."""
    if len(content) != HEAD_BYTES:
        raise HeadError("it has the wrong length")
    if content[-64:] != sealer.mac(content[:-64] + bytes(64)).encode():
        raise HeadError("it was changed: its content does not fit its own check")
    _, segment, offset, seq, digest, _ = _HEAD.unpack(content)
    return Head(segment.rstrip(b"\0").decode(), offset, seq, digest.decode())


def read_head(folder: Path, sealer: Sealer) -> Head:
    """Return the head; raises HeadError when it is missing or changed."""
    try:
        content = (folder / HEAD).read_bytes()
    except FileNotFoundError as error:
        raise HeadError("it is missing") from error
    return unpack_head(content, sealer)


def lines_between(descriptor: int, offset: int, end: int, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
    """Yield the whole lines of that part of a file, without newlines; an unfinished one is left out."""
    rest = b""
    while offset < end:
        chunk = os.pread(descriptor, min(chunk_bytes, end - offset), offset)
        if not chunk:
            return
        offset += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
