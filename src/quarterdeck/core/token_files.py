"""The file with the API token of whoever uses the command line: theirs alone, as ssh wants it of a key."""

import stat
from pathlib import Path
from typing import Final

from quarterdeck.core.errors import Invalid

_MOST_BYTES: Final = 10_000
_LONGEST: Final = 512


def read_token_file(path: Path) -> str:
    """Return the token; raises Invalid for a file that others can read or that holds none."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            told = f"{path} can be read by others (mode {mode & 0o777:03o})."
            raise Invalid({"token-file": f"{told} Run: chmod 600 {path}"})
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise Invalid({"token-file": f"{path} can't be read: {error.strerror}."}) from error
    return checked_token(content.decode("utf-8"), str(path))


def checked_token(text: str, where: str) -> str:
    """Return a token without what surrounds it; raises Invalid when it can't be one."""
    token = text.strip()
    if not (0 < len(token) <= _LONGEST and token.isascii() and token.isprintable() and " " not in token):
        raise Invalid({"token-file": f"{where} holds no token."})
    return token
