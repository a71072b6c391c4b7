"""All paths of one commit, as a tree to step through and a list to search; pure."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from quarterdeck.files.places.place import Entry
from quarterdeck.files.tree.finding import Finder

_AFTER_SLASH: Final = chr(ord("/") + 1)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder inside another one, with how many files lie in it and below."""

    path: str
    count: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Level:
    """What lies in one folder itself; ``more`` counts what is there beyond the limit."""

    folders: tuple[Folder, ...]
    files: tuple[Entry, ...]
    more: int


class Listing:
    """The entries of a commit, sorted by path, and the ``hidden`` paths, which can't be shown.

    ``steps`` is how many times it was derived from an earlier one since all was listed.
    """

    def __init__(self, entries: Iterable[Entry], *, hidden: Iterable[str] = (), steps: int = 0) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: entry.path))
        self.hidden = frozenset(hidden)
        self.steps = steps

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def left_out(self) -> int:
        return len(self.hidden)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        return tuple(entry.path for entry in self.entries)

    @cached_property
    def weight(self) -> int:
        """About how many bytes of memory it takes with what searching adds."""
        return sum(4 * len(path) + 400 for path in (*self.paths, *self.hidden))

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self.paths)

    def get(self, path: str) -> Entry | None:
        at = bisect_left(self.paths, path)
        return self.entries[at] if at < len(self.paths) and self.paths[at] == path else None

    def find(self, question: str, *, limit: int) -> list[Entry]:
        """Return the entries whose path fits a question, the best first."""
        return [self.entries[at] for at in self._finder.find(question, limit=limit)]

    def level(self, folder: str, *, limit: int) -> Level | None:
        """Return what lies in a folder, the top for an empty text; None when there is no such folder."""
        prefix = f"{folder}/" if folder else ""
        at, end = bisect_left(self.paths, prefix), len(self.paths)
        if folder:
            end = bisect_left(self.paths, folder + _AFTER_SLASH)
            if at == end:
                return None
        folders: list[Folder] = []
        files: list[Entry] = []
        more = 0
        while at < end:
            name, slash, _ = self.paths[at][len(prefix) :].partition("/")
            after = bisect_left(self.paths, prefix + name + _AFTER_SLASH) if slash else at + 1
            if len(folders) + len(files) >= limit:
                more += 1
            elif slash:
                folders.append(Folder(prefix + name, after - at))
            else:
                files.append(self.entries[at])
            at = after
        return Level(tuple(folders), tuple(files), more)
