"""Appending: the chain, many writers, rotation, permissions, and what happens when the disk fails."""

import asyncio
import errno
import json
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from quarterdeck.core.errors import Busy
from quarterdeck.history.lines import GENESIS, Kind
from quarterdeck.history.service import History
from tests.history.factories import (
    ADA,
    NOON,
    OSKAR,
    FaultyDisk,
    FullDisk,
    SetClock,
    all_lines,
    check,
    journal_files,
    make_history,
    write_events,
)


def test_lines_follow_on_each_other(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    with history.action(ADA, "host.add", "host:web-1", detail={"host": "web-1"}) as outcome:
        outcome["port"] = 22
    history.close()

    intent, done = (json.loads(line) for line in all_lines(tmp_path / "history"))
    assert list(intent) == [
        "seq", "id", "time", "node", "kind", "actor", "address", "action", "object", "request", "pair",
        "detail", "prev", "hash",
    ]  # fmt: skip
    assert (intent["prev"], done["prev"]) == (GENESIS, intent["hash"])
    assert (intent["kind"], done["kind"], done["pair"]) == ("intent", "outcome", intent["id"])
    assert done["detail"] == {"result": "ok", "host": "web-1", "port": 22}
    assert check(tmp_path / "history").is_whole


def test_failed_action_is_recorded_with_its_reason_and_raised(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    with pytest.raises(ValueError, match="no such thing"), history.action(ADA, "host.add", "host:x"):
        raise ValueError("no such thing")
    history.close()

    last = json.loads(all_lines(tmp_path / "history")[-1])
    assert last["detail"] == {"result": "failed", "error": "ValueError: no such thing"}


def test_intent_is_on_disk_before_the_body_runs(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    with history.action(ADA, "host.add", "host:x"):
        assert [json.loads(line)["kind"] for line in all_lines(tmp_path / "history")] == ["intent"]
    history.close()


async def test_tasks_and_threads_write_one_whole_chain(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history", segment_bytes=100_000)

    async def act(number: int) -> None:
        for turn in range(20):
            async with history.action_async(ADA, "task.run", f"run:{number}-{turn}"):
                pass

    def act_in_thread(number: int) -> None:
        for turn in range(20):
            history.event(OSKAR, "host.test", f"host:{number}-{turn}")

    threads = [threading.Thread(target=act_in_thread, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(act(number) for number in range(30)))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    history.close()

    result = check(tmp_path / "history")
    assert result.faults == ()
    assert (result.lines, result.open_intents) == (30 * 20 * 2 + 8 * 20, 0)


async def test_cancelled_task_leaves_an_outcome(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    begun = asyncio.Event()

    async def act() -> None:
        async with history.action_async(ADA, "task.run", "run:1"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(act())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    history.close()

    last = json.loads(all_lines(tmp_path / "history")[-1])
    assert last["detail"] == {"result": "failed", "error": "Cut off before its end."}


async def test_task_cancelled_while_its_intent_is_written_leaves_an_outcome(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    task = asyncio.create_task(history.intend_async(ADA, "task.run", "run:1"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(3):  # lets the intent's outcome go out before the end
        await history.event_async(ADA, "host.test")
    await asyncio.to_thread(history.close)

    assert check(tmp_path / "history").open_intents == 0


def test_intent_is_concluded_by_its_id_after_a_restart(tmp_path: Path) -> None:
    before = make_history(tmp_path / "history")
    intent = before.intend(ADA, "task.run", "run:1", detail={"hosts": ["web-1", "web-2"]})
    before.close()

    after = make_history(tmp_path / "history")
    after.conclude(intent.id, False, {"error": "lost"})
    found = after.get(intent.id)
    after.close()
    assert found.pair
    assert found.pair.detail == {"result": "failed", "hosts": ["web-1", "web-2"], "error": "lost"}


async def test_what_is_concluded_again_after_a_restart_keeps_its_outcome(tmp_path: Path) -> None:
    before = make_history(tmp_path / "history")
    intent = before.intend(ADA, "task.run", "run:1")
    outcome = before.conclude(intent, True)
    before.close()

    after = make_history(tmp_path / "history")
    assert after.conclude(intent.id, False, {"error": "lost"}) == outcome
    assert await after.conclude_async(intent.id, False, {"error": "lost"}) == outcome
    after.close()
    result = check(tmp_path / "history")
    assert (result.faults, result.lines) == ((), 2)


def test_files_are_private_under_a_loose_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        history = make_history(tmp_path / "history", ballast_bytes=4096)
        write_events(history, 1_001)
        history.rebuild()
        history.close()
    finally:
        os.umask(before)
    folder = tmp_path / "history"
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 5
    assert set(modes.values()) == {0o600}


def test_a_new_file_begins_with_the_day(tmp_path: Path) -> None:
    clock = SetClock(NOON)
    history = make_history(tmp_path / "history", clock=clock)
    for _ in range(3):
        history.event(ADA, "host.test")
        clock.moment += timedelta(days=1)
    history.close()

    names = [path.name for path in journal_files(tmp_path / "history")]
    assert names == [
        "000000000001-2026-07-24.jsonl",
        "000000000002-2026-07-25.jsonl",
        "000000000003-2026-07-26.jsonl",
    ]
    assert check(tmp_path / "history").is_whole


def test_a_new_file_begins_at_the_size(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history", segment_bytes=2_000)
    for number in range(30):
        history.event(ADA, "host.test", f"host:{number}")
    history.close()

    sizes = [path.stat().st_size for path in journal_files(tmp_path / "history")]
    assert len(sizes) > 4
    assert all(2_000 <= size < 2_600 for size in sizes[:-1])
    assert check(tmp_path / "history").is_whole


def test_a_clock_that_goes_back_breaks_nothing(tmp_path: Path) -> None:
    clock = SetClock(NOON)
    history = make_history(tmp_path / "history", clock=clock)
    for days in (0, -1, 1):
        clock.moment = NOON + timedelta(days=days)
        entry = history.event(ADA, "host.test")
        assert history.get(entry.id).entry == entry
    history.close()
    assert check(tmp_path / "history").is_whole


def test_secrets_stay_out(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    detail = {
        "command": "mysql --password=hunter2-hunter2",
        "Password": "abc",
        "deep": [{"private_key": "k"}],
    }
    history.event(ADA, "task.run", detail=detail)
    history.event(ADA, "task.run", "curl -H 'Authorization: Bearer abcdefgh12345678'")
    history.close()
    content = b"\n".join(all_lines(tmp_path / "history"))
    assert b"hunter2" not in content
    assert b"abcdefgh12345678" not in content
    assert content.count(b"[secret]") >= 4


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb\x1b[2J", '"}\n{"seq":9', "\u202egnp.exe", "\udc80\udcff", "é✓ 漢\x00\x7f\u2028"]
)
def test_hostile_text_stays_in_its_line(tmp_path: Path, text: str) -> None:
    history = make_history(tmp_path / "history")
    entry = history.event(ADA, text, f"host:{text}", detail={"command": text, text: [text]})
    history.close()
    assert len(all_lines(tmp_path / "history")) == 1
    assert check(tmp_path / "history").is_whole
    assert history.get(entry.id).entry == entry


def test_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    entry = history.event(ADA, "task.run", detail={"command": "x" * 1_000_000})
    history.close()
    assert "984000 more characters, SHA-256" in entry.detail["command"]


def test_removed_file_stops_actions_and_is_named(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.event(ADA, "host.test")
    file = journal_files(tmp_path / "history")[0]
    content = file.read_bytes()
    file.unlink()
    for _ in range(2):
        with pytest.raises(Busy, match=f"{file}.*removed"):
            history.event(ADA, "host.test")
    file.write_bytes(content)
    history.event(ADA, "host.test")
    history.close()
    assert check(tmp_path / "history").lines == 2


def test_replaced_file_stops_actions(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.event(ADA, "host.test")
    file = journal_files(tmp_path / "history")[0]
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content.replace(b"ada", b"eve"))
    history.event(ADA, "host.test")  # its last line's hash is what was written: verify finds the rest
    file.unlink()
    file.write_bytes(b"x" * 5000)
    with pytest.raises(Busy, match="not the file"):
        history.event(ADA, "host.test")
    history.close()


def test_shortened_file_stops_actions(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.event(ADA, "host.test")
    history.event(ADA, "host.test")
    file = journal_files(tmp_path / "history")[0]
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 10)
    with pytest.raises(Busy, match="10 bytes shorter"):
        history.event(ADA, "host.test")
    history.close()


def test_removed_folder_stops_actions(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.event(ADA, "host.test")
    (tmp_path / "history").rename(tmp_path / "away")
    with pytest.raises(Busy, match="removed while in use"):
        history.event(ADA, "host.test")
    history.close()


def test_folder_that_is_a_file_stops_actions(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("in the way")
    history = make_history(tmp_path / "history")
    with pytest.raises(Busy, match=str(tmp_path / "history")):
        history.event(ADA, "host.test")
    history.close()


def test_torn_end_is_set_aside_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    history = make_history(folder)
    history.event(ADA, "host.test")
    history.close()
    with journal_files(folder)[0].open("ab") as file:
        file.write(b'{"seq":2,"id":"01')

    history = make_history(folder)
    history.event(ADA, "host.test")
    history.close()
    lines = [json.loads(line) for line in all_lines(folder)]
    assert [line["action"] for line in lines] == ["host.test", "history.torn", "host.test"]
    assert (folder / lines[1]["detail"]["kept"]).read_bytes() == b'{"seq":2,"id":"01'
    assert check(folder).is_whole


def test_lines_behind_an_older_head_are_taken_in(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    history = make_history(folder)
    history.event(ADA, "host.test")
    older = (folder / "head").read_bytes()
    history.event(ADA, "host.test")
    history.close()
    (folder / "head").write_bytes(older)

    history = make_history(folder)
    assert history.event(ADA, "host.test").seq == 3
    history.close()
    assert check(folder).is_whole


@pytest.mark.parametrize("content", [None, b"", b"x" * 192])
def test_lost_head_is_made_anew_and_told(tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "history"
    history = make_history(folder)
    history.event(ADA, "host.test")
    history.close()
    if content is None:
        (folder / "head").unlink()
    else:
        (folder / "head").write_bytes(content)
    history = make_history(folder)
    history.event(ADA, "host.test")
    history.close()
    assert [json.loads(line)["action"] for line in all_lines(folder)][1] == "history.head"
    assert check(folder).is_whole


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_any_failing_call_refuses_and_nothing_is_lost(tmp_path: Path, code: int, for_good: bool) -> None:
    for fail_at in range(1, 30):
        folder = tmp_path / f"{fail_at}"
        disk = FaultyDisk(fail_at, code, for_good=for_good)
        history = make_history(folder, disk=disk, segment_bytes=900)
        kept, refused = [], []
        for number in range(6):
            try:
                kept.append(history.event(ADA, "host.test", f"host:{number}"))
            except Busy as error:
                refused.append(error.message)
        disk.fail_at, disk.for_good = 0, False
        kept.append(history.event(ADA, "host.test", "host:after"))
        history.close()
        result = check(folder)
        assert result.faults == (), fail_at
        written = [json.loads(line) for line in all_lines(folder)]
        objects = [line["object"] for line in written if line["action"] == "host.test"]
        assert objects == [entry.object for entry in kept], fail_at
        assert all(str(folder) in message for message in refused)


def test_outcome_that_could_not_be_written_follows_later(tmp_path: Path) -> None:
    disk = FaultyDisk(0)
    history = make_history(tmp_path / "history", disk=disk)
    with pytest.raises(Busy, match="was carried out"), history.action(ADA, "host.add", "host:x"):
        disk.fail_at, disk.for_good = disk.calls + 1, True
    disk.fail_at, disk.for_good = 0, False
    history.event(ADA, "host.test")
    history.close()
    result = check(tmp_path / "history")
    assert (result.faults, result.open_intents) == ((), 0)


def fill(history: History) -> None:
    for _ in range(100):
        history.event(ADA, "host.test")


def test_full_disk_leaves_room_for_what_is_essential(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    disk = FullDisk(folder, 24_000)
    history = make_history(folder, disk=disk, ballast_bytes=8192)
    with pytest.raises(Busy, match="No space left on device"):
        fill(history)
    history.event(ADA, "login", essential=True)
    with pytest.raises(Busy, match="disk is full"):
        history.event(ADA, "host.test")
    history.event(ADA, "run.cancel", essential=True)
    disk.size += 100_000
    history.event(ADA, "host.test")
    history.close()
    assert (folder / "ballast").stat().st_size == 8192
    assert check(folder).is_whole


def test_refusal_is_recorded(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.denied(OSKAR, "person.write", "/people")
    history.close()
    line = json.loads(all_lines(tmp_path / "history")[0])
    assert (line["kind"], line["actor"], line["action"], line["object"]) == (
        Kind.DENIED, "oskar", "person.write", "/people",
    )  # fmt: skip


def test_closed_history_refuses(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    history.close()
    with pytest.raises(Busy, match="stopping"):
        history.event(ADA, "host.test")
