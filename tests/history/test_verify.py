"""Verification names file and line, whatever was done to whichever file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck.history.lines import Kind, Record, Sealer, encode_members
from quarterdeck.history.peers import SeenHead
from tests.history.factories import (
    ADA,
    KEY,
    NOON,
    all_lines,
    check,
    journal_files,
    make_history,
    write_events,
)

Change = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of some lines, written by master."""
    history = make_history(tmp_path / "history", segment_bytes=3_000)
    for number in range(12):
        with history.action(ADA, "host.add", f"host:web-{number}"):
            pass
    history.close()
    assert len(journal_files(tmp_path / "history")) == 3
    return tmp_path / "history"


def change_lines(file: Path, change: Change) -> None:
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))


def test_an_untouched_history_is_whole(folder: Path) -> None:
    result = check(folder)
    assert (result.is_whole, result.lines, result.files, result.open_intents) == (True, 24, 3, 0)
    assert result.last_hash == json.loads(all_lines(folder)[-1])["hash"]


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (lambda lines: [*lines[:2], *lines[3:]], 3, "it is not number"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3, "it is not number"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, "it is not number"),
        (lambda lines: [lines[0], b"\n", *lines[1:]], 2, "it was changed"),
        (lambda lines: [*lines, b"x"], 0, "unfinished"),
        (lambda lines: [*lines, b"x\n"], 0, "it was changed"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], -1, "unfinished"),
        (lambda lines: [*lines[:-1], lines[-1][:-20]], -1, "unfinished"),
    ],
)
def test_changed_lines_are_found(folder: Path, change: Change, line: int, message: str) -> None:
    for file in journal_files(folder):
        before = file.read_bytes()
        count = before.count(b"\n")
        change_lines(file, change)
        fault = check(folder).faults[0]
        assert (fault.file, fault.line) == (file.name, line if line > 0 else count + 1 + line)
        assert message in fault.message
        file.write_bytes(before)


def test_every_flipped_byte_is_found_in_its_line(folder: Path) -> None:
    file = journal_files(folder)[1]
    before = file.read_bytes()
    for position in range(0, len(before), 7):
        for bit in (0, 5):
            content = bytearray(before)
            content[position] ^= 1 << bit
            file.write_bytes(content)
            fault = check(folder).faults[0]
            assert (fault.file, fault.line) == (file.name, before.count(b"\n", 0, position) + 1)


def test_every_flipped_byte_of_the_head_is_found(folder: Path) -> None:
    before = (folder / "head").read_bytes()
    for position in range(len(before)):
        content = bytearray(before)
        content[position] ^= 1
        (folder / "head").write_bytes(content)
        assert check(folder).faults[0].file == "head"


def test_lines_cut_off_at_the_end_are_found(folder: Path) -> None:
    file = journal_files(folder)[-1]
    change_lines(file, lambda lines: lines[:-2])
    fault = check(folder).faults[0]
    assert (fault.file, fault.line) == (file.name, file.read_bytes().count(b"\n") + 1)
    assert "2 lines are missing at the end" in fault.message


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_missing_file_is_found(folder: Path, position: int) -> None:
    files = journal_files(folder)
    files[position].unlink()
    fault = check(folder).faults[0]
    following = files[position + 1] if position < 2 else files[position]
    assert (fault.file, fault.line) == (following.name, 1)
    assert "missing" in fault.message


def test_a_missing_head_is_found(folder: Path) -> None:
    (folder / "head").unlink()
    assert check(folder).faults[0].file == "head"


def test_a_renamed_file_is_found(folder: Path) -> None:
    file = journal_files(folder)[1]
    file.rename(file.with_name(file.name.replace("0000000000", "0000000009")))
    assert check(folder).faults


def test_lines_of_another_key_are_found(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history", key=b"another key of thirty-two bytes!")
    history.event(ADA, "host.test")
    history.close()
    assert "it was changed" in check(tmp_path / "history").faults[-1].message


def test_every_flipped_byte_of_an_index_is_found_and_search_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    history = make_history(folder)
    write_events(history, 1_005)
    history.close()  # a running writer would mend it
    history.rebuild()
    index = next(folder.glob("*.idx"))
    before = index.read_bytes()
    for position in range(0, len(before), 97):
        content = bytearray(before)
        content[position] ^= 4
        index.write_bytes(content)
        assert check(folder).faults[0].file == index.name
    history.rebuild()
    assert index.read_bytes() == before
    assert check(folder).is_whole


def write_sealed(folder: Path, *records: Record) -> None:
    """Write lines with the right key, as only somebody who has it can."""
    folder.mkdir(mode=0o700)
    members = [encode_members(item) for item in records]
    content, _ = Sealer("master", KEY).seal(members, seq=0, moment=NOON, prev="0" * 64)
    (folder / "000000000001-2026-07-24.jsonl").write_bytes(content)


def test_an_outcome_without_its_intent_is_found(tmp_path: Path) -> None:
    write_sealed(tmp_path / "history", Record(Kind.OUTCOME, "ada", pair="01" + "0" * 24))
    assert "not begun before it" in check(tmp_path / "history").faults[-1].message


def test_open_intents_are_counted(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.intend(ADA, "task.run", "run:1")
    history.close()
    assert check(tmp_path / "history").open_intents == 1


def test_what_others_saw_must_be_in_the_chain(folder: Path) -> None:
    history = make_history(folder)
    hashes = [json.loads(line)["hash"] for line in all_lines(folder)]
    assert history.verify(expected=hashes).is_whole
    assert "another node saw" in history.verify(expected=["f" * 64]).faults[0].message

    seen = [SeenHead(3, hashes[2], ""), SeenHead(4, "f" * 64, ""), SeenHead(99, "e" * 64, "")]
    messages = [fault.message for fault in history.check_witness(seen, "worker-1")]
    assert len(messages) == 2
    assert "line number 4" in messages[0]
    assert "that line is gone" in messages[1]


def test_the_end_of_another_chain_is_written_down_once(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    for head, seq in (("a" * 64, 1), ("a" * 64, 1), ("b" * 64, 2)):
        history.note_witness("worker-1", head, seq)
    history.event(ADA, "host.test")
    seen = [(item.seq, item.hash) for item in history.witnessed("worker-1")]
    history.close()
    assert seen == [(2, "b" * 64), (1, "a" * 64)]


def test_verification_runs_beside_the_writer(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history", segment_bytes=5_000)
    for number in range(40):
        history.event(ADA, "host.test", f"host:{number}")
        assert history.verify().is_whole
    history.close()
