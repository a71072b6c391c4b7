"""What an operator reads when an SSH host can't be used: each case its own plain message, in time."""

import asyncio
import contextlib
import errno
import re
import socket
from collections.abc import AsyncIterator

import asyncssh
import pytest

from quarterdeck.core.errors import Unreachable
from quarterdeck.hosts.ssh import Reason, SshError, SshPool, SshTarget
from quarterdeck.hosts.ssh_errors import explain
from tests.sshd import StartSshd, free_port

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKAln0gbgMrjZ1z6rpm3EcHz+0YZTL6OOchNEe+KNp7q"
TARGET = SshTarget(
    host_id="1", name="web", address="127.0.0.1", username="ops", host_key=HOST_KEY, password="secret"
)


def target_on(port: int, address: str = "127.0.0.1", seconds: float = 5) -> SshTarget:
    return SshTarget(
        host_id="1",
        name="web",
        address=address,
        port=port,
        username="ops",
        host_key=HOST_KEY,
        password="MARKER",
        connect_seconds=seconds,
    )


async def failures(target: SshTarget) -> list[SshError]:
    """Return how connecting and reading the host key fail."""
    pool = SshPool()
    errors = []
    for attempt in (pool.lease, pool.scan_host_key):
        with pytest.raises(SshError) as caught:
            await attempt(target)
        errors.append(caught.value)
    await pool.close()
    return errors


@contextlib.asynccontextmanager
async def answering(*answers: bytes, close: bool = False) -> AsyncIterator[int]:
    """Listen on a free port, say something, and either close or stay silent."""

    ended: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            writer.writelines(answers)
            await writer.drain()
            if not close:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
    await asyncio.gather(*(task for task in ended if task))


async def test_refused() -> None:
    port = free_port()
    for error in await failures(target_on(port)):
        assert error.reason is Reason.REFUSED
        assert error.message == (
            f"Nothing listens on 127.0.0.1 port {port} (connection refused). "
            "Is sshd running, and is the port right?"
        )


async def test_name_that_nobody_knows() -> None:
    for error in await failures(target_on(22, "nowhere.invalid", seconds=20)):
        assert error.reason is Reason.DNS
        assert "nowhere.invalid can't be resolved" in error.message


async def test_network_that_is_not_there() -> None:
    for error in await failures(target_on(22, "255.255.255.255")):
        assert error.reason is Reason.NO_ROUTE
        assert "can't be reached" in error.message


async def test_server_that_says_nothing() -> None:
    async with answering() as port:
        for error in await failures(target_on(port, seconds=0.3)):
            assert error.reason is Reason.TIMEOUT
            assert "within 0.3 s" in error.message


async def test_server_that_stops_after_its_greeting() -> None:
    async with answering(b"SSH-2.0-Slow\r\n") as port:
        for error in await failures(target_on(port, seconds=0.3)):
            assert error.reason is Reason.TIMEOUT


async def test_server_that_accepts_and_closes() -> None:
    async with answering(close=True) as port:
        for error in await failures(target_on(port, seconds=1)):
            assert error.reason is Reason.LOST
            assert "closes them before sign-in" in error.message


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n" * 2000,
        b"SSH-1.5-Old\r\n",
        b"x" * 100_000,
        b"SSH-2.0-Odd\r\n" + b"\xff" * 64,
        b"SSH-2.0-Odd\r\n\0\0\0\x0c\x0a" + b"\0" * 40,
    ],
)
async def test_what_is_no_ssh_server(greeting: bytes) -> None:
    async with answering(greeting) as port:
        for error in await failures(target_on(port, seconds=2)):
            assert error.reason is Reason.PROTOCOL
            assert "Is the port right?" in error.message


async def test_nothing_in_common(sshd: StartSshd) -> None:
    server = sshd(Ciphers="3des-cbc")
    for error in await failures(server.target()):
        assert error.reason is Reason.PROTOCOL
        assert "no encryption in common" in error.message


async def test_waiting_for_a_connection_can_be_given_up() -> None:
    async with answering() as port:
        pool = SshPool()
        waiting = asyncio.ensure_future(pool.lease(target_on(port)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await pool.close()


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), Reason.NO_ROUTE),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Reason.NO_ROUTE),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), Reason.TIMEOUT),
        (OSError("odd"), Reason.NO_ROUTE),
        (PermissionError(errno.EACCES, "Permission denied"), Reason.NO_ROUTE),
        (TimeoutError(), Reason.TIMEOUT),
        (socket.gaierror(-2, "Name or service not known"), Reason.DNS),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Reason.REFUSED),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Reason.LOST),
        (asyncssh.ConnectionLost("lost"), Reason.LOST),
        (asyncssh.PermissionDenied("no"), Reason.AUTH),
        (asyncssh.DisconnectError(2, "Too many authentication failures"), Reason.AUTH),
        (asyncssh.KeyExchangeFailed("no"), Reason.PROTOCOL),
        (asyncssh.ProtocolError("bad packet"), Reason.PROTOCOL),
        (ValueError("odd"), Reason.PROTOCOL),
    ],
)
def test_every_failure_has_a_reason_and_a_plain_message(raised: Exception, reason: Reason) -> None:
    error = explain(raised, TARGET)
    assert isinstance(error, Unreachable)
    assert error.reason is reason
    assert error.extra == {"reason": reason.value}
    assert re.fullmatch(r"[A-Z0-9].+[.?]", error.message)
    assert "secret" not in error.message
    assert "Errno" not in error.message


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"private_key": "key"}, "authorized_keys"),
        ({"password": "secret"}, "password given"),
        ({"use_agent": True}, "SSH agent"),
        ({}, "Give the host a private key or a password"),
    ],
)
def test_refused_sign_in_names_what_was_tried(credentials: dict[str, str], words: str) -> None:
    target = SshTarget(host_id="1", name="web", address="h", username="ops", **credentials)  # type: ignore[arg-type] # strings and one flag
    assert words in explain(asyncssh.PermissionDenied("no"), target).message
