"""Compares the output of a host with that of another, or with its own of an earlier run, on request.

It is work for the processor, so that only a few comparisons run at once; whoever comes then waits a
moment and is told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Final

from quarterdeck.core.errors import Busy
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.records import RunHostRecord
from quarterdeck.tasks.results.differences import (
    MOST_BYTES,
    Difference,
    Text,
    as_is,
    compare,
    text_of,
    without_space,
)
from quarterdeck.tasks.results.folding import NOTHING, Ignored, normalised

_AT_ONCE: Final = 2
_PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two outputs that are compared."""

    run_id: str
    host: RunHostRecord
    own: tuple[str, ...] = ()
    """The host's names and addresses, for when these don't count."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The difference of one stream; ``is_equal``: not a byte differs."""

    stream: Stream
    difference: Difference
    is_equal: bool


class Comparing:
    """Makes differences, a few at a time; safe to use from many threads."""

    def __init__(self, output: OutputStore) -> None:
        self._output = output
        self._slots = BoundedSemaphore(_AT_ONCE)

    def compare(
        self, left: Side, right: Side, *, ignored: Ignored = NOTHING, ignores_space: bool = False
    ) -> tuple[Compared, ...]:
        """Return the difference of each stream that either side printed on; raises Busy."""
        if not self._slots.acquire(timeout=_PATIENCE_SECONDS):
            raise Busy("Others are being compared right now; try it again in a moment.")
        try:
            found = [self._stream(left, right, stream, ignored, ignores_space) for stream in Stream]
        finally:
            self._slots.release()
        return tuple(compared for compared in found if compared is not None)

    def _stream(
        self, left: Side, right: Side, stream: Stream, ignored: Ignored, ignores_space: bool
    ) -> Compared | None:
        before, after = self._read(left, stream), self._read(right, stream)
        if not before and not after:
            return None
        hashes = [_hash_of(side.host, stream) for side in (left, right)]
        old, new = self._text(left, before, stream), self._text(right, after, stream)
        normal = _normal_form(left.own + right.own, ignored, ignores_space)
        is_equal = hashes[0] == hashes[1] if all(hashes) else before == after and not new.is_cut
        return Compared(stream, compare(old, new, normal), is_equal)

    def _read(self, side: Side, stream: Stream) -> bytes:
        return self._output.read(side.run_id, side.host.name, stream, 0, MOST_BYTES)

    def _text(self, side: Side, data: bytes, stream: Stream) -> Text:
        size = self._output.sizes(side.run_id, side.host.name).of(stream)
        return text_of(data, is_whole=size <= len(data))


def _hash_of(host: RunHostRecord, stream: Stream) -> str:
    return host.out_hash if stream is Stream.OUT else host.err_hash


def _normal_form(own: tuple[str, ...], ignored: Ignored, ignores_space: bool) -> Callable[[str], str]:
    if not ignored:
        return without_space if ignores_space else as_is

    def normal(line: str) -> str:
        plain = normalised(line.encode(errors="replace"), ignored, own).decode(errors="replace")
        return without_space(plain) if ignores_space else plain

    return normal
