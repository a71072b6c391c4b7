"""Where and as whom to connect, and the names that are refused before any connection."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from quarterdeck.core.errors import Invalid

LONGEST_NAME: Final = 255
_FORBIDDEN: Final = frozenset("'\"`%\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """All that one connection needs; equal targets share their connections.

    ``certificate`` is an OpenSSH certificate of the private key, and empty where the key is enough.
    ``host_key`` is the confirmed key as an OpenSSH public line, and empty while nobody confirmed one.
    """

    host_id: str
    name: str
    address: str
    port: int = 22
    username: str
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    use_agent: bool = False
    host_key: str = ""
    jump: Self | None = None
    connect_seconds: float = 10

    @property
    def place(self) -> str:
        return f"{self.address} port {self.port}"


def name_problem(text: str) -> str:
    """Say what is wrong with the name of a host or a person, or return an empty string.

    Names that could become an option, a second word or a pattern in anybody's hands are refused,
    though no name ever reaches a shell here.
    """
    if not text:
        return "Give a name."
    if len(text) > LONGEST_NAME:
        return f"At most {LONGEST_NAME} characters are accepted."
    if text.startswith("-"):
        return "It must not begin with “-”."
    if any(char in _FORBIDDEN or unicodedata.category(char)[0] in "CZ" for char in text):
        return "Spaces, control characters, quotes, “\\” and “%” are not accepted."
    return ""


def check_target(target: SshTarget) -> None:
    """Raise Invalid, naming each wrong field, for a target that nobody may connect to."""
    problems = dict(_problems(target, ""))
    if problems:
        raise Invalid(problems)


def _problems(target: SshTarget, prefix: str) -> Iterator[tuple[str, str]]:
    for name in ("address", "username"):
        if problem := name_problem(getattr(target, name)):
            yield f"{prefix}{name}", problem
    if not 1 <= target.port <= 65535:
        yield f"{prefix}port", "A port is a number from 1 to 65535."
    if prefix.count(".") >= 4:
        yield prefix.rstrip("."), "At most four jump hosts in a row are accepted."
    elif target.jump:
        yield from _problems(target.jump, f"{prefix}jump.")
