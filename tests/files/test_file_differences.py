"""Differences: counts, rows, marks and bounds; the patch is judged by git itself."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.files.text import lines
from quarterdeck.files.text.differences import Difference, difference, unified_text

EXAMPLES = settings(max_examples=100, deadline=None)
LINES = st.lists(st.sampled_from(["a", "b", "c", "", "a b", "\u2028", "x\ry"]), max_size=12)
TEXTS = st.tuples(LINES.map("\n".join), st.sampled_from(["", "\n"])).map("".join)


def before_and_after(found: Difference) -> tuple[list[str], list[str]]:
    rows = [row for hunk in found.hunks for row in hunk.rows]
    old = ["".join(piece.text for piece in row.before.pieces) for row in rows if row.before]
    new = ["".join(piece.text for piece in row.after.pieces) for row in rows if row.after]
    return old, new


@EXAMPLES
@given(before=LINES, after=LINES)
def test_matches_are_common_lines_in_order(before: list[str], after: list[str]) -> None:
    b = a = 0
    for match in lines.matches(before, after):
        assert match.before >= b
        assert match.after >= a
        assert match.length > 0
        b, a = match.before + match.length, match.after + match.length
        assert before[match.before : b] == after[match.after : a]
    assert b <= len(before)
    assert a <= len(after)


@EXAMPLES
@given(before=TEXTS, after=TEXTS)
def test_with_all_context_both_texts_are_there(before: str, after: str) -> None:
    found = difference(before, after, context=1000)
    assert found.is_none == (before == after)
    if before != after:
        old, new = before_and_after(found)
        assert old == [line.removesuffix("\n") for line in lines.split(before)]
        assert new == [line.removesuffix("\n") for line in lines.split(after)]


@EXAMPLES
@given(before=TEXTS, after=TEXTS, context=st.integers(0, 3))
def test_counts_are_those_of_the_rows(before: str, after: str, context: int) -> None:
    found = difference(before, after, context=context)
    marks = [line.mark for hunk in found.hunks for line in hunk.lines]
    assert (marks.count("+"), marks.count("-")) == (found.added, found.removed)


def test_changed_words_are_marked() -> None:
    (hunk,) = difference("port: 80 # http\nx\n", "port: 8080 # http\nx\n").hunks
    row = hunk.rows[0]
    assert row.kind == "changed"
    assert row.before
    assert row.after
    assert [piece.text for piece in row.before.pieces if piece.is_changed] == ["80"]
    assert [piece.text for piece in row.after.pieces if piece.is_changed] == ["8080"]
    assert hunk.title == "−1,2 +1,2"


def test_lines_with_little_in_common_are_not_marked() -> None:
    (hunk,) = difference("alpha beta\n", "something else\n").hunks
    assert not any(piece.is_changed for line in hunk.lines for piece in line.pieces)


def test_far_changes_are_hunks_of_their_own() -> None:
    text = "".join(f"{number}\n" for number in range(40))
    found = difference(text, text.replace("3\n", "three\n", 1).replace("30\n", "thirty\n"))
    assert [hunk.title for hunk in found.hunks] == ["−1,7 +1,7", "−28,7 +28,7"]


def test_missing_newline_at_the_end_is_a_change_that_is_told() -> None:
    (hunk,) = difference("a\nb\n", "a\nb").hunks
    assert [(line.mark, line.is_open) for line in hunk.lines] == [(" ", False), ("-", False), ("+", True)]


def test_white_space_can_be_ignored() -> None:
    assert difference("a:\n  b: 1\n", "a:\n\tb:  1 \n", ignores_space=True).is_none
    assert difference("a:\n  b: 1\n", "a:\n  b: 2\n", ignores_space=True).added == 1


def test_long_lines_are_shown_without_their_middle() -> None:
    (hunk,) = difference("x" * 9000 + "1" + "y" * 9000, "x" * 9000 + "2" + "y" * 9000).hunks
    assert hunk.rows[0].before
    pieces = hunk.rows[0].before.pieces
    assert [piece.text for piece in pieces if piece.is_changed] == ["1"]
    assert sum(len(piece.text) for piece in pieces) < 4000


def test_more_rows_than_a_page_holds_are_cut_but_counted() -> None:
    before = "".join(f"old {number}\n{number}\n" for number in range(30_000))
    after = "".join(f"new {number}\n{number}\n" for number in range(30_000))
    found = difference(before, after, most_rows=500)
    assert found.is_cut
    assert (found.added, found.removed) == (30_000, 30_000)
    assert sum(len(hunk.rows) for hunk in found.hunks) == 500


def test_hostile_repetition_ends_within_the_budget() -> None:
    chance = random.Random(6)  # noqa: S311  the same texts each time
    before = [chance.choice("ab") for _ in range(5_000)]
    after = [chance.choice("ab") for _ in range(5_000)]
    assert len(lines.matches(before, after)) >= 0  # it returns: without a budget this takes minutes


def apply(folder: Path, patch: bytes) -> None:
    folder.joinpath("change.patch").write_bytes(patch)
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "change.patch"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


CASES = [
    ("a\nb\n", "a\nc\n"),
    ("a\nb", "a\nb\n"),
    ("a\r\nb\r\n", "a\r\nB\r\nc\r\n"),
    ("", "a\n"),
    ("a\n", ""),
    ("x\n" * 30 + "y", "x\n" * 3 + "z\n" + "x\n" * 27),
    ("a\u2028b\n\x0c\n", "a\u2028c\n\x0c\n"),
]


@pytest.mark.parametrize(("before", "after"), CASES)
@pytest.mark.parametrize("path", ["conf/app.yml", 'sp ace/q"uo\\te\t.txt', "bücher.txt"])
def test_git_takes_the_patch(before: str, after: str, path: str, tmp_path: Path) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(before.encode())
    apply(tmp_path, unified_text(before, after, path, path).encode())
    assert file.read_bytes() == after.encode()


@settings(max_examples=15, deadline=None)
@given(before=TEXTS, after=TEXTS)
def test_git_takes_any_patch(before: str, after: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if before == after:
        assert unified_text(before, after, "f", "f") == ""
        return
    folder = tmp_path_factory.mktemp("patch")
    folder.joinpath("f").write_bytes(before.encode())
    apply(folder, unified_text(before, after, "f", "f").encode())
    assert folder.joinpath("f").read_bytes() == after.encode()


def test_git_takes_new_removed_and_renamed_files(tmp_path: Path) -> None:
    tmp_path.joinpath("old").write_text("1\n")
    tmp_path.joinpath("gone").write_text("2\n")
    patch = (
        unified_text("", "new\n", "", "a/new")
        + unified_text("", "", "", "empty")
        + unified_text("2\n", "", "gone", "")
        + unified_text("1\n", "1\nmore\n", "old", "moved to")
    )
    apply(tmp_path, patch.encode())
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"a/new", "empty", "moved to", "change.patch"}
    assert tmp_path.joinpath("moved to").read_text() == "1\nmore\n"
