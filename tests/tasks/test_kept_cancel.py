"""Ending commands that go on without their connection, and the proof that nothing of them is left."""

import asyncio
from pathlib import Path

import pytest

from quarterdeck.hosts.ssh import SshPool
from quarterdeck.tasks.ssh.kept_shell import Visit
from quarterdeck.tasks.states import RunState
from tests.sshd import SshServer
from tests.tasks.kept_factories import Kept, until
from tests.tasks.kept_factories import server as server
from tests.tasks.ssh_factories import COMMANDS, alive, numbers


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
async def test_cancelled_command_is_proved_gone(pool: SshPool, server: SshServer, command: str) -> None:
    kept = await Kept(pool, server.target(), command).begun()
    gone, result = await kept.cancel()
    assert gone is True
    if command != COMMANDS["leader has ended"]:
        assert result.state is RunState.CANCELLED
    assert not [number for number in numbers(kept.sink) if alive(number)]


async def test_command_may_end_in_its_own_way(pool: SshPool, server: SshServer) -> None:
    command = "trap 'echo tidy; exit 7' TERM; echo begun; while :; do sleep 0.05; done"
    kept = await Kept(pool, server.target(), command, grace_seconds=10).begun()
    gone, result = await kept.cancel()
    assert (gone, result.state, result.exit_status) == (True, RunState.CANCELLED, 7)
    assert kept.sink.out == b"begun\ntidy\n"


async def test_later_master_ends_what_the_first_began(pool: SshPool, server: SshServer) -> None:
    first = await Kept(pool, server.target(), COMMANDS["stubborn children"]).begun()
    await first.leave()
    second = await first.again(visit=Visit.ATTACH, was_begun=True).begun()
    assert await second.cancel() == (True, await second.result)
    assert (await second.result).state is RunState.CANCELLED
    assert not [number for number in numbers(first.sink) if alive(number)]


async def test_cancel_while_the_host_is_away_is_carried_out_when_it_is_back(
    pool: SshPool, server: SshServer
) -> None:
    kept = await Kept(pool, server.target(), "echo $$ begun; sleep 300").begun()
    server.vanish()
    await until(lambda: kept.sink.notes)
    cancelling = asyncio.ensure_future(kept.cancel())
    await asyncio.sleep(0)
    server.start()
    gone, result = await cancelling
    assert (gone, result.state) == (True, RunState.CANCELLED)
    assert not [number for number in numbers(kept.sink) if alive(number)]


async def test_host_that_stays_away_leaves_it_unknown(
    pool: SshPool, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.tasks.ssh.kept._ANSWER_SECONDS", 0.1)
    target = server.target(connect_seconds=0.5)
    kept = await Kept(pool, target, "echo begun; sleep 300", grace_seconds=0.1).begun()
    server.vanish()
    gone, result = await kept.cancel()
    assert (gone, result.state) == (None, RunState.LOST)
    assert "look whether it still runs" in result.message.lower()
    server.start()
    assert (await kept.again().cancel())[0] is True


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30, 60])
async def test_cancel_at_any_moment_of_the_start_leaves_nothing(
    pool: SshPool, server: SshServer, tmp_path: Path, turns: int
) -> None:
    kept = Kept(pool, server.target(), f"echo $$ > {tmp_path}/pid; exec sleep 300")
    for _ in range(turns):
        await asyncio.sleep(0.002)
    gone, result = await kept.cancel()
    assert (gone, result.state) == (True, RunState.CANCELLED)
    pid = tmp_path / "pid"
    assert not (pid.exists() and pid.read_text() and alive(int(pid.read_text())))


async def test_sealed_command_is_gone_although_it_never_was(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    kept = Kept(pool, server.target(), f"touch {tmp_path}/ran", visit=Visit.ATTACH)
    assert (await kept.cancel())[0] is True
    assert (await kept.again().result).state is RunState.LOST
    assert not (tmp_path / "ran").exists()


async def test_cancel_does_not_touch_who_has_the_number_by_now(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    """The group's number belongs to somebody else, who began at another time and has no mark."""
    kept = await Kept(pool, server.target(), "echo begun; sleep 300").begun()
    stranger = await asyncio.create_subprocess_exec("sleep", "300", start_new_session=True)
    group = tmp_path / "state" / "quarterdeck" / kept.mark / "group"
    real = group.read_text()
    group.write_text(f"{stranger.pid} {real.split()[1]}\n")
    gone, _ = await kept.cancel()  # by the mark alone
    assert gone is True
    assert stranger.returncode is None
    assert alive(stranger.pid)
    stranger.kill()
    await stranger.wait()
