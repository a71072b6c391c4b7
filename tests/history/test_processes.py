"""Several processes append to one history, and are killed while they do."""

import json
import subprocess
import sys
from pathlib import Path

from tests.history.factories import ADA, all_lines, check, make_history


def start_writer(
    folder: Path, name: str, *, tasks: int, turns: int, segment_bytes: int = 300_000
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.history.writer", str(folder), name, str(tasks), str(turns)]
    return subprocess.Popen([*command, str(segment_bytes)], stdout=subprocess.PIPE)


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    writers = [start_writer(folder, name, tasks=10, turns=20) for name in ("a", "b")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0

    result = check(folder)
    assert result.faults == ()
    assert (result.lines, result.open_intents) == (2 * 10 * 20 * 2, 0)
    actors = [json.loads(line)["object"][4] for line in all_lines(folder)]
    assert set(actors) == {"a", "b"}


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    acknowledged: set[str] = set()
    for turn in range(8):
        writer = start_writer(folder, f"w{turn}", tasks=20, turns=10_000, segment_bytes=60_000)
        assert writer.stdout
        for _ in range(20 + 40 * turn):
            acknowledged.add(writer.stdout.readline().decode().strip())
        writer.kill()
        rest = writer.stdout.read().decode().split("\n")
        acknowledged.update(rest[:-1])
        writer.wait(10)
        writer.stdout.close()

    history = make_history(folder)
    history.event(ADA, "host.test")
    history.close()
    assert check(folder).faults == ()
    written = {line["object"] for line in map(json.loads, all_lines(folder)) if line["kind"] == "intent"}
    assert acknowledged - written == set()


def test_killed_while_another_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    staying = start_writer(folder, "s", tasks=5, turns=100, segment_bytes=50_000)
    for turn in range(3):
        leaving = start_writer(folder, f"k{turn}", tasks=10, turns=10_000, segment_bytes=50_000)
        assert leaving.stdout
        for _ in range(30):
            leaving.stdout.readline()
        leaving.kill()
        leaving.communicate(timeout=10)
    staying.communicate(timeout=60)
    assert staying.returncode == 0

    make_history(folder).event(ADA, "host.test")
    result = check(folder)
    assert result.faults == ()
    written = [json.loads(line)["object"] for line in all_lines(folder)]
    assert len([object_ for object_ in written if object_.startswith("run:s")]) == 1000
