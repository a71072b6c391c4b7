"""A repository of real git objects in memory, for servers that stand in for Bitbucket."""

import subprocess
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dulwich.index import commit_tree
from dulwich.object_store import iter_tree_contents
from dulwich.objects import S_ISGITLINK, Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo, Repo

FILE, EXECUTABLE, LINK, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o160000


@dataclass(frozen=True)
class Leaf:
    """What a tree says of one path."""

    mode: int
    id: str


class GitRepository:
    """Branches, tags and files by their paths; each commit is one second later than the one before."""

    def __init__(self, folder: Path, *, branch: str = "main") -> None:
        self.folder = folder
        """Where ``git`` works on a copy of it."""
        self.repo = MemoryRepo.init_bare([], {})
        self.repo.refs.set_symbolic_ref(Ref(b"HEAD"), Ref(f"refs/heads/{branch}".encode()))
        self.default = branch
        self.seconds = 1_700_000_000
        self._trees: dict[str, dict[str, Leaf]] = {}
        self._blobs: dict[bytes, str] = {}
        self._lock = threading.RLock()

    def refs(self, kind: str) -> dict[str, str]:
        """Return names and hashes below ``refs/<kind>/``; annotated tags by the commit that they are of."""
        found = self.repo.refs.as_dict(f"refs/{kind}".encode())  # type: ignore[arg-type]  # a bare prefix
        return {
            name.decode(): self.repo.get_peeled(Ref(f"refs/{kind}/".encode() + name)).decode()
            for name in found
        }

    def tip(self, branch: str) -> str | None:
        return self.refs("heads").get(branch)

    def point(self, branch: str, commit: str | None, *, kind: str = "heads") -> None:
        """Let a branch or tag begin, move or end."""
        name = Ref(f"refs/{kind}/{branch}".encode())
        with self._lock:
            if commit is None:
                del self.repo.refs[name]
            else:
                self.repo.refs[name] = ObjectID(commit.encode())

    def commit_object(self, id_: str) -> Commit | None:
        try:
            found = self.repo[ObjectID(id_.encode())]
        except (KeyError, ValueError, AssertionError):
            return None
        return found if isinstance(found, Commit) else None

    def files(self, commit: str) -> dict[str, Leaf]:
        """Return all paths of a commit; bytes that are no UTF-8 stand as surrogates."""
        if commit not in self._trees:
            found = self.commit_object(commit)
            assert found is not None
            entries = iter_tree_contents(self.repo.object_store, found.tree)
            self._trees[commit] = {
                each.path.decode(errors="surrogateescape"): Leaf(each.mode, each.sha.decode())
                for each in entries
                if each.path and each.sha and each.mode
            }
        return self._trees[commit]

    def content(self, commit: str, path: str) -> bytes | None:
        leaf = self.files(commit).get(path)
        if leaf is None or S_ISGITLINK(leaf.mode):
            return None
        blob = self.repo[ObjectID(leaf.id.encode())]
        assert isinstance(blob, Blob)
        return blob.data

    def commit(
        self,
        branch: str,
        files: Mapping[str, bytes | None],
        message: str = "Change",
        *,
        author: str = "Pia Push <pia@example.org>",
        modes: Mapping[str, int] | None = None,
    ) -> str:
        """Write, and with None remove, files on a branch, as a push would, and return the new tip."""
        with self._lock:
            tip = self.tip(branch)
            paths = dict(self.files(tip)) if tip else {}
            for path, content in files.items():
                if content is None:
                    del paths[path]
                else:
                    mode = (modes or {}).get(path) or (paths[path].mode if path in paths else FILE)
                    paths[path] = Leaf(mode, content.decode() if S_ISGITLINK(mode) else self._blob(content))
            id_ = self._commit(paths, [tip] if tip else [], message, author)
            self._trees[id_] = paths
            self.point(branch, id_)
            return id_

    def git(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run the git program on a copy of the repository; its exit status is the caller's to judge."""
        self._write_out()
        return subprocess.run(["git", "-C", str(self.folder), *words], capture_output=True, check=False)

    def _write_out(self) -> None:
        is_there = self.folder.exists()
        copy = Repo(str(self.folder)) if is_there else Repo.init_bare(str(self.folder), mkdir=True)
        with closing(copy):
            store = self.repo.object_store
            copy.object_store.add_objects(
                [(store[each], None) for each in store if each not in copy.object_store]
            )
            for name, id_ in self.repo.refs.as_dict().items():
                copy.refs[name] = id_

    def _blob(self, content: bytes) -> str:
        if content not in self._blobs:
            blob = Blob.from_string(content)
            self.repo.object_store.add_object(blob)
            self._blobs[content] = blob.id.decode()
        return self._blobs[content]

    def _commit(self, paths: Mapping[str, Leaf], parents: list[str], message: str, author: str) -> str:
        blobs = [
            (path.encode(errors="surrogateescape"), ObjectID(leaf.id.encode()), leaf.mode)
            for path, leaf in paths.items()
        ]
        made = Commit()
        made.tree = commit_tree(self.repo.object_store, blobs)
        made.parents = [ObjectID(parent.encode()) for parent in parents]
        made.author = made.committer = author.encode()
        self.seconds += 1
        made.author_time = made.commit_time = self.seconds
        made.author_timezone = made.commit_timezone = 0
        made.encoding = b"UTF-8"
        made.message = message.encode()
        self.repo.object_store.add_object(made)
        return made.id.decode()

    def close(self) -> None:
        self.repo.close()
