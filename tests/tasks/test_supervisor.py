"""The supervisor itself, spoken to over its socket as a worker does."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from quarterdeck.tasks import supervisor as package
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.supervisor.tree import parents_first
from tests.deck import wait_until

PROGRAM = Path(package.__file__).with_name("__main__.py")
COMMAND = [sys.executable, "-I", "-S", str(PROGRAM)]


class Line:
    """A worker's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(folder / "socket"))
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def say(self, **message: Any) -> None:  # Any: JSON
        self.send(json.dumps(message).encode() + b"\n")

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def heard(self) -> dict[str, Any]:  # Any: JSON
        said: dict[str, Any] = json.loads(self._file.readline())
        return said

    def is_cut(self) -> bool:
        return self._file.readline() == b""

    def end_of(self, id_: str) -> dict[str, Any]:  # Any: JSON
        """Read on until a task has ended; returns its facts."""
        while True:
            said = self.heard()
            if said["say"] == "task" and said["task"]["id"] == id_ and said["task"]["end"]:
                facts: dict[str, Any] = said["task"]
                return facts


class Folder:
    """A supervisor's folder, with what is started there."""

    def __init__(self, home: Path) -> None:
        self.path = home / "supervisor"
        (self.path / "tasks").mkdir(parents=True)
        self.output = OutputStore(home / "runs")
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> bytes:
        """Start a supervisor; returns what it says once it listens, or nothing from one that ended."""
        process = subprocess.Popen(
            [*COMMAND, str(self.path)], env={}, start_new_session=True, stdout=subprocess.PIPE
        )
        self.started.append(process)
        with process.stdout as told:  # type: ignore[union-attr]  # it is a pipe
            return told.readline()

    def line(self) -> Line:
        return Line(self.path)

    def supervisors(self) -> list[psutil.Process]:
        """Those that run; one that has ended is collected."""
        self.started = [process for process in self.started if process.poll() is None]
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if str(self.path) in (each.info["cmdline"] or [])
        ]

    def wanted(self, id_: str, command: str, **members: Any) -> dict[str, Any]:  # Any: JSON
        base = self.output.path(id_, "task", Stream.OUT).with_suffix("")
        base.parent.mkdir(exist_ok=True)
        return {
            "do": "start",
            "id": id_,
            "command": command,
            "cwd": "/",
            "env": {"PATH": "/usr/bin:/bin"},
            "limit": 0,
            "output": str(base),
            "output_bytes": 1 << 30,
            "mark": "",
            **members,
        }


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    assert folder.start() == b"ready\n"
    yield folder
    for process in folder.started:
        process.kill()
        process.wait()


def test_it_imports_nothing_but_the_standard_library_and_its_own_folder() -> None:
    source = PROGRAM.parents[3]
    code = (
        f"import sys; sys.path.append({str(source)!r}); import quarterdeck.tasks.supervisor.serving; "
        "print(*(name for name in sys.modules if name.split('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run([*COMMAND[:3], "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("quarterdeck")}
    assert {name for name in ours if not name.startswith("quarterdeck.tasks.supervisor")} == {
        "quarterdeck",
        "quarterdeck.tasks",
        "quarterdeck.tasks.output",
        "quarterdeck.tasks.output.index_record",
    }
    assert set(done.stdout.split()) - ours <= {"__main__"}


def test_a_command_runs_and_its_end_is_told_and_recorded(folder: Folder) -> None:
    with folder.line() as line:
        assert line.heard() == {"say": "hello", "speaks": 1, "tasks": []}
        line.say(**folder.wanted("one", "echo out; echo err >&2; exit 3"))
        facts = line.end_of("one")
        assert (facts["out"], facts["err"], facts["end"]["status"]) == (4, 4, 3)
        assert json.loads((folder.path / "tasks" / "one.json").read_bytes()) == facts
    assert folder.output.read("one", "task", Stream.OUT) == b"out\n"


def test_a_second_supervisor_in_the_same_folder_ends_at_once(folder: Folder) -> None:
    assert folder.start() == b""
    wait_until(lambda: len(folder.supervisors()) == 1, "the second to end")
    with folder.line() as line:
        assert line.heard()["say"] == "hello"


def test_without_a_worker_and_a_command_it_ends_and_leaves_no_socket(folder: Folder) -> None:
    with folder.line() as line:
        line.say(**folder.wanted("one", "true"))
        line.end_of("one")
    wait_until(lambda: folder.supervisors() == [], "it to end")
    assert not (folder.path / "socket").exists()


def test_a_command_of_an_id_that_was_begun_before_is_refused(folder: Folder, tmp_path: Path) -> None:
    with folder.line() as line:
        line.heard()
        line.say(**folder.wanted("one", f"echo x >> {tmp_path}/count"))
        line.end_of("one")
        line.say(do="forget", id="one")
        line.say(**folder.wanted("one", f"echo x >> {tmp_path}/count"))
        assert line.heard()["say"] == "refused"
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"


def test_a_new_worker_takes_the_last_ones_place_and_hears_of_what_runs(folder: Folder) -> None:
    with folder.line() as first:
        first.heard()
        first.say(**folder.wanted("one", "echo begun; sleep 1"))
        first.heard()
        with folder.line() as second:
            assert [task["id"] for task in second.heard()["tasks"]] == ["one"]
            assert second.end_of("one")["end"]["status"] == 0
            while not first.is_cut():
                pass  # what it was told before it was replaced


def test_what_a_dead_worker_asked_for_and_was_not_read_yet_never_begins(
    folder: Folder, tmp_path: Path
) -> None:
    (process,) = folder.supervisors()
    with folder.line() as dead:
        dead.heard()
        process.send_signal(signal.SIGSTOP)
        dead.say(**folder.wanted("one", f"touch {tmp_path}/ran"))
    with folder.line() as line:
        process.send_signal(signal.SIGCONT)
        assert line.heard()["tasks"] == []
        line.say(**folder.wanted("two", "true"))
        line.end_of("two")
    assert not (tmp_path / "ran").exists()
    assert not (folder.path / "tasks" / "one.json").exists()


@pytest.mark.parametrize(
    "content", [b"\n", b"[]\n", b"{\n", b'{"do": "start"}\n', b'{"do": "x"}\n', b"\xff\xfe\n", b"null\n"]
)
def test_what_no_worker_would_say_does_no_harm(folder: Folder, content: bytes) -> None:
    with folder.line() as line:
        line.heard()
        line.send(content)
        line.say(**folder.wanted("one", "true"))
        assert line.end_of("one")["end"]["status"] == 0


def test_a_worker_that_does_not_read_holds_up_nothing_and_takes_no_memory(folder: Folder) -> None:
    (process,) = folder.supervisors()
    with folder.line() as deaf:
        deaf.say(**folder.wanted("one", "head -c 100000000 /dev/zero"))
        for number in range(40):
            deaf.say(**folder.wanted(f"more-{number}", "yes | head -c 300000"))
        records = [folder.path / "tasks" / f"{name}.json" for name in ("one", "more-39")]
        wait_until(lambda: all(_has_ended(path) for path in records), "all to end", 60)
        assert process.memory_info().rss < 20_000_000
    assert folder.output.sizes("one", "task").out == 100_000_000


def test_each_command_is_collected_also_one_that_was_given_up(folder: Folder) -> None:
    (process,) = folder.supervisors()
    with folder.line() as line:
        line.heard()
        line.say(**folder.wanted("one", "sleep 0.3"))
        line.heard()
        line.say(do="forget", id="one")
        wait_until(lambda: process.children() == [], "the command to be collected")
        assert process.num_fds() < 15


def test_a_command_that_can_t_be_started_is_refused_with_the_reason_and_leaves_nothing(
    folder: Folder,
) -> None:
    with folder.line() as line:
        line.heard()
        line.say(**folder.wanted("one", "x" * 3_000_000))
        refused = line.heard()
        assert (refused["say"], refused["id"], refused["errno"]) == ("refused", "one", 7)
        line.say(**folder.wanted("two", "true", cwd="/nowhere"))
        assert line.heard()["errno"] == 2
    assert list((folder.path / "tasks").iterdir()) == []


def _has_ended(record: Path) -> bool:
    return record.exists() and bool(json.loads(record.read_bytes() or b"{}").get("end"))


def test_parents_are_signalled_before_their_children() -> None:
    assert parents_first({30: 20, 20: 10, 10: 1, 5: 20, 40: 1}) == [10, 40, 20, 30, 5]


def test_a_circle_of_used_again_ids_is_put_in_some_order() -> None:
    assert sorted(parents_first({2: 3, 3: 2, 4: 2})) == [2, 3, 4]
