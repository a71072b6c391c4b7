"""The three-way merge: judged by ``git merge-file``, and never at the cost of one's own lines."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.files.text.merging import Choice, HunkKind, Undecided, merge

BASE = [f"line {number}\n" for number in range(8)]
EDIT = st.sampled_from(["keep", "keep", "keep", "drop", "change", "insert"])
EDITS = st.lists(EDIT, min_size=len(BASE), max_size=len(BASE))


def edited(edits: list[str], who: str) -> str:
    """Return the base after the edits; what is written is one's own, so that nothing is ambiguous."""
    return "".join(
        _line(edit, line, f"{who} {number}\n")
        for number, (edit, line) in enumerate(zip(edits, BASE, strict=True))
    )


def _line(edit: str, line: str, own: str) -> str:
    return {"keep": line, "drop": "", "change": own, "insert": f"{own}{line}"}[edit]


def merged_by_git(folder: Path, base: str, mine: str, theirs: str) -> tuple[bool, str]:
    for name, text in (("base", base), ("mine", mine), ("theirs", theirs)):
        folder.joinpath(name).write_text(text, newline="")
    done = subprocess.run(
        ["git", "merge-file", "-p", "mine", "base", "theirs"], cwd=folder, capture_output=True, check=False
    )
    return done.returncode == 0, done.stdout.decode()


@settings(max_examples=60, deadline=None)
@given(mine=EDITS, theirs=EDITS, writes_same=st.booleans(), ends=st.sampled_from(["\n", ""]))
def test_merge_is_as_gits(
    mine: list[str], theirs: list[str], writes_same: bool, ends: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = ["".join(BASE), edited(mine, "mine"), edited(theirs, "mine" if writes_same else "theirs")]
    base, one, two = (text.removesuffix("\n") + ends if text else "" for text in texts)
    is_clean, text = merged_by_git(tmp_path_factory.mktemp("merge"), base, one, two)
    found = merge(base, one, two)
    assert found.is_clean == is_clean
    if is_clean:
        assert found.text() == text


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=8).map("".join)


@settings(max_examples=100, deadline=None)
@given(base=LINES, mine=LINES, theirs=LINES)
def test_parts_together_are_the_three_texts(base: str, mine: str, theirs: str) -> None:
    hunks = merge(base, mine, theirs).hunks
    assert "".join(hunk.mine for hunk in hunks) == mine
    assert "".join(hunk.theirs for hunk in hunks) == theirs
    assert "".join(hunk.base for hunk in hunks if hunk.kind is not HunkKind.BOTH or hunk.base) == base
    starts = [1 + "".join(h.mine for h in hunks[:number]).count("\n") for number in range(len(hunks))]
    assert [hunk.start for hunk in hunks] == starts


@settings(max_examples=100, deadline=None)
@given(base=LINES, mine=LINES, theirs=LINES)
def test_alone_changes_are_taken(base: str, mine: str, theirs: str) -> None:
    assert merge(base, mine, base).text() == mine
    assert merge(base, base, theirs).text() == theirs
    assert merge(base, mine, mine).text() == mine


@settings(max_examples=100, deadline=None)
@given(mine=EDITS, theirs=EDITS, choice=st.sampled_from([Choice.MINE, Choice.BOTH]))
def test_no_line_of_mine_is_lost_when_mine_is_chosen(
    mine: list[str], theirs: list[str], choice: Choice
) -> None:
    own = edited(mine, "mine")
    found = merge("".join(BASE), own, edited(theirs, "theirs"))
    text = found.text(dict.fromkeys(found.conflicts, choice))
    written = [line for line in own.splitlines() if line.startswith("mine")]
    assert [line for line in text.splitlines() if line.startswith("mine")] == written


def test_conflict_waits_for_a_choice() -> None:
    found = merge("a\nb\nc\n", "a\nmine\nc\n", "a\ntheirs\nc\n")
    assert found.conflicts == [1]
    with pytest.raises(Undecided) as refusal:
        found.text({1: "whatever"})
    assert refusal.value.numbers == (1,)
    assert found.text({1: "mine"}) == "a\nmine\nc\n"
    assert found.text({1: "theirs"}) == "a\ntheirs\nc\n"
    assert found.text({1: "both"}) == "a\nmine\ntheirs\nc\n"
    assert found.text({1: "own"}, {1: "neither"}) == "a\nneither\nc\n"
    assert found.text({1: "own"}) == "a\nc\n"


def test_conflict_is_as_narrow_as_it_can_be() -> None:
    found = merge("x\n", "same\nmine\nend\n", "same\ntheirs\nend\n")
    assert [(hunk.kind, hunk.mine) for hunk in found.hunks] == [
        (HunkKind.BOTH, "same\n"),
        (HunkKind.CONFLICT, "mine\n"),
        (HunkKind.BOTH, "end\n"),
    ]


def test_lines_without_a_newline_are_not_glued_together() -> None:
    found = merge("a", "mine", "theirs")
    assert found.text({0: "both"}) == "mine\ntheirs"
    assert found.marked() == "<<<<<<< mine\nmine\n=======\ntheirs\n>>>>>>> theirs\n"


def test_text_of_a_conflict_by_git_has_the_same_markers(tmp_path: Path) -> None:
    texts = ("a\nb\nc\n", "a\nmine\nc\n", "a\ntheirs\nc\n")
    assert merge(*texts).marked() == merged_by_git(tmp_path, *texts)[1]
