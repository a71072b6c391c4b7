"""What "Test" says of a repository on this machine; looks only, and changes nothing."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.files import paths
from quarterdeck.files.places import branches
from quarterdeck.files.places.place import Check, Missing, PlaceError, Refused

if TYPE_CHECKING:
    from quarterdeck.files.places.store import Store

_HOOKS = ("pre-receive", "update", "post-receive", "post-update", "reference-transaction")


def read_folder(text: str) -> Path:
    """Return the folder that an administrator names for a place; raises ValueError with a message for people.

    It must be the real one, without symbolic links on the way: whoever owns a link could turn the place.
    """
    if not text.startswith("/") or text != paths.shown(text) or len(text) > 500:
        raise ValueError("Give the folder of the repository as an absolute path, such as /srv/git/conf.git.")
    folder = Path(os.path.normpath(text))
    real = folder.resolve()
    if ".." in Path(text).parts or real != folder:
        raise ValueError(f"There is a symbolic link or a “..” in that path; give the real one: {real}.")
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder} on this machine, or this node may not see it.")
    return folder


def checks(folder: Path, default_branch: Callable[[], str], *, for_writing: bool) -> list[Check]:
    """Try one thing after the other, until one is not as it should be."""
    done: list[Check] = []
    try:
        for name, detail in _steps(folder, default_branch, for_writing=for_writing):
            done.append(Check(name, True, detail))
    except _Failed as failed:
        done.append(Check(failed.name, False, failed.detail))
    return done


class _Failed(Exception):
    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name, self.detail = name, detail


def _steps(
    folder: Path, default_branch: Callable[[], str], *, for_writing: bool
) -> Iterator[tuple[str, str]]:
    from quarterdeck.files.places import store as stores

    try:
        yield "address", f"{read_folder(str(folder))} is there."
    except ValueError as error:
        raise _Failed("address", str(error)) from error
    step = "repository"
    try:
        with stores.opened(folder) as store:
            yield step, _kind(store)
            step = "branch"
            branch = default_branch()
            tip = branches.tip(store, branch)
            yield step, f"Changes start from “{branch}”, which is at {tip.decode()[:10]}."
            step = "read"
            names = sum(1 for _ in store.folder(store.commit(tip).tree))
            yield step, f"The top folder of “{branch}” has {names:,} entries."
            step = "write"
            if for_writing:
                yield step, _writable(store)
    except PlaceError as error:
        raise _Failed(step, error.message) from error


def _kind(store: "Store") -> str:
    if store.has_working_tree:
        return "A repository with a working tree: the branch checked out there is never changed from here."
    return "A bare repository."


def _writable(store: "Store") -> str:
    """Say what a commit would meet; raises Refused."""
    for folder in (store.control / "objects", store.control / "refs" / "heads"):
        if not folder.is_dir():
            raise Missing(f"The repository has no folder {folder.name}.")
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise Refused(f"This node may not write to {folder}.")
    owner = (store.control / "objects").stat().st_uid
    if owner != os.geteuid() and not store.is_shared:
        raise Refused(
            f"The repository belongs to “{_name_of(owner)}”, whom files written by this node would lock out. "
            "Share it by a group and “git config core.sharedRepository group”, or give it to this account."
        )
    return "Branches and commits can be written." + _about_hooks(store)


def _about_hooks(store: "Store") -> str:
    found = [name for name in _HOOKS if os.access(store.control / "hooks" / name, os.X_OK)]
    if not found:
        return ""
    return f" Its hooks ({', '.join(found)}) are not run for commits that are made here."


def _name_of(owner: int) -> str:
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)
