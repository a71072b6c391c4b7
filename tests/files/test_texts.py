"""Bytes in, bytes out: for every line end and encoding, also after what a text area does to a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.files.text import lines
from quarterdeck.files.text.texts import (
    ENCODINGS,
    NotText,
    Style,
    Unwritable,
    decode,
    decode_exactly,
    encode,
    encode_like,
    indent_of,
    is_lfs_pointer,
    shown,
    unified,
)

EXAMPLES = settings(max_examples=100, deadline=None)
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
WORDS = st.text(st.one_of(st.sampled_from("ab \t\f\v\x1c\x85\u2028\u2029é€\ufeff"), LETTERS), max_size=6)


def text_of_ends(*ends: str) -> st.SearchStrategy[str]:
    """Make texts of these line ends; with and without one at the end."""
    line = st.tuples(WORDS.map(lambda text: text.replace("\r", "").replace("\n", "")), st.sampled_from(ends))
    whole = st.lists(line, max_size=8).map(lambda parts: "".join(words + end for words, end in parts))
    return st.tuples(whole, st.sampled_from(["", "x"])).map("".join)


TEXTS = st.one_of(
    text_of_ends("\n"), text_of_ends("\r\n"), text_of_ends("\r"), text_of_ends("\n", "\r\n", "\r")
)
MARKS = {"utf-8": b"", "utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def through_text_area(text: str) -> str:
    """Return what a browser sends of a text area that shows the text."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


@EXAMPLES
@given(text=TEXTS, kind=st.sampled_from(sorted(MARKS)))
def test_untouched_text_becomes_the_same_bytes(text: str, kind: str) -> None:
    codec = kind.removesuffix("-sig")
    content = MARKS[kind] + text.encode(codec)
    shown, style = decode(content)
    assert "\r" not in shown
    assert encode_like(content, shown, style) == content
    assert encode_like(content, through_text_area(shown), style) == content
    if not style.is_mixed:
        assert encode(through_text_area(shown), style) == content


@EXAMPLES
@given(content=st.binary(max_size=60), encoding=st.sampled_from(["", *ENCODINGS]))
def test_any_bytes_that_are_taken_for_text_come_back(content: bytes, encoding: str) -> None:
    try:
        shown, style = decode(content, encoding=encoding)
    except NotText:
        return
    assert encode_like(content, through_text_area(shown), style) == content


@EXAMPLES
@given(before=TEXTS, after=TEXTS, kind=st.sampled_from(sorted(MARKS)))
def test_edited_text_is_what_was_edited(before: str, after: str, kind: str) -> None:
    content = MARKS[kind] + before.encode(kind.removesuffix("-sig"))
    style = decode(content)[1]
    written = encode_like(content, through_text_area(after), style)
    assert decode(written, encoding=style.encoding)[0] == unified(after).removeprefix(
        "" if style.has_bom else "\ufeff"
    )


def test_mixed_line_ends_stay_where_they_are() -> None:
    content = b"one\r\ntwo\nthree\rfour\r\nfive"
    shown, style = decode(content)
    assert style.is_mixed
    assert style.line_end == "\r\n"
    edited = shown.replace("two", "zwei").replace("four\n", "four\nfour and a half\n")
    assert encode_like(content, edited, style) == b"one\r\nzwei\r\nthree\rfour\r\nfour and a half\r\nfive"


def test_carriage_return_and_line_feed_of_two_lines_do_not_become_one_end() -> None:
    content = b"a\rb\nc\rb\n"
    _, style = decode(content)
    assert decode(encode_like(content, "a\n\nc\nb\n", style))[0] == "a\n\nc\nb\n"


@pytest.mark.parametrize(
    ("content", "line_end", "ends"),
    [(b"", "\n", False), (b"a", "\n", False), (b"a\r\nb\r\n", "\r\n", True), (b"a\rb", "\r", False)],
)
def test_style_tells_the_line_end(content: bytes, line_end: str, ends: bool) -> None:
    style = decode(content)[1]
    assert (style.line_end, style.ends_with_newline, style.is_mixed) == (line_end, ends, False)


def test_only_line_feeds_and_carriage_returns_end_a_line() -> None:
    assert lines.split("a\u2028b\x0cc\x85d\ve\n\nf") == ["a\u2028b\x0cc\x85d\ve\n", "\n", "f"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a\0b", "binary"),
        (b"\xff\xfea\0\0\0", "binary"),
        (b"\xff\xfe\0\0a\0\0\0", "binary"),
        (b"\xed\xa0\x80", "encoding"),
        (b"\xff\xfe\x00\xd8", "encoding"),
        (b"\xe9t\xe9", "encoding"),
        (b"\xff\xfea", "encoding"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "lfs"),
        (b"x" * ((1 << 20) + 1), "too-large"),
    ],
    ids=["nul", "wide nul", "utf-32", "surrogate", "lone surrogate", "latin-1", "half", "lfs", "large"],
)
def test_what_is_no_text_says_why(content: bytes, why: str) -> None:
    with pytest.raises(NotText) as refusal:
        decode(content)
    assert refusal.value.why == why
    assert is_lfs_pointer(content) == (why == "lfs")


def test_chosen_encoding_is_kept() -> None:
    shown, style = decode(b"\xe9t\xe9\n", encoding="latin-1")
    assert shown == "été\n"
    assert encode(shown.replace("é", "è"), style) == b"\xe8t\xe8\n"


def test_encoding_that_is_not_offered_is_refused() -> None:
    with pytest.raises(NotText, match="encoding"):
        decode(b"a", encoding="rot13")


@pytest.mark.parametrize(
    ("text", "encoding", "code"), [("a\n€", "latin-1", "U+20AC"), ("a\r\n\ud800", "utf-8", "U+D800")]
)
def test_character_that_can_not_be_written_is_named(text: str, encoding: str, code: str) -> None:
    with pytest.raises(Unwritable, match=rf"Line 2 .*{code.replace('+', '.')}"):
        encode(text, Style(encoding=encoding))


def test_what_can_not_be_seen_is_shown_by_a_sign() -> None:
    assert shown("a\tb\x1b[0m \u202egpj\x85\ud800é\u2028") == "a\tb␛[0m [U+202E]gpj[U+0085][U+D800]é[U+2028]"


def test_exact_text_keeps_its_line_ends() -> None:
    assert decode_exactly(b"\xef\xbb\xbfa\r\nb\r") == "a\r\nb\r"


@pytest.mark.parametrize(
    ("text", "indent"),
    [
        ("a:\n  b:\n    c: 1\nd:\n  e: 2\n", "  "),
        ("def f():\n    return 1\n\n\ndef g():\n    pass\n", "    "),
        ("all:\n\techo\n", "\t"),
        ("a\nb\n", ""),
    ],
)
def test_indentation_is_told_by_the_steps(text: str, indent: str) -> None:
    assert indent_of(text) == indent
