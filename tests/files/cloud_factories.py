"""What tests of the Bitbucket adapters stand on: a loop as a node has it, a set clock, short waits."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from quarterdeck.core.loop import Loop
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.cloud import HOURLY_LIMIT, CloudPlace
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.faults import Timing
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.place import Action, Author, FileChange
from tests.files.cloud_server import CloudServer

OSKAR = Author("Oskar", "oskar@example.org")
PERSONS_TOKEN, ACCESS_TOKEN = "ATATTpersons-token", "ATCTaccess-token"
QUICK = Timing(connect=2.0, read=5.0, whole=10.0, queue=5.0, pauses=(0.0, 0.0))
START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class SetClock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@contextmanager
def running_loop() -> Iterator[Loop]:
    """A loop in a thread of its own, as a node's server has it."""
    own = asyncio.new_event_loop()
    thread = threading.Thread(target=own.run_forever)
    thread.start()
    loop = Loop()
    loop.bind(own)
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_all_ended(), own).result(10)
        own.call_soon_threadsafe(own.stop)
        thread.join()
        own.close()


async def _all_ended() -> None:
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    await asyncio.sleep(0)  # connections that were closed are let go in the next round


def place_at(
    server: CloudServer,
    loop: Loop,
    *,
    clock: SetClock | None = None,
    token: str = PERSONS_TOKEN,
    username: str = "oskar@example.org",
    limit: int = HOURLY_LIMIT,
    timing: Timing = QUICK,
    **more: Any,
) -> CloudPlace:
    clock = clock or SetClock()
    client = Client(
        Endpoint(more.pop("url", server.url), username, token),
        loop, clock, allowance=Allowance(clock, limit), timing=timing,
    )  # fmt: skip
    names = {"workspace": server.workspace, "repository": server.slug} | more
    return CloudPlace(client, clock, scopes=Scopes.of(username), **names)


def written(files: Mapping[str, bytes], **how: bool) -> list[FileChange]:
    return [FileChange(path, Action.WRITE, content, **how) for path, content in files.items()]
