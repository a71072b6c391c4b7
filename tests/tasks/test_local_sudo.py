"""A worker without root's rights ends what its tasks run under sudo, where sudo lets it."""

import asyncio
import os
import pwd
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quarterdeck.tasks.local.processes import MARKER, ProcessTree
from tests.deck import wait_until
from tests.needs import missing_sudo, need
from tests.sshd import Login, login, open_folder

STUBBORN = "trap '' TERM; sleep 303; sleep 303"


@pytest.fixture
def person() -> Iterator[Login]:
    need(missing_sudo())
    with login() as made:
        rules = Path(f"/etc/sudoers.d/{made.name}")
        yield made
        rules.unlink(missing_ok=True)


def allow(person: Login, programs: str) -> None:
    rules = Path(f"/etc/sudoers.d/{person.name}")
    rules.write_text(f"Defaults:{person.name} use_pty\n{person.name} ALL=(root) NOPASSWD: {programs}\n")
    rules.chmod(0o440)


def started(person: Login, marker: str, command: str) -> "subprocess.Popen[bytes]":
    """Start a command as a worker of this person would, and wait until it sleeps as root."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        user=person.name,
        group=pwd.getpwnam(person.name).pw_gid,
        extra_groups=[],
        start_new_session=True,
        cwd="/",
        env={MARKER: marker, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: bool(sleeping(process.pid)), "the command to sleep")
    return process


def sleeping(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    return [child for child in found if child.name() == "sleep" and child.username() == "root"]


def ended_by(person: Login, marker: str, session: int) -> bool:
    """Return what the tree's end says when this person asks for it, in a process of its own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        answer = b"fault"
        try:
            account = pwd.getpwnam(person.name)
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            answer = str(asyncio.run(ProcessTree(marker, session=session).end(0.5))).encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.wait()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return {b"True": True, b"False": False}[pipe.read()]


def test_what_runs_under_sudo_is_ended_with_sudo(person: Login) -> None:
    allow(person, "ALL")
    marker = secrets.token_hex(8)
    process = started(person, marker, f'sudo -n sh -c "{STUBBORN}"; echo after')
    asleep = sleeping(process.pid)
    assert ended_by(person, marker, process.pid) is True
    process.wait(5)
    assert not any(is_alive(each) for each in asleep)


def test_what_may_not_be_ended_is_said_to_be_there(person: Login) -> None:
    with open_folder() as folder:
        stubborn = folder / "stubborn"
        stubborn.write_text(f"#!/bin/sh\n{STUBBORN}\n")
        stubborn.chmod(0o755)
        allow(person, str(stubborn))
        marker = secrets.token_hex(8)
        process = started(person, marker, f"sudo -n {stubborn}")
        asleep = sleeping(process.pid)
        assert ended_by(person, marker, process.pid) is False
        assert any(is_alive(each) for each in asleep)
        assert asyncio.run(ProcessTree(marker, session=process.pid).end(0.2)) is True
        process.wait(5)


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
