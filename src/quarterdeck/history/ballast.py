"""Space kept back, so that what must be recordable on a full disk still is."""

import errno
import logging
import os
from pathlib import Path

from quarterdeck.history.disk import Disk
from quarterdeck.history.segments import BALLAST

logger = logging.getLogger(__name__)


class Ballast:
    """A file of reserved blocks; given up for essential records, taken again once there is room."""

    def __init__(self, folder: Path, size: int, disk: Disk | None = None) -> None:
        self.path = folder / BALLAST
        self._size = size
        self._disk = disk or Disk()

    def is_whole(self) -> bool:
        """Tell whether the blocks are there, taking them now if they can be had."""
        if not self._size:
            return True
        try:
            if self._disk.stat(self.path).st_blocks * 512 >= self._size:
                return True
        except FileNotFoundError:
            pass
        return self._reserve()

    def release(self) -> None:
        """Give the blocks back to the disk; raises OSError."""
        self._disk.remove(self.path)

    def _reserve(self) -> bool:
        descriptor = self._disk.open(self.path, os.O_RDWR | os.O_CREAT)
        try:
            self._disk.reserve(descriptor, self._size)
            return True
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._disk.truncate(descriptor, 0)  # half a ballast would only keep the disk full
                return False
            logger.warning("%s: this file system can't reserve space: %s", self.path, error)
            self._size = 0
            return True
        finally:
            os.close(descriptor)
