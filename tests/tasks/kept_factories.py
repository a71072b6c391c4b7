"""What the tests of kept commands share."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.tasks.executor import Result
from quarterdeck.tasks.ssh.kept import KeptExecution
from tests.sshd import SshServer, StartSshd
from tests.tasks.conftest import ADA, Node
from tests.tasks.ssh_factories import Received


class Noted(Received):
    """A sink that keeps what it is to show as well."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    async def note(self, message: str) -> None:
        self.notes.append(message)


class Kept:
    """A kept command on a server; ``again`` makes what a later master makes of it."""

    def __init__(self, pool: SshPool, target: SshTarget, command: str, mark: str = "", **more: Any) -> None:
        self.pool, self.target, self.command = pool, target, command
        self.mark = mark or secrets.token_hex(16)
        self.sink = Noted()
        self.execution = KeptExecution(pool, target, command, self.mark, **({"grace_seconds": 1} | more))
        self.result: asyncio.Task[Result] = asyncio.ensure_future(self.execution.run(self.sink))

    def again(self, **more: Any) -> "Kept":
        return Kept(self.pool, self.target, self.command, self.mark, **more)

    async def begun(self) -> "Kept":
        await until(lambda: b"begun" in self.sink.out)
        return self

    async def leave(self) -> None:
        """Stop following, as a master does that ends."""
        self.result.cancel()
        await asyncio.gather(self.result, return_exceptions=True)

    async def cancel(self) -> tuple[bool | None, Result]:
        gone = await self.execution.cancel()
        return gone, await self.result


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def keeping_sshd(sshd: StartSshd, state: Path, **options: str) -> SshServer:
    """Start a server whose people keep the output of their commands below a folder of the test."""
    return sshd(SetEnv=f"HOME=/nonexistent XDG_STATE_HOME={state}", **options)


def add_host(node: Node, port: int, host_key: str, private_key: str) -> None:
    """Put the host web1 into the list, with its key pinned."""
    draft = HostDraft(
        "web1", HostKind.SSH, "127.0.0.1", port, "root",
        host_key=host_key, secrets={"private_key": private_key},
    )  # fmt: skip
    node.parts.hosts.import_hosts(ADA, [draft])


@pytest.fixture
def server(sshd: StartSshd, tmp_path: Path) -> SshServer:
    return keeping_sshd(sshd, tmp_path / "state")
