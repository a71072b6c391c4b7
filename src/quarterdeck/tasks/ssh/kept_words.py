"""What a visitor of a kept command says between the bytes of its output, and where those begin."""

import re
from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Sizes

_FIRST: Final = frozenset({"begun", "never", "nowhere", "full", "unclear"})
"""Anything else behind the word is a login shell that shows what it was given (`set -x`)."""
_END: Final = re.compile(r"(-|[0-9]{1,3}) ([0-9]{1,15}) ([0-9]{1,15}) ([a-z]{1,10})(?: |$)")
_LONGEST_SAYING: Final = 5_000
"""Longer than any path."""


@dataclass(frozen=True, slots=True)
class KeptEnd:
    """How a kept command ended; ``exit_status`` is None when its keeper ended before it could tell."""

    exit_status: int | None
    sizes: Sizes
    how: str
    """``whole``; ``short`` when not all output could be kept; ``open`` when something still writes."""


class Hearing:
    """Takes both streams of one visit apart. ``word`` is known to this visit alone.

    The first word stands on both streams, and either may come first.

    Login shells may print before the visitor begins: what comes before its first word is nobody's output.
    """

    def __init__(self, word: str) -> None:
        self.said = ""
        """The first thing said: begun, never, nowhere, full or unclear; empty before that."""
        self.folder = ""
        self.end: KeptEnd | None = None
        self._word = word.encode()
        self._held = {Stream.OUT: b"", Stream.ERR: b""}
        self._is_out_open = self._is_err_open = False

    def feed(self, stream: Stream, data: bytes) -> bytes:
        """Return what of these bytes is the command's; a piece that may become a word is held back."""
        self._held[stream] += data
        return self._take_err() if stream is Stream.ERR else self._take_out()

    def _take_out(self) -> bytes:
        held = self._held[Stream.OUT]
        if not self._is_out_open:
            _, found, rest = held.partition(self._word + b"\n")
            if not found:
                self._held[Stream.OUT] = held[-len(self._word) :]
                return b""
            self._is_out_open, self.said, held = True, "begun", rest
        self._held[Stream.OUT] = b""
        return held

    def _take_err(self) -> bytes:
        passed, word = b"", self._word + b" "
        held = self._held[Stream.ERR]
        while (at := held.find(word)) >= 0:
            end = held.find(b"\n", at)
            if end < 0 and len(held) < at + _LONGEST_SAYING:
                passed, held = passed + held[:at], held[at:]
                break
            passed = passed + held[:at] if self._is_err_open else b""
            end = end if end >= 0 else len(held)
            self._hear(held[at + len(word) : end])
            held = held[end + 1 :]
        else:
            keep = next((size for size in range(len(word) - 1, 0, -1) if held.endswith(word[:size])), 0)
            passed, held = passed + held[: len(held) - keep], held[len(held) - keep :]
        self._held[Stream.ERR] = held
        return passed if self._is_err_open else b""

    def _hear(self, saying: bytes) -> None:
        kind, _, rest = saying[:_LONGEST_SAYING].decode(errors="replace").partition(" ")
        if kind == "end":
            self.end = _end_of(rest)
        elif kind in _FIRST and not self._is_err_open:
            self.said, self.folder, self._is_err_open = kind, rest, True


def _end_of(saying: str) -> KeptEnd:
    """Read the end; what a host says is checked, not believed."""
    found = _END.match(saying)
    if found is None:
        return KeptEnd(None, Sizes(), "gone")
    status, out, err, how = found.groups()
    return KeptEnd(None if status == "-" else int(status), Sizes(int(out), int(err)), how)
