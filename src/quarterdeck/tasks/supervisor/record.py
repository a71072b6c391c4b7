"""What is known of one command, in a file that outlives the supervisor too."""

import json
import os

_ROOM = 2048
"""Taken before the command begins, so that its end can be written on a full disk."""


class Record:
    """Rewritten in place, within one block of the disk."""

    def __init__(self, path: str) -> None:
        """Make the file; raises FileExistsError for a command that was begun before."""
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self.write({})
        except OSError:
            self.remove()
            raise

    def write(self, facts: dict[str, object]) -> None:
        content = json.dumps(facts).encode()
        os.pwrite(self._file, content.ljust(_ROOM), 0)

    def sync(self) -> None:
        """Wait until the disk has it; for the end, which nobody could find out again."""
        os.fdatasync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        self.close()
        os.unlink(self._path)  # noqa: PTH108 - pathlib would cost 1 MB
