"""Lines by number: blocks, tails, the index and live messages agree on every line, however it was printed."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import Busy
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.ansi import render
from quarterdeck.tasks.output.feed import Feed
from quarterdeck.tasks.output.find import text_of
from quarterdeck.tasks.output.line_index import STEP_BYTES
from quarterdeck.tasks.output.line_reader import Block, LineReader
from quarterdeck.tasks.output.loglines import CUT_MARK, LINE_LIMIT, LineMaker, LogLine, as_wire
from quarterdeck.tasks.output.store import OutputStore

RUN = "01jd8xk3v0abcdefghjkmnpqrs"
HOST = "web1"
Parts = list[tuple[Stream, bytes]]

printed = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"word ", b"m", b"50 %", "ä€𝄞\u202e".encode(), b"\x00", b"\xff", b"\x9b"]
    )
    | st.sampled_from(
        [b"\x1b[31m", b"\x1b[0m", b"\x1b[1;44m", b"\x1b]8;;http://a\x07", b"\x1b[", b"\xc2\x9b32m"]
    )
    | st.binary(max_size=6),
    max_size=12,
).map(b"".join)
parts_of_both = st.lists(st.tuples(st.sampled_from(list(Stream)), printed), max_size=25)


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    return OutputStore(tmp_path / "runs", counts_lines=True)


def write(store: OutputStore, parts: Iterable[tuple[Stream, bytes]]) -> None:
    with store.writer(RUN, HOST) as writer:
        for stream, data in parts:
            writer.append(stream, data)


def index_of(store: OutputStore) -> Path:
    return store.path(RUN, HOST, Stream.OUT).with_suffix(".lines")


def expected(parts: Parts) -> tuple[list[LogLine], list[LogLine]]:
    """Return whole and open lines in the plainest way: all bytes one by one, in the order of arrival."""
    maker = LineMaker()
    lines = [line for stream, data in parts for byte in data for line in maker.take(stream, bytes([byte]))]
    return lines, maker.open_lines()


def content(lines: Iterable[LogLine]) -> list[tuple[Stream, Any]]:
    return [(line.stream, line.spans) for line in lines]


def texts(block: Block) -> list[str]:
    return [text_of(line.spans) for line in block.lines]


def all_blocks(reader: LineReader, count: int) -> tuple[list[LogLine], Block]:
    lines: list[LogLine] = []
    while True:
        block = reader.block(len(lines) + 1, count)
        lines += block.lines
        if len(lines) >= block.total:
            return lines, block


@settings(deadline=None)  # files, on a machine that may be busy
@given(parts_of_both, st.integers(1, 9))
def test_blocks_tails_and_single_streams_are_the_whole_output(
    tmp_path_factory: pytest.TempPathFactory, parts: Parts, count: int
) -> None:
    store = OutputStore(tmp_path_factory.mktemp("runs"), counts_lines=True)
    write(store, parts)
    whole, begun = expected(parts)
    lines, last = all_blocks(LineReader(store, RUN, HOST), count)
    assert content(lines) == content(whole)
    assert content(last.open) == content(begun)
    tail = LineReader(store, RUN, HOST).last_block(count)
    assert content(tail.lines) == content(whole[-count:])
    assert (tail.total, tail.last, content(tail.open)) == (len(whole), len(whole), content(begun))
    for stream in Stream:
        alone, block = all_blocks(LineReader(store, RUN, HOST, stream), count)
        assert content(alone) == [line for line in content(whole) if line[0] is stream]
        assert content(block.open) == [line for line in content(begun) if line[0] is stream]


def seen_by_a_page(messages: list[dict[str, Any]], wire: list[list[object]]) -> int:
    """Follow messages as a page does, which fetches what is missing; return how many lines it has."""
    seen = 0
    for part in [part for message in messages for part in message["hosts"]]:
        first = sum(part["first"])
        seen = max(seen, first)
        for line in part["lines"][seen - first :]:
            assert line[:2] == wire[seen][:2]
            seen += 1
    return seen


@settings(deadline=None)  # files, on a machine that may be busy
@given(parts_of_both, parts_of_both)
async def test_live_messages_and_what_is_fetched_between_them_miss_and_repeat_nothing(
    tmp_path_factory: pytest.TempPathFactory, before: Parts, after: Parts
) -> None:
    store = OutputStore(tmp_path_factory.mktemp("runs"), counts_lines=True)
    messages: list[dict[str, Any]] = []
    feed = Feed(lambda _event, data, room: messages.append(data), lambda _room: True)
    write(store, before)
    with store.writer(RUN, HOST) as writer:
        for number, (stream, data) in enumerate(after):
            writer.append(stream, data)
            assert writer.lines
            feed.take(RUN, HOST, stream, data, lines=writer.lines)
            if number % 3 == 0 or number == len(after) - 1:
                feed.flush(RUN)
    wire = as_wire(LineReader(store, RUN, HOST).block(1, 10_000).lines)
    seen = seen_by_a_page(messages, wire)
    whole, begun = expected(before + after)
    if after:
        assert seen == len(whole)
        last = messages[-1]["hosts"][0]
        assert [line[:2] for line in last["open"]] == [line[:2] for line in as_wire(begun)]


def numbered(count: int, start: int = 0) -> Parts:
    """Lines of changing length and colour on both streams; a colour goes on over some of them."""
    made: Parts = []
    for number in range(start, start + count):
        stream = Stream.ERR if number % 7 == 3 else Stream.OUT
        colour = {0: b"\x1b[32m", 50: b"\x1b[0m"}.get(number % 100, b"")
        made.append((stream, colour + b"line %d of it%s\n" % (number, b"." * (number % 90))))
    return made


@pytest.fixture(scope="module")
def numbered_output(tmp_path_factory: pytest.TempPathFactory) -> tuple[OutputStore, list[LogLine]]:
    """20,000 lines and what they are; a test leaves them as they were."""
    parts = numbered(20_000)
    store = OutputStore(tmp_path_factory.mktemp("runs"), counts_lines=True)
    write(store, parts)
    return store, expected(parts)[0]


@pytest.mark.parametrize("line", [1, 2, 999, 5_000, 12_345, 19_999, 20_000])
@pytest.mark.parametrize("stream", [None, Stream.OUT, Stream.ERR])
def test_a_line_is_found_by_its_number_with_and_without_an_index(
    numbered_output: tuple[OutputStore, list[LogLine]], line: int, stream: Stream | None
) -> None:
    store, lines = numbered_output
    assert index_of(store).stat().st_size > 0
    whole = [one for one in lines if stream in (None, one.stream)]
    reader = LineReader(store, RUN, HOST, stream)
    assert content(reader.block(line, 20).lines) == content(whole[line - 1 : line + 19])
    index_of(store).unlink()
    assert content(reader.block(line, 20).lines) == content(whole[line - 1 : line + 19])
    assert index_of(store).stat().st_size > 0
    assert reader.total() == len(whole)


def test_an_index_made_anew_is_the_one_that_was_written(store: OutputStore) -> None:
    write(store, ((Stream.OUT, b"x" * 1000 + b"\n") for _ in range(1000)))
    written = index_of(store).read_bytes()
    index_of(store).unlink()
    assert LineReader(store, RUN, HOST).total() == 1000
    assert abs(len(index_of(store).read_bytes()) - len(written)) < len(written) / 2
    assert len(written) < 1_000_000 / STEP_BYTES * 60


@pytest.mark.parametrize("torn", [b"\x01" * 30, b"\0" * 56, b"\0" * 100, b"\xff" * 56])
def test_a_torn_index_is_made_good(store: OutputStore, torn: bytes) -> None:
    parts = numbered(8_000)
    write(store, parts)
    with index_of(store).open("ab") as file:
        file.write(torn)
    more = numbered(5_000, start=8_000)
    assert LineReader(store, RUN, HOST).total() == 8_000
    write(store, more)
    whole = expected(parts + more)[0]
    reader = LineReader(store, RUN, HOST)
    assert content(reader.block(12_000, 30).lines) == content(whole[11_999:12_029])


def test_an_index_that_cannot_be_written_is_done_without(
    store: OutputStore, caplog: pytest.LogCaptureFixture
) -> None:
    write(store, numbered(8_000))
    index_of(store).unlink()
    index_of(store).symlink_to("/dev/full")
    assert texts(LineReader(store, RUN, HOST).block(7_000, 1))[0].startswith("line 6999 ")
    assert "web1.lines can't be written" in caplog.text


def test_a_line_index_on_a_full_disk_stops_the_writer_and_loses_nothing(store: OutputStore) -> None:
    index_of(store).parent.mkdir(parents=True)
    index_of(store).symlink_to("/dev/full")
    with pytest.raises(Busy, match=r"web1\.lines can't be written"):
        write(store, numbered(8_000))
    kept = sum(store.sizes(RUN, HOST).of(stream) for stream in Stream)
    assert STEP_BYTES <= kept < 2 * STEP_BYTES
    assert LineReader(store, RUN, HOST).total() > 500


def test_lines_go_on_after_a_restart_of_the_writer(store: OutputStore) -> None:
    parts = [*numbered(3_000), (Stream.OUT, b"\x1b[31mbegun "), (Stream.ERR, b"half ")]
    write(store, parts)
    more = [(Stream.ERR, b"a line\n"), (Stream.OUT, b"and ended\n"), *numbered(3_000, start=3_000)]
    write(store, more)
    assert content(LineReader(store, RUN, HOST).block(2_990, 30).lines) == content(
        expected(parts + more)[0][2_989:3_019]
    )


def test_a_number_beyond_the_end_gives_no_line_but_the_total(store: OutputStore) -> None:
    write(store, [(Stream.OUT, b"one\ntwo\nthr")])
    block = LineReader(store, RUN, HOST).block(77, 10)
    assert (block.lines, block.total, block.first) == ((), 2, 3)
    assert [text_of(line.spans) for line in block.open] == ["thr"]


def test_nothing_was_printed(store: OutputStore) -> None:
    block = LineReader(store, RUN, HOST).last_block(10)
    assert (block.lines, block.open, block.total) == ((), (), 0)


def test_lines_know_when_they_came(store: OutputStore) -> None:
    write(store, [(Stream.OUT, b"a\n"), (Stream.ERR, b"b\n")])
    arrived = index_of(store).parent.stat().st_mtime * 1000
    for stream in (None, *Stream):
        for line in LineReader(store, RUN, HOST, stream).block(1, 5).lines:
            assert abs(line.at - arrived) < 60_000


def test_a_progress_bar_is_its_last_version_however_long_it_ran(store: OutputStore) -> None:
    bar = b"".join(b"\r%3d %% \x1b[32m%s\x1b[0m" % (number // 100, b"=" * 40) for number in range(10_001))
    write(store, [(Stream.OUT, bar[start : start + 777]) for start in range(0, len(bar), 777)])
    (begun,) = LineReader(store, RUN, HOST).last_block(10).open
    assert text_of(begun.spans) == f"100 % {'=' * 40}"
    write(store, [(Stream.OUT, b"\r\x1b[K\n"), (Stream.OUT, b"done\n")])
    assert texts(LineReader(store, RUN, HOST).last_block(10)) == [f"100 % {'=' * 40}", "done"]


def test_ten_megabytes_without_a_line_end_are_one_line_with_a_mark(store: OutputStore) -> None:
    write(store, [*((Stream.OUT, b"x" * 100_000) for _ in range(100)), (Stream.ERR, b"aside\n")])
    block = LineReader(store, RUN, HOST).last_block(10)
    assert texts(block) == ["aside"]
    assert text_of(block.open[0].spans) == "x" * LINE_LIMIT + CUT_MARK
    write(store, [(Stream.OUT, b"\nnext\n")])
    block = LineReader(store, RUN, HOST).last_block(10)
    assert texts(block) == ["aside", "x" * LINE_LIMIT + CUT_MARK, "next"]
    assert block.lines[1].spans[-1].classes == "cut"


def test_a_long_line_is_cut_between_characters_and_ends_its_colours() -> None:
    maker = LineMaker()
    line, following = maker.take(Stream.OUT, b"\x1b[31m" + "€".encode() * LINE_LIMIT + b"\nplain\n")
    assert "\ufffd" not in text_of(line.spans)
    assert content([following]) == [(Stream.OUT, tuple(render("plain")[0]))]


def test_a_block_of_very_long_lines_holds_few_of_them(store: OutputStore) -> None:
    write(store, ((Stream.OUT, b"%d" % number * 50_000 + b"\n") for number in range(1, 10)))
    write(store, ((Stream.OUT, b"%d\n" % number) for number in range(10)))
    reader = LineReader(store, RUN, HOST)
    assert len(reader.block(1, 500).lines) < 9
    assert all_blocks(reader, 500)[1].total == 19
    assert texts(reader.last_block(500))[-10:] == [str(number) for number in range(10)]


def test_the_writers_index_costs_little(store: OutputStore) -> None:
    data = b"a line of an ordinary length, as commands print them\n" * 600
    write(store, ((Stream.OUT, data) for _ in range(1000)))
    size = sum(store.path(RUN, HOST, stream).stat().st_size for stream in (Stream.OUT,))
    assert index_of(store).stat().st_size < size / 900


async def test_reading_while_it_is_written_needs_no_lock(store: OutputStore) -> None:
    reader = LineReader(store, RUN, HOST)
    with store.writer(RUN, HOST) as writer:
        for stream, data in numbered(4_000):
            writer.append(stream, data)
        total = await asyncio.to_thread(reader.total)
        assert total == 4_000
        writer.append(Stream.OUT, b"more\n")
        assert await asyncio.to_thread(reader.total) == 4_001
