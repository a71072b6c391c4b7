"""A loop in a thread of its own, as a node's server has it."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from quarterdeck.core.loop import Loop


@contextlib.contextmanager
def running_loop(loop: Loop | None = None) -> Iterator[Loop]:
    """Run a loop, a new one or that of a node; at the end what runs on it is waited for."""
    loop, own = loop or Loop(), asyncio.new_event_loop()
    thread = threading.Thread(target=own.run_forever)
    thread.start()
    loop.bind(own)
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_all_ended(), own).result(10)
        own.call_soon_threadsafe(own.stop)
        thread.join()
        own.run_until_complete(own.shutdown_default_executor())
        own.close()


async def _all_ended() -> None:
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    await asyncio.sleep(0)  # connections that were closed are let go in the next round
