"""What differs between two commits at Bitbucket Cloud: a little takes fewer calls than a listing.

One call tells the paths, and one for each that is new or changed what it is now.
"""

from collections.abc import Callable, Mapping
from typing import Final

from quarterdeck.files.places.answers import Answer
from quarterdeck.files.places.cloud_answers import Json, entry_of, inner, path_of
from quarterdeck.files.places.place import Entry, Missing, PathChanges, Unanswered

MOST_CALLS: Final = 51
"""For a commit of up to 50 files."""
PAGE: Final = 500
ACCEPTED: Final = frozenset({200, 400, 555})
"""A call that Bitbucket refuses, or can't do in time, means as little as a commit that is gone: list all."""
_SIDES: Final = {
    "added": ("new",),
    "removed": ("old",),
    "modified": ("old", "new"),
    "renamed": ("old", "new"),
}

AskPage = Callable[[str], Answer]
"""Asks for the first page of the differences, or for the page at a link."""
AskFile = Callable[[str], Answer]
"""Asks what a path is at the later commit."""


class _Unclear(Exception):
    """Bitbucket's answer does not say for sure what differs, or finding out costs too much."""


def find_changes(
    ask_page: AskPage, ask_file: AskFile, *, wanted: Callable[[str], bool], most_calls: int
) -> PathChanges | None:
    """Return what became of the wanted paths, None when that is unclear or would take more calls.

    Raises what asking raises, but for Missing: the earlier commit may be gone for good.
    """
    try:
        gone, there = _differences(ask_page, wanted, most_calls)
        entries = {path: _entry(ask_file(path), path) for path in sorted(there)}
    except (_Unclear, Missing):
        return None
    return dict.fromkeys(gone - there) | entries


def _differences(
    ask_page: AskPage, wanted: Callable[[str], bool], most_calls: int
) -> tuple[set[str], set[str]]:
    """Return the wanted paths of the earlier and of the later commit that the differences name."""
    gone: set[str] = set()
    there: set[str] = set()
    links = [""]
    while True:
        page = _object(ask_page(links[-1]))
        for value in _values(page):
            old, new = _paths(value)
            gone.update(filter(wanted, old))
            there.update(filter(wanted, new))
        link = _next(page)
        if len(links) + bool(link) + len(there) > most_calls or (link and link in links):
            raise _Unclear
        if not link:
            return gone, there
        links.append(link)


def _paths(value: Json) -> tuple[list[str], list[str]]:
    """Return the paths before and after of one difference: one of each at most."""
    status = value.get("status")
    sides = _SIDES.get(status, ()) if isinstance(status, str) else ()
    found = {side: _path(inner(value, side)) for side in sides}
    if not found:
        raise _Unclear
    return [found[side] for side in sides if side == "old"], [found[side] for side in sides if side == "new"]


def _path(value: object) -> str:
    path = path_of(value) if isinstance(value, Mapping) else ""
    if not path:
        raise _Unclear
    return path


def _entry(answer: Answer, path: str) -> Entry:
    entry = entry_of(_object(answer))
    if entry is None or entry.path != path:
        raise _Unclear
    return entry


def _object(answer: Answer) -> Json:
    if answer.status != 200:
        raise _Unclear
    try:
        return answer.json_object()
    except Unanswered as error:
        raise _Unclear from error


def _values(page: Json) -> list[Json]:
    values = page.get("values")
    if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
        raise _Unclear
    return values


def _next(page: Json) -> str:
    link = page.get("next") or ""
    if not isinstance(link, str):
        raise _Unclear
    return link
