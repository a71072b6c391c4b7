"""The few calls that the journal makes to the file system, in one place so that a test can make each fail."""

import os
from pathlib import Path


class Disk:
    """The real one. Every method raises OSError."""

    def open(self, path: Path, flags: int) -> int:
        """Open, or create with 0600 whatever the umask is."""
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o600)
        return descriptor

    def write(self, descriptor: int, content: bytes, offset: int) -> None:
        """Write all of the content at the offset."""
        view = memoryview(content)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        return os.pread(descriptor, length, offset)

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def stat(self, path: Path) -> os.stat_result:
        return path.stat()

    def free(self, folder: Path) -> int:
        """Return how many bytes may still be written there."""
        room = os.statvfs(folder)
        return room.f_bavail * room.f_frsize

    def reserve(self, descriptor: int, length: int) -> None:
        """Take real blocks, so that they are there when the disk is full."""
        os.posix_fallocate(descriptor, 0, length)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Make the names of new files durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
