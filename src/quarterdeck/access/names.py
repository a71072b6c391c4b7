"""Which names people may have: they stand in URLs, in the record and in shells."""

import re
from typing import Final

from quarterdeck.core.errors import Invalid

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")
_RESERVED: Final = frozenset({"nobody", "system", "cli"})
"""What the history calls actors who are no people."""


def is_name(name: str) -> bool:
    """Tell whether a person could have this name."""
    return _NAME.match(name) is not None


def checked_name(name: str) -> str:
    """Return the name of a new person; raises Invalid."""
    if not is_name(name):
        raise Invalid({"name": "Use 1 to 64 letters, digits or . _ @ + - and begin with a letter or digit."})
    if name.casefold() in _RESERVED:
        raise Invalid({"name": "This name has a meaning in the history; choose another."})
    return name
