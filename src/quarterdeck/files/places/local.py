"""A repository on this machine, bare or not, as a place."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.core.clock import Clock, SystemClock
from quarterdeck.core.errors import TooLarge
from quarterdeck.files import paths
from quarterdeck.files.places import ancestry, branches, local_checks, local_commits
from quarterdeck.files.places.place import (
    Action,
    Author,
    Budget,
    Check,
    CommitInfo,
    Entry,
    EntryKind,
    FileChange,
    Missing,
    PathChanges,
    Proposal,
    ProposalDraft,
    Ref,
    Refused,
    Stale,
    Stat,
    Unchanged,
    Unsupported,
)
from quarterdeck.files.places.tree_edits import entries, node_at

if TYPE_CHECKING:
    from quarterdeck.files.places.store import Node, Store

_TRIES = 25
"""In each round one writer comes through; so many at one branch are out of the question."""
_MOST_DATES = 50_000
_NO_PROPOSALS = "A repository on this machine has no pull requests: merge the branch instead."


class LocalPlace:
    """Does in this process what is asked; threads and other programs may work on the repository as well."""

    def __init__(self, folder: Path | str, clock: Clock | None = None, *, branch: str = "") -> None:
        self._folder, self._clock, self._branch = Path(folder), clock or SystemClock(), branch
        self._writing = threading.Lock()
        self._dates: dict[bytes, datetime] = {}

    def check(self, *, for_writing: bool) -> list[Check]:
        return local_checks.checks(self._folder, self.default_branch, for_writing=for_writing)

    def default_branch(self) -> str:
        with self._opened() as store:
            if not self._branch:
                return branches.default(store)
            branches.tip(store, self._branch)
            return self._branch

    def refs(self, text: str = "", *, limit: int = 100) -> list[Ref]:
        """Leave out what has a hostile name, and tags of what is no commit."""
        with self._opened() as store:
            found = [
                Ref(name, commit.decode(), is_tag=kind == branches.TAGS, changed_at=at)
                for kind in (branches.HEADS, branches.TAGS)
                for name, target in branches.names(store, kind, text)
                for commit, at in self._dated(store, target)
            ]
        found.sort(key=_by_kind_and_time)
        return found[:limit]

    def tip(self, branch: str) -> str:
        with self._opened() as store:
            return branches.tip(store, branch).decode()

    def resolve(self, ref: str) -> str:
        with self._opened() as store:
            return branches.resolve(store, ref).decode()

    def list_files(self, commit: str) -> list[Entry]:
        with self._opened() as store:
            return entries(store, store.commit(_id(commit)).tree)

    def changes_between(
        self, before: str, after: str, *, wanted: Callable[[str], bool]
    ) -> PathChanges | None:
        return None  # a listing takes milliseconds

    def stat(self, commit: str, path: str) -> Stat:
        with self._opened() as store:
            node = _existing(store, commit, path)
            size = 0 if node.is_submodule else store.size(node.id)
        kind = (
            EntryKind.SUBMODULE if node.is_submodule else EntryKind.LINK if node.is_link else EntryKind.FILE
        )
        executable = node.is_file and bool(node.mode & 0o100)
        return Stat(path, kind, size, is_executable=executable, version=node.id.decode())

    def read(self, commit: str, path: str, *, most_bytes: int) -> bytes:
        with self._opened() as store:
            node = _existing(store, commit, path)
            if node.is_submodule:
                raise Missing(f"“{paths.shown(path)}” is a submodule: its files are in another repository.")
            if (size := store.size(node.id)) > most_bytes:
                raise TooLarge(
                    f"“{paths.shown(path)}” has {size:,} bytes; at most {most_bytes:,} are read here."
                )
            return store.blob(node.id)

    def last_change(self, commit: str, path: str) -> CommitInfo | None:
        if not paths.is_shown(path):
            return None
        with self._opened() as store:
            return ancestry.last_change(store, _id(commit), paths.encode_path(path), self._clock)

    def holds(self, commit: str, earlier: str) -> bool:
        with self._opened() as store:
            later, before = (bytes(store.commit(_id(each)).id) for each in (commit, earlier))
            return store.merge_bases(later, before) == [before]

    def create_branch(self, name: str, commit: str) -> None:
        with self._opened() as store, self._writing:
            branches.create(store, name, bytes(store.commit(_id(commit)).id))

    def delete_branch(self, name: str, *, tip: str = "") -> None:
        with self._opened() as store, self._writing:
            if not branches.delete(store, name, _id(tip) if tip else None):
                raise Stale(f"The branch “{name}” has moved meanwhile, so it was not removed.")

    def commit(
        self, branch: str, base: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> str:
        """Commit on the tip; when that is not the base, then only if the paths are the same at both."""
        local_commits.check_changes(changes)
        with self._opened() as store, self._writing:
            branches.refuse_checked_out(store, branch)
            for _ in range(_TRIES):
                tip = branches.tip(store, branch)
                tree = local_commits.changed_tree(store, _id(base), tip, changes)
                made = self._write_commit(store, tree, [tip], message, author)
                if branches.move(store, branch, tip, made):
                    return made.decode()
        raise Stale(f"The branch “{branch}” moves all the time; try again.", paths=[])

    def first_branch(self) -> str:
        with self._opened() as store:
            return self._branch or branches.unborn(store)

    def first_commit(self, branch: str, path: str, content: bytes, message: str, author: Author) -> str:
        change = FileChange(path, Action.WRITE, content, is_new=True)
        local_commits.check_changes([change])
        with self._opened() as store, self._writing:
            branches.refuse_checked_out(store, branch)
            made = self._write_commit(store, local_commits.first_tree(store, change), [], message, author)
            branches.create(store, branch, made)
        return made.decode()

    def merge(
        self, branch: str, target: str, *, tip: str, target_tip: str, author: Author, message: str
    ) -> str:
        """Bring a branch into another and return the new tip: forward, or by a merge commit.

        Raises Stale when one of them is not where it was seen any more, and, with ``paths``, when both have
        changed a file; Unchanged when the target holds the branch already.
        """
        mine, theirs = _id(tip), _id(target_tip)
        with self._opened() as store, self._writing:
            branches.refuse_checked_out(store, target)
            for name, seen in ((branch, mine), (target, theirs)):
                if branches.tip(store, name) != seen:
                    raise Stale(f"The branch “{name}” has moved meanwhile: look at it again.", paths=[])
            made = self._merged(store, mine, theirs, author, message)
            if not branches.move(store, target, theirs, made):
                raise Stale(f"The branch “{target}” has moved meanwhile: look at it again.", paths=[])
        return made.decode()

    def open_proposal(self, draft: ProposalDraft) -> Proposal:
        raise Unsupported(_NO_PROPOSALS)

    def proposal(self, id_: str) -> Proposal:
        raise Unsupported(_NO_PROPOSALS)

    def link_to_file(self, ref: str, path: str) -> str:
        return ""

    def link_to_branch(self, name: str) -> str:
        return ""

    def budget(self) -> Budget | None:
        return None

    @contextmanager
    def _opened(self) -> "Iterator[Store]":
        from quarterdeck.files.places import store

        with store.opened(self._folder) as opened:
            yield opened

    def _dated(self, store: "Store", target: bytes) -> Iterator[tuple[bytes, datetime]]:
        """Yield the commit that a ref is for, with its time; a commit is read once as long as we live."""
        if known := self._dates.get(target):
            yield target, known
            return
        if commit := store.peeled(target):
            if len(self._dates) >= _MOST_DATES:
                self._dates.clear()
            at = self._dates[bytes(commit.id)] = ancestry.moment(commit)
            yield bytes(commit.id), at

    def _write_commit(
        self, store: "Store", tree: bytes, parents: list[bytes], message: str, author: Author
    ) -> bytes:
        return store.write_commit(
            tree,
            parents,
            author=local_commits.signature(author),
            committer=local_commits.COMMITTER,
            time=int(self._clock.now().timestamp()),
            message=local_commits.message_text(message),
        )

    def _merged(self, store: "Store", mine: bytes, theirs: bytes, author: Author, message: str) -> bytes:
        bases = store.merge_bases(mine, theirs)
        if bases == [mine]:
            raise Unchanged("There is nothing to merge: the branch is part of the other already.")
        if bases == [theirs]:
            return mine
        if len(bases) != 1:
            raise Refused("The two branches have no single common start: merge them with git.")
        tree = local_commits.merged_tree(store, bases[0], mine, theirs)
        return self._write_commit(store, tree, [theirs, mine], message, author)


def _by_kind_and_time(ref: Ref) -> tuple[bool, float, str]:
    return ref.is_tag, -ref.changed_at.timestamp() if ref.changed_at else 0.0, ref.name


def _existing(store: "Store", commit: str, path: str) -> "Node":
    tree = store.commit(_id(commit)).tree
    node = node_at(store, tree, paths.encode_path(path)) if paths.is_shown(path) else None
    if node is None:
        raise Missing(f"There is no file “{paths.shown(path[:1000])}” at this commit.")
    if node.is_folder:
        raise Missing(f"“{paths.shown(path[:1000])}” is a folder, not a file.")
    return node


def _id(text: str) -> bytes:
    if found := branches.full_hash(text):
        return found
    raise Missing(f"“{paths.shown(text[:100])}” is no full hash of a commit.")
