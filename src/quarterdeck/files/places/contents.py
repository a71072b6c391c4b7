"""Contents read of late, kept by commit and path: a commit never changes, so neither does what it holds."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_OF_ONE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, and the mark that covers its attributes too (empty when the place gave none)."""

    content: bytes
    version: str = ""

    def is_same(self, other: "Content") -> bool:
        if self.version and other.version:
            return self.version == other.version
        return self.content == other.content


class Contents:
    """Keeps some megabytes, the latest used last to go."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Content] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, commit: str, path: str) -> Content | None:
        with self._lock:
            found = self._kept.get((commit, path))
            if found is not None:
                self._kept.move_to_end((commit, path))
            return found

    def keep(self, commit: str, path: str, content: Content) -> None:
        if len(content.content) > _MOST_OF_ONE:
            return
        with self._lock:
            old = self._kept.pop((commit, path), None)
            self._bytes += len(content.content) - (len(old.content) if old else 0)
            self._kept[commit, path] = content
            while self._bytes > _MOST_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.content)
