"""The difference of two outputs: by lines of plain text, bounded, in both forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.tasks.results.differences import (
    MOST_BYTES,
    MOST_LINES,
    Text,
    compare,
    pieces,
    text_of,
    without_space,
)

lines = st.lists(st.sampled_from(["one", "two", "three", "", "  two", "x" * 50]), max_size=40)


def test_a_changed_line_stands_beside_what_it_was() -> None:
    found = compare(text_of(b"a\nold\nz\n"), text_of(b"a\nnew\nz\n"))
    (hunk,) = found.hunks
    assert [(line.mark, line.text) for line in hunk.lines] == [
        (" ", "a"),
        ("-", "old"),
        ("+", "new"),
        (" ", "z"),
    ]
    assert [(row.kind, row.left, row.right) for row in hunk.rows][1] == ("changed", "old", "new")
    assert (found.removed, found.added) == (1, 1)
    assert hunk.title == "−1,3 +1,3"


@pytest.mark.parametrize(
    ("line", "other", "expected"),
    [
        ("used 12G of 40G", "used 39G of 40G", ("used ", "12", "G of 40G")),
        ("one two", "one two three", ("one two", "", "")),
        ("aaaa", "aa", ("aa", "aa", "")),
        ("abc", "xyz", ("abc", "", "")),
        ("", "x", ("", "", "")),
    ],
)
def test_what_differs_in_a_line_is_cut_out(line: str, other: str, expected: tuple[str, ...]) -> None:
    assert pieces(line, other) == expected


def test_far_apart_changes_are_hunks_of_their_own() -> None:
    before = [f"line {number}" for number in range(100)]
    after = ["first", *before[1:80], *before[81:]]
    found = compare(Text(tuple(before)), Text(tuple(after)))
    assert len(found.hunks) == 2
    assert found.hunks[1].lines[3].mark == "-"
    assert found.hunks[1].lines[3].left_number == 81


def test_nothing_differs_between_equal_texts() -> None:
    assert compare(text_of(b"a\nb\n"), text_of(b"a\nb\n")).is_none
    assert compare(Text(()), Text(())).is_none


def test_colours_are_no_difference_and_markup_stays_text() -> None:
    assert compare(text_of(b"\x1b[31mred\x1b[0m <b>\n"), text_of(b"red <b>\n")).is_none
    assert text_of(b"<script>\x1b]8;;javascript:x\x07click\x1b]8;;\x07\n").lines == ("<script>click",)


def test_white_space_can_be_no_difference() -> None:
    left, right = text_of(b"a  b\n"), text_of(b"  a b  \n")
    assert not compare(left, right).is_none
    assert compare(left, right, without_space).is_none
    found = compare(text_of(b"a  b\nold\n"), text_of(b"a b\nnew\n"), without_space)
    assert [row.kind for row in found.hunks[0].rows] == ["same", "changed"]


def test_of_long_outputs_the_beginning_is_compared_and_it_is_said() -> None:
    long = text_of(b"x\n" * (MOST_LINES + 5))
    assert len(long.lines) == MOST_LINES
    assert long.is_cut
    assert compare(long, text_of(b"x\n")).is_cut
    half = text_of(b"whole\nhal", is_whole=False)
    assert half.lines == ("whole",)
    assert half.is_cut


def test_an_endless_line_is_cut_and_marked() -> None:
    (line,) = text_of(b"x" * 100_000).lines
    assert len(line) < 3_000
    assert line.endswith("…")


def test_the_worst_that_fits_does_not_hang() -> None:
    """Neither thousands of equal lines nor of moved ones; the limit of the whole test run would tell."""
    assert not compare(Text(("x", "y") * 1000), Text(("y", "x", "x") * 600)).is_none
    moved = [str(number * 7919 % 100) for number in range(2000)]
    assert not compare(Text(tuple(moved)), Text(tuple(reversed(moved)))).is_none
    assert text_of(b"\x1b[31mx" * (MOST_BYTES // 6)).lines


@given(lines, lines)
def test_both_forms_give_back_both_sides(before: list[str], after: list[str]) -> None:
    """With enough context a difference has every line of either side, in its order, once."""
    found = compare(Text(tuple(before)), Text(tuple(after)))
    for hunk in found.hunks:
        left = [line.text for line in hunk.lines if line.left_number]
        numbers = [line.left_number for line in hunk.lines if line.left_number]
        assert left == [before[number - 1] for number in numbers]
        right = [line.right_number for line in hunk.lines if line.right_number]
        assert [row.right_number for row in hunk.rows if row.right_number] == right
        assert right == sorted(right)
        assert all("".join(line.pieces) == line.text for line in hunk.lines)
    assert found.is_none == (before == after)
    assert len(before) - found.removed == len(after) - found.added
