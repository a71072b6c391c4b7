"""What Bitbucket Cloud says of the differences between two commits, found in real git trees.

Its specification "A..B" is read the other way round than git's: A holds the changes, B is what it is compared
with. By default it compares with the common ancestor (``topic``) and pairs what was renamed (``renames``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.files.cloud.requests import Misused
from tests.files.git_repository import GitRepository, Leaf

Json = dict[str, Any]


@dataclass
class Differences:
    """How the differences are told."""

    are_in_time: bool = True
    """False: the call ends with 555."""
    pairs_renames: bool = False
    """Also when it is asked not to."""

    def of(self, git: GitRepository, after: str, before: str, query: Mapping[str, str]) -> list[Json]:
        """Return an entry for each path that differs, as ``after`` has it."""
        if query.get("topic", "true") != "false":
            raise Misused("the differences from the common ancestor")
        old, new = git.files(before), git.files(after)
        pairs = [(path, path) for path in sorted(old.keys() & new.keys()) if old[path] != new[path]]
        removed, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
        if self.pairs_renames or query.get("renames", "true") == "true":
            renamed = _renamed({path: old[path] for path in removed}, {path: new[path] for path in added})
            pairs += renamed.items()
            removed = [path for path in removed if path not in renamed]
            added = [path for path in added if path not in renamed.values()]
        found = [*pairs, *((path, "") for path in removed), *(("", path) for path in added)]
        return [_entry(*each) for each in sorted(found, key=lambda each: each[1] or each[0])]


def _renamed(removed: Mapping[str, Leaf], added: Mapping[str, Leaf]) -> dict[str, str]:
    """Return old and new paths of the same contents."""
    left = {leaf: path for path, leaf in added.items()}
    return {path: left.pop(leaf) for path, leaf in removed.items() if leaf in left}


def _entry(old: str, new: str) -> Json:
    status = "added" if not old else "removed" if not new else "modified" if old == new else "renamed"
    return {
        "type": "diffstat",
        "status": status,
        "lines_added": 1,
        "lines_removed": 1,
        "old": _side(old),
        "new": _side(new),
    }


def _side(path: str) -> Json | None:
    return {"type": "commit_file", "path": path, "escaped_path": path} if path else None
