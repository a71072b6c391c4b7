"""Branches and tags of a repository on this machine; each change of one is a compare-and-swap.

A change takes git's own lock (``<ref>.lock``), looks at the ref again and renames: a ``git push`` at the same
moment either comes before, and is seen, or after, and is rejected by git.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from quarterdeck.files import paths
from quarterdeck.files.places.place import FIRST_BRANCH, Exists, Missing, PlaceError, Refused

if TYPE_CHECKING:
    from quarterdeck.files.places.store import Store

HEADS, TAGS = b"refs/heads/", b"refs/tags/"
_TRIES = 60
_HEX = frozenset("0123456789abcdef")


def names(store: "Store", kind: bytes, text: str) -> Iterator[tuple[str, bytes]]:
    """Yield branches or tags whose name holds the text, with what they point to; none with a hostile name."""
    wanted = text.casefold()
    for raw in store.ref_names(kind):
        name = raw.decode("utf-8", "surrogateescape")
        if wanted in name.casefold() and _is_good(name) and (target := store.ref(kind + raw)):
            yield name, target


def tip(store: "Store", branch: str) -> bytes:
    """Return where a branch stands; raises Missing."""
    target = store.ref(HEADS + _raw(branch))
    if target is None:
        raise Missing(f"There is no branch “{paths.shown(branch[:250])}” in the repository.")
    return target


def resolve(store: "Store", ref: str) -> bytes:
    """Return the commit of a branch, a tag or a full hash, in this order; raises Missing."""
    raw = _raw(ref)
    for target in (store.ref(HEADS + raw), store.ref(TAGS + raw), full_hash(ref)):
        if target is not None and (commit := store.peeled(target)):
            return bytes(commit.id)
    raise Missing(f"There is no branch, tag or commit “{paths.shown(ref[:250])}” in the repository.")


def full_hash(text: str) -> bytes | None:
    """Return a full hash as git has it; None for anything else."""
    lower = text.lower()
    return lower.encode() if len(lower) == 40 and set(lower) <= _HEX else None


def default(store: "Store") -> str:
    """Return HEAD's branch, or when it isn't there the likeliest; raises Missing in an empty repository."""
    head = store.head()
    if head and head.startswith(HEADS) and store.ref(head) is not None:
        return head.removeprefix(HEADS).decode("utf-8", "replace")
    there = [name for name, _ in names(store, HEADS, "")]
    if not there:
        raise Missing("The repository is empty: it has no branch yet. Push a first commit to it.")
    return next((name for name in ("main", "master") if name in there), min(there))


def unborn(store: "Store") -> str:
    """Return the branch that HEAD names in an empty repository; main where it names none."""
    name = (store.head() or b"").decode("utf-8", "replace")
    short = name.removeprefix(HEADS.decode())
    return short if short != name and _is_good(short) else FIRST_BRANCH


def create(store: "Store", branch: str, commit: bytes) -> None:
    """Make a branch; raises Exists also for a folder of branches, and below a branch."""
    ref = HEADS + _checked(branch)
    _refuse_checked_out(store, ref, branch, "made")
    _check_room(store, ref)
    if not _patiently(lambda: store.add_ref(ref, commit)):
        raise Exists(f"There is already a branch “{branch}”.")


def move(store: "Store", branch: str, before: bytes, after: bytes) -> bool:
    """Set a branch from one commit to another; return False when it stood elsewhere by then."""
    ref = store.real_ref(HEADS + _checked(branch))
    if not ref.startswith(HEADS):
        raise Refused(f"“{branch}” is only another name for something that is no branch.")
    _refuse_checked_out(store, ref, branch, "changed")
    return _patiently(lambda: store.set_ref(ref, before, after))


def delete(store: "Store", branch: str, before: bytes | None) -> bool:
    """Remove a branch that stands at a commit, or anywhere; return False when it stood elsewhere."""
    ref = HEADS + _checked(branch)
    if store.ref(ref) is None:
        return True
    if store.head() == ref:
        raise Refused(f"“{branch}” is the main branch of the repository; it can't be removed.")
    _refuse_checked_out(store, ref, branch, "removed")
    return _patiently(lambda: store.remove_ref(ref, before))


def refuse_checked_out(store: "Store", branch: str) -> None:
    """Raise Refused for a branch that somebody's files on disk belong to."""
    _refuse_checked_out(store, store.real_ref(HEADS + _checked(branch)), branch, "changed")


def _refuse_checked_out(store: "Store", ref: bytes, branch: str, verb: str) -> None:
    """As git refuses a push to it: files and index there would look as if they took the change back."""
    if ref in store.checked_out():
        raise Refused(
            f"“{branch}” is checked out in a working tree of this repository, so it can't be {verb} here. "
            "Use another branch, and merge it there; or point the place at a bare clone."
        )


def _check_room(store: "Store", ref: bytes) -> None:
    """Raise Exists where the name is a folder of branches; dulwich sees that of unpacked branches only."""
    below = ref.removeprefix(HEADS) + b"/"
    for name in store.ref_names(HEADS):
        if name.startswith(below) or ref.removeprefix(HEADS).startswith(name + b"/"):
            raise Exists(
                f"There is already a branch “{paths.shown(name.decode('utf-8', 'replace'))}”: "
                "the name of a branch can't be a folder of another."
            )


def _patiently(change: Callable[[], bool]) -> bool:
    """Try again while somebody else holds the lock, for a second or so."""
    from quarterdeck.files.places.store import FileLocked

    for _ in range(_TRIES):
        try:
            return change()
        except FileLocked:
            threading.Event().wait(0.01 + secrets.randbelow(20) / 1000)
    raise PlaceError(
        "Another program holds the lock of this branch. Try again; if it stays like that, an administrator "
        "can look for a “.lock” file beside the branch that a crashed program has left."
    )


def _checked(branch: str) -> bytes:
    try:
        return paths.read_ref(branch).encode()
    except ValueError as error:
        raise Refused(str(error)) from error


def _raw(name: str) -> bytes:
    """Return a name for looking up: one that can't be finds nothing."""
    return name.encode() if _is_good(name) else b"\xff"


def _is_good(name: str) -> bool:
    try:
        paths.read_ref(name)
    except ValueError:
        return False
    return True
