"""What became of a text: for the screen, side by side and unified, and as a patch that git takes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from quarterdeck.files.text import lines, texts

MOST_ROWS: Final = 4_000
"""Rows that a page shows; of more, ``is_cut`` tells, and the patch has them all."""
CONTEXT: Final = 3
_MOST_MARKED: Final = 2_000
"""Characters of a line up to which its words are compared."""
_LONGEST_PIECE: Final = 1_200
_COMMON: Final = 0.35
"""Lines that share less than this are different lines: marks in them would only distract."""
_WORD: Final = re.compile(r"\w+|\s+|.", re.DOTALL)
_QUOTED: Final = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NO_NEWLINE: Final = "\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line; ``is_changed`` when the line on the other side has something else there."""

    text: str
    is_changed: bool = False

    @property
    def shown(self) -> str:
        """The text with signs for what can't be seen."""
        return texts.shown(self.text)


@dataclass(frozen=True, slots=True)
class Side:
    """A line as it is on one side. ``is_open``: the file ends here without a newline."""

    number: int
    pieces: tuple[Piece, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line before, after, or both; ``kind`` is ``same``, ``removed``, ``added`` or ``changed``."""

    kind: str
    before: Side | None
    after: Side | None


@dataclass(frozen=True, slots=True)
class UnifiedLine:
    """A line of the unified form; ``mark`` is a blank, ``-`` or ``+``."""

    mark: str
    before: int | None
    after: int | None
    pieces: tuple[Piece, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Hunk:
    """Rows that differ with those around them."""

    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Where it is, as patches say it."""
        before = [row.before.number for row in self.rows if row.before]
        after = [row.after.number for row in self.rows if row.after]
        return f"−{_span(before)} +{_span(after)}"

    @property
    def lines(self) -> list[UnifiedLine]:
        """The same rows one below the other: of each changed block first what was removed."""
        found: list[UnifiedLine] = []
        added: list[UnifiedLine] = []
        for row in self.rows:
            if row.kind == "same" and row.before and row.after:
                found += [*added, _unified(" ", row.before.number, row.after.number, row.after)]
                added = []
                continue
            if row.before:
                found.append(_unified("-", row.before.number, None, row.before))
            if row.after:
                added.append(_unified("+", None, row.after.number, row.after))
        return found + added


@dataclass(frozen=True, slots=True)
class Difference:
    """All hunks, and how many lines were added and removed; an empty one has no hunks."""

    hunks: tuple[Hunk, ...] = ()
    added: int = 0
    removed: int = 0
    is_cut: bool = False
    """There is more than the hunks show."""

    @property
    def is_none(self) -> bool:
        return not self.hunks


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines ``before[b:b_end]`` that stand where ``after[a:a_end]`` does now."""

    is_same: bool
    b: int
    b_end: int
    a: int
    a_end: int


@dataclass
class _Rows:
    """The lines of both texts, and the rows made of them."""

    before: Sequence[str]
    after: Sequence[str]
    left: int
    budget: lines.Budget = field(default_factory=lines.Budget)
    """For comparing the words of changed lines, all rows together."""

    def of(self, group: Sequence[_Block]) -> tuple[Row, ...]:
        return tuple(row for block in group for row in self._block(block))

    def _block(self, block: _Block) -> Iterator[Row]:
        """Pair the lines of both sides; the longer side goes on alone."""
        old, new = block.b_end - block.b, block.a_end - block.a
        height = min(max(old, new), self.left)
        self.left -= height
        for step in range(height):
            before = self.before[block.b + step] if step < old else None
            after = self.after[block.a + step] if step < new else None
            yield _row(block, step, before, after, self.budget)


def difference(
    before: str,
    after: str,
    *,
    context: int = CONTEXT,
    ignores_space: bool = False,
    most_rows: int = MOST_ROWS,
) -> Difference:
    """Return what changed; with ``ignores_space``, lines that differ in white space only are the same."""
    old, new = lines.split(before), lines.split(after)
    blocks = _blocks(old, new, ignores_space=ignores_space)
    rows = _Rows(old, new, most_rows)
    hunks: list[Hunk] = []
    is_cut = False
    for group in _grouped(blocks, context):
        is_cut = rows.left < _height(group)
        if rows.left:
            hunks.append(Hunk(rows.of(group)))
        if is_cut:
            break
    changed = [block for block in blocks if not block.is_same]
    return Difference(
        hunks=tuple(hunks),
        added=sum(block.a_end - block.a for block in changed),
        removed=sum(block.b_end - block.b for block in changed),
        is_cut=is_cut,
    )


def unified_text(before: str, after: str, path_before: str, path_after: str) -> str:
    """Return a patch as ``git diff`` writes it; empty when neither text nor path changed.

    An empty path: the file is not there on that side. Texts are taken with their own line ends; encode the
    patch as the file is encoded.
    """
    old, new = lines.split(before), lines.split(after)
    groups = list(_grouped(_blocks(old, new), CONTEXT))
    if not groups and path_before == path_after:
        return ""
    text = _head(path_before, path_after)
    if groups:
        text += f"--- {_named('a/', path_before)}\n+++ {_named('b/', path_after)}\n"
    return text + "".join(_patched(old, new, group) for group in groups)


def _blocks(before: Sequence[str], after: Sequence[str], *, ignores_space: bool = False) -> list[_Block]:
    if ignores_space:
        found = lines.matches([_bare(line) for line in before], [_bare(line) for line in after])
    else:
        found = lines.matches(before, after)
    blocks: list[_Block] = []
    b = a = 0
    for match in [*found, lines.Match(len(before), len(after), 0)]:
        if b < match.before or a < match.after:
            blocks.append(_Block(False, b, match.before, a, match.after))
        b, a = match.before + match.length, match.after + match.length
        if match.length:
            blocks.append(_Block(True, match.before, b, match.after, a))
    return blocks


def _bare(line: str) -> str:
    return "".join(line.split())


def _grouped(blocks: Sequence[_Block], context: int) -> Iterator[list[_Block]]:
    """Yield changed blocks with so many same lines around them; near ones together."""
    group: list[_Block] = []
    for number, block in enumerate(blocks):
        if not block.is_same:
            group.append(block)
            continue
        is_last = number == len(blocks) - 1
        length = block.b_end - block.b
        if group and (is_last or length > 2 * context):
            yield [*group, *_part(block, 0, min(context, length))]
            group = []
        if not is_last:
            group += _part(block, max(0, length - context) if not group else 0, length)
    if any(not block.is_same for block in group):
        yield group


def _part(block: _Block, start: int, end: int) -> list[_Block]:
    if start == end:
        return []
    return [_Block(True, block.b + start, block.b + end, block.a + start, block.a + end)]


def _height(group: Sequence[_Block]) -> int:
    return sum(max(block.b_end - block.b, block.a_end - block.a) for block in group)


def _row(block: _Block, step: int, before: str | None, after: str | None, budget: lines.Budget) -> Row:
    if block.is_same and before is not None and after is not None:
        kind, marked = "same", (_whole(before), _whole(after))
    elif before is not None and after is not None:
        kind, marked = "changed", _compared(before, after, budget)
    else:
        kind, marked = ("added" if before is None else "removed"), (_whole(before or ""), _whole(after or ""))
    return Row(
        kind,
        None if before is None else Side(block.b + step + 1, marked[0], not before.endswith("\n")),
        None if after is None else Side(block.a + step + 1, marked[1], not after.endswith("\n")),
    )


Pieces = tuple[Piece, ...]


def _whole(line: str) -> Pieces:
    return (Piece(_shortened(line.removesuffix("\n"))),)


def _compared(before: str, after: str, budget: lines.Budget) -> tuple[Pieces, Pieces]:
    """Return two lines in pieces, marked where their words differ."""
    one, two = before.removesuffix("\n"), after.removesuffix("\n")
    if max(len(one), len(two)) > _MOST_MARKED or budget.steps <= 0:
        return _by_ends(one, two)
    old, new = _WORD.findall(one), _WORD.findall(two)
    budget.steps -= len(old) + len(new)
    found = lines.matches(old, new, budget)
    common = sum(len("".join(old[m.before : m.before + m.length]).strip()) for m in found)
    if common < _COMMON * max(len(one.strip()), len(two.strip())):
        return _whole(one), _whole(two)
    return (
        _marked(old, [(m.before, m.length) for m in found]),
        _marked(new, [(m.after, m.length) for m in found]),
    )


def _marked(words: Sequence[str], same: Sequence[tuple[int, int]]) -> Pieces:
    pieces: list[Piece] = []
    at = 0
    for start, length in [*same, (len(words), 0)]:
        pieces.append(Piece("".join(words[at:start]), is_changed=True))
        pieces.append(Piece("".join(words[start : start + length])))
        at = start + length
    return tuple(Piece(_shortened(piece.text), piece.is_changed) for piece in pieces if piece.text)


def _by_ends(one: str, two: str) -> tuple[Pieces, Pieces]:
    """Return two long lines in up to three pieces: what is the same at their ends, and what is between."""
    start = _in_common(one, two)
    most = min(len(one), len(two)) - start
    end = min(most, _in_common(one[::-1], two[::-1]))
    return _with_middle(one, start, end), _with_middle(two, start, end)


def _with_middle(line: str, start: int, end: int) -> Pieces:
    stop = len(line) - end
    return _marked([line[:start], line[start:stop], line[stop:]], [(0, 1), (2, 1)])


def _in_common(one: str, two: str) -> int:
    pairs = zip(one, two, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))


def _shortened(text: str) -> str:
    """Return a piece without its middle where it is too long for a page."""
    if len(text) <= _LONGEST_PIECE:
        return text
    half = _LONGEST_PIECE // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"


def _unified(mark: str, before: int | None, after: int | None, side: Side) -> UnifiedLine:
    return UnifiedLine(mark, before, after, side.pieces, side.is_open)


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]},{len(numbers)}" if numbers else "0,0"


def _head(before: str, after: str) -> str:
    one, two = _quoted(f"a/{before or after}"), _quoted(f"b/{after or before}")
    text = f"diff --git {one} {two}\n"
    if not before:
        return text + "new file mode 100644\n"
    if not after:
        return text + "deleted file mode 100644\n"
    if before != after:
        text += f"rename from {_quoted(before)}\nrename to {_quoted(after)}\n"
    return text


def _named(prefix: str, path: str) -> str:
    """Return a path of the two header lines; git ends it with a tab where blanks would mislead."""
    if not path:
        return "/dev/null"
    quoted = _quoted(prefix + path)
    return quoted + ("\t" if " " in path and quoted[0] != '"' else "")


def _quoted(path: str) -> str:
    """Return a path as git writes it: in quotes where it has a control character, a quote or a backslash."""
    if not any(sign in _QUOTED or sign < " " or sign == "\x7f" for sign in path):
        return path
    return '"' + "".join(_QUOTED.get(sign) or _octal(sign) for sign in path) + '"'


def _octal(sign: str) -> str:
    return f"\\{ord(sign):03o}" if sign < " " or sign == "\x7f" else sign


def _patched(before: Sequence[str], after: Sequence[str], group: Sequence[_Block]) -> str:
    first, last = group[0], group[-1]
    title = f"@@ -{_range(first.b, last.b_end)} +{_range(first.a, last.a_end)} @@\n"
    parts = [title]
    for block in group:
        if block.is_same:
            parts += (_patch_line(" ", line) for line in before[block.b : block.b_end])
            continue
        parts += (_patch_line("-", line) for line in before[block.b : block.b_end])
        parts += (_patch_line("+", line) for line in after[block.a : block.a_end])
    return "".join(parts)


def _patch_line(mark: str, line: str) -> str:
    return mark + line if line.endswith("\n") else f"{mark}{line}\n{_NO_NEWLINE}"


def _range(start: int, end: int) -> str:
    """Return a range as patches count it: an empty one is named by the line before it."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
