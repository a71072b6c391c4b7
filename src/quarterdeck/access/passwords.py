"""Passwords: which are accepted, and hashing that can't starve the rest of the node."""

import base64
import os
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from quarterdeck.core.errors import Invalid, Limited

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256

_COMMONEST: Final = frozenset(
    {
        "1234567890123",
        "123456789012",
        "123456789abc",
        "1q2w3e4r5t6y",
        "abcdefghijkl",
        "adminadminadmin",
        "administrator",
        "changemeplease",
        "iloveyouiloveyou",
        "letmeinletmein",
        "password1234",
        "password12345",
        "passwordpassword",
        "qwertyuiop12",
        "qwertyuiop123",
        "qwertyuiopasdf",
        "quarterdeck1",
        "quarterdeck123",
        "welcome12345",
    }
)
"""The commonest that are long enough; shorter ones fall to the length rule."""
WRONG: Final = (
    "Name or password is wrong, or the account is locked for a while after too many tries. "
    "If you are sure of both, wait a few minutes or ask an administrator for a sign-in link."
)


def password_fault(password: str, name: str) -> str | None:
    """Return what is wrong with a new password, or None."""
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters; a few words in a row are easy to remember."
    if len(password) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in password):
        return "Leave out control characters such as tabs and line breaks."
    folded = password.casefold()
    if folded.replace(" ", "") in _COMMONEST or len(set(folded)) < 4:
        return "This is one of the first passwords that anyone tries; choose another."
    if name and folded.replace(name.casefold(), "").strip(" 0123456789.-_!") == "":
        return "The password must be more than the name."
    return None


def checked_password(password: str, name: str) -> str:
    """Return a new password that is good enough; raises Invalid."""
    if fault := password_fault(password, name):
        raise Invalid({"password": fault})
    return password


@dataclass(frozen=True, slots=True)
class HashCost:
    """What one argon2id hash costs: above OWASP's least (19 MiB, 2 rounds), below what a small node feels."""

    rounds: int = 3
    memory_kib: int = 32 * 1024
    lanes: int = 1


class Passwords:
    """Hashes and checks with argon2id, a few at a time.

    Each check holds a thread and 32 MiB, so no more than ``at_once`` run and no more than
    ``waiting`` callers stand in line; the next is told to come back, and pages go on being served.
    """

    def __init__(self, cost: HashCost | None = None, *, at_once: int = 2, waiting: int = 4) -> None:
        cost = cost or HashCost()
        self._hasher = PasswordHasher(cost.rounds, cost.memory_kib, cost.lanes, type=Type.ID)
        self._line = threading.BoundedSemaphore(at_once + waiting)
        self._turn = threading.BoundedSemaphore(at_once)
        self._decoy = _decoy(cost)

    def hash(self, password: str) -> str:
        """Return the form to store; raises Limited when too many wait already."""
        with self._in_turn():
            return self._hasher.hash(_normal(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether the password is the stored one; without one the answer is no, at the same cost."""
        with self._in_turn():
            try:
                return self._hasher.verify(stored or self._decoy, _normal(password)) and stored is not None
            except (VerificationError, InvalidHashError):
                return False

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(stored)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._line.acquire(blocking=False):
            raise Limited("Many people are signing in right now.", retry_after=3)
        try:
            with self._turn:
                yield
        finally:
            self._line.release()


def _normal(password: str) -> str:
    """Return one form for the same characters, however a keyboard composes them; cut what is too long."""
    return unicodedata.normalize("NFKC", password[: MAX_LENGTH + 1])


def _decoy(cost: HashCost) -> str:
    """Return a well-formed hash of nothing, so that an unknown name takes as long as a known one."""
    salt, digest = (base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (16, 32))
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.rounds},p={cost.lanes}${salt}${digest}"
