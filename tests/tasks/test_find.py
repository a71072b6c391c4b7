"""Finding in an output: what is shown is what is found, however it was printed."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.ansi import Span
from quarterdeck.tasks.output.find import Finder, Found, Needle, text_of
from quarterdeck.tasks.output.line_reader import LineReader
from quarterdeck.tasks.output.loglines import LINE_LIMIT, LogLine
from quarterdeck.tasks.output.store import OutputStore
from tests.tasks.test_line_reader import HOST, RUN, Parts, numbered, parts_of_both, write

OUT, ERR = Stream.OUT, Stream.ERR


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    return OutputStore(tmp_path / "runs", counts_lines=True)


def find(store: OutputStore, text: str, *, is_exact: bool = False, first: int = 1, **more: int) -> Found:
    return Finder(store, RUN, HOST).find(Needle(text, is_exact), first, **more)


@settings(deadline=None)  # files, on a machine that may be busy
@given(
    parts_of_both,
    st.sampled_from(["word", "m", "5", "WORD", "ä€", "␀", "‹U+20", "\ufffd", "% ", "ä", "d w"])
    | st.text(min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, OUT, ERR]),
)
def test_what_is_shown_is_found(
    tmp_path_factory: pytest.TempPathFactory, parts: Parts, text: str, is_exact: bool, stream: Stream | None
) -> None:
    store = OutputStore(tmp_path_factory.mktemp("runs"), counts_lines=True)
    write(store, parts)
    shown = [text_of(line.spans) for line in LineReader(store, RUN, HOST, stream).block(1, 10_000).lines]
    needle = Needle(text, is_exact)
    expected = [number for number, line in enumerate(shown, 1) if needle.folded(text) in needle.folded(line)]
    assert Finder(store, RUN, HOST, stream).find(needle) == Found(tuple(expected), None)


@settings(deadline=None)  # files, on a machine that may be busy
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5), st.text(min_size=1, max_size=3))
def test_marking_changes_no_text(texts: list[str], wanted: str) -> None:
    line = LogLine(OUT, tuple(Span(text, f"fg-{number}") for number, text in enumerate(texts)))
    marked = Needle(wanted).marked(line)
    assert text_of(marked.spans) == text_of(line.spans)
    needle = Needle(wanted)
    has_hit = any("hit" in span.classes for span in marked.spans)
    assert has_hit is (needle.folded(wanted) in needle.folded(text_of(line.spans)))


def test_a_long_output_is_searched_from_any_line(store: OutputStore) -> None:
    write(store, numbered(20_000))
    assert find(store, "line 19999 ").lines == (20_000,)
    assert find(store, "line 777 ", first=778).lines == (778,)
    assert find(store, "line 777 ", first=779) == Found((), None)
    stream = Finder(store, RUN, HOST, ERR).find(Needle("line 19995 "))
    assert stream.lines == (len([number for number in range(19_996) if number % 7 == 3]),)


def test_many_hits_come_in_parts(store: OutputStore) -> None:
    write(store, numbered(3_000))
    collected: list[int] = []
    following: int | None = 1
    while following:
        part = find(store, "line", first=following, most=700)
        collected += part.lines
        following = part.next
    assert collected == list(range(1, 3_001))


def test_a_search_that_takes_long_says_where_to_go_on(store: OutputStore) -> None:
    write(store, numbered(120_000))
    times = iter(range(1000))
    finder = Finder(store, RUN, HOST, seconds=0.5, clock=lambda: next(times))
    found: tuple[int, ...] = ()
    following, steps = 1, 0
    while following and not found:
        part = finder.find(Needle("line 119999 "), following)
        found, following, steps = part.lines, part.next or 0, steps + 1
    assert found == (120_000,)
    assert steps > 3


def test_a_line_of_ten_megabytes_is_searched_as_far_as_it_is_shown(store: OutputStore) -> None:
    write(store, [(OUT, b"begin " + b"x" * 100), *[(OUT, b"y" * 100_000)] * 100, (OUT, b" end\nnext end\n")])
    assert find(store, "begin x").lines == (1,)
    assert find(store, "end").lines == (2,)
    write(store, [(OUT, b"z" * (LINE_LIMIT + 10) + b"hidden\nlast\n")])
    assert find(store, "hidden") == Found((), None)
    assert find(store, "last").lines == (4,)


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ([(OUT, b"fine\n"), (ERR, b"oops\n")], 2),
        ([(OUT, b"fine\nERROR: no\n"), (ERR, b"oops\n")], 2),
        ([(ERR, b"warning\n"), (OUT, b"error\n")], 1),
        ([(OUT, b"a\n\x1b[31mFa\x1b[1mtal\x1b[0m: b\n")], 2),
        ([(OUT, b"Traceback (most recent call last):\n")], 1),
        ([(OUT, b"kernel panic - not syncing\n")], 1),
        ([(OUT, b"error\rfine\n")], None),
        ([(OUT, b"terrors of errorless prefailed _error error_count\n")], None),
        ([(OUT, b"fine\n"), (ERR, b"no end yet")], None),
        ([], None),
    ],
)
def test_the_first_line_that_looks_like_an_error(store: OutputStore, parts: Parts, line: int | None) -> None:
    write(store, parts)
    assert Finder(store, RUN, HOST).first_error() == Found((line,) if line else (), None)


def test_the_first_error_far_into_the_output(store: OutputStore) -> None:
    write(
        store,
        [*((OUT, b"fine %d\n" % number) for number in range(50_000)), (ERR, b"bad\n"), (OUT, b"error\n")],
    )
    assert Finder(store, RUN, HOST).first_error().lines == (50_001,)
    assert Finder(store, RUN, HOST, OUT).first_error().lines == (50_001,)
    assert Finder(store, RUN, HOST, ERR).first_error().lines == (1,)
    times = iter(range(100))
    finder = Finder(store, RUN, HOST, OUT, seconds=0.5, clock=lambda: next(times))
    part = finder.first_error()
    while part.next:
        part = finder.first_error(part.next)
    assert part.lines == (50_001,)


def test_the_text_is_taken_letter_for_letter(store: OutputStore) -> None:
    write(store, [(OUT, b"a.c\nabc\n[x]*\n")])
    assert find(store, "a.c").lines == (1,)
    assert find(store, "[x]*").lines == (3,)
    assert re.search("a.c", "abc")
