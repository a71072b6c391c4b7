"""Appends durable lines to the chain, under a lock that all processes of one home share.

The head file says where the chain ends. It is written after each batch and not synced: after a
crash it may be older than the chain, never newer, so the lines behind it are checked and taken in.
What is no whole line there was never acknowledged; it is set aside in a ``.torn`` file and told.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.security import private_directory
from quarterdeck.history import segments
from quarterdeck.history.disk import Disk
from quarterdeck.history.lines import LineError, Place, Sealer
from quarterdeck.history.locking import wait_for_lock
from quarterdeck.history.segments import HEAD, HEAD_BYTES, LOCK, Head, HeadError, Segment

logger = logging.getLogger(__name__)

_REMOVED: Final = (
    "it was removed while in use; put it back, or move the folder away and restart to begin a new history"
)
_LEAST_FREE: Final = 64 * 1024
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class AppendError(Exception):
    """Nothing could be appended; names the path and the reason."""

    def __init__(self, path: Path, reason: str, *, full: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.full = full


@dataclass(slots=True)
class Written:
    """What this process has made durable since it started."""

    records: int = 0
    bytes: int = 0
    syncs: int = 0
    sync_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the files that must stand in the history itself."""

    action: str
    detail: dict[str, Any] = field(default_factory=dict)  # Any: what JSON holds


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError into an AppendError that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise AppendError(path, reason, full=error.errno in _FULL) from error


class Appender:
    """The writing end of the chain. Not for two threads; every method but ``locked`` needs the lock."""

    def __init__(
        self, folder: Path, sealer: Sealer, *, clock: Clock, segment_bytes: int, disk: Disk | None = None
    ) -> None:
        self.folder = folder
        self.head = Head()
        self.written = Written()
        self._head_path = folder / HEAD
        self._lock_path = folder / LOCK
        self._path = self._head_path
        self._sealer = sealer
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._disk = disk or Disk()
        self._lock: int | None = None
        self._head_file: int | None = None
        self._segment: int | None = None
        self._stored = b""
        self._damaged = False

    @property
    def path(self) -> Path:
        """The file that the next line goes to."""
        name = self.head.segment or HEAD
        if self._path.name != name:
            self._path = self.folder / name
        return self._path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process of this home from appending meanwhile."""
        with naming(self._lock_path):
            lock = self._take_lock()
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    def prepare(self) -> list[Finding]:
        """Come up to the end of the chain; raises AppendError when the files aren't as they were left."""
        with naming(self.path):
            if self._damaged and self._segment is not None:
                self._disk.truncate(self._segment, self.head.offset)
                self._damaged = False
        with naming(self._head_path):
            content = self._read_head_file()
        if content and content == self._stored and self._is_at_end():
            return []
        known = self.head
        try:
            with naming(self.folder):
                findings = self._find_end(content)
            if self.head.seq < known.seq:
                raise AppendError(self.path, f"{known.seq - self.head.seq} lines are missing; restore it")
        except AppendError:
            self._forget_segment()
            self.head, self._stored = known, b""
            raise
        return findings

    def append(self, batch: Sequence[bytes]) -> list[Place]:
        """Make a line of each record's members, durable together; raises AppendError and keeps none."""
        now = self._clock.now()
        self._rotate_if_due(now.date().isoformat())
        content, places = self._sealer.seal(batch, seq=self.head.seq, moment=now, prev=self.head.hash)
        self._write_durably(content, places[-1])
        self.written.records += len(batch)
        self.written.bytes += len(content)
        return places

    def touch(self) -> None:
        """Write without adding a line; raises AppendError where nothing can be written."""
        with naming(self.folder):
            if self._disk.free(self.folder) < _LEAST_FREE:
                raise AppendError(self.path, os.strerror(errno.ENOSPC), full=True)
        with naming(self._head_path):
            self._store_head()

    def close(self) -> None:
        for descriptor in (self._segment, self._head_file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._segment = self._head_file = self._lock = None
        self._stored = b""

    def _write_durably(self, content: bytes, last: Place) -> None:
        descriptor, offset = self._open_segment(), self.head.offset
        with naming(self.path):
            try:
                self._disk.write(descriptor, content, offset)
                began = self._clock.monotonic()
                self._disk.sync(descriptor)
                self.written.sync_seconds += self._clock.monotonic() - began
                self.written.syncs += 1
            except OSError:
                self._roll_back(descriptor)
                raise
        self.head = Head(self.head.segment, offset + len(content), last.seq, last.hash)
        try:
            self._store_head()
        except OSError as error:
            # The lines are durable and the next batch finds them behind the older head.
            logger.warning("%s can't be written: %s", self._head_path, error)

    def _roll_back(self, descriptor: int) -> None:
        """Take back what a failed batch left; when even that fails it is done before the next batch."""
        try:
            self._disk.truncate(descriptor, self.head.offset)
        except OSError as error:
            self._damaged = True
            logger.warning("%s: what a failed write left can't be removed yet: %s", self.path, error)

    def _take_lock(self) -> int:
        path = self._lock_path
        while True:
            if self._lock is None:
                private_directory(self.folder)
                self._lock = self._disk.open(path, os.O_RDWR | os.O_CREAT)
            wait_for_lock(self._lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(self._disk.stat(path), os.fstat(self._lock)):
                    return self._lock
            os.close(self._lock)  # somebody removed the file: a lock on it keeps nobody out
            self._lock = None

    def _read_head_file(self) -> bytes:
        path = self._head_path
        if self._head_file is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(self._disk.stat(path), os.fstat(self._head_file)):
                    return self._disk.read(self._head_file, HEAD_BYTES + 1, 0)
            os.close(self._head_file)
            self._head_file = None
        try:
            self._head_file = self._disk.open(path, os.O_RDWR)
        except FileNotFoundError:
            return b""
        return self._disk.read(self._head_file, HEAD_BYTES + 1, 0)

    def _store_head(self) -> None:
        if self._head_file is None:
            self._head_file = self._disk.open(self._head_path, os.O_RDWR | os.O_CREAT)
        content = segments.pack_head(self.head, self._sealer)
        self._disk.write(self._head_file, content, 0)
        self._stored = content

    def _create_head(self) -> None:
        """Write the head so that it outlives a power cut: verification relies on its being there."""
        with naming(self._head_path):
            self._store_head()
            assert self._head_file is not None  # noqa: S101 - _store_head opened it
            self._disk.truncate(self._head_file, HEAD_BYTES)
            self._disk.sync(self._head_file)
            self._disk.sync_folder(self.folder)

    def _is_at_end(self) -> bool:
        """Tell whether the open segment is still the file at its path, and ends where the head says."""
        if not self.head.segment:
            return True
        if self._segment is None:
            return False
        try:
            found = self._disk.stat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._segment)) and found.st_size == self.head.offset

    def _find_end(self, content: bytes) -> list[Finding]:
        self._forget_segment()
        self._stored = b""
        try:
            head = segments.unpack_head(content, self._sealer)
        except HeadError as error:
            return self._recover(str(error) if content else "it is missing")
        return self._catch_up(head)

    def _catch_up(self, head: Head) -> list[Finding]:
        """Go to the stored head and take in the lines that were written after it."""
        self.head = head
        if not head.segment:
            if strangers := [
                item for item in segments.list_segments(self.folder) if item.path.stat().st_size
            ]:
                raise AppendError(strangers[0].path, "it is not part of this history; move it away")
            self._create_head()
            return []
        descriptor = self._open_segment()
        with naming(self.path):
            size = os.fstat(descriptor).st_size
        if size < head.offset:
            raise AppendError(self.path, f"it is {head.offset - size} bytes shorter than it was; restore it")
        if not self._ends_with_head(descriptor):
            raise AppendError(self.path, "it is not the file that was written; restore it")
        return self._take_in(descriptor, size)

    def _ends_with_head(self, descriptor: int) -> bool:
        if self.head.offset == 0:
            return True
        mark = b'"hash":"%s"}\n' % self.head.hash.encode()
        with naming(self.path):
            return self._disk.read(descriptor, len(mark), self.head.offset - len(mark)) == mark

    def _take_in(self, descriptor: int, size: int) -> list[Finding]:
        """Move the head over the good lines behind it, and set aside what is none."""
        findings = []
        with naming(self.path):
            before = self.head.offset
            self._follow(descriptor, size)
            if self.head.offset < size:
                findings.append(self._set_aside(descriptor, size))
            if before < size:
                self._disk.sync(descriptor)
            self._store_head()
        return findings

    def _follow(self, descriptor: int, size: int) -> None:
        offset, seq, digest = self.head.offset, self.head.seq, self.head.hash
        for line in segments.lines_between(descriptor, offset, size):
            try:
                digest = self._sealer.check(line, seq=seq + 1, prev=digest)
            except LineError:
                break
            seq, offset = seq + 1, offset + len(line) + 1
        self.head = Head(self.head.segment, offset, seq, digest)

    def _set_aside(self, descriptor: int, size: int) -> Finding:
        """Move what is no line out of the way, into a file of its own."""
        torn = self._disk.read(descriptor, size - self.head.offset, self.head.offset)
        path = self.path.with_suffix(f".{self.head.offset}.torn")
        copy = self._disk.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            self._disk.write(copy, torn, 0)
            self._disk.sync(copy)
        finally:
            os.close(copy)
        self._disk.truncate(descriptor, self.head.offset)
        logger.warning("%s: an unfinished line of %d bytes was moved to %s", self.path, len(torn), path.name)
        return Finding("history.torn", {"file": self.path.name, "bytes": len(torn), "kept": path.name})

    def _recover(self, reason: str) -> list[Finding]:
        """Make the head anew: at the very start, or from the last file when the head was lost."""
        found = self._segments_with_lines()
        if not found:
            if self.head.seq:
                raise AppendError(self.path, _REMOVED)
            self._create_head()
            return []
        last = found[-1]
        self.head = Head(last.path.name, 0, last.first_seq - 1, self._prev_of(last.path))
        descriptor = self._open_segment()
        with naming(self.path):
            findings = self._take_in(descriptor, os.fstat(descriptor).st_size)
        self._create_head()
        logger.warning("%s was made anew: %s", self._head_path, reason)
        return [*findings, Finding("history.head", {"file": HEAD, "reason": reason, "found": self.head.seq})]

    def _segments_with_lines(self) -> list[Segment]:
        return [item for item in segments.list_segments(self.folder) if self._disk.stat(item.path).st_size]

    def _prev_of(self, path: Path) -> str:
        """Return the hash that a segment's first line follows on."""
        with naming(path), path.open("rb") as file:
            line = file.readline()
        marker = line.rfind(b',"prev":"')
        return line[marker + 9 : marker + 73].decode(errors="replace")

    def _rotate_if_due(self, day: str) -> None:
        current = segments.segment_of(self.path)
        if current and current.day == day and self.head.offset < self._segment_bytes:
            return
        before = self.head
        segment = segments.segment_for(self.folder, before.seq + 1, day)
        with naming(segment.path):
            descriptor = self._create(segment.path)
        self._forget_segment()
        # The head names the new file before the first line goes in: whoever reads the head after a
        # crash must not continue the old file beside it.
        self.head, self._segment = Head(segment.path.name, 0, before.seq, before.hash), descriptor
        try:
            with naming(self._head_path):
                self._store_head()
        except AppendError:
            self._forget_segment()
            self.head = before
            with suppress(OSError):
                self._disk.remove(segment.path)  # empty, and tried again with the next record
            raise

    def _create(self, path: Path) -> int:
        descriptor = self._disk.open(path, os.O_RDWR | os.O_CREAT)
        try:
            if os.fstat(descriptor).st_size:
                raise FileExistsError(errno.EEXIST, "a file that is not of this history is in the way")
            self._disk.sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _open_segment(self) -> int:
        if self._segment is None:
            try:
                with naming(self.path):
                    self._segment = self._disk.open(self.path, os.O_RDWR)
            except AppendError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    raise AppendError(self.path, _REMOVED) from error
                raise
        return self._segment

    def _forget_segment(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
        self._segment = None
