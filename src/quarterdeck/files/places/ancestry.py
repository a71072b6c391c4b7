"""Questions about a repository's past, each with an end: so many commits, so many seconds."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck.core.clock import Clock
from quarterdeck.files.places.place import CommitInfo
from quarterdeck.files.places.tree_edits import node_in

if TYPE_CHECKING:
    from dulwich.objects import Commit

    from quarterdeck.files.places.store import Node, Store

MOST_COMMITS = 20_000
MOST_SECONDS = 1.0


def last_change(store: "Store", start: bytes, path: bytes, clock: Clock) -> CommitInfo | None:
    """Return the commit that ``git log -1 -- <path>`` names; None when it isn't found within the limits.

    As git does it: at a merge, follow the first parent that has the path as it is here.
    """
    until = clock.monotonic() + MOST_SECONDS
    commit = store.commit(start)
    here = _way(store, commit.tree, path, [])
    for _ in range(MOST_COMMITS):
        parents = store.parents(commit)
        if parents is None or clock.monotonic() > until:
            return None
        for parent in map(store.ancestor, parents):
            way = _way(store, parent.tree, path, here)
            if way[-1] == here[-1]:
                commit, here = parent, way
                break
        else:
            return describe(commit) if here[-1] is not None or parents else None
    return None


def describe(commit: "Commit") -> CommitInfo:
    """Return a commit for pages; what is no UTF-8 in it is read as its own encoding says, or replaced."""
    author = _text(commit.author, commit)
    return CommitInfo(
        id=commit.id.decode(),
        author=re.sub(r"\s*<[^>]*>?\s*$", "", author).strip() or author.strip(" <>"),
        at=moment(commit),
        message=_text(commit.message, commit),
    )


def moment(commit: "Commit") -> datetime:
    """Return when it was committed; a time that no calendar has counts as the beginning of time."""
    try:
        return datetime.fromtimestamp(commit.commit_time, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _way(
    store: "Store", tree: bytes, path: bytes, known: "list[bytes | Node | None]"
) -> "list[bytes | Node | None]":
    """Return the tree and what each part of a path is, the last for the whole path.

    Where it meets the known way, of another commit, it goes on along that without reading.
    """
    way: list[bytes | Node | None] = [tree]
    for name in path.split(b"/"):
        if known and way[-1] == known[len(way) - 1]:
            return way + known[len(way) :]
        above = way[-1]
        folder = above if isinstance(above, bytes) else above.id if above and above.is_folder else None
        way.append(node_in(store, folder, name) if folder else None)
    return way


def _text(raw: bytes, commit: "Commit") -> str:
    encoding = (commit.encoding or b"utf-8").decode("ascii", "replace")
    try:
        text = raw.decode(encoding, "replace")
    except (LookupError, ValueError):
        text = raw.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()
