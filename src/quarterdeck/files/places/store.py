"""One open repository on this machine: its objects and refs, by dulwich, in this process.

Nothing that a repository's configuration names is ever run: no hook, no filter, no merge driver, no git.
All faults of a damaged or odd repository leave here as PlaceError. dulwich takes a tenth of a second and
9 MB to import, so this module is imported on the first use of a local place.
"""

import os
import struct
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import ENOENT
from pathlib import Path
from typing import NamedTuple, TypeVar

from dulwich import errors
from dulwich.config import ConfigFile
from dulwich.file import FileLocked, GitFile, adjust_shared_perm
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree, parse_tree, valid_hexsha
from dulwich.pack import PackFileDisappeared
from dulwich.refs import HEADREF, Ref, SymrefLoop
from dulwich.repo import (
    InvalidWorktreeConfiguration,
    Repo,
    UnsupportedExtension,
    UnsupportedVersion,
)

from quarterdeck.files.places import pack_sizes
from quarterdeck.files.places.place import Exists, Missing, PlaceError, Refused, Unanswered, Unsupported

FOLDER_MODE = 0o040000
FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
LINK_MODE = 0o120000
SUBMODULE_MODE = 0o160000

_SYMBOLIC = b"ref: "
_BLOB, _TREE = 3, 2
_DEEPEST_TAG = 20
_LARGEST = 16 * 1024 * 1024
_TRIES = 10
_LOOKS = 3
_FAULTS = (
    errors.ApplyDeltaError,
    errors.ChecksumMismatch,
    errors.FileFormatException,
    errors.MissingCommitError,
    errors.ObjectMissing,
    errors.RefFormatError,
    errors.WrongObjectException,
    PackFileDisappeared,
    SymrefLoop,
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What dulwich raises, found by damaging repositories byte by byte."""

_Found = TypeVar("_Found")


class Node(NamedTuple):
    """What a folder says of one name in it."""

    mode: int
    id: bytes

    @property
    def is_folder(self) -> bool:
        return self.mode & 0o170000 == FOLDER_MODE

    @property
    def is_file(self) -> bool:
        return self.mode & 0o170000 == 0o100000

    @property
    def is_link(self) -> bool:
        return self.mode & 0o170000 == LINK_MODE

    @property
    def is_submodule(self) -> bool:
        return self.mode & 0o170000 == SUBMODULE_MODE


@contextmanager
def opened(folder: Path) -> Iterator["Store"]:
    """Open the repository for one call, in 0.4 ms: no state to share between threads or to get old."""
    repository = _open(folder)
    try:
        with _told():
            store = Store(repository)
        yield store
    finally:
        repository.close()


class Store:
    """Reads and writes objects and refs; ids are hexadecimal, as bytes."""

    def __init__(self, repository: Repo) -> None:
        self._repository = repository
        self._config = repository.get_config()
        self._objects = repository.object_store = _plain_objects(repository.object_store, self._config)
        self._refs = repository.refs
        self._line = repository.parents_provider()

    @property
    def control(self) -> Path:
        """The folder with refs and objects."""
        return Path(self._repository.commondir())

    def setting(self, section: str, name: str) -> str:
        """Return a setting of the repository's own configuration; empty when it is not set."""
        with _told():
            try:
                return self._config.get(section.encode(), name.encode()).decode(errors="replace")
            except KeyError:
                return ""

    @property
    def has_working_tree(self) -> bool:
        """Whether a folder of files belongs to it: git's rule, also for a ``.git`` that is named itself."""
        bare = self.setting("core", "bare").lower()
        return bare in ("false", "no", "off", "0") if bare else not self._repository.bare

    @property
    def is_shared(self) -> bool:
        """Whether others of the group may write what we have written (core.sharedRepository)."""
        return self._objects.shared_perm is not None and bool(self._objects.shared_perm.tweak & 0o020)

    def commit(self, id_: bytes) -> Commit:
        """Return the commit that somebody names; raises Missing when there is none."""
        return self._commit(id_, self._named(id_))

    def ancestor(self, id_: bytes) -> Commit:
        """Return a commit that another one names; raises Missing."""
        with _told():
            found = self._object(id_)
        return self._commit(id_, found)

    def peeled(self, id_: bytes) -> Commit | None:
        """Return the commit that a tag, or a tag of a tag, is for; None when it is for something else."""
        found = self._named(id_)
        for _ in range(_DEEPEST_TAG):
            if not isinstance(found, Tag):
                break
            found = self._named(found.object[1])
        return found if isinstance(found, Commit) else None

    def parents(self, commit: Commit) -> list[bytes] | None:
        """Return a commit's parents; None where they are missing because a shallow clone ends there."""
        with _told():
            parents = list(self._line.get_parents(commit.id, commit))
        return None if commit.parents and not parents else [bytes(parent) for parent in parents]

    def merge_bases(self, one: bytes, other: bytes) -> list[bytes]:
        """Return the best common ancestors."""
        from dulwich.graph import find_merge_base

        with _told():
            return list(find_merge_base(self._repository, [ObjectID(one), ObjectID(other)]))

    def folder(self, id_: bytes) -> Iterator[tuple[bytes, Node]]:
        """Yield names and what they are."""
        return ((name, Node(mode, hexadecimal)) for name, mode, hexadecimal in self.names(id_))

    def names(self, id_: bytes) -> list[tuple[bytes, int, bytes]]:
        """Return name, mode and id of what is in a folder: the quick way for all of a large tree."""
        with _told():
            kind, text = _found(lambda: self._objects.get_raw(ObjectID(id_)))
            if kind != _TREE:
                raise ValueError(kind)
            return list(parse_tree(text, 20))

    def blob(self, id_: bytes) -> bytes:
        """Return the bytes of a file, proven by their hash."""
        with _told():
            kind, content = _found(lambda: self._objects.get_raw(ObjectID(id_)))
            if kind != _BLOB or Blob.from_string(content).id != id_:
                raise ValueError(kind)
        return content

    def size(self, id_: bytes) -> int:
        """Return how large a file is, without unpacking it."""
        with _told():
            return _found(lambda: pack_sizes.size_of(self._objects, ObjectID(id_)))

    def write_blob(self, content: bytes) -> bytes:
        return self._write(Blob.from_string(content))

    def write_folder(self, entries: dict[bytes, Node], *, before: bytes = b"") -> bytes:
        """Write a tree, unless it is as it was before."""
        tree = Tree()
        for name, node in entries.items():
            tree.add(name, node.mode, ObjectID(node.id))
        return before if tree.id == before else self._write(tree)

    def write_commit(
        self, tree: bytes, parents: list[bytes], *, author: bytes, committer: bytes, time: int, message: bytes
    ) -> bytes:
        commit = Commit()
        commit.tree, commit.parents = ObjectID(tree), [ObjectID(parent) for parent in parents]
        commit.author, commit.committer, commit.message = author, committer, message
        commit.author_time = commit.commit_time = time
        commit.author_timezone = commit.commit_timezone = 0
        return self._write(commit)

    def head(self) -> bytes | None:
        """Return the ref that HEAD stands for; None when it stands for a commit or nothing."""
        with _told():
            head = self._refs.read_ref(HEADREF)
        return head.removeprefix(_SYMBOLIC).strip() if head and head.startswith(_SYMBOLIC) else None

    def checked_out(self) -> set[bytes]:
        """Return the branches that files on disk belong to, of the main and all linked working trees."""
        heads = [_first_line(each) for each in (self.control / "worktrees").glob("*/HEAD")]
        found = {head.removeprefix(_SYMBOLIC).strip() for head in heads if head.startswith(_SYMBOLIC)}
        if self.has_working_tree and (head := self.head()):
            found.add(head)
        return found

    def ref_names(self, kind: bytes) -> list[bytes]:
        """Return the names below ``refs/heads/`` or ``refs/tags/``."""
        with _told():
            return [name for name in self._refs.subkeys(Ref(kind)) if name]

    def ref(self, name: bytes) -> bytes | None:
        """Return what a ref points to, through symbolic ones; None when it is not there."""
        with _told():
            target = self._refs.follow(Ref(name))[1]
            if target is not None and not valid_hexsha(target):
                raise ValueError(target)
        return target

    def real_ref(self, name: bytes) -> bytes:
        """Return the ref that a symbolic one stands for at last, or the name itself."""
        with _told():
            return self._refs.follow(Ref(name))[0][-1]

    def add_ref(self, name: bytes, target: bytes) -> bool:
        """Make a ref unless it is there; raises FileLocked."""
        with _changing(name):
            self._make_room(name)
            return self._refs.add_if_new(Ref(name), ObjectID(target)) and self._share(name)

    def set_ref(self, name: bytes, before: bytes, after: bytes) -> bool:
        """Compare and swap; raises FileLocked."""
        with _changing(name):
            self._make_room(name)
            return self._refs.set_if_equals(Ref(name), ObjectID(before), ObjectID(after)) and self._share(
                name
            )

    def remove_ref(self, name: bytes, before: bytes | None) -> bool:
        """Compare and remove; raises FileLocked.

        Both locks are held, as git does, also for a ref that is not packed: a "git pack-refs" that has read
        it would bring it back. dulwich's own way takes the second when the ref's file is gone already.
        """
        file = self.control / os.fsdecode(name)
        with _changing(name):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = GitFile(str(file), "wb")
            try:
                if before and self._refs.read_ref(Ref(name)) != before:
                    return False
                self._make_room(name)
                self._refs.add_packed_refs({Ref(name): None})
                file.unlink(missing_ok=True)
            finally:
                lock.abort()
        self._make_room(b"/".join(name.split(b"/")[:3]))
        return True

    def _make_room(self, name: bytes) -> None:
        """Remove the empty folders that removed branches have left where a ref is to be, as git does."""
        for folder, _, _ in os.walk(self.control / os.fsdecode(name), topdown=False):
            with suppress(OSError):  # not empty: then the ref can't be made, and that is said
                Path(folder).rmdir()

    def _share(self, name: bytes) -> bool:
        """Give a ref, and the folders above that we made, the rights that core.sharedRepository wants."""
        top, path = self.control / "refs" / "heads", self.control / os.fsdecode(name)
        while path != top and top in path.parents:
            with suppress(FileNotFoundError):  # removed meanwhile
                if path.stat().st_uid == os.geteuid():
                    adjust_shared_perm(path, self._objects.shared_perm)
            path = path.parent
        return True

    def _commit(self, id_: bytes, found: ShaFile | None) -> Commit:
        if isinstance(found, Commit):
            return found
        raise Missing(f"There is no commit {id_.decode(errors='replace')[:12]} in the repository.")

    def _named(self, id_: bytes) -> ShaFile | None:
        """Return an object, or None for one of a size that only a file has: such a one isn't loaded."""
        with _told():
            try:
                size = _found(lambda: pack_sizes.size_of(self._objects, ObjectID(id_)))
            except KeyError:
                return None
            return self._object(id_) if size < _LARGEST else None

    def _object(self, id_: bytes) -> ShaFile | None:
        try:
            return _found(lambda: self._objects[ObjectID(id_)])
        except KeyError:
            return None

    def _write(self, made: ShaFile) -> bytes:
        """Write an object as git does, aside and renamed.

        dulwich takes a lock of the object's own name: two writers of equal bytes would meet there, and a
        crash would leave it for ever.
        """
        name = made.id.decode()
        path = Path(self._objects.path) / name[:2] / name[2:]
        with _told(), _told_writing():
            try:
                os.utime(path)  # a tidying git must not take an old object that is used again
            except (FileNotFoundError, PermissionError):  # not there, or another account's
                self._write_file(path, made.as_legacy_object())
        return bytes(made.id)

    def _write_file(self, path: Path, content: bytes) -> None:
        handle, aside = self._temporary(path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(handle, 0o444)
                os.fsync(handle)
            adjust_shared_perm(aside, self._objects.shared_perm)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def _temporary(self, folder: Path) -> tuple[int, Path]:
        """Open a file of a name that git tidies away when it is left behind."""
        for _ in range(_TRIES):
            with suppress(FileExistsError):
                folder.mkdir()
                adjust_shared_perm(folder, self._objects.shared_perm)
            with suppress(FileNotFoundError):  # a tidying git has removed the empty folder again
                handle, name = tempfile.mkstemp(prefix="tmp_obj_", dir=folder)
                return handle, Path(name)
        raise FileNotFoundError(ENOENT, "the folder of objects goes away", str(folder))


def _found(look: Callable[[], _Found]) -> _Found:
    """Look for an object again when it is not there: a tidying git moves objects between files."""
    for _ in range(_LOOKS - 1):
        with suppress(KeyError, PackFileDisappeared, FileNotFoundError):
            return look()
    return look()


@contextmanager
def _told() -> Iterator[None]:
    """Turn whatever a damaged repository makes dulwich raise into one error for people."""
    try:
        yield
    except _FAULTS as error:
        _let_go(error)
        raise PlaceError(
            "The repository is damaged or incomplete: part of it could not be read. "
            "“git fsck” tells its administrator what is wrong."
        ) from error


@contextmanager
def _told_writing() -> Iterator[None]:
    """Turn faults of writing into errors that say which; a lock of somebody else's passes through."""
    try:
        yield
    except PermissionError as error:
        raise Refused(
            "This node may not write to the repository: its files belong to somebody else."
        ) from error
    except OSError as error:
        why = error.strerror or "fault of the disk"
        raise Unanswered(f"The repository could not be written: {why}.") from error


@contextmanager
def _changing(name: bytes) -> Iterator[None]:
    with _told(), _told_writing():
        try:
            yield
        except (NotADirectoryError, IsADirectoryError) as error:
            raise Exists("A branch of this name, or one that is a folder of it, is there already.") from error
        except FileNotFoundError as error:  # its empty folder was tidied away between two steps
            raise FileLocked(name, name + b".lock") from error


def _let_go(error: BaseException | None) -> None:
    """Drop what the frames of an error hold: a view of a mapped pack keeps the pack from being closed."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _first_line(file: Path) -> bytes:
    try:
        return file.read_bytes()[:4096].partition(b"\n")[0]
    except OSError:
        return b""


def _open(folder: Path) -> Repo:
    if not folder.is_dir():
        raise Missing("The folder of the repository is not there; an administrator can test the place.")
    if folder.resolve() != folder:
        raise Missing("A symbolic link leads to the repository; an administrator can name the real folder.")
    try:
        repository = Repo(str(folder))
    except errors.NotGitRepository as error:
        raise Missing("There is no git repository in the folder of this place.") from error
    except (UnsupportedExtension, UnsupportedVersion, InvalidWorktreeConfiguration) as error:
        raise Unsupported(f"The repository is of a kind that can't be used here: {error}.") from error
    except PermissionError as error:
        raise Refused("This node may not read the repository.") from error
    except _FAULTS as error:
        raise PlaceError("The repository's own configuration can't be read.") from error
    if unsupported := _unsupported(repository, folder):
        repository.close()
        raise Unsupported(unsupported)
    return repository


def _plain_objects(objects: DiskObjectStore, config: ConfigFile) -> DiskObjectStore:
    """Return the objects without the indexes over all packs and all commits.

    dulwich reads a graph of commits whole on each opening, and one that is behind or damaged must not decide.
    """
    config.set((b"core",), b"commitGraph", b"false")
    config.set((b"core",), b"multiPackIndex", b"false")
    return DiskObjectStore.from_config(objects.path, config, shared_perm=objects.shared_perm)


def _unsupported(repository: Repo, folder: Path) -> str:
    if repository.object_format.name != "sha1":
        return "The repository names its objects by SHA-256. Only repositories with SHA-1 can be used."
    if type(repository.refs).__name__ != "DiskRefsContainer":
        return (
            "The repository keeps its branches as reftable. Only repositories with plain files can be used."
        )
    control = Path(repository.controldir())
    if control.resolve() not in (folder, folder / ".git") or repository.commondir() != str(control):
        return "Its “.git” leads to another folder: name the repository that it belongs to."
    return ""


__all__ = ["FileLocked", "Node", "Store", "opened"]
