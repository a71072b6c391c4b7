"""Ending what a person started with the rights of somebody else, by sudo as Debian sets it up."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.tasks.executor import Result
from quarterdeck.tasks.ssh.execution import SshExecution
from quarterdeck.tasks.ssh.kept import KeptExecution
from quarterdeck.tasks.states import RunState
from tests.needs import missing_sudo, need
from tests.sshd import Login, StartSshd, login, open_folder
from tests.tasks.kept_factories import Noted, until

Make = Callable[[SshPool, SshTarget, str], SshExecution | KeptExecution]
KINDS: dict[str, Make] = {
    "plain": lambda pool, target, command: SshExecution(pool, target, command, grace_seconds=1),
    "kept": lambda pool, target, command: KeptExecution(pool, target, command, "5" * 32, grace_seconds=1),
}
STUBBORN = "trap : TERM; setsid sleep 31971 & while :; do sleep 31972; done"


@pytest.fixture
def person() -> Iterator[Login]:
    need(missing_sudo())
    with login() as person:
        yield person


@pytest.fixture
def state(person: Login) -> Iterator[Path]:
    with open_folder() as folder:
        folder.chmod(0o777)
        yield folder


@pytest.fixture
def allow(person: Login) -> Iterator[Callable[[str], None]]:
    """Let the person run these programs as root without a password."""
    rules = Path(f"/etc/sudoers.d/{person.name}")

    def write(programs: str) -> None:
        rules.write_text(f"Defaults:{person.name} use_pty\n{person.name} ALL=(root) NOPASSWD: {programs}\n")
        rules.chmod(0o440)

    yield write
    rules.unlink()


def of_root(*words: str) -> list[psutil.Process]:
    """Return root's processes with these words in their command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "username", "status"])
        if process.info["username"] == "root"
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and all(word in " ".join(process.info["cmdline"] or []) for word in words)
    ]


async def cancelled(execution: SshExecution | KeptExecution) -> tuple[bool | None, Result]:
    """Cancel a command once it has begun to sleep."""
    running = asyncio.ensure_future(execution.run(Noted()))
    await until(lambda: of_root("sleep", "31972"))
    return await execution.cancel(), await running


@pytest.mark.parametrize("kind", KINDS)
async def test_what_runs_under_sudo_is_ended_with_sudo(
    pool: SshPool, sshd: StartSshd, person: Login, state: Path, allow: Callable[[str], None], kind: str
) -> None:
    allow("ALL")
    target = sshd(SetEnv=f"XDG_STATE_HOME={state}").target(username=person.name)
    gone, result = await cancelled(KINDS[kind](pool, target, f"sudo -n sh -c '{STUBBORN}'; echo after"))
    assert (gone, result.state) == (True, RunState.CANCELLED)
    assert of_root("sleep", "3197") == []


@pytest.mark.parametrize("kind", KINDS)
async def test_what_may_not_be_ended_is_said_to_be_there(
    pool: SshPool, sshd: StartSshd, person: Login, state: Path, allow: Callable[[str], None], kind: str
) -> None:
    stubborn = state / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM HUP\nsleep 31972\n")
    stubborn.chmod(0o755)
    allow(str(stubborn))
    target = sshd(SetEnv=f"XDG_STATE_HOME={state}").target(username=person.name)
    gone, _ = await cancelled(KINDS[kind](pool, target, f"sudo -n {stubborn}"))
    left = of_root("sleep", "31972")
    for process in (*left, *of_root(str(stubborn))):
        process.kill()
    assert gone is False
    assert left


async def test_sudo_is_given_numbers_of_processes_and_never_of_groups(
    pool: SshPool, sshd: StartSshd, person: Login, state: Path, allow: Callable[[str], None]
) -> None:
    """The kill of procps takes `-TERM -1234` for a signal to everything."""
    allow("ALL")
    (state / "asked").touch(0o666)
    (state / "asked").chmod(0o666)
    recording = state / "sudo"
    recording.write_text(f'#!/bin/sh\necho "$*" >>{state}/asked\nexec {shutil.which("sudo")} "$@"\n')
    recording.chmod(0o755)
    server = sshd(SetEnv=f"PATH={state}:/usr/sbin:/usr/bin:/bin")
    target = server.target(username=person.name)
    assert (await cancelled(KINDS["plain"](pool, target, f"sudo -n sh -c '{STUBBORN}'")))[0] is True
    kills = [line.split()[1:] for line in (state / "asked").read_text().splitlines() if " kill " in line]
    assert sorted({words[1] for words in kills if words[1] != "-0"}, reverse=True) == ["-TERM", "-KILL"]
    assert all(word.isdecimal() for words in kills for word in words[2:])
