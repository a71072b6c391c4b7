"""The tree, author and message of a commit in a repository on this machine."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from quarterdeck.files import paths
from quarterdeck.files.places.place import (
    Action,
    Author,
    Exists,
    FileChange,
    Missing,
    Refused,
    Stale,
    Unchanged,
)
from quarterdeck.files.places.tree_edits import TreeEdit, differences, node_at

if TYPE_CHECKING:
    from quarterdeck.files.places.store import Node, Store

COMMITTER = b"Quarterdeck <quarterdeck@localhost>"
"""Who put a commit here; its author is the person."""


def changed_tree(store: "Store", base: bytes, tip: bytes, changes: Sequence[FileChange]) -> bytes:
    """Write the tree of the tip with the changes; raises Stale, Exists, Missing, Refused and Unchanged."""
    before = store.commit(tip).tree
    _check_fresh(store, store.commit(base).tree, before, changes)
    edit = TreeEdit(store, before)
    for change in sorted(changes, key=lambda each: each.action is not Action.DELETE):
        _apply(edit, store, change)
    after = edit.write()
    if after == before:
        raise Unchanged("Nothing differs from what is committed already.")
    return after


def first_tree(store: "Store", change: FileChange) -> bytes:
    """Write a tree that holds one file."""
    edit = TreeEdit(store, store.write_folder({}))
    _apply(edit, store, change)
    return edit.write()


def _apply(edit: TreeEdit, store: "Store", change: FileChange) -> None:
    path = paths.encode_path(change.path)
    if change.action is Action.DELETE:
        edit.remove(path)
        return
    there = edit.node_at(path)
    if change.is_new and there is not None and not there.is_folder:
        raise Exists(f"There is already a file “{paths.shown(change.path)}”.")
    edit.put(path, _file_node(store, change))


def _check_fresh(store: "Store", base: bytes, tip: bytes, changes: Sequence[FileChange]) -> None:
    """Raise Stale where the base and the tip hold something else at a path; of new ones ``_apply`` judges."""
    stale = []
    for change in (each for each in changes if not each.is_new):
        path = paths.encode_path(change.path)
        there = node_at(store, tip, path)
        if base != tip and node_at(store, base, path) != there:
            stale.append(change.path)
        else:
            _check_kind(change, there)
    if stale:
        names = ", ".join(f"“{paths.shown(path)}”" for path in stale)
        raise Stale(f"Somebody has changed {names} meanwhile.", paths=stale)


def _check_kind(change: FileChange, there: "Node | None") -> None:
    name = paths.shown(change.path)
    if there is None:
        raise Missing(f"There is no file “{name}” on the branch.")
    if there.is_folder:
        raise Exists(f"“{name}” is a folder.")
    if not there.is_file and not (there.is_link and change.action is Action.DELETE):
        raise Refused(f"“{name}” is a {'symbolic link' if there.is_link else 'submodule'}, not a file.")


def check_changes(changes: Sequence[FileChange]) -> None:
    """Raise Refused for what no page lets through; the name of a file to be removed may be an odd one."""
    for change in changes:
        is_good = paths.is_shown if change.action is Action.DELETE else paths.is_editable_path
        if not is_good(change.path):
            raise Refused(f"“{paths.shown(change.path)}” is no path that can be written.")
        if change.action is Action.WRITE and change.content is None:
            raise ValueError("a file to be written needs contents")
    if len({change.path for change in changes}) != len(changes):
        raise ValueError("a path stands twice in one commit")


def _file_node(store: "Store", change: FileChange) -> "Node":
    from quarterdeck.files.places.store import EXECUTABLE_MODE, FILE_MODE, Node

    mode = EXECUTABLE_MODE if change.is_executable else FILE_MODE
    return Node(mode, store.write_blob(change.content or b""))


def merged_tree(store: "Store", base: bytes, mine: bytes, theirs: bytes) -> bytes:
    """Write the tree of theirs with what changed from the base to mine; raises Stale when they overlap."""
    before, target = store.commit(base).tree, store.commit(theirs).tree
    edit, overlapping = TreeEdit(store, target), []
    changed = list(differences(store, before, store.commit(mine).tree))
    for path, was, now in sorted(changed, key=lambda each: each[2] is not None):
        there = node_at(store, target, path)
        if there == now:
            continue
        if there != was or not _put(edit, path, now):
            overlapping.append(paths.decode_path(path))
    if overlapping:
        names = ", ".join(f"“{paths.shown(path)}”" for path in overlapping[:10])
        raise Stale(f"Both branches have changed {names}.", paths=sorted(overlapping))
    return edit.write()


def _put(edit: TreeEdit, path: bytes, node: "Node | None") -> bool:
    if node is None:
        edit.remove(path)
        return True
    try:
        edit.put(path, node)
    except Exists:
        return False
    return True


def signature(author: Author) -> bytes:
    """Return name and address as a commit has them, without what would end them early."""
    name = _line(author.name).strip(" .,:;\"'\\") or "Unknown"
    return f"{name} <{_line(author.email).replace(' ', '')}>".encode()


def _line(text: str) -> str:
    kept = (each for each in text if each not in "<>" and unicodedata.category(each)[0] != "C")
    return " ".join("".join(kept).split())


def message_text(text: str) -> bytes:
    """Return a message as git keeps it: line feeds, no control characters, one line end at its end."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    clean = ("".join(each for each in line if each == "\t" or each >= " ").rstrip() for line in lines)
    return ("\n".join(clean).strip("\n") + "\n").encode("utf-8", "replace")
