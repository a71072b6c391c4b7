"""All files of a commit at Bitbucket Cloud, page by page, and what is left to ask for when it breaks off."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from quarterdeck.files.places.answers import Answer
from quarterdeck.files.places.cloud_answers import entry_of, is_folder, path_of, text_of, values_of
from quarterdeck.files.places.place import Entry, PlaceError, Unanswered

MOST_ENTRIES: Final = 250_000
FIRST_DEPTH: Final = 20
_NEXT_DEPTH: Final = {20: 5, 5: 1}
TOO_DEEP: Final = 555

AskPage = Callable[[str, int, str], Answer]
"""Asks for the first page of a folder at a depth, or for the page at a link; 200 and 555 are returned."""


@dataclass(slots=True)
class _Folder:
    path: str
    depth: int
    link: str = ""
    """The page to ask for next, empty for the first."""
    deepest: list[str] = field(default_factory=list)
    """Folders found at the last level, whose own contents the pages don't hold."""
    links: set[str] = field(default_factory=set)


class Walk:
    """A listing under way. When a call of ``finish`` raises, another goes on where it stopped.

    So the listing of a repository that needs more calls than an hour allows comes to its end too.
    """

    def __init__(self) -> None:
        self.calls = 0
        """The pages that were read so far."""
        self._found: dict[str, Entry] = {}
        self._folders = deque([_Folder("", FIRST_DEPTH)])

    def finish(self, ask_page: AskPage) -> list[Entry]:
        """Ask for what is missing and return every file, sorted by path."""
        while self._folders:
            self._step(self._folders[0], ask_page)
        return sorted(self._found.values(), key=lambda entry: entry.path)

    def _step(self, folder: _Folder, ask_page: AskPage) -> None:
        answer = ask_page(folder.path, folder.depth, folder.link)
        self.calls += 1
        if answer.status == TOO_DEEP:
            self._folders[0] = _shallower(folder)
            return
        page = answer.json_object()
        for value in values_of(page):
            path = path_of(value)
            if path and is_folder(value) and _levels_below(folder.path, path) == folder.depth:
                folder.deepest.append(path)
            elif entry := entry_of(value):
                self._found[entry.path] = entry
        if len(self._found) > MOST_ENTRIES:
            raise PlaceError(
                f"The repository has more than {MOST_ENTRIES:,} files, which is too many to list."
            )
        self._go_on(folder, text_of(page, "next"))

    def _go_on(self, folder: _Folder, link: str) -> None:
        if not link:
            self._folders.popleft()
            self._folders.extend(_Folder(path, folder.depth) for path in folder.deepest)
            return
        if link in folder.links:
            raise Unanswered("Bitbucket's pages of the file list lead back to themselves.")
        folder.links.add(link)
        folder.link = link


def _shallower(folder: _Folder) -> _Folder:
    """Return the same folder, to be listed anew with fewer levels at once."""
    depth = _NEXT_DEPTH.get(folder.depth)
    if depth is None:
        raise Unanswered("Bitbucket can't list this repository in time: a folder holds too many files.")
    return _Folder(folder.path, depth)


def _levels_below(folder: str, path: str) -> int:
    """Return how many levels a path is below a folder: 1 for what it holds itself, 0 when elsewhere."""
    if not folder:
        return path.count("/") + 1
    return path.count("/") - folder.count("/") if path.startswith(f"{folder}/") else 0
