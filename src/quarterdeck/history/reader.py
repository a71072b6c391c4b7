"""Reads the journal newest first, while it is written, also by another process or on a full disk.

Files are read, not mapped: a mapped file that somebody cuts short would end the program.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from quarterdeck.core.errors import Busy, Invalid, NotFound
from quarterdeck.history import matching, segments, sidecar
from quarterdeck.history.lines import Entry, Kind, LineError, Sealer, decode, seq_of
from quarterdeck.history.matching import Matcher
from quarterdeck.history.query import ACTIONS, MOST_LIMIT, HistoryQuery
from quarterdeck.history.segments import Segment
from quarterdeck.history.sidecar import Sidecar, bits_of

SCAN_BYTES: Final = 256_000_000
"""How much one call reads before it answers with what it has and a cursor to go on."""

_CHUNK: Final = 1 << 20
_PAGE_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some entries, newest first."""

    entries: tuple[Entry, ...]
    next_cursor: str = ""
    """Where older entries begin; empty at the end."""
    scanned_back_to: str = ""
    """Set when the search paused before the page was full: the time up to which nothing was missed."""
    begun: Mapping[str, Entry] = field(default_factory=dict)
    """Of a page of actions: the intent of each outcome, by the outcome's id."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry with its counterpart (the outcome of an intent, the intent of an outcome) and its raw line."""

    entry: Entry
    pair: Entry | None
    raw: str


@dataclass(slots=True)
class _Search:
    """The state of one call: what was found, and how much may still be read."""

    matcher: Matcher
    limit: int
    budget: int
    entries: list[Entry] = field(default_factory=list)
    at: tuple[int, int] = (0, 0)
    """First seq of the segment and offset above which everything was looked at."""
    outcome_of: Callable[[Entry], Entry | None] | None = None
    """Given when each action is asked for once: finds how an intent ended."""
    ended: dict[str, Entry] = field(default_factory=dict)
    begun: dict[str, Entry] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Add an entry that fits; where actions are asked for, an intent gives way to its outcome."""
        if self.outcome_of and entry.kind is Kind.INTENT:
            self._take_intent(entry, self.ended.pop(entry.id, None) or self.outcome_of(entry))
            return
        self.entries.append(entry)
        if entry.pair:
            self.ended[entry.pair] = entry

    def _take_intent(self, intent: Entry, outcome: Entry | None) -> None:
        if outcome:
            self.begun[outcome.id] = intent
        if not outcome or not self.matcher.fits(outcome):  # else it stands, or stood, at the outcome's place
            self.entries.append(outcome or intent)

    @property
    def is_over(self) -> bool:
        return len(self.entries) >= self.limit or self.budget <= 0


class Reader:
    """The reading side of one folder; holds no state but the indexes it found sound."""

    def __init__(self, folder: Path, sealer: Sealer, *, scan_bytes: int = SCAN_BYTES) -> None:
        self._folder = folder
        self._sealer = sealer
        self._scan_bytes = scan_bytes

    def page(self, query: HistoryQuery) -> HistoryPage:
        """Return the newest entries that fit; raises Invalid for a cursor that is none."""
        search = _Search(matching.prepare(query), query.limit, self._scan_bytes)
        if query.kind == ACTIONS:
            search.outcome_of = self._outcome_of
        start = _read_cursor(query.cursor) if query.cursor else None
        for segment in reversed(self._segments()):
            if start and segment.first_seq > start[0]:
                continue
            before = start[1] if start and segment.first_seq == start[0] else None
            with _opened(segment.path) as descriptor:
                self._search_segment(search, segment, descriptor, before)
            if search.is_over:
                page = _paused(search, self._time_at(search.at))
                break
        else:
            page = HistoryPage(tuple(search.entries))
        return replace(page, begun=self._beginnings(search)) if query.kind == ACTIONS else page

    def get(self, id_: str) -> Found:
        """Return one entry with its pair; raises NotFound."""
        try:
            raw = self._line(seq_of(id_))
            if raw is not None and (entry := decode(raw)).id == id_:
                return Found(entry, self._pair_of(entry), raw.decode())
        except ValueError as error:  # no id, or a damaged line
            raise NotFound(f"There is no history entry {id_}.") from error
        raise NotFound(f"There is no history entry {id_}.")

    def by_seq(self, seq: int) -> Entry | None:
        raw = self._line(seq)
        return decode(raw) if raw is not None else None

    def last(self) -> Entry | None:
        """Return the newest entry, or None in an empty history."""
        page = self.page(HistoryQuery(limit=1))
        return page.entries[0] if page.entries else None

    def _beginnings(self, search: _Search) -> dict[str, Entry]:
        """Return the intents of the outcomes found; few of them were not met on the way."""
        found = {
            entry.id: search.begun.get(entry.id) or self._pair_of(entry)
            for entry in search.entries
            if entry.pair
        }
        return {id_: intent for id_, intent in found.items() if intent}

    def _segments(self) -> list[Segment]:
        try:
            return segments.list_segments(self._folder)
        except OSError as error:
            raise Busy(f"The history can't be read: {self._folder}: {error.strerror}.") from error

    def _search_segment(self, search: _Search, segment: Segment, descriptor: int, before: int | None) -> None:
        size = os.fstat(descriptor).st_size
        end = _whole_lines_end(descriptor, size if before is None else min(before, size))
        index = self._index_for(search.matcher, segment, size)
        search.at = (segment.first_seq, end)
        if end > index.end:
            _scan(search, descriptor, index.end, end)
        for number in range(index.entries - 1, -1, -1):
            if search.is_over:
                return
            self._search_block(search, descriptor, index, number, end)

    def _index_for(self, matcher: Matcher, segment: Segment, size: int) -> Sidecar:
        """Return the index, or an empty one where it is of no use: everything is scanned then."""
        if matcher.uses_index and (index := sidecar.load(segment.index, self._sealer)).end <= size:
            return index
        return Sidecar(b"", self._sealer)

    def _search_block(self, search: _Search, descriptor: int, index: Sidecar, number: int, end: int) -> None:
        matcher = search.matcher
        if not index.may_have(number, matcher.bits):
            return
        if matcher.any_bits and not any(index.may_have(number, bits) for bits in matcher.any_bits):
            return
        block = index.block(number)
        if block.offset >= end or not search.matcher.covers(block.first_time, block.last_time):
            return
        _scan(search, descriptor, block.offset, min(block.end, end))

    def _line(self, seq: int) -> bytes | None:
        """Return the line with that number, or None."""
        for segment in reversed(self._segments()):
            if segment.first_seq <= seq and segment.path.stat().st_size:
                with _opened(segment.path) as descriptor:
                    return _line_in(segment, descriptor, seq)
        return None

    def _pair_of(self, entry: Entry) -> Entry | None:
        if entry.pair:
            found = self.by_seq(seq_of(entry.pair))
            return found if found and found.id == entry.pair else None
        return self._outcome_of(entry) if entry.kind is Kind.INTENT else None

    def _outcome_of(self, intent: Entry) -> Entry | None:
        """Look forward from an intent for the outcome that names it."""
        bits, pattern = bits_of(f"pair:{intent.id}"), b'"pair":"%s",' % intent.id.encode()
        budget = self._scan_bytes
        for segment, start, end in self._ranges_from(intent.seq, bits):
            budget -= end - start
            with _opened(segment.path) as descriptor:
                found = _first_line_with(descriptor, start, end, pattern)
            if found is not None and (entry := decode(found)).pair == intent.id:
                return entry
            if budget < 0:
                return None
        return None

    def _ranges_from(self, seq: int, bits: tuple[int, ...]) -> Iterator[tuple[Segment, int, int]]:
        """Yield the parts at and after a number that may hold what the bits stand for, oldest first."""
        found = self._segments()
        for position, segment in enumerate(found):
            if position + 1 < len(found) and found[position + 1].first_seq <= seq:
                continue
            index = sidecar.load(segment.index, self._sealer)
            for number in range(index.entries):
                if index.may_have(number, bits) and (block := index.block(number)).last_seq >= seq:
                    yield segment, block.offset, block.end
            yield segment, index.end, segment.path.stat().st_size

    def _time_at(self, at: tuple[int, int]) -> str:
        """Return the time of the line that begins at a place."""
        for segment in self._segments():
            if segment.first_seq == at[0]:
                with _opened(segment.path) as descriptor:
                    line = os.pread(descriptor, _PAGE_CHUNK * 4, at[1]).partition(b"\n")[0]
                try:
                    return decode(line).time
                except LineError:
                    return ""
        return ""


def walk(page_of: Callable[[HistoryQuery], HistoryPage], query: HistoryQuery) -> Iterator[Entry]:
    """Yield every entry that fits, page by page."""
    query = replace(query, limit=MOST_LIMIT)
    while True:
        page = page_of(query)
        yield from page.entries
        if not page.next_cursor:
            return
        query = replace(query, cursor=page.next_cursor)


class _opened:  # noqa: N801 - reads as a word of the language
    """A file open for reading; raises Busy with its path when that fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Busy(f"The history can't be read: {self._path}: {error.strerror}.") from error
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _paused(search: _Search, time: str) -> HistoryPage:
    is_full = len(search.entries) >= search.limit
    cursor = "{}.{}".format(*search.at) if search.at != (1, 0) else ""
    return HistoryPage(tuple(search.entries), cursor, "" if is_full or not cursor else time)


def _read_cursor(cursor: str) -> tuple[int, int]:
    first_seq, _, offset = cursor.partition(".")
    if not (first_seq.isascii() and first_seq.isdecimal() and offset.isascii() and offset.isdecimal()):
        raise Invalid({"cursor": "This is not a cursor of this history; start again from the newest page."})
    if len(first_seq) > 12 or len(offset) > 15:
        raise Invalid({"cursor": "This is not a cursor of this history; start again from the newest page."})
    return int(first_seq), int(offset)


def _whole_lines_end(descriptor: int, end: int) -> int:
    """Return the offset behind the last whole line before an offset."""
    while end:
        start = max(0, end - _PAGE_CHUNK)
        cut = os.pread(descriptor, end - start, start).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        end = start
    return 0


def _scan(search: _Search, descriptor: int, start: int, end: int) -> None:
    """Look through part of a file from its end to its start; both are ends of lines."""
    size = _CHUNK if search.matcher.leads else _PAGE_CHUNK
    while end > start and not search.is_over:
        begin = max(start, end - size)
        content = os.pread(descriptor, end - begin, begin)
        search.budget -= len(content)
        if begin > start:
            cut = content.find(b"\n") + 1
            if not cut or cut == len(content):
                size *= 2  # a single line longer than the chunk
                continue
            begin, content = begin + cut, content[cut:]
        _scan_content(search, content, begin)
        end = begin


def _scan_content(search: _Search, content: bytes, begin: int) -> None:
    """Take the fitting lines of some whole lines, last first."""
    matcher = search.matcher
    haystack = content.lower() if matcher.folds else content
    end = len(content)
    hits = dict.fromkeys(matcher.leads or (b"\n",), end)
    while end and len(search.entries) < search.limit:
        # Only what was hit in the line just looked at is looked for again, so each byte is seen once by each.
        hits = {lead: at if at < end else haystack.rfind(lead, 0, end) for lead, at in hits.items()}
        hit = max(hits.values())
        if hit < 0:
            break
        start = content.rfind(b"\n", 0, hit) + 1
        stop = content.find(b"\n", hit)
        if matcher.may_fit(haystack[start:stop]):
            _take(search, content[start:stop])
        end = start
        search.at = (search.at[0], begin + start)
    if len(search.entries) < search.limit:
        search.at = (search.at[0], begin)


def _take(search: _Search, line: bytes) -> None:
    try:
        entry = decode(line)
    except LineError:
        return  # verify tells what is wrong with the line
    if search.matcher.fits(entry):
        search.take(entry)


def _line_in(segment: Segment, descriptor: int, seq: int) -> bytes | None:
    size, begin = os.fstat(descriptor).st_size, b'{"seq":%d,' % seq
    start, end = sidecar.locate(segment.index, seq)
    found = _first_line_with(descriptor, start, min(end or size, size), begin, at_start=True)
    if found is None and (start or end):  # the index did not fit
        found = _first_line_with(descriptor, 0, size, begin, at_start=True)
    return found


def _first_line_with(
    descriptor: int, start: int, end: int, pattern: bytes, *, at_start: bool = False
) -> bytes | None:
    for line in segments.lines_between(descriptor, start, end):
        if line.startswith(pattern) if at_start else pattern in line:
            return line
    return None
