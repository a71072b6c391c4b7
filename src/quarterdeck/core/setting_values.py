"""What a setting may be: each reader raises ValueError with what it must be."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from quarterdeck.core.zones import read_zone

_KNOWN_SECRET: Final = re.compile(
    r"(?:my|your|super|default|test|change|dev|secret|token|key|changeme|password|stackmon|jwt|me|it|the|this"
    r"|please|in|production|admin|bearer|[-_ .!0-9])+\Z",
    re.IGNORECASE,
)
"""Secrets put together from the words of examples: the reference systems' defaults and their like."""


def boolean(text: str) -> bool:
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise ValueError("true or false")
    return words[text.lower()]


def whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def choice(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        try:
            return kind(text.lower())
        except ValueError as error:
            raise ValueError(" or ".join(member.value for member in kind)) from error

    return read


def choices(kind: type[StrEnum]) -> Callable[[str], tuple[StrEnum, ...]]:
    """Read several of a kind, separated by commas; each counts once, in the order of the kind."""

    def read(text: str) -> tuple[StrEnum, ...]:
        words = {word.strip().lower() for word in text.split(",")} - {""}
        if not words or words - set(kind):
            raise ValueError("at least one of " + ", ".join(kind))
        return tuple(member for member in kind if member in words)

    return read


def secret(text: str) -> str:
    if len(text) < 24:
        raise ValueError("a secret of at least 24 characters")
    if _KNOWN_SECRET.match(text) or len(set(text)) < 8:
        raise ValueError("a secret of its own, such as 32 random characters, and not a well-known one")
    return text


def join_code(text: str) -> str:
    """Return a code as it was made: 20 letters and digits, in groups or not; never a well-known word."""
    if not re.fullmatch(r"(?:[0-9A-Za-z][- ]*){20}", text.strip()) or len(set(text)) < 5:
        raise ValueError("a code as the master shows it, such as 7K3M-…: 20 letters and digits")
    return text


def zone(text: str) -> str:
    try:
        return read_zone(text)
    except ValueError as error:
        raise ValueError("a time zone that this machine knows, such as UTC or Europe/Zurich") from error


def level(text: str) -> str:
    if text.upper() not in (levels := ("DEBUG", "INFO", "WARNING", "ERROR")):
        raise ValueError(" or ".join(levels))
    return text.upper()
