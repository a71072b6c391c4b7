"""The order in which an output arrived: ``<host>.idx``, a record of fixed size for each chunk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.output.index_record import ERR, OUT, RECORD
from quarterdeck.tasks.output.record_file import RecordFile

_CODES: Final = {Stream.OUT: OUT, Stream.ERR: ERR}
_STREAMS: Final = {code: stream for stream, code in _CODES.items()}
_BLOCK_RECORDS: Final = 2048


@dataclass(frozen=True, slots=True)
class Arrival:
    """One chunk of a stream, as the index of arrivals tells of it."""

    stream: Stream
    length: int
    offset: int
    position: int
    microseconds: int
    """Since 1970."""

    def after(self) -> Sizes:
        """How much of each stream there was once this chunk had arrived."""
        end, other = self.offset + self.length, self.position - self.offset
        return Sizes(end, other) if self.stream is Stream.OUT else Sizes(other, end)

    def pack(self) -> bytes:
        return RECORD.pack(_CODES[self.stream], self.length, self.offset, self.position, self.microseconds)


class ArrivalIndex(RecordFile[Arrival]):
    """The records of one output, whose files begin with ``base``."""

    def __init__(self, base: Path) -> None:
        super().__init__(base.with_name(f"{base.name}.idx"), RECORD.size)

    def unpack(self, content: bytes) -> Arrival:
        code, *numbers = RECORD.unpack(content)
        return Arrival(_STREAMS.get(code, Stream.OUT), *numbers)

    def is_true(self, record: Arrival) -> bool:
        return record.length > 0

    def last(self) -> Sizes:
        """Return how much of each stream the index knows."""
        return self[len(self) - 1].after() if len(self) else Sizes()

    def records(self, start: int) -> Iterator[Arrival]:
        """Yield the records from a number on, read in blocks."""
        while start < len(self):
            block = self.read(start, min(_BLOCK_RECORDS, len(self) - start))
            for position in range(0, len(block), RECORD.size):
                yield self.unpack(block[position : position + RECORD.size])
            start += max(1, len(block) // RECORD.size)
