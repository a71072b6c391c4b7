"""Times and sizes as people write them: ``30``, ``5 min``, ``2 h``; ``64 MB``, ``1 GiB``."""

import re
from collections.abc import Mapping
from typing import Final

from quarterdeck.core.errors import Invalid

_SECONDS: Final = {"d": 86_400, "h": 3600, "min": 60, "m": 60, "s": 1, "": 1}
_BYTES: Final = {
    "GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "kB": 1000, "B": 1, "": 1,
}  # fmt: skip
_AMOUNT: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,3})?)\s*([A-Za-z]*)\s*\Z")


def read_seconds(text: str) -> int:
    """Return a time in whole seconds; raises Invalid."""
    return _read(text, _SECONDS, "Write seconds, or a time such as 5 min or 2 h.")


def read_bytes(text: str) -> int:
    """Return a size in bytes; raises Invalid."""
    return _read(text, _BYTES, "Write a size such as 500 kB, 64 MB or 1 GiB.")


def seconds_text(seconds: int) -> str:
    """Return a time in the largest unit that has no rest, to be read again."""
    return _text(seconds, _SECONDS)


def bytes_text(size: int) -> str:
    """Return a size in the largest unit that has no rest, to be read again."""
    return _text(size, _BYTES)


def _read(text: str, units: Mapping[str, int], hint: str) -> int:
    known = {unit.lower(): factor for unit, factor in units.items()}
    found = _AMOUNT.match(text)
    if found is None or found[2].lower() not in known:
        raise Invalid({"amount": hint})
    return round(float(found[1]) * known[found[2].lower()])


def _text(amount: int, units: Mapping[str, int]) -> str:
    unit, factor = next((unit, factor) for unit, factor in units.items() if amount % factor == 0)
    return f"{amount // factor} {unit}"
