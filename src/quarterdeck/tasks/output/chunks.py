"""What output is told in: how much of each stream, and pieces of one as they arrived."""

from dataclasses import dataclass
from datetime import datetime

from quarterdeck.tasks.executor import Stream


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each stream there is, or has been read: bytes, or lines where that is said."""

    out: int = 0
    err: int = 0

    @property
    def total(self) -> int:
        return self.out + self.err

    def of(self, stream: Stream | None) -> int:
        """Return how much of one stream, or of both where none is named."""
        if stream is None:
            return self.total
        return self.out if stream is Stream.OUT else self.err

    def plus(self, stream: Stream, length: int) -> "Sizes":
        if stream is Stream.OUT:
            return Sizes(self.out + length, self.err)
        return Sizes(self.out, self.err + length)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one stream; ``offset`` is where it begins there, ``time`` when it arrived."""

    stream: Stream
    offset: int
    data: bytes
    time: datetime
