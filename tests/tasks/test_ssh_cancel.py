"""Ending a command over SSH, and the proof that nothing of it is left."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck.hosts.ssh import SshPool
from quarterdeck.tasks.executor import Result
from quarterdeck.tasks.ssh.ending import ending_line
from quarterdeck.tasks.ssh.execution import SshExecution
from quarterdeck.tasks.states import RunState
from tests.sshd import SshServer, StartSshd, login, run
from tests.tasks.ssh_factories import (
    CHILD_OF_LOWER_ID,
    COMMANDS,
    Received,
    alive,
    give_high_ids,
    numbers,
    run_on,
)


class Running:
    """A command that has told that it is under way; ``mark`` stands in its command lines."""

    def __init__(
        self,
        pool: SshPool,
        server: SshServer,
        command: str,
        grace_seconds: float = 1,
        connect_seconds: float = 10,
    ) -> None:
        self.mark = f"mark-{secrets.token_hex(6)}"
        self.sink = Received()
        line = f": {self.mark}; {command}"
        target = server.target(connect_seconds=connect_seconds)
        self.execution = SshExecution(pool, target, line, grace_seconds=grace_seconds)
        self.result: asyncio.Task[Result] = asyncio.ensure_future(self.execution.run(self.sink))

    async def begun(self) -> "Running":
        await until(lambda: b"begun" in self.sink.out)
        return self

    async def cancel(self) -> tuple[bool | None, Result]:
        gone = await self.execution.cancel()
        return gone, await self.result


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


def born(process_id: int) -> str:
    """Return when a process began, as /proc tells it."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2].split()[19]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
async def test_cancelled_command_is_proved_gone(pool: SshPool, sshd: StartSshd, command: str) -> None:
    running = await Running(pool, sshd(), command).begun()
    gone, result = await running.cancel()
    assert gone is True
    assert result.state is RunState.CANCELLED
    assert not [number for number in numbers(running.sink) if alive(number)]


async def test_a_shell_does_not_go_on_when_its_child_is_ended(pool: SshPool, sshd: StartSshd) -> None:
    give_high_ids()
    running = await Running(pool, sshd(), CHILD_OF_LOWER_ID).begun()
    gone, _ = await running.cancel()
    assert gone is True
    assert running.sink.out == b"begun\n"


async def test_command_may_end_in_its_own_way(pool: SshPool, sshd: StartSshd) -> None:
    command = "trap 'echo tidy; exit 7' TERM; echo begun; while :; do sleep 0.05; done"
    running = await Running(pool, sshd(), command, grace_seconds=5).begun()
    gone, result = await running.cancel()
    assert (gone, result.state, result.exit_status) == (True, RunState.CANCELLED, 7)
    assert running.sink.out.endswith(b"tidy\n")


async def test_cancel_before_the_start_sends_nothing(pool: SshPool, sshd: StartSshd, tmp_path: Path) -> None:
    server = sshd()
    execution = SshExecution(pool, server.target(), f"touch {tmp_path}/ran")
    assert await execution.cancel() is True
    result = await execution.run(Received())
    assert result.state is RunState.CANCELLED
    assert pool.connections() == 0


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 10, 20, 40])
async def test_cancel_at_any_moment_of_the_start_leaves_nothing(
    pool: SshPool, sshd: StartSshd, tmp_path: Path, turns: int
) -> None:
    server = sshd(MaxSessions="2")
    running = Running(pool, server, f"echo $$ > {tmp_path}/pid; exec sleep 300")
    for _ in range(turns):
        await asyncio.sleep(0.002)
    gone, result = await running.cancel()
    assert gone is True
    assert result.state is RunState.CANCELLED
    pid = tmp_path / "pid"
    assert not (pid.exists() and pid.read_text() and alive(int(pid.read_text())))
    assert (await run_on(pool, server.target(), "echo after"))[1].out == b"after\n"


async def test_what_can_not_be_ended_is_said_to_be_there(pool: SshPool, sshd: StartSshd) -> None:
    """A person may not end what belongs to another one, as after sudo."""
    with login() as person:
        victim = await asyncio.create_subprocess_exec("sleep", "300", start_new_session=True)
        line = ending_line("0" * 32, victim.pid, 0.1, start=born(victim.pid), is_trusted=True)
        async with pool.session(sshd().target(username=person.name)) as connection:
            done = await connection.run(line, encoding="utf-8")
        victim.kill()
        await victim.wait()
    assert done.stdout == "there\n"


async def test_host_that_is_gone_leaves_it_unknown(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    running = await Running(pool, server, "echo begun; sleep 30").begun()
    server.vanish()
    gone, result = await running.cancel()
    assert gone is None
    assert result.state is RunState.LOST


async def test_frozen_host_leaves_it_unknown_in_time(
    pool: SshPool, sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.tasks.ssh.execution._ANSWER_SECONDS", 0.5)
    server = sshd()
    running = Running(pool, server, "echo begun; sleep 30", grace_seconds=0.1, connect_seconds=1)
    await running.begun()
    for session in server.sessions():
        session.suspend()
    gone, result = await running.cancel()
    for session in server.sessions():
        session.resume()
    assert gone is None
    assert result.state is RunState.LOST
    assert "look whether it still runs" in result.message.lower()


async def test_cancelling_twice_is_harmless(pool: SshPool, sshd: StartSshd) -> None:
    running = await Running(pool, sshd(), "echo begun; sleep 300").begun()
    answers = await asyncio.gather(running.execution.cancel(), running.execution.cancel())
    assert list(answers) == [True, True]
    assert (await running.result).state is RunState.CANCELLED
    assert await running.execution.cancel() is True


async def test_other_commands_on_the_connection_go_on(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    staying = await Running(pool, server, "echo begun; sleep 1.5; echo end").begun()
    leaving = await Running(pool, server, "echo begun; sleep 300").begun()
    assert (await leaving.cancel())[0] is True
    assert (await staying.result).state is RunState.SUCCEEDED
    assert staying.sink.out == b"begun\nend\n"


async def test_cancel_does_not_wait_for_a_place_on_a_full_host(
    pool: SshPool, sshd: StartSshd, tmp_path: Path
) -> None:
    server = sshd(MaxStartups="100")
    command = f"echo begun; until [ -e {tmp_path}/go ]; do sleep 1; done"
    running = [Running(pool, server, command) for _ in range(48)]
    for each in running:
        await each.begun()
    assert pool.connections() == 6
    assert (await running[20].cancel())[0] is True
    (tmp_path / "go").touch()
    await asyncio.gather(*(each.result for each in running))


async def test_commands_know_their_run_by_the_mark(pool: SshPool, sshd: StartSshd) -> None:
    _, sink = await run_on(
        pool, sshd().target(), "echo $QUARTERDECK_RUN; cat /proc/$$/cmdline | tr '\\0' ' '"
    )
    mark, rest = sink.out.decode().split("\n", 1)
    assert len(mark) == 32
    assert mark not in rest


def test_ender_is_a_script_that_dash_reads(tmp_path: Path) -> None:
    run("dash", "-n", "-c", ending_line("0" * 32, 1, 1, start="1", is_trusted=True))
