"""The difference between two outputs, line by line, of the text as it is shown: without colours.

Bounded: so many bytes and lines of each are compared, because the time for it grows with their product.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from quarterdeck.tasks.output.ansi import lines_of

MOST_BYTES: Final = 256 << 10
MOST_LINES: Final = 2_000
_LONGEST_LINE: Final = 2_000
"""Characters of a line that are compared and shown; what is cut off is marked."""
_CONTEXT: Final = 3
_CUT: Final = "…"
_COMMON: Final = 0.4
"""Lines that share less than this at their ends are different lines; a mark in them would only distract."""


@dataclass(frozen=True, slots=True)
class Text:
    """The lines of an output as they are compared; ``is_cut``: there are more."""

    lines: tuple[str, ...]
    is_cut: bool = False


Pieces = tuple[str, str, str]
"""A line in three: what is the same at its beginning, what differs, what is the same at its end."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line on both sides, or on one: then the other side's number is None."""

    left_number: int | None
    left: str
    right_number: int | None
    right: str
    is_same: bool = False
    """They count as the same, although they may look different where something is ignored."""

    @property
    def kind(self) -> str:
        """``same``, ``removed``, ``added``, or ``changed`` where one line stands for another."""
        if self.is_same:
            return "same"
        if self.right_number is None:
            return "removed"
        return "added" if self.left_number is None else "changed"

    @property
    def left_pieces(self) -> Pieces:
        return pieces(self.left, self.right) if self.kind == "changed" else (self.left, "", "")

    @property
    def right_pieces(self) -> Pieces:
        return pieces(self.right, self.left) if self.kind == "changed" else (self.right, "", "")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the unified form."""

    mark: str
    left_number: int | None
    right_number: int | None
    text: str
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that differ and those around them: in pairs as ``rows``, one below the other as ``lines``."""

    rows: tuple[Row, ...]
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Where it is, as patches say it: ``-3,4 +3,5``."""
        left = [line.left_number for line in self.lines if line.left_number is not None]
        right = [line.right_number for line in self.lines if line.right_number is not None]
        return f"−{_span(left)} +{_span(right)}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of one output in another."""

    hunks: tuple[Hunk, ...]
    removed: int
    added: int
    is_cut: bool
    """Only the beginning of an output was compared."""

    @property
    def is_none(self) -> bool:
        return not self.hunks


def text_of(output: bytes, *, is_whole: bool = True) -> Text:
    """Return output as lines of plain text; ``is_whole`` is false when the file goes on after it."""
    lines = ["".join(span.text for span in line) for line in lines_of(output)]
    if not is_whole and lines and not output.endswith(b"\n"):
        lines.pop()  # the beginning of a line would differ from the whole of it
    shown = tuple(line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + _CUT for line in lines)
    return Text(shown[:MOST_LINES], is_cut=not is_whole or len(shown) > MOST_LINES)


def pieces(line: str, other: str) -> Pieces:
    """Return a line cut where it differs from another; whole where they have too little in common."""
    start = _in_common(line, other)
    end = min(_in_common(line[::-1], other[::-1]), len(line) - start, len(other) - start)
    if start + end < _COMMON * max(len(line), len(other)):
        return line, "", ""
    return line[:start], line[start : len(line) - end], line[len(line) - end :]


def _in_common(line: str, other: str) -> int:
    """Return how many characters two lines have in common at their beginning."""
    pairs = zip(line, other, strict=False)
    return next((at for at, (one, two) in enumerate(pairs) if one != two), min(len(line), len(other)))


def as_is(line: str) -> str:
    return line


def without_space(line: str) -> str:
    """Return a line as it counts when white space does not."""
    return " ".join(line.split())


def compare(left: Text, right: Text, normal: Callable[[str], str] = as_is) -> Difference:
    """Return the difference; lines with the same normal form are the same, whatever they look like."""
    left_keys, right_keys = [normal(line) for line in left.lines], [normal(line) for line in right.lines]
    if left_keys == right_keys:
        return Difference((), 0, 0, left.is_cut or right.is_cut)
    # Its "popular" lines are skipped in long outputs: without that, thousands of equal lines take minutes.
    matcher = SequenceMatcher(None, left_keys, right_keys)
    hunks = tuple(_hunk(left, right, group) for group in matcher.get_grouped_opcodes(_CONTEXT))
    lines = [line for hunk in hunks for line in hunk.lines]
    return Difference(
        hunks=hunks,
        removed=sum(line.mark == "-" for line in lines),
        added=sum(line.mark == "+" for line in lines),
        is_cut=left.is_cut or right.is_cut,
    )


Opcode = tuple[str, int, int, int, int]


def _hunk(left: Text, right: Text, group: list[Opcode]) -> Hunk:
    rows = [row for opcode in group for row in _rows(left, right, opcode)]
    lines = [line for opcode in group for line in _lines(left, right, opcode)]
    return Hunk(tuple(rows), tuple(lines))


def _rows(left: Text, right: Text, opcode: Opcode) -> Iterator[Row]:
    """Pair the lines of both sides; the longer side goes on alone."""
    tag, left_start, left_end, right_start, right_end = opcode
    for step in range(max(left_end - left_start, right_end - right_start)):
        has_left, has_right = left_start + step < left_end, right_start + step < right_end
        yield Row(
            left_start + step + 1 if has_left else None,
            left.lines[left_start + step] if has_left else "",
            right_start + step + 1 if has_right else None,
            right.lines[right_start + step] if has_right else "",
            is_same=tag == "equal",
        )


def _lines(left: Text, right: Text, opcode: Opcode) -> Iterator[Line]:
    """Yield unified lines: the same ones once, else what was removed before what was added."""
    rows = list(_rows(left, right, opcode))
    if rows[0].is_same:
        for row in rows:
            yield Line(" ", row.left_number, row.right_number, row.right, (row.right, "", ""))
        return
    for row in rows:
        if row.left_number is not None:
            yield Line("-", row.left_number, None, row.left, row.left_pieces)
    for row in rows:
        if row.right_number is not None:
            yield Line("+", None, row.right_number, row.right, row.right_pieces)


def _span(numbers: list[int]) -> str:
    return f"{numbers[0]},{len(numbers)}" if numbers else "0,0"
