"""The foreign client itself: socket.io-client in Node, with the transports that it takes by itself."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.server import until
from tests.metrics.machines import FACTS, OWN, showing, take
from tests.needs import need

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests/metrics/dashboard_client.mjs"
VERA = {"Authorization": "Bearer vera"}
Told = list[list[Any]]  # Any: JSON


@contextlib.asynccontextmanager
async def foreign_client(port: int, headers: dict[str, str]) -> AsyncIterator[Told]:
    """Run the client; yields what it tells, a list for each line."""
    need("" if shutil.which("node") else "node is not installed")
    need("" if (ROOT / "node_modules/socket.io-client").is_dir() else "node_modules is not there")
    asked = json.dumps({"url": f"http://127.0.0.1:{port}", "headers": headers})
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), asked, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told, lines = Told(), process.stdout

    async def read() -> None:
        async for line in lines:
            told.append(json.loads(line))

    reading = asyncio.create_task(read())
    try:
        yield told
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)
        await reading


def events(told: Told, name: str) -> list[Any]:
    return [line[1] for line in told if line[0] == name]


@pytest.mark.parametrize("stock", [False, True], ids=["cheap", "stock"])
async def test_it_begins_to_poll_is_upgraded_and_loses_nothing(stock: bool) -> None:
    async with showing(stock=stock) as shown:
        shown.fleet.take_facts(OWN, FACTS)
        take(shown.fleet, cpu=1)
        async with foreign_client(shown.port, VERA) as told:
            await until(lambda: bool(events(told, "my_pong")), "the answer", 20)
            for cpu in range(2, 30):
                take(shown.fleet, cpu=cpu)
                await asyncio.sleep(0.01)
            await until(lambda: events(told, "upgrade") == ["websocket"], "the upgrade", 20)
            take(shown.fleet, cpu=99)
            await until(lambda: cpus(told)[-1:] == [99], "the last figures", 20)
        assert events(told, "open") == ["polling"]
        assert events(told, "my_pong") == [[]]
        assert events(told, "my_response")[0] == {"data": "Connected", "count": 0}
        counts = [message["count"] for message in events(told, "my_response")[1:]]
        assert counts == list(range(len(counts)))
        assert cpus(told)[0] == 1
        assert not events(told, "disconnect")


def cpus(told: Told) -> list[float]:
    texts = [message["data"] for message in events(told, "my_response")]
    return [json.loads(text)["dynamic"]["cpu_info"]["usage"] for text in texts if text.startswith("{")]


async def test_a_client_without_rights_is_told_so() -> None:
    async with showing() as shown, foreign_client(shown.port, {"Authorization": "Bearer nils"}) as told:
        await until(lambda: bool(events(told, "connect_error")), "the refusal", 20)
        assert not events(told, "my_response")


async def test_a_program_without_credentials_gets_in_where_it_is_open_to_anybody() -> None:
    async with showing(is_public=True) as shown:
        take(shown.fleet)
        async with foreign_client(shown.port, {}) as told:
            await until(lambda: bool(events(told, "upgrade")) and bool(cpus(told)), "the figures", 20)
            await until(lambda: bool(events(told, "my_pong")), "the answer", 20)
