"""Requests that wait: they go on, and end as soon as their actor is not who it was."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from quarterdeck.core.stays import Stays

LONG_SECONDS = 20.0


async def waiting(stays: Stays, is_still_open: Callable[[], bool] = lambda: True) -> asyncio.Task[None]:
    task = asyncio.create_task(
        stays.wait(asyncio.sleep(LONG_SECONDS), credential_id="ada-1", is_still_open=is_still_open)
    )
    while not len(stays):
        await asyncio.sleep(0)
    return task


async def settled(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=5)
    return bool(done)


async def test_what_is_waited_for_ends_the_stay() -> None:
    stays = Stays()
    await stays.wait(asyncio.sleep(0), credential_id=None, is_still_open=lambda: True)
    assert len(stays) == 0


async def test_a_fault_of_what_is_waited_for_comes_through() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Stays().wait(fail(), credential_id=None, is_still_open=lambda: True)


async def test_an_ended_credential_ends_its_stays_and_no_others() -> None:
    stays = Stays()
    task = await waiting(stays)
    stays.end(["vera-1"])
    await asyncio.sleep(0.05)
    assert not task.done()
    thread = threading.Thread(target=stays.end, args=(["ada-1"],))
    thread.start()
    assert await settled(task)
    thread.join()
    assert len(stays) == 0


async def test_a_check_ends_the_stays_of_those_who_changed() -> None:
    stays = Stays()
    answers: Iterator[bool] = iter([True, False])
    task = await waiting(stays, lambda: next(answers))
    stays.check()
    await asyncio.sleep(0.05)
    assert not task.done()
    stays.check()
    assert await settled(task)


async def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    stays = Stays()
    task = await waiting(stays)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(stays) == 0
