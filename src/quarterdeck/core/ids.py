"""Ids made by the server: sortable by time, safe in a URL and as a file name."""

import os
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """Return 26 characters: 48 bits of milliseconds, then 80 random bits (the ULID layout)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -5, -5))


def milliseconds_of(id_: str) -> int:
    """Return when an id of ``new_id`` was made, in milliseconds since 1970; ValueError for others."""
    if len(id_) != 26:
        raise ValueError(id_)
    value = 0
    for character in id_[:10]:
        value = value << 5 | _ALPHABET.index(character)
    return value
