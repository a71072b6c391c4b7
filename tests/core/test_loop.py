import asyncio
import threading

import pytest

from quarterdeck.core.errors import Busy
from quarterdeck.core.loop import Loop


async def test_a_thread_gets_a_result_and_an_error() -> None:
    loop = Loop()
    loop.bind(asyncio.get_running_loop())

    async def fail() -> None:
        raise Busy("no")

    assert await asyncio.to_thread(loop.run, asyncio.sleep(0, 5)) == 5
    with pytest.raises(Busy, match="no"):
        await asyncio.to_thread(loop.run, fail())


async def test_work_that_takes_too_long_is_cancelled() -> None:
    loop, cancelled = Loop(), threading.Event()
    loop.bind(asyncio.get_running_loop())

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(Busy, match=r"No answer within 0\.05 s; try again\."):
        await asyncio.to_thread(lambda: loop.run(wait(), timeout_seconds=0.05))
    assert await asyncio.to_thread(cancelled.wait, 5)


def test_before_the_start_the_node_is_busy() -> None:
    with pytest.raises(Busy, match="starting or stopping"):
        Loop().run(asyncio.sleep(0))


def test_after_the_end_the_node_is_busy() -> None:
    loop, ended = Loop(), asyncio.new_event_loop()
    loop.bind(ended)
    ended.close()
    with pytest.raises(Busy, match="starting or stopping"):
        loop.submit(asyncio.sleep(0))
