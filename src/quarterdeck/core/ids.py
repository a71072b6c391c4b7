"""Ids made by the server: sortable by time, safe in a URL and as a file name."""

import os
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(left + right for left in _ALPHABET for right in _ALPHABET)


def new_id() -> str:
    """Return 26 characters: 48 bits of milliseconds, then 80 random bits (the ULID layout)."""
    return id_of(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10)))


def id_of(milliseconds: int, number: int) -> str:
    """Return the id of that time and 80-bit number."""
    value = milliseconds << 80 | number
    return "".join(_PAIRS[value >> shift & 1023] for shift in range(120, -10, -10))


def consecutive_ids(milliseconds: int, first_number: int, count: int) -> list[str]:
    """Return the ids of one moment and of numbers in a row, at a tenth of the cost of ``id_of``."""
    ids, prefix = [], ""
    for number in range(first_number, first_number + count):
        if not prefix or number & 1023 == 0:
            prefix = id_of(milliseconds, number)[:-2]
        ids.append(prefix + _PAIRS[number & 1023])
    return ids


def milliseconds_of(id_: str) -> int:
    """Return when an id was made, in milliseconds since 1970; ValueError for others."""
    return _value_of(id_) >> 80


def number_of(id_: str) -> int:
    """Return the 80 bits behind the time of an id; ValueError for what is no id."""
    return _value_of(id_) & (1 << 80) - 1


def _value_of(id_: str) -> int:
    if len(id_) != 26:
        raise ValueError(id_)
    value = 0
    for character in id_:
        value = value << 5 | _ALPHABET.index(character)
    return value
