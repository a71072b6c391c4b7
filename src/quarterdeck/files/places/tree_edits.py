"""Looks into the tree of a commit and makes new trees from old ones; nothing here is recursive."""

from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

from quarterdeck.files import paths
from quarterdeck.files.places.place import Entry, EntryKind, Exists, PlaceError

if TYPE_CHECKING:
    from quarterdeck.files.places.store import Node, Store

DEEPEST = 200
MOST_FILES = 500_000
_KIND, _FOLDER = 0o170000, 0o040000
_KINDS = {0o120000: EntryKind.LINK, 0o160000: EntryKind.SUBMODULE}
_NO_NAMES = (b"", b".", b"..")


def node_at(store: "Store", root: bytes, path: bytes) -> "Node | None":
    """Return what a path is; None when there is nothing."""
    *folders, last = path.split(b"/")
    for name in folders:
        node = node_in(store, root, name)
        if node is None or not node.is_folder:
            return None
        root = node.id
    return node_in(store, root, last)


def node_in(store: "Store", folder: bytes, name: bytes) -> "Node | None":
    """Return what a name is in one folder."""
    return next((node for each, node in store.folder(folder) if each == name), None)


def entries(store: "Store", root: bytes) -> list[Entry]:
    """Return all files below a tree, sorted by path; raises PlaceError when they are too many or too deep."""
    found: list[Entry] = []
    waiting: list[tuple[bytes, bytes, int]] = [(b"", root, 0)]
    folders = 0
    while waiting:
        prefix, folder, depth = waiting.pop()
        folders += 1
        for name, mode, id_ in store.names(folder):
            if name in _NO_NAMES or b"/" in name:
                continue  # what git would never check out, made to look like another path
            if mode & _KIND == _FOLDER:
                waiting.append((prefix + name + b"/", id_, depth + 1))
            else:
                found.append(
                    Entry(paths.decode_path(prefix + name), _KINDS.get(mode & _KIND, EntryKind.FILE))
                )
        if depth > DEEPEST or len(found) > MOST_FILES or folders + len(waiting) > MOST_FILES:
            raise PlaceError(
                f"The repository has more than {MOST_FILES:,} files, or folders deeper than {DEEPEST}: "
                "its files can't be listed. A file can still be opened by its path."
            )
    found.sort(key=attrgetter("path"))
    return found


def differences(
    store: "Store", before: bytes, after: bytes
) -> Iterator[tuple[bytes, "Node | None", "Node | None"]]:
    """Yield each file, link and submodule that is not the same in both trees; equal folders are not read."""
    waiting: list[tuple[bytes, bytes | None, bytes | None]] = [(b"", before, after)]
    folders = 0
    while waiting:
        prefix, old_folder, new_folder = waiting.pop()
        folders += 1
        if folders > MOST_FILES:
            raise PlaceError("The two commits differ in too much to be compared here.")
        old = dict(store.folder(old_folder)) if old_folder else {}
        new = dict(store.folder(new_folder)) if new_folder else {}
        for name in sorted({*old, *new}):
            was, now = old.get(name), new.get(name)
            if was == now:
                continue
            old_below, was = _split(was)
            new_below, now = _split(now)
            if (old_below or new_below) and old_below != new_below:
                waiting.append((prefix + name + b"/", old_below, new_below))
            if was != now:
                yield prefix + name, was, now


class TreeEdit:
    """A tree with changes that are not written yet.

    ``_folders`` holds the folders that were looked into; each is in the one above too, a new one without id.
    """

    def __init__(self, store: "Store", root: bytes) -> None:
        self._store = store
        self._folders: dict[bytes, dict[bytes, Node]] = {b"": dict(store.folder(root))}
        self._before: dict[bytes, bytes] = {b"": root}

    def put(self, path: bytes, node: "Node") -> None:
        """Set a file; raises Exists where a folder is, or below what is no folder."""
        parent, _, name = path.rpartition(b"/")
        folder = self._folder(parent, make=True)
        if folder is None:
            raise Exists(f"A part of “{_shown(parent)}” is a file: nothing can be put below it.")
        if self._holds_files(path):
            raise Exists(f"“{_shown(path)}” is a folder.")
        for below in [each for each in self._folders if each == path or each.startswith(path + b"/")]:
            del self._folders[below]
        folder[name] = node

    def node_at(self, path: bytes) -> "Node | None":
        """Return what a path is by now; a folder also when it was emptied."""
        parent, _, name = path.rpartition(b"/")
        folder = self._folder(parent, make=False)
        return folder.get(name) if folder is not None else None

    def remove(self, path: bytes) -> None:
        """Take a file away, when it is there; folders that get empty go when the tree is written."""
        parent, _, name = path.rpartition(b"/")
        folder = self._folder(parent, make=False)
        if folder is not None:
            folder.pop(name, None)

    def write(self) -> bytes:
        """Write the trees that changed, the deepest first, and return the root."""
        from quarterdeck.files.places.store import FOLDER_MODE, Node

        deepest_first = sorted(self._folders, key=lambda path: path.count(b"/"), reverse=True)
        for path in (each for each in deepest_first if each):
            parent, _, name = path.rpartition(b"/")
            if self._folders[path]:
                self._folders[parent][name] = Node(FOLDER_MODE, self._written(path))
            else:
                self._folders[parent].pop(name, None)
        return self._written(b"")

    def _written(self, path: bytes) -> bytes:
        return self._store.write_folder(self._folders[path], before=self._before.get(path, b""))

    def _folder(self, path: bytes, *, make: bool) -> "dict[bytes, Node] | None":
        """Return a folder's entries; None when it is not there and not to be made, or is no folder."""
        from quarterdeck.files.places.store import FOLDER_MODE, Node

        reached, folder = b"", self._folders[b""]
        for name in path.split(b"/") if path else ():
            reached = reached + b"/" + name if reached else name
            if reached not in self._folders:
                node = folder.get(name)
                if (node is None and not make) or (node is not None and not node.is_folder):
                    return None
                self._read(reached, node)
            if make:
                folder.setdefault(name, Node(FOLDER_MODE, b""))
            folder = self._folders[reached]
        return folder

    def _read(self, path: bytes, node: "Node | None") -> None:
        if node is None:
            self._folders[path] = {}
            return
        self._folders[path], self._before[path] = dict(self._store.folder(node.id)), node.id

    def _holds_files(self, path: bytes) -> bool:
        """Say whether something is below a path; folders that were emptied here don't count."""
        if self._folder(path, make=False) is None:
            return False
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            for name, node in self._folders[folder].items():
                below = folder + b"/" + name
                if not node.is_folder or below not in self._folders:
                    return True
                waiting.append(below)
        return False


def _split(node: "Node | None") -> "tuple[bytes | None, Node | None]":
    """Return the id of a folder, or what is no folder."""
    if node is not None and node.is_folder:
        return node.id, None
    return None, node


def _shown(path: bytes) -> str:
    return paths.shown(paths.decode_path(path))
