"""Output of commands as styled text, hostile output included."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output import ansi
from quarterdeck.tasks.output.ansi import PLAIN, Line, Span, render, shown_text, style_after
from quarterdeck.tasks.output.loglines import CUT_MARK, LINE_LIMIT, LineMaker

CLASSES = re.compile(r"(bold|dim|italic|underline|inverse|strike|cut|[fb]g-(1[0-5]|[0-9]))( |$)")
terminal = st.lists(
    st.sampled_from(
        [
            "\x1b[",
            "\x1b]8;;",
            "\x1b\\",
            "\x07",
            "\x1bP",
            "\x1b(B",
            "m",
            ";",
            "38",
            "48;5;",
            "\r",
            "\n",
            "\x9b",
        ]
    )
    | st.text(max_size=5)
    | st.integers(0, 300).map(str)
).map("".join)


class AnsiLines:
    """Feeds a reader of one stream; ``finish`` gives what was left without an end."""

    def __init__(self) -> None:
        self._maker = LineMaker()

    def feed(self, data: bytes | str) -> list[Line]:
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        return [list(line.spans) for line in self._maker.take(Stream.OUT, data)]

    def finish(self) -> list[Line]:
        return [list(line.spans) for line in self._maker.open_lines()]


def lines_of(data: bytes | str) -> list[Line]:
    """Return the lines of a text, which come out the same in one piece and bit by bit."""
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    reader = AnsiLines()
    lines = reader.feed(data) + reader.finish()
    assert [line for line in ansi.lines_of(data) if line] == [line for line in lines if line]
    return lines


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


@pytest.mark.parametrize(
    ("written", "spans"),
    [
        ("plain", [Span("plain")]),
        ("\x1b[31mred\x1b[0m done", [Span("red", "fg-1"), Span(" done")]),
        ("\x1b[1;4;92mok", [Span("ok", "bold underline fg-10")]),
        ("\x1b[41;37mx", [Span("x", "fg-7 bg-1")]),
        ("\x1b[38;5;196mx", [Span("x", "fg-9")]),
        ("\x1b[38;5;12mx", [Span("x", "fg-12")]),
        ("\x1b[48;5;232mx", [Span("x", "bg-0")]),
        ("\x1b[38;2;255;0;0mx", [Span("x", "fg-9")]),
        ("\x1b[38:2::0:205:0mx", [Span("x", "fg-2")]),
        ("\x1b[38;2;1mx", [Span("x")]),
        ("\x1b[2;3;7;9mx", [Span("x", "dim inverse italic strike")]),
        ("\x1b[1mA\x1b[22mB", [Span("A", "bold"), Span("B")]),
        ("\x1b[4:3mA\x1b[4:0mB", [Span("A", "underline"), Span("B")]),
        ("\x1b[31mA\x1b[39mB", [Span("A", "fg-1"), Span("B")]),
        ("\x1b[mA\x1b[;mB", [Span("AB")]),
        ("\x1b[>4;2mA\x1b[999mB", [Span("AB")]),
    ],
)
def test_colours_and_marks_become_classes(written: str, spans: Line) -> None:
    assert lines_of(written) == [spans]


@pytest.mark.parametrize(
    "written",
    [
        "\x1b[2J\x1b[HText",
        "\x1b]0;title\x07Text",
        "\x1b]8;;javascript:alert(1)\x1b\\Text\x1b]8;;\x1b\\",
        "\x1bP$qm\x1b\\Text",
        "\x1b(BText\x1b=",
        "\x1b[?25lText\x1b[K",
        "old\rText",
        "Text\r",
        "old\r\x1b[KText\r\x1b[0m",
    ],
)
def test_what_drives_a_terminal_is_dropped(written: str) -> None:
    assert [text_of(line) for line in lines_of(written)] == ["Text"]


def test_style_goes_on_over_lines() -> None:
    assert lines_of("\x1b[32ma\nb\x1b[0m\nc") == [[Span("a", "fg-2")], [Span("b", "fg-2")], [Span("c")]]


def test_windows_line_ends_are_line_ends() -> None:
    assert lines_of("a\r\nb\r\n") == [[Span("a")], [Span("b")]]


def test_control_and_direction_characters_are_made_visible() -> None:
    assert text_of(lines_of("a\x00b\x08c\x7f")[0]) == "a␀b␈c␡"
    assert text_of(lines_of("safe\u202egpj.exe\u2066")[0]) == "safe‹U+202E›gpj.exe‹U+2066›"
    assert text_of(lines_of("two\u2028lines\u0085")[0]) == "two␤lines\ufffd"
    assert text_of(lines_of("a\tb")[0]) == "a\tb"


def test_an_escape_sequence_without_end_hides_nothing() -> None:
    assert text_of(lines_of("\x1b]0;the rest of the line")[0]) == "␛]0;the rest of the line"


def test_markup_stays_text() -> None:
    assert lines_of("<script>alert(1)</script>") == [[Span("<script>alert(1)</script>")]]


@pytest.mark.parametrize("cut", range(1, 12))
def test_pieces_may_be_cut_anywhere(cut: int) -> None:
    written = "ä\x1b[31m€\n𝄞".encode()
    reader = AnsiLines()
    lines = reader.feed(written[:cut]) + reader.feed(written[cut:]) + reader.finish()
    assert lines == lines_of(written)


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert text_of(lines_of(b"a\xffb\xe2\x82")[0]) == "a\ufffdb\ufffd"


def test_a_line_that_is_too_long_is_cut_with_a_mark() -> None:
    reader = AnsiLines()
    lines = [line for _ in range(30) for line in reader.feed("x" * 10_000)] + reader.feed("\nnext\n")
    assert lines[0] == [Span("x" * LINE_LIMIT), Span(CUT_MARK, "cut")]
    assert lines[1] == [Span("next")]


def test_a_long_progress_bar_is_not_too_long_a_line() -> None:
    reader = AnsiLines()
    for percent in range(101):
        reader.feed(f"\r{percent:3} %".ljust(2000))
    assert text_of(reader.finish()[0]).rstrip() == "100 %"


@given(st.binary() | terminal)
def test_nothing_raises_and_no_control_character_is_left(written: bytes | str) -> None:
    for line in lines_of(written):
        for span in line:
            assert span.text
            assert all(
                unicodedata.category(character) != "Cc" or character == "\t" for character in span.text
            )
            assert not span.classes or all(CLASSES.match(f"{name} ") for name in span.classes.split())


@given(terminal, st.data())
def test_cutting_a_text_into_pieces_changes_nothing(written: str, data: st.DataObject) -> None:
    encoded = written.encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=5)))
    reader = AnsiLines()
    lines: list[Line] = []
    for start, stop in zip([0, *places], [*places, len(encoded)], strict=True):
        lines += reader.feed(encoded[start:stop])
    assert lines + reader.finish() == lines_of(written)


@given(st.lists(st.binary() | terminal.map(lambda text: text.encode("utf-8", "surrogatepass")), max_size=4))
def test_text_and_style_of_many_lines_are_those_of_each(written: list[bytes]) -> None:
    lines = b"\n".join(written).split(b"\n")
    style, texts = PLAIN, []
    for line in lines:
        spans, style = render(line.decode("utf-8", "replace"), style)
        texts.append(text_of(spans))
    whole = b"".join(line + b"\n" for line in lines)
    assert shown_text(whole) == "".join(f"{text}\n" for text in texts)
    assert style_after(whole, PLAIN) == style


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_is_kept_as_it_is(text: str) -> None:
    assert "\n".join(text_of(line) for line in lines_of(text)) == text


@given(st.lists(st.sampled_from(["\x1b[31m", "\x1b[1;44m", "\x1b[0m", "\x1b]8;;http://a\x07", "word", " "])))
def test_text_between_sequences_is_kept(parts: list[str]) -> None:
    kept = "".join(part for part in parts if not part.startswith("\x1b"))
    assert "".join(text_of(line) for line in lines_of("".join(parts))) == kept
