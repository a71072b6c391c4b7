"""Three-way merge: one's own text and the others' text, both begun from the same base."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from quarterdeck.files.text import lines, texts


class HunkKind(StrEnum):
    """Who changed a part of the text."""

    SAME = "same"
    MINE = "mine"
    THEIRS = "theirs"
    BOTH = "both"
    """Both made the same change."""
    CONFLICT = "conflict"


class Choice(StrEnum):
    """How a conflict is resolved."""

    MINE = "mine"
    THEIRS = "theirs"
    BOTH = "both"
    """Mine, then theirs."""
    OWN = "own"
    """By a text of one's own."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """A part of the three texts; ``start`` is the number of its first line in mine."""

    kind: HunkKind
    base: str
    mine: str
    theirs: str
    start: int

    @property
    def is_conflict(self) -> bool:
        return self.kind is HunkKind.CONFLICT

    def shown(self, side: str) -> str:
        """Return the base, mine or theirs with signs for what can't be seen."""
        return "\n".join(texts.shown(line) for line in str(getattr(self, side)).split("\n"))

    @property
    def height(self) -> int:
        """How many lines of mine it has, the last one counted although it may lack its newline."""
        return len(lines.split(self.mine))


class Undecided(ValueError):
    """A conflict has no choice; ``numbers`` are those of the hunks."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(f"Choose for each conflict; {len(numbers)} to go.")
        self.numbers = tuple(numbers)


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge found; a choice is named by the number of its hunk in ``hunks``, from 0."""

    hunks: tuple[Hunk, ...]

    @property
    def is_clean(self) -> bool:
        return not self.conflicts

    @property
    def conflicts(self) -> list[int]:
        """The numbers of the hunks that need a choice."""
        return [number for number, hunk in enumerate(self.hunks) if hunk.is_conflict]

    def text(self, choices: Mapping[int, str] = {}, own: Mapping[int, str] = {}) -> str:
        """Return the merged text; ``own`` holds the texts of the choices that are ``own``.

        Raises Undecided when a conflict has no choice, or one that is no Choice.
        """
        missing = [number for number in self.conflicts if choices.get(number) not in set(Choice)]
        if missing:
            raise Undecided(missing)
        parts = [
            _chosen(hunk, choices.get(number, ""), own.get(number, ""))
            for number, hunk in enumerate(self.hunks)
        ]
        return _put_together(parts)

    def marked(self, mine: str = "mine", theirs: str = "theirs") -> str:
        """Return the text with git's conflict markers, for an editor of one's own."""
        return _put_together([_with_markers(hunk, mine, theirs) for hunk in self.hunks])


def merge(base: str, mine: str, theirs: str) -> Merge:
    """Return the parts of the three texts in order. Changes that touch each other are one conflict."""
    hunks: list[Hunk] = []
    start = 1
    for part in _parts(lines.split(base), lines.split(mine), lines.split(theirs)):
        for kind, narrow in _narrowed(part):
            hunks.append(_hunk(kind, narrow, start))
            start += len(narrow.mine)
    return Merge(tuple(hunks))


@dataclass(frozen=True, slots=True)
class _Part:
    base: Sequence[str]
    mine: Sequence[str]
    theirs: Sequence[str]

    @property
    def kind(self) -> HunkKind:
        if self.mine == self.theirs:
            return HunkKind.SAME if self.mine == self.base else HunkKind.BOTH
        if self.mine == self.base:
            return HunkKind.THEIRS
        return HunkKind.MINE if self.theirs == self.base else HunkKind.CONFLICT


def _parts(base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Iterator[_Part]:
    """Yield what lies between the runs that all three share, and these runs."""
    b = m = t = 0
    for run_b, run_m, run_t, length in _shared(base, mine, theirs):
        if (b, m, t) != (run_b, run_m, run_t):
            yield _Part(base[b:run_b], mine[m:run_m], theirs[t:run_t])
        b, m, t = run_b + length, run_m + length, run_t + length
        if length:
            yield _Part(base[run_b:b], mine[run_m:m], theirs[run_t:t])


def _shared(
    base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield where each run of lines of the base stands in all three, and its length; at last their ends."""
    ones, twos = lines.matches(base, mine), lines.matches(base, theirs)
    i = j = 0
    while i < len(ones) and j < len(twos):
        one, two = ones[i], twos[j]
        start = max(one.before, two.before)
        one_end, two_end = one.before + one.length, two.before + two.length
        length = min(one_end, two_end) - start
        if length > 0:
            yield start, one.after + start - one.before, two.after + start - two.before, length
        i, j = (i + 1, j) if one_end < two_end else (i, j + 1)
    yield len(base), len(mine), len(theirs), 0


def _narrowed(part: _Part) -> Iterator[tuple[HunkKind, _Part]]:
    """Yield a conflict without the lines at its ends that both wrote the same, and these lines.

    It stays a conflict even where only one side is left: the changes touch, and git takes no chance either.
    """
    if part.kind is not HunkKind.CONFLICT:
        yield part.kind, part
        return
    most = min(len(part.mine), len(part.theirs))
    start = 0
    while start < most and part.mine[start] == part.theirs[start]:
        start += 1
    end = 0
    while end < most - start and part.mine[-1 - end] == part.theirs[-1 - end]:
        end += 1
    if start:
        yield HunkKind.BOTH, _Part([], part.mine[:start], part.theirs[:start])
    mine_end, theirs_end = len(part.mine) - end, len(part.theirs) - end
    middle = _Part(part.base, part.mine[start:mine_end], part.theirs[start:theirs_end])
    yield HunkKind.CONFLICT, middle
    if end:
        yield HunkKind.BOTH, _Part([], part.mine[mine_end:], part.theirs[theirs_end:])


def _hunk(kind: HunkKind, part: _Part, start: int) -> Hunk:
    return Hunk(kind, "".join(part.base), "".join(part.mine), "".join(part.theirs), start)


def _chosen(hunk: Hunk, choice: str, own: str) -> str:
    if not hunk.is_conflict:
        return hunk.theirs if hunk.kind is HunkKind.THEIRS else hunk.mine
    texts = {
        Choice.MINE: hunk.mine,
        Choice.THEIRS: hunk.theirs,
        Choice.BOTH: _put_together([hunk.mine, hunk.theirs]),
        Choice.OWN: own,
    }
    return texts[Choice(choice)]


def _with_markers(hunk: Hunk, mine: str, theirs: str) -> str:
    if not hunk.is_conflict:
        return _chosen(hunk, "", "")
    return _put_together([f"<<<<<<< {mine}\n", hunk.mine, "=======\n", hunk.theirs, f">>>>>>> {theirs}\n"])


def _put_together(parts: Sequence[str]) -> str:
    """Join texts of whole lines; one that was the last of its file gets a newline when another follows."""
    filled = [part for part in parts if part]
    return "".join(part if part.endswith("\n") else part + "\n" for part in filled[:-1]) + "".join(
        filled[-1:]
    )
