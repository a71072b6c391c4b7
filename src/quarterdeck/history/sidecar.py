"""The index beside a segment: for each 1,000 lines where they stand, from when to when, and a Bloom filter.

The filter answers "is anything of ada's in these lines" with no or perhaps. An index is never a
source of truth: what it lacks is scanned, what does not fit its check is ignored and made anew.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from quarterdeck.history.lines import LineError, Sealer, hosts_of

BLOCK_LINES: Final = 1000
BLOOM_BYTES: Final = 2048

_META: Final = struct.Struct("<QIIQ27s27s2x64s")
_FOUR: Final = struct.Struct("<4H")
_MAC_BYTES: Final = 32
_BLOOM_AT: Final = _META.size
_BITS: Final = BLOOM_BYTES * 8 - 1
ENTRY_BYTES: Final = _META.size + BLOOM_BYTES + _MAC_BYTES


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive lines of one segment."""

    offset: int
    length: int
    lines: int
    first_seq: int
    first_time: str
    last_time: str
    """Earliest and latest: a clock that was set back leaves the lines of a block out of order."""
    last_hash: str

    @property
    def end(self) -> int:
        return self.offset + self.length

    @property
    def last_seq(self) -> int:
        return self.first_seq + self.lines - 1


class _Detail(msgspec.Struct):
    """The members of ``detail`` that have a meaning to the search."""

    host: Any = None  # Any: other programs' words; hosts_of takes only what fits
    hosts: Any = None
    run: Any = None


class _Line(msgspec.Struct):
    seq: int
    time: str
    kind: str
    actor: str
    action: str
    object: str
    request: str
    pair: str
    detail: _Detail
    hash: str


_decoder: Final = msgspec.json.Decoder(_Line)


def terms_of(lines: Sequence[_Line]) -> set[str]:
    """Return what the lines can be found by; each value is looked at once, however often it occurs."""
    terms = {f"kind:{kind}" for kind in {line.kind for line in lines}}
    terms.update(f"actor:{actor}" for actor in {line.actor for line in lines})
    terms.update(f"request:{request}" for request in {line.request for line in lines})
    terms.update(f"pair:{pair}" for pair in {line.pair for line in lines})
    for action in {line.action for line in lines}:
        terms.update(action_terms(action))
    objects = {line.object for line in lines}
    for line in lines:
        detail = line.detail
        if isinstance(detail.run, str):
            objects.add(f"run:{detail.run}")
        if detail.host is not None or detail.hosts is not None:
            named = {"host": detail.host, "hosts": detail.hosts}
            objects.update(f"host:{host}" for host in hosts_of("", named))
    for object_ in objects:
        terms.update(object_terms(object_))
    return terms


def action_terms(action: str) -> Iterator[str]:
    """Yield ``action:host``, ``action:host.key`` and ``action:host.key.confirm`` for the last of these."""
    words = action.split(".")
    for count in range(1, len(words) + 1):
        yield f"action:{'.'.join(words[:count])}"


def object_terms(object_: str) -> Iterator[str]:
    """Yield ``object:host:web-1`` and ``object:host`` for ``host:web-1``."""
    if object_:
        yield f"object:{object_}"
        if ":" in object_:
            yield f"object:{object_.partition(':')[0]}"


def bits_of(term: str) -> tuple[int, int, int, int]:
    """Return the four bits that a term sets."""
    first, second, third, fourth = _FOUR.unpack(blake2b(term.encode(), digest_size=8).digest())
    return first & _BITS, second & _BITS, third & _BITS, fourth & _BITS


def make_entry(content: bytes, offset: int, sealer: Sealer) -> bytes:
    """Return the index entry of some whole lines; raises LineError when one of them is none."""
    bloom = bytearray(BLOOM_BYTES)
    try:
        lines = _decoder.decode_lines(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LineError("a line can't be indexed") from error
    for term in terms_of(lines):
        for bit in bits_of(term):
            bloom[bit >> 3] |= 1 << (bit & 7)
    times = [line.time for line in lines]
    meta = _META.pack(
        offset, len(content), len(lines), lines[0].seq, min(times).encode(), max(times).encode(),
        lines[-1].hash.encode(),
    )  # fmt: skip
    body = meta + bytes(bloom)
    return body + bytes.fromhex(sealer.mac(body))


class Sidecar:
    """The readable index of one segment: its entries up to the first that does not fit."""

    def __init__(self, content: bytes, sealer: Sealer) -> None:
        self._content = content
        self.entries = self._sound_entries(sealer)

    def _sound_entries(self, sealer: Sealer) -> int:
        end = 0
        for number in range(len(self._content) // ENTRY_BYTES):
            entry = self._content[number * ENTRY_BYTES : (number + 1) * ENTRY_BYTES]
            offset, length = struct.unpack_from("<QI", entry)
            if offset != end or bytes.fromhex(sealer.mac(entry[:-_MAC_BYTES])) != entry[-_MAC_BYTES:]:
                return number
            end = offset + length
        return len(self._content) // ENTRY_BYTES

    @property
    def is_sound(self) -> bool:
        """Tell whether every byte of the file belongs to a sound entry."""
        return self.entries * ENTRY_BYTES == len(self._content)

    @property
    def end(self) -> int:
        """The offset in the segment up to which lines are indexed."""
        return self.block(self.entries - 1).end if self.entries else 0

    def block(self, number: int) -> Block:
        offset, length, lines, first_seq, first, last, digest = _META.unpack_from(
            self._content, number * ENTRY_BYTES
        )
        return Block(offset, length, lines, first_seq, first.decode(), last.decode(), digest.decode())

    def may_have(self, number: int, bits: Sequence[int]) -> bool:
        """Tell whether a block may hold lines with all of those bits; False is certain."""
        base, content = number * ENTRY_BYTES + _BLOOM_AT, self._content
        return all(content[base + (bit >> 3)] & 1 << (bit & 7) for bit in bits)

    def blocks(self) -> Iterable[Block]:
        return (self.block(number) for number in range(self.entries))


def load(path: Path, sealer: Sealer) -> Sidecar:
    """Read an index; an absent or damaged one has fewer entries than its segment has blocks."""
    try:
        return Sidecar(path.read_bytes(), sealer)
    except OSError:
        return Sidecar(b"", sealer)


def locate(path: Path, seq: int) -> tuple[int, int | None]:
    """Return the offsets between which a number stands, by an index that nobody checked; None is the end.

    Whoever does not find the number there looks through the whole segment.
    """
    try:
        with path.open("rb") as file:
            entries = os.fstat(file.fileno()).st_size // ENTRY_BYTES
            low, high = 0, entries
            while low < high:
                middle = (low + high) // 2
                _, _, lines, first_seq, *_ = _META.unpack(
                    os.pread(file.fileno(), _META.size, middle * ENTRY_BYTES)
                )
                low, high = (middle + 1, high) if first_seq + lines <= seq else (low, middle)
            meta = (
                os.pread(file.fileno(), _META.size, min(low, entries - 1) * ENTRY_BYTES) if entries else b""
            )
    except OSError:
        return 0, None
    if not meta:
        return 0, None
    offset, length, *_ = _META.unpack(meta)
    return (offset, offset + length) if low < entries else (offset + length, None)
