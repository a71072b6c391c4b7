"""Secrets that are there before the first request, or told once by an answer: none may be seen again."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

TOLD_ONCE: Final = ("token", "access_token", "refresh_token", "code", "sign_in_path")
LINK: Final = "/sign-in/link/"
_FEWEST: Final = 12
"""Shorter texts are no secrets, and could stand anywhere by chance."""


class Markers:
    """Texts by what they are; looked for as they are and in base64."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def plant(self, name: str, secret: str) -> str:
        """Remember a secret and return it."""
        raw = secret.encode()
        assert len(raw) >= _FEWEST, name
        self._names[raw] = name
        self._names[base64.b64encode(raw).rstrip(b"=")] = f"{name} in base64"
        return secret

    def in_bytes(self, content: bytes) -> list[str]:
        return sorted(name for marker, name in self._names.items() if marker in content)

    def in_folder(self, folder: Path) -> dict[str, list[str]]:
        """Return what was found by the file, of all files below."""
        found = {str(path): self.in_bytes(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
        return {path: names for path, names in found.items() if names}

    def learn(self, answer: Any) -> None:  # Any: JSON
        """Remember what an answer tells this once."""
        for name, secret in _told(answer):
            self.plant(f"{name} of an answer", secret)


def _told(answer: Any) -> Iterator[tuple[str, str]]:  # Any: JSON
    if isinstance(answer, Mapping):
        for name, value in answer.items():
            if name in TOLD_ONCE and isinstance(value, str):
                yield name, value.removeprefix(LINK)
