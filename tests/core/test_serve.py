"""Real node processes: that they begin, say what is wrong, and always end in time."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quarterdeck.core import serve
from quarterdeck.core.config import Bind
from tests.core.live_server import enter, raw_socket
from tests.core.server import free_port, talk, until

ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def process(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    made = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith(("QUARTERDECK", "SELF"))}
        | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.kill()
        await made.communicate()


@contextlib.asynccontextmanager
async def node(kind: str = "node", port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    async with process("-m", "tests.core.node_scripts", kind, str(port)) as made:
        assert made.stdout is not None
        line = await asyncio.wait_for(made.stdout.readline(), 20)
        assert line.startswith(b"serving "), line
        yield made, int(line.split()[1])


async def ended(
    made: asyncio.subprocess.Process, number: signal.Signals
) -> tuple[int | None, float, str, str]:
    """Send a signal; returns exit status, seconds until the end, and both outputs."""
    began = time.monotonic()
    made.send_signal(number)
    out, error = await asyncio.wait_for(made.communicate(), 10)
    return made.returncode, time.monotonic() - began, out.decode(), error.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_node_ends_at_once_and_well(number: signal.Signals) -> None:
    async with node() as (made, _):
        status, seconds, out, error = await ended(made, number)
    assert (status, out, error) == (0, "accounted for\n", "")
    assert seconds < 10  # the promise is 5; a busy machine adds its own


async def test_open_sockets_and_long_polls_do_not_hold_up_the_end() -> None:
    async with node() as (made, port), raw_socket(port) as ada:
        await enter(ada)
        head = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        path = "/socket.io/?EIO=4&transport=polling"
        greeting = await talk(port, f"GET {path} HTTP/1.1\r\n{head}".encode())
        sid = greeting.partition(b'"sid":"')[2].partition(b'"')[0].decode()
        polling = asyncio.create_task(talk(port, f"GET {path}&sid={sid} HTTP/1.1\r\n{head}".encode()))
        await asyncio.wait([polling], timeout=0.1)
        status, seconds, out, error = await ended(made, signal.SIGTERM)
        assert (await polling).startswith(b"HTTP/1.1 200")
    assert (status, out, error) == (0, "accounted for\n", "")
    assert seconds < 10  # the promise is 5; a busy machine adds its own


async def test_a_stuck_handler_is_given_up_and_the_node_still_ends_well() -> None:
    async with node() as (made, port):
        asking = asyncio.create_task(talk(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert made.stdout is not None
        assert await made.stdout.readline() == b"hanging\n"
        status, seconds, out, _ = await ended(made, signal.SIGTERM)
        assert (await asking).startswith(b"HTTP/1.1 503")
    assert (status, out) == (0, "accounted for\n")
    assert seconds < 10  # the promise is 5; a busy machine adds its own


@pytest.mark.parametrize(("kind", "status"), [("hanging-shutdown", 0), ("blocked-shutdown", 1)])
async def test_a_node_that_cannot_end_is_ended(kind: str, status: int) -> None:
    async with node(kind) as (made, _):
        found, seconds, _, _ = await ended(made, signal.SIGTERM)
    assert found == status
    assert seconds < 10  # the promise is 5; a busy machine adds its own


async def test_a_second_signal_does_not_skip_the_account() -> None:
    async with node() as (made, port):
        asking = asyncio.create_task(talk(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert made.stdout is not None
        await made.stdout.readline()
        made.send_signal(signal.SIGINT)
        status, _, out, _ = await ended(made, signal.SIGINT)
        await asking
    assert (status, out) == (0, "accounted for\n")


async def test_a_port_that_is_taken_is_one_clear_line() -> None:
    listener = serve.listen(Bind("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with process("-m", "tests.core.node_scripts", "node", str(port)) as made:
        out, error = await asyncio.wait_for(made.communicate(), 20)
    listener.close()
    assert (made.returncode, out) == (1, b"")
    assert error.decode().splitlines() == [
        f"quarterdeck: 127.0.0.1:{port} is already in use. Stop what listens there, or set "
        "QUARTERDECK_BIND (QUARTERDECK_WORKER_BIND for a worker) to another port."
    ]


async def test_an_address_of_another_machine_is_one_clear_line() -> None:
    with pytest.raises(OSError, match="assign"):
        serve.listen(Bind("192.0.2.1", 0))


async def test_a_start_that_fails_ends_what_had_started() -> None:
    async with process("-m", "tests.core.node_scripts", "failing-start", "0") as made:
        out, error = await asyncio.wait_for(made.communicate(), 20)
    assert made.returncode == 3
    assert out == b"accounted for\n"
    assert b"/home/history can't be written" in error
    assert b"Traceback" not in error


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


def supervisor(ports: tuple[int, int], *kinds: str) -> tuple[str, str]:
    children = [
        f"serve.Child({name!r}, [sys.executable, '-m', 'tests.core.node_scripts', {kind!r}, {str(port)!r}],"
        " os.environ)"
        for name, kind, port in zip(("master", "worker"), kinds, ports, strict=True)
    ]
    lines = ["import os, sys", "from quarterdeck.core import serve"]
    return "-c", "\n".join([*lines, f"sys.exit(serve.supervise([{', '.join(children)}]))"])


def answers(port: int) -> bool:
    try:
        serve.listen(Bind("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


async def both_serving(made: asyncio.subprocess.Process) -> None:
    assert made.stdout is not None
    for _ in range(2):
        assert (await asyncio.wait_for(made.stdout.readline(), 20)).startswith(b"serving")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_parent_ends_both_nodes(ports: tuple[int, int], number: signal.Signals) -> None:
    async with process(*supervisor(ports, "node", "node")) as made:
        await both_serving(made)
        status, seconds, out, error = await ended(made, number)
    assert (status, out, error) == (0, "accounted for\n" * 2, "")
    assert seconds < 10  # the promise is 5; a busy machine adds its own
    assert not any(map(answers, ports))


async def test_the_parent_ends_a_node_that_cannot_end(ports: tuple[int, int]) -> None:
    async with process(*supervisor(ports, "node", "blocked-shutdown")) as made:
        await both_serving(made)
        _, seconds, _, _ = await ended(made, signal.SIGTERM)
    assert seconds < 10  # the promise is 5; a busy machine adds its own
    assert not any(map(answers, ports))


async def test_a_node_that_dies_takes_the_other_along(ports: tuple[int, int]) -> None:
    busy = serve.listen(Bind("127.0.0.1", ports[1]))
    async with process(*supervisor(ports, "node", "node")) as made:
        _, error = await asyncio.wait_for(made.communicate(), 20)
    busy.close()
    assert made.returncode == 1
    lines = error.decode().splitlines()
    assert any("is already in use" in line for line in lines)
    assert lines[-1] == (
        "quarterdeck: the worker ended unexpectedly (exit status 1); the rest is stopped. Its log says why."
    )


async def test_no_node_outlives_a_killed_parent(ports: tuple[int, int]) -> None:
    async with process(*supervisor(ports, "node", "node")) as made:
        await both_serving(made)
        made.kill()
        await until(lambda: not any(map(answers, ports)), "both ports to be free")
