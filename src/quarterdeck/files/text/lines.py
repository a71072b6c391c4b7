"""Lines of text, and which lines of two texts are the same ones: in bounded time, whatever the texts are.

Only "\\n" ends a line here: form feeds, U+2028 and their like are characters of a line, as they are for git.
"""

from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

MOST_STEPS: Final = 300_000
"""Comparisons that one call may make, half a second or so; what is left then counts as replaced."""


@dataclass(frozen=True, slots=True)
class Match:
    """A run of lines that are the same in both, by where it starts in each."""

    before: int
    after: int
    length: int


@dataclass
class Budget:
    """How many comparisons may still be made."""

    steps: int = MOST_STEPS


@dataclass(frozen=True, slots=True)
class _Gap:
    """What lies between two matches: lines ``before[b:b_end]`` and ``after[a:a_end]``."""

    b: int
    b_end: int
    a: int
    a_end: int

    @property
    def is_one_sided(self) -> bool:
        return self.b == self.b_end or self.a == self.a_end


def split(text: str) -> list[str]:
    """Return the lines with their "\\n"; the last one has none where the text ends without."""
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def matches(
    before: Sequence[Hashable], after: Sequence[Hashable], budget: Budget | None = None
) -> list[Match]:
    """Return the runs that two sequences have in common, in order, none touching the next in both.

    Lines that are unique in both are the anchors (patience); between them the fewest edits are sought (Myers)
    as long as the budget lasts.
    """
    numbers: dict[Hashable, int] = {}
    one = [numbers.setdefault(line, len(numbers)) for line in before]
    two = [numbers.setdefault(line, len(numbers)) for line in after]
    return _joined(_runs(one, two, budget or Budget()))


def _runs(before: list[int], after: list[int], budget: Budget) -> Iterator[Match]:
    """Yield runs of equal lines in order; with a stack, as texts could choose a recursion's depth."""
    waiting: list[_Gap | Match] = [_Gap(0, len(before), 0, len(after))]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Match):
            yield part
            continue
        start, middle, end = _trimmed(before, after, part)
        parts: list[_Gap | Match] = [Match(part.b, part.a, start)]
        if not middle.is_one_sided:
            anchors = _anchors(before, after, middle)
            parts += _between(middle, anchors) if anchors else _fewest_edits(before, after, middle, budget)
        parts.append(Match(middle.b_end, middle.a_end, end))
        waiting += reversed(parts)


def _trimmed(before: list[int], after: list[int], gap: _Gap) -> tuple[int, _Gap, int]:
    """Return how many lines at the start are the same, what is left between, and how many at the end."""
    most = min(gap.b_end - gap.b, gap.a_end - gap.a)
    start = 0
    while start < most and before[gap.b + start] == after[gap.a + start]:
        start += 1
    end = 0
    while end < most - start and before[gap.b_end - 1 - end] == after[gap.a_end - 1 - end]:
        end += 1
    return start, _Gap(gap.b + start, gap.b_end - end, gap.a + start, gap.a_end - end), end


def _between(gap: _Gap, anchors: list[tuple[int, int]]) -> Iterator[_Gap | Match]:
    b, a = gap.b, gap.a
    for next_b, next_a in anchors:
        yield _Gap(b, next_b, a, next_a)
        yield Match(next_b, next_a, 1)
        b, a = next_b + 1, next_a + 1
    yield _Gap(b, gap.b_end, a, gap.a_end)


def _anchors(before: list[int], after: list[int], gap: _Gap) -> list[tuple[int, int]]:
    """Return pairs of lines that are unique in both parts: the longest series in the same order."""
    places = _unique(before, gap.b, gap.b_end)
    others = _unique(after, gap.a, gap.a_end)
    common = sorted((place, others[line]) for line, place in places.items() if line in others)
    tops: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for number, (_, a) in enumerate(common):
        pile = bisect_left(tops, a)
        tops[pile : pile + 1] = [a]
        ends[pile : pile + 1] = [number]
        previous.append(ends[pile - 1] if pile else -1)
    series: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        series.append(common[number])
        number = previous[number]
    return series[::-1]


def _unique(lines: list[int], start: int, end: int) -> dict[int, int]:
    places: dict[int, int] = {}
    again: set[int] = set()
    for place in range(start, end):
        line = lines[place]
        if line in places:
            again.add(line)
        places[line] = place
    return {line: place for line, place in places.items() if line not in again}


def _fewest_edits(before: list[int], after: list[int], gap: _Gap, budget: Budget) -> list[Match]:
    """Return the same lines of the shortest edit (Myers, 1986); none when it takes more than the budget.

    Lines that only one side has can't be among them and are left out before.
    """
    old_range, new_range = range(gap.b, gap.b_end), range(gap.a, gap.a_end)
    common = {before[b] for b in old_range} & {after[a] for a in new_range}
    ones = [b for b in old_range if before[b] in common]
    twos = [a for a in new_range if after[a] in common]
    pairs = _shortest([before[b] for b in ones], [after[a] for a in twos], budget)
    return [Match(ones[one], twos[two], 1) for one, two in pairs]


def _shortest(one: list[int], two: list[int], budget: Budget) -> list[tuple[int, int]]:
    fronts: list[Sequence[int]] = []
    while budget.steps > 0:
        edits = len(fronts)
        front = array("i")
        for step in range(edits + 1):
            k = 2 * step - edits
            start = x = _start(fronts[-1], step) if fronts else 0
            while x < len(one) and x - k < len(two) and one[x] == two[x - k]:
                x += 1
            front.append(x)
            budget.steps -= x - start
            if x >= len(one) and x - k >= len(two):
                return _walked_back(fronts, len(one), len(two))
        fronts.append(front)
        budget.steps -= edits + 1
    return []


def _is_insertion(front: Sequence[int], step: int) -> bool:
    """Tell whether the best way to a diagonal is to take in a line of the other text."""
    return step == 0 or (step < len(front) and front[step - 1] < front[step])


def _start(front: Sequence[int], step: int) -> int:
    return front[step] if _is_insertion(front, step) else front[step - 1] + 1


def _walked_back(fronts: list[Sequence[int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(fronts), -1, -1):
        step = (x - y + edits) // 2
        start = _start(fronts[edits - 1], step) if edits else 0
        while x > start:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        if edits and _is_insertion(fronts[edits - 1], step):
            y -= 1
        else:
            x -= 1
    return pairs[::-1]


def _joined(runs: Iterator[Match]) -> list[Match]:
    found: list[Match] = []
    for run in runs:
        last = found[-1] if found else None
        if last and last.before + last.length == run.before and last.after + last.length == run.after:
            found[-1] = Match(last.before, last.after, last.length + run.length)
        elif run.length:
            found.append(run)
    return found
