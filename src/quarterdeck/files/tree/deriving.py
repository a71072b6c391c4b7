"""The listing of a commit: from all that the place lists, or from an earlier one and what differs; pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from quarterdeck.files.paths import is_allowed, is_shown
from quarterdeck.files.places.place import Entry, PathChanges
from quarterdeck.files.tree.listing import Listing

MOST_STEPS: Final = 100
"""After so many steps a listing is fetched anew, lest something that a place did not tell stays wrong."""


def listing_of(entries: Iterable[Entry], allowed_paths: Sequence[str]) -> Listing:
    """Return the listing of what a place lists: the paths that may be shown and that the place allows."""
    allowed = [entry for entry in entries if is_allowed(entry.path, allowed_paths)]
    hidden = (entry.path for entry in allowed if not is_shown(entry.path))
    return Listing([entry for entry in allowed if is_shown(entry.path)], hidden=hidden)


def derived(before: Listing, changes: PathChanges) -> Listing | None:
    """Return the listing after changes of allowed paths, None when they don't fit what was there before."""
    entries = {entry.path: entry for entry in before.entries}
    hidden = set(before.hidden)
    for path, entry in changes.items():
        if entry is not None:
            if is_shown(path):
                entries[path] = entry
            else:
                hidden.add(path)
        elif path in hidden:
            hidden.remove(path)
        elif entries.pop(path, None) is None:
            return None
    return Listing(entries.values(), hidden=hidden, steps=before.steps + 1)
