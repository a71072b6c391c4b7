"""The output of a run on one host as a page shows it: the end of it, or the lines around a number."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from quarterdeck.core.ui.words import size_text
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.options import OnOutputLimit
from quarterdeck.tasks.output.find import Finder, Found, Needle, text_of
from quarterdeck.tasks.output.forms import LinesQuery, LogPageQuery
from quarterdeck.tasks.output.line_reader import Block, LineReader
from quarterdeck.tasks.output.loglines import LogLine, as_wire
from quarterdeck.tasks.output.store import DROPPED, OutputStore
from quarterdeck.tasks.records import RunHostRecord, RunRecord

BLOCK_LINES: Final = 100
PAGE_LINES: Final = 500
_GLANCE_LINES: Final = 40
_GLANCE_BYTES: Final = 8 * 1024
_BEFORE_LINE: Final = 50
"""So many lines are shown before the one that is asked for."""
_LISTED: Final = 50
_LISTED_CHARACTERS: Final = 240


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that holds the text looked for."""

    number: int
    line: LogLine


@dataclass(frozen=True, slots=True)
class HitList:
    """What a search lists without script; ``next`` is the line to go on from, None at the end."""

    hits: tuple[Hit, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class LogView:
    """What is shown of one host, and the addresses that lead to the rest of it."""

    run_id: str
    host: RunHostRecord
    query: LogPageQuery
    block: Block
    found: HitList | None
    cut: str
    """Why there is no more of it; empty when nothing was left out."""

    @property
    def groups(self) -> list[tuple[int, tuple[LogLine, ...]]]:
        """The lines in groups that a browser lays out only when looked at, each with its first number."""
        first, lines = self.block.first, self.block.lines
        # The bounds lie at whole hundreds, so that groups that come later fit to these.
        starts = sorted({first, *range(first - (first - 1) % BLOCK_LINES, self.block.last + 1, BLOCK_LINES)})
        starts = [start for start in starts if start >= first]
        ends = [*starts[1:], self.block.last + 1]
        return [
            (start, lines[start - first : end - first])
            for start, end in zip(starts, ends, strict=True)
            if end > start
        ]

    @property
    def is_cut(self) -> bool:
        """Whether there is more than is shown here."""
        return self.block.first > 1

    @property
    def total_bytes(self) -> int:
        return self.host.bytes

    @property
    def is_empty(self) -> bool:
        return not self.block.lines and not self.block.open

    @property
    def earlier_url(self) -> str:
        if self.block.first <= 1:
            return ""
        return self.url(start=max(1, self.block.first - PAGE_LINES))

    @property
    def later_url(self) -> str:
        if self.block.last >= self.block.total:
            return ""
        # The last lines are asked for without a number, so that the page goes on by itself.
        following = self.block.last + 1
        return self.url(start=following) if following + PAGE_LINES <= self.block.total else self.url()

    def url(self, **changes: object) -> str:
        """Return the address of the page with its switches as they are, apart from the changes."""
        query = self.query
        values: dict[str, object] = {
            "host": self.host.name,
            "stream": query.stream,
            "wrap": query.wrap,
            "times": query.times,
            "q": query.q,
            "case": "true" if query.case else "",
        }
        values |= {{"start": "from"}.get(name, name): value for name, value in changes.items()}
        kept = {name: value for name, value in values.items() if value not in ("", None)}
        anchor = f"L{changes['line']}" if changes.get("line") else "output"
        return f"/runs/{self.run_id}?{urlencode(kept)}#{anchor}"


def log_view(output: OutputStore, run: RunRecord, host: RunHostRecord, query: LogPageQuery) -> LogView:
    """Return the last lines of a host's output, or those around the line that is asked for."""
    stream = Stream(query.stream) if query.stream else None
    reader = LineReader(output, run.id, host.name, stream)
    first = max(1, query.line - _BEFORE_LINE) if query.line else query.start
    block = reader.block(first, PAGE_LINES) if first else reader.last_block(PAGE_LINES)
    if first and not block.lines:
        block = reader.last_block(PAGE_LINES)  # a number beyond the end
    needle = _needle(query)
    found = None
    if needle:
        finder = Finder(output, run.id, host.name, stream)
        found = _listed(reader, finder.find(needle, query.hits, _LISTED), needle)
        block = _marked(block, needle)
    return LogView(run.id, host, query, block, found, cut_text(output, run, host))


def glance(output: OutputStore, run: RunRecord, host: RunHostRecord, query: LogPageQuery) -> LogView:
    """Return the very end of a host's output, for a page that shows several."""
    stream = Stream(query.stream) if query.stream else None
    block = LineReader(output, run.id, host.name, stream).last_block(_GLANCE_LINES, _GLANCE_BYTES)
    return LogView(run.id, host, query, block, None, cut_text(output, run, host))


def lines_asked(
    output: OutputStore, run: RunRecord, host: RunHostRecord, query: LinesQuery
) -> dict[str, Any]:  # Any: JSON
    """Return lines by their numbers as JSON carries them; without a number the last ones."""
    reader = LineReader(output, run.id, host.name, Stream(query.stream) if query.stream else None)
    block = reader.block(query.start, query.count) if query.start else reader.last_block(query.count)
    if needle := _needle(query):
        block = _marked(block, needle)
    return {
        "run": run.id,
        "host": host.name,
        "first": block.first,
        "lines": as_wire(block.lines),
        "open": as_wire(block.open),
        "total": block.total,
        "cut": cut_text(output, run, host),
        "is_over": host.is_over,
    }


def cut_text(output: OutputStore, run: RunRecord, host: RunHostRecord) -> str:
    """Return the sentence that stands at the end of an output that was cut; empty for one that was not."""
    options = run.options
    if options.on_output_limit is not OnOutputLimit.CUT:
        return ""
    if output.sizes(run.id, host.name).total < options.output_bytes:
        return ""
    kept = f"Cut here: this run keeps {size_text(options.output_bytes)} of a host’s output."
    dropped = host.details.get(DROPPED)
    if not isinstance(dropped, int):
        return kept if not host.is_over else ""
    return f"{kept} {size_text(dropped)} more came and {'was' if dropped == 1 else 'were'} not kept."


def _needle(query: LogPageQuery | LinesQuery) -> Needle | None:
    return Needle(query.q, query.case) if query.q else None


def _marked(block: Block, needle: Needle) -> Block:
    lines = tuple(needle.marked(line) for line in block.lines)
    return Block(block.first, lines, tuple(needle.marked(line) for line in block.open), block.total)


def _listed(reader: LineReader, found: Found, needle: Needle) -> HitList:
    hits = []
    for number in found.lines:
        (line,) = reader.block(number, 1).lines[:1]
        hits.append(Hit(number, needle.marked(_shortened(line))))
    return HitList(tuple(hits), found.next)


def _shortened(line: LogLine) -> LogLine:
    if len(text_of(line.spans)) <= _LISTED_CHARACTERS:
        return line
    kept, room = [], _LISTED_CHARACTERS
    for span in line.spans:
        kept.append(type(span)(span.text[:room], span.classes))
        room -= len(span.text)
        if room <= 0:
            break
    return LogLine(line.stream, (*kept, type(kept[0])(" …", "dim")), line.at)
