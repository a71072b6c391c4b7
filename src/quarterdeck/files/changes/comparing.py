"""How a file of a change stands to the repository: there already, as it was, or changed by others."""

import hashlib
from typing import Final

from quarterdeck.core.errors import TooLarge
from quarterdeck.files.changes.originals import MOST_READ, content_at, exists
from quarterdeck.files.changes.records import DraftRecord
from quarterdeck.files.models import DraftAction
from quarterdeck.files.places.place import Action, FileChange, Missing, Place, Stat

NOTHING: Final = "nothing"
"""The digest of a file that is not there."""


def changes_of(place: Place, draft: DraftRecord) -> list[FileChange]:
    """Return what a commit on the branch does for a draft, which may be committed there before."""
    if draft.action is DraftAction.DELETE:
        return [FileChange(draft.path, Action.DELETE)]
    is_new = draft.action is not DraftAction.UPDATE and not draft.committed
    written = FileChange(
        draft.final_path,
        Action.WRITE,
        contents_of(place, draft),
        is_executable=draft.is_executable,
        is_new=is_new,
    )
    if draft.action is DraftAction.RENAME and not is_renamed(place, draft):
        return [FileChange(draft.path, Action.DELETE), written]
    return [written]


def is_renamed(place: Place, draft: DraftRecord) -> bool:
    """Tell whether the branch has lost the old path already."""
    return bool(draft.committed) and not exists(place, draft.committed, draft.path)


def contents_of(place: Place, draft: DraftRecord) -> bytes:
    """Return what is written of a draft; a large file that is only renamed is read from its place."""
    if draft.wanted is not None:
        return draft.wanted
    if draft.action is DraftAction.NEW:
        return b""
    return place.read(draft.base, draft.path, most_bytes=MOST_READ)


def digest_of(content: bytes | None) -> str:
    """Return by what contents are known again."""
    return NOTHING if content is None else hashlib.sha256(content).hexdigest()


def wanted_digest(place: Place, draft: DraftRecord) -> str:
    """Return the digest of what a draft leaves behind."""
    return NOTHING if draft.action is DraftAction.DELETE else digest_of(contents_of(place, draft))


def digest_at(place: Place, commit: str, path: str) -> str:
    """Return the digest of what stands at a path."""
    try:
        return digest_of(content_at(place, commit, path))
    except TooLarge:
        return f"too large at {commit}"


def is_gone(place: Place, commit: str, draft: DraftRecord) -> bool:
    """Tell whether a renamed file has left its old path; of other drafts there is nothing that must leave."""
    return draft.action is not DraftAction.RENAME or not exists(place, commit, draft.path)


def is_as_before(place: Place, commit: str, draft: DraftRecord) -> bool:
    """Tell whether the target still has, at a commit, what the draft began from."""
    if draft.base == commit:
        return True
    if draft.action is DraftAction.RENAME and exists(place, commit, draft.new_path):
        return False
    if draft.original is not None:
        return digest_at(place, commit, draft.path) == digest_of(draft.original)
    if draft.action is DraftAction.NEW:
        return not exists(place, commit, draft.path)
    return _is_same_version(place, draft.base, commit, draft.path)


def is_same_at(place: Place, before: str, after: str, draft: DraftRecord) -> bool:
    """Tell whether two commits of the branch have the same file of a draft."""
    return before == after or digest_at(place, before, draft.final_path) == digest_at(
        place, after, draft.final_path
    )


def _is_same_version(place: Place, before: str, after: str, path: str) -> bool:
    """Compare a file that is too large to be kept here by what the place says of it."""
    old, new = _stat(place, before, path), _stat(place, after, path)
    if old is None or new is None:
        return old is new
    return bool(old.version) and (old.version, old.size) == (new.version, new.size)


def _stat(place: Place, commit: str, path: str) -> Stat | None:
    try:
        return place.stat(commit, path)
    except Missing:
        return None
