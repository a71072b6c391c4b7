"""The repository that a new home begins with, so that files can be tried without an account anywhere."""

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.core.clock import Clock
from quarterdeck.core.security import private_directory, write_private
from quarterdeck.files.places.example_files import FIRST, SECOND
from quarterdeck.files.places.local_commits import COMMITTER
from quarterdeck.files.places.tree_edits import TreeEdit

if TYPE_CHECKING:
    from quarterdeck.files.places.store import Store

FOLDER = Path("files") / "example.git"
_MADE = Path("files") / "example.made"
_BRANCH, _TAG = b"refs/heads/main", b"refs/tags/v1.0"


def ensure_example(home: Path, clock: Clock) -> Path | None:
    """Make the example in a home that never had one, and return its real folder; None in any other home.

    It stands there whole or not at all, and what people did with it, also to remove it, stays so.
    """
    folder, made = home.resolve() / FOLDER, home / _MADE
    if made.exists():
        return None
    private_directory(folder.parent)
    if not folder.exists():
        _make(folder, clock)
    write_private(made, f"The example was made at {clock.now().isoformat()}.\n".encode())
    return folder


def _make(folder: Path, clock: Clock) -> None:
    from dulwich.repo import Repo

    from quarterdeck.files.places import store

    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        Repo.init_bare(aside, mkdir=True, default_branch=b"main").close()
        with store.opened(aside) as opened:
            _fill(opened, int(clock.now().timestamp()))
        _rename(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rename(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:
        if not folder.exists():  # else another master was quicker
            raise


def _fill(store: "Store", time: int) -> None:
    first = _commit(store, b"", FIRST, time - 60, "Begin with an example of each kind of file")
    last = _commit(store, first, SECOND, time, "Give the shop more memory")
    store.add_ref(_TAG, first)
    store.add_ref(_BRANCH, last)


def _commit(
    store: "Store", parent: bytes, files: Mapping[str, tuple[int, bytes]], time: int, message: str
) -> bytes:
    from quarterdeck.files.places.store import Node

    edit = TreeEdit(store, store.commit(parent).tree if parent else store.write_folder({}))
    for path, (mode, content) in files.items():
        edit.put(path.encode(), Node(mode, store.write_blob(content)))
    return store.write_commit(
        edit.write(),
        [parent] if parent else [],
        author=COMMITTER,
        committer=COMMITTER,
        time=time,
        message=f"{message}\n".encode(),
    )
