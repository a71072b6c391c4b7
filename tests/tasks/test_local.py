"""Tasks on this machine: exact output, a clean environment, and a cancel that leaves nothing behind."""

import asyncio
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.local.builtins import BUILTINS
from quarterdeck.tasks.local.execution import LocalExecution
from quarterdeck.tasks.local.processes import ProcessTree
from quarterdeck.tasks.states import RunState
from tests.tasks.ssh_factories import CHILD_OF_LOWER_ID, give_high_ids


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.streams = {Stream.OUT: b"", Stream.ERR: b""}
        self.begun = asyncio.Event()
        self.arrived = asyncio.Event()

    async def started(self) -> None:
        self.begun.set()

    async def write(self, stream: Stream, data: bytes) -> None:
        self.streams[stream] += data
        self.arrived.set()

    async def has(self, text: bytes) -> None:
        """Wait until the standard output holds the text."""
        while text not in self.streams[Stream.OUT]:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 10)


async def run(command: str) -> tuple[Result, bytes, bytes]:
    sink = Kept()
    result = await LocalExecution(CommandTask(command)).run(sink)
    return result, sink.streams[Stream.OUT], sink.streams[Stream.ERR]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_command_gives_its_output_and_status() -> None:
    result, out, err = await run("echo one; echo two >&2; exit 3")
    assert (result.exit_status, result.state, out, err) == (3, RunState.FAILED, b"one\n", b"two\n")


async def test_success_needs_no_message() -> None:
    result, out, _ = await run("printf '%s' \"a'b\"")
    assert result == Result(0, RunState.SUCCEEDED)
    assert out == b"a'b"


async def test_ten_megabytes_arrive_exactly_with_a_slow_reader() -> None:
    class Slow(Kept):
        async def write(self, stream: Stream, data: bytes) -> None:
            await asyncio.sleep(0)
            await super().write(stream, data)

    sink = Slow()
    task = CommandTask("head -c 10000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2")
    await LocalExecution(task).run(sink)
    assert sink.streams[Stream.OUT] == b"x" * 10_000_000
    assert sink.streams[Stream.ERR] == b"\0" * 300_000


async def test_many_commands_at_once_get_their_own_output() -> None:
    answers = await asyncio.gather(*(run(f"echo out {n}; echo err {n} >&2") for n in range(30)))
    assert [(out, err) for _, out, err in answers] == [(b"out %d\n" % n, b"err %d\n" % n) for n in range(30)]


async def test_a_command_reads_nothing_and_stands_in_the_home() -> None:
    result, out, _ = await run("cat; pwd; echo $HOME")
    home = pwd.getpwuid(os.getuid()).pw_dir  # what the account says, not the environment
    assert result.state is RunState.SUCCEEDED
    assert out.decode().split() == [home, home]


async def test_nothing_of_the_nodes_environment_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_MASTER_BEARER_TOKEN", "marker-of-a-secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    _, out, _ = await run("env")
    names = {line.partition("=")[0] for line in out.decode().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "DECK_TASK_ID",
    }  # fmt: skip


async def test_no_file_of_the_node_is_open_in_the_command(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        _, out, _ = await run("ls -l /proc/self/fd")
    assert b"secret" not in out


@pytest.mark.parametrize("command", ["a\x00b", "a\ud800b", "x" * 3_000_000])
async def test_a_command_that_no_shell_could_take_is_refused(command: str) -> None:
    with pytest.raises(Invalid) as caught:
        await run(command)
    assert "command" in caught.value.fields


async def test_a_command_ended_by_a_signal_says_so() -> None:
    result, _, _ = await run("kill -9 $$")
    assert (result.exit_status, result.state) == (137, RunState.FAILED)
    assert "SIGKILL" in result.message


async def test_a_process_left_in_the_background_does_not_hold_the_run() -> None:
    sink = Kept()
    execution = LocalExecution(CommandTask("sleep 300 & echo $!"))
    result = await execution.run(sink)
    assert result.state is RunState.SUCCEEDED
    assert "background" in result.message
    assert alive(int(sink.streams[Stream.OUT]))
    assert await execution.cancel()
    assert not alive(int(sink.streams[Stream.OUT]))


STUBBORN = "trap '' TERM; (trap '' TERM; sleep 300) & setsid sleep 300 & echo $$; wait; wait; sleep 300"


async def test_cancel_ends_children_that_ignore_term_or_left_the_session() -> None:
    sink = Kept()
    execution = LocalExecution(CommandTask(STUBBORN), marker="test-cancel", grace_seconds=0.3)
    running = asyncio.ensure_future(execution.run(sink))
    await sink.has(b"\n")
    assert len(ProcessTree("test-cancel").members()) >= 3
    assert await execution.cancel() is True
    assert (await running).state is RunState.CANCELLED
    assert ProcessTree("test-cancel").members() == []


async def test_a_shell_does_not_go_on_when_its_child_is_ended() -> None:
    give_high_ids()
    sink = Kept()
    execution = LocalExecution(CommandTask(CHILD_OF_LOWER_ID))
    running = asyncio.ensure_future(execution.run(sink))
    await sink.has(b"begun")
    assert await execution.cancel() is True
    await running
    assert sink.streams[Stream.OUT] == b"begun\n"


async def test_cancel_is_polite_first() -> None:
    sink = Kept()
    execution = LocalExecution(
        CommandTask("trap 'echo bye; exit 4' TERM; echo up; while sleep 0.1; do :; done")
    )
    running = asyncio.ensure_future(execution.run(sink))
    await sink.has(b"up")
    assert await execution.cancel() is True
    result = await running
    assert (result.exit_status, result.state) == (4, RunState.CANCELLED)
    assert b"bye" in sink.streams[Stream.OUT]


async def test_a_command_cancelled_before_it_began_never_begins() -> None:
    sink = Kept()
    execution = LocalExecution(CommandTask("echo never"))
    assert await execution.cancel() is True
    assert (await execution.run(sink)).state is RunState.CANCELLED
    assert not sink.begun.is_set()


async def test_when_the_node_lets_go_of_the_run_the_command_is_killed() -> None:
    sink = Kept()
    running = asyncio.ensure_future(LocalExecution(CommandTask("echo $$; sleep 300")).run(sink))
    await sink.has(b"\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = int(sink.streams[Stream.OUT])
    await until(lambda: not alive(pid))


async def test_a_sink_that_fails_ends_the_command() -> None:
    class Full(Kept):
        async def write(self, stream: Stream, data: bytes) -> None:
            await super().write(stream, data)
            raise OSError("no space")

    sink = Full()
    with pytest.raises(OSError, match="no space"):
        await LocalExecution(CommandTask("echo $$; sleep 300")).run(sink)
    pid = int(sink.streams[Stream.OUT])
    await until(lambda: not alive(pid))


def test_an_api_call_is_not_for_a_host() -> None:
    with pytest.raises(Invalid):
        LocalExecution(CallTask("GET", "http://127.0.0.1/"))


@pytest.mark.parametrize("name", list(Builtin))
async def test_each_built_in_task_answers_in_text_and_figures(name: Builtin) -> None:
    sink = Kept()
    result = await LocalExecution(BuiltinTask(name)).run(sink)
    assert result.state is RunState.SUCCEEDED
    assert result.details
    assert sink.streams[Stream.OUT].endswith(b"\n")
    assert BUILTINS[name].title
    assert BUILTINS[name].about.endswith(".")


async def test_root_folders_counts_the_folders_in_root() -> None:
    result = await LocalExecution(BuiltinTask(Builtin.ROOT_FOLDERS)).run(Kept())
    expected = sorted(path.name for path in Path("/").iterdir() if path.is_dir() and not path.is_symlink())
    assert (result.details["folders"], result.details["names"]) == (len(expected), expected)


async def test_top_memory_lists_as_many_as_asked() -> None:
    result = await LocalExecution(BuiltinTask(Builtin.TOP_MEMORY, {"count": "2"})).run(Kept())
    assert len(result.details["processes"]) == min(2, result.details["count"])


@pytest.mark.parametrize("arguments", [{"count": "0"}, {"count": "x"}, {"count": "1" * 500}, {"path": "/"}])
async def test_a_built_in_task_refuses_arguments_that_it_does_not_take(arguments: dict[str, str]) -> None:
    result = await LocalExecution(BuiltinTask(Builtin.TOP_MEMORY, arguments)).run(Kept())
    assert result.state is RunState.FAILED
    assert result.message
