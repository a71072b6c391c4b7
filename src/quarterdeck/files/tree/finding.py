"""Finding a path among many by what somebody remembers of it; pure.

Each word of the question must stand in the path, or at least its letters in this order. Plain scans over
folded texts and one possessive pattern a word: among 50,000 paths this takes a tenth of what the scorers of
fuzzy-matching libraries take (measured; docs/files.md), and says the same of the same question always.
"""

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from heapq import nsmallest
from typing import Final

LONGEST_QUESTION: Final = 200
_MOST_WORDS: Final = 8
_MOST_RANKED: Final = 1_500
"""A question that fits more than these is too broad for its order to matter."""
_SEPARATORS: Final = "/._- "
_WORD_STARTS: Final = re.compile(r"(?:^|[/._\- ])([^/._\- ])")

# How well a word fits, best first.
_IS_NAME, _BEGINS_NAME, _BEGINS_WORD, _IN_NAME, _IN_PATH, _INITIALS, _SPREAD_IN_NAME, _SPREAD = range(8)

Rank = tuple[int, int, int, str]
"""How well the words fit, then the shorter name, the shorter path, the alphabet."""


class Finder:
    """The paths of one listing, folded once; the folding is done when the first question comes."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    @cached_property
    def _folded(self) -> list[str]:
        return [path.casefold() for path in self._paths]

    @cached_property
    def _names(self) -> list[str]:
        return [path[path.rfind("/") + 1 :] for path in self._folded]

    def find(self, question: str, *, limit: int) -> list[int]:
        """Return which paths fit, the best first; the first paths as they are when nothing is asked."""
        words = question[:LONGEST_QUESTION].casefold().split()[:_MOST_WORDS]
        if not words:
            return list(range(min(limit, len(self._paths))))
        if len(words) == 1 and (found := self._beginning(words[0], limit)):
            return found
        candidates: Sequence[int] = range(len(self._paths))
        for word in words:
            candidates = self._fitting(candidates, word, limit)
        candidates = self._fewer(candidates, words[-1])
        return nsmallest(
            limit, candidates, key=lambda at: self._rank(at, sum(self._fit(at, w) for w in words))
        )

    def _beginning(self, word: str, limit: int) -> list[int]:
        """Return the paths whose name begins so when they fill the list: nothing else could come before."""
        found = [at for at, name in enumerate(self._names) if name.startswith(word)]
        if len(found) < limit:
            return []
        if len(found) > _MOST_RANKED:
            exact = [at for at in found if self._names[at] == word]
            found = list(dict.fromkeys([*exact, *found[:_MOST_RANKED]]))
        return nsmallest(limit, found, key=lambda at: self._rank(at, self._names[at] != word))

    def _fitting(self, among: Sequence[int], word: str, limit: int) -> list[int]:
        """Return what fits a word; its letters apart count only where the word itself fills no list."""
        folded = self._folded
        holding = [at for at in among if word in folded[at]]
        if len(holding) >= limit:
            return holding
        fits = _in_order(word).match
        return [at for at in among if fits(folded[at])]

    def _fewer(self, found: Sequence[int], word: str) -> Sequence[int]:
        """Return what is worth ranking of very many: first those that have the word in their name."""
        if len(found) <= _MOST_RANKED:
            return found
        names, fits = self._names, _in_order(word).match
        in_name = [at for at in found if word in names[at]] or [at for at in found if fits(names[at])]
        known = set(in_name)
        return [*in_name, *(at for at in found if at not in known)][:_MOST_RANKED]

    def _fit(self, at: int, word: str) -> int:
        """Tell how well a word fits a path that it fits."""
        name, path = self._names[at], self._folded[at]
        if word not in path:
            return self._spread_fit(at, word)
        if name == word or path == word or ("/" in word and path.endswith(f"/{word}")):
            return _IS_NAME
        if name.startswith(word) or path.startswith(word):
            return _BEGINS_NAME
        if _begins_word(path, word):
            return _BEGINS_WORD
        return _IN_NAME if word in name else _IN_PATH

    def _spread_fit(self, at: int, word: str) -> int:
        pattern = _in_order(word)
        if pattern.match("".join(_WORD_STARTS.findall(self._folded[at]))):
            return _INITIALS
        return _SPREAD_IN_NAME if pattern.match(self._names[at]) else _SPREAD

    def _rank(self, at: int, fit: int) -> Rank:
        path = self._paths[at]
        return fit, len(self._names[at]), len(path), path


def _begins_word(path: str, word: str) -> bool:
    at = path.find(word)
    while at >= 0:
        if at == 0 or path[at - 1] in _SEPARATORS:
            return True
        at = path.find(word, at + 1)
    return False


@lru_cache(maxsize=64)
def _in_order(word: str) -> re.Pattern[str]:
    """Return what fits a text with these letters in this order; possessive, so that it never goes back."""
    return re.compile("".join(f"[^{re.escape(letter)}]*+{re.escape(letter)}" for letter in word))
