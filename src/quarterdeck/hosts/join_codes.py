"""One-time codes by which workers join: 100 random bits that people can read out to each other."""

import secrets
from typing import Final

from quarterdeck.core.security import token_digest

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 20
_GROUP: Final = 4
_LOOKALIKES: Final = str.maketrans("OIL", "011")


def new_code() -> str:
    """Return a code in groups: ``7K3M-…``."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def code_digest(code: str) -> str:
    """Return the form in which a code is stored, however it was typed; empty for what can't be one."""
    letters = code.strip().upper().replace("-", "").replace(" ", "").translate(_LOOKALIKES)
    if len(letters) != _LENGTH or not set(letters) <= set(_ALPHABET):
        return ""
    return token_digest(letters)
