"""The output of a run on one host as a page shows it: the last of it first, as lines."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.loglines import LogLine, as_wire, lines_of, whole_lines_only
from quarterdeck.tasks.output import Chunk, OutputStore, Sizes
from quarterdeck.tasks.records import RunHostRecord

TAIL_BYTES: Final = 64 * 1024
_MOST_TAIL_BYTES: Final = 4 * 1024 * 1024
_MOST_MISSED_BYTES: Final = 256 * 1024
"""More than this at once is not sent after a page that fell behind; it gets the end of it."""
_BLOCK_LINES: Final = 100


@dataclass(frozen=True, slots=True)
class LogView:
    """What is shown of one host. ``stream`` is empty for both; ``next`` is where the page goes on from."""

    host: RunHostRecord
    stream: str
    lines: tuple[LogLine, ...]
    next: Sizes
    total_bytes: int
    tail_bytes: int

    @property
    def blocks(self) -> list[tuple[LogLine, ...]]:
        """The lines in groups that a browser lays out only when they are looked at."""
        starts = range(0, len(self.lines), _BLOCK_LINES)
        return [self.lines[start : start + _BLOCK_LINES] for start in starts]

    @property
    def is_cut(self) -> bool:
        return self.total_bytes > self.tail_bytes

    @property
    def earlier_bytes(self) -> int:
        """How much to ask for to see more; 0 when only the download has it all."""
        return self.tail_bytes * 4 if self.is_cut and self.tail_bytes < _MOST_TAIL_BYTES else 0


def log_view(
    output: OutputStore, run_id: str, host: RunHostRecord, *, stream: str = "", tail_bytes: int = TAIL_BYTES
) -> LogView:
    """Return the last lines of a host's output; ``stream`` is out, err or empty for both as they came."""
    tail_bytes = max(1024, min(tail_bytes, _MOST_TAIL_BYTES))
    sizes = output.sizes(run_id, host.name)
    if stream:
        chunks, total = _tail_of(output, run_id, host, Stream(stream), tail_bytes), sizes.of(Stream(stream))
    else:
        chunks, total = output.tail_chunks(run_id, host.name, tail_bytes), sizes.total
    chunks, start = whole_lines_only(chunks)
    lines, whole = lines_of(chunks, start)
    return LogView(host, stream, tuple(lines), whole, total, tail_bytes)


def _tail_of(
    output: OutputStore, run_id: str, host: RunHostRecord, stream: Stream, tail_bytes: int
) -> list[Chunk]:
    size = output.sizes(run_id, host.name).of(stream)
    start = max(0, size - tail_bytes)
    data = output.read(run_id, host.name, stream, start, size)
    if not data:
        return []
    written = output.path(run_id, host.name, stream).stat().st_mtime
    return [Chunk(stream, start, data, datetime.fromtimestamp(written, UTC))]


def missed_lines(
    output: OutputStore, run_id: str, host: RunHostRecord, seen: Sizes
) -> dict[str, Any]:  # Any: JSON
    """Return what a page has not seen, in the shape of ``run:output``; ``skipped`` bytes are left out."""
    sizes = output.sizes(run_id, host.name)
    seen = Sizes(min(seen.out, sizes.out), min(seen.err, sizes.err))
    skipped = max(0, sizes.total - seen.total - _MOST_MISSED_BYTES)
    if skipped:
        chunks, start = whole_lines_only(output.tail_chunks(run_id, host.name, _MOST_MISSED_BYTES))
        start = Sizes(max(start.out, seen.out), max(start.err, seen.err))
    else:
        chunks, start = output.chunks_after(run_id, host.name, seen, _MOST_MISSED_BYTES), seen
    lines, whole = lines_of(chunks, start)
    return {
        "run": run_id,
        "host": host.name,
        "at": [seen.out, seen.err],
        "next": [whole.out, whole.err],
        "lines": as_wire(lines),
        "skipped": skipped,
        "is_over": host.is_over,
    }
