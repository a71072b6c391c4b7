"""What a file was before a change: read once from its place, and refused where it can't be edited."""

from dataclasses import dataclass
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.files import paths
from quarterdeck.files.models import DraftAction, FileDraft, PlaceRecord
from quarterdeck.files.places.place import EntryKind, Exists, Missing, Place
from quarterdeck.files.text import texts

MOST_READ: Final = 16 * 1024 * 1024
"""Of one file, for comparing it and for what was too large to be kept here."""
_NO_FILE = {
    EntryKind.LINK: "This is a symbolic link; what it points to is the file to change.",
    EntryKind.SUBMODULE: "This is a submodule, another repository; change its files there.",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to do with a file; an empty target is the place's usual branch."""

    path: str
    action: DraftAction = DraftAction.UPDATE
    new_path: str = ""
    target: str = ""
    base: str = ""
    """The commit that they were shown; empty: the target's tip now."""
    encoding: str = ""


def checked(record: PlaceRecord, wanted: Wanted) -> Wanted:
    """Return what is wanted with clean paths; raises Invalid."""
    faults: dict[str, str] = {}
    names = {"path": wanted.path}
    if wanted.action is DraftAction.RENAME:
        names["new_path"] = wanted.new_path
    elif wanted.new_path:
        faults["new_path"] = "Only a rename has a new path."
    clean = {name: _clean_path(record, name, text, faults) for name, text in names.items()}
    if clean.get("new_path") == clean["path"] and not faults:
        faults["new_path"] = "This is its path already."
    target = _clean_ref(wanted.target, faults)
    if wanted.base and not _is_hash(wanted.base):
        faults["base"] = "This is no full hash of a commit."
    if wanted.encoding and wanted.encoding not in texts.ENCODINGS:
        faults["encoding"] = f"Use one of {', '.join(texts.ENCODINGS)}."
    if faults:
        raise Invalid(faults)
    return Wanted(
        clean["path"], wanted.action, clean.get("new_path", ""), target, wanted.base, wanted.encoding
    )


def read_original(place: Place, draft: FileDraft) -> None:
    """Fill a new draft with what its file is at its base.

    Raises Missing and Exists where it is not as the action needs it, and Invalid for what is no file.
    """
    if draft.action == DraftAction.NEW:
        _check_free(place, draft.base, draft.path)
        return
    stat = place.stat(draft.base, draft.path)
    if stat.kind is not EntryKind.FILE:
        raise Invalid({"path": _NO_FILE[stat.kind]})
    if draft.action == DraftAction.RENAME:
        _check_free(place, draft.base, draft.new_path)
    draft.is_executable = stat.is_executable
    if stat.size <= texts.MOST_BYTES:
        draft.original = place.read(draft.base, draft.path, most_bytes=texts.MOST_BYTES)
        if draft.action == DraftAction.UPDATE and texts.is_lfs_pointer(draft.original):
            raise Invalid({"path": "Git LFS keeps this file elsewhere; here is only a pointer to it."})


def exists(place: Place, commit: str, path: str) -> bool:
    """Tell whether there is something at a path; a folder is nothing."""
    try:
        place.stat(commit, path)
    except Missing:
        return False
    return True


def content_at(place: Place, commit: str, path: str) -> bytes | None:
    """Return what stands at a path, None for nothing; raises TooLarge."""
    try:
        return place.read(commit, path, most_bytes=MOST_READ)
    except Missing:
        return None


def _check_free(place: Place, commit: str, path: str) -> None:
    if exists(place, commit, path):
        raise Exists(f"There is a file {path} already. Choose another path, or update that file.")


def _clean_path(record: PlaceRecord, name: str, text: str, faults: dict[str, str]) -> str:
    try:
        clean = paths.read_path(text)
    except ValueError as error:
        faults[name] = str(error)
        return ""
    if not paths.is_allowed(clean, record.allowed_paths):
        faults[name] = f"This place is for these paths: {', '.join(record.allowed_paths)}."
    return clean


def _clean_ref(text: str, faults: dict[str, str]) -> str:
    if not text:
        return ""
    try:
        return paths.read_ref(text)
    except ValueError as error:
        faults["target"] = str(error)
        return ""


def _is_hash(text: str) -> bool:
    return len(text) in (40, 64) and all(character in "0123456789abcdef" for character in text)
