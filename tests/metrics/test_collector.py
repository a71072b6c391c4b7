"""One collector: rarely while nobody looks, often during a lease, on whatever the source does."""

import asyncio
import logging

import pytest

from quarterdeck.core.clock import SystemClock
from quarterdeck.metrics.sampling.collector import Collector
from quarterdeck.protocol.samples import Facts, Frame
from tests.metrics.clocks import SetClock


class Source:
    """Counts its samples; raises in place of the first ones when told so."""

    def __init__(self, *, faults: int = 0) -> None:
        self.hostname, self.count, self.faults = "one", 0, faults

    def sample(self) -> Frame:
        self.count += 1
        if self.count <= self.faults:
            raise RuntimeError("no sample today")
        return Frame(at=self.count, is_full=True, values={"cpu": 1})

    def facts(self) -> Facts:
        return Facts(hostname=self.hostname)


class Delivered:
    """What a collector delivered."""

    def __init__(self, source: Source, clock: SetClock | SystemClock, idle_seconds: float = 15) -> None:
        self.frames: list[Frame] = []
        self.facts: list[Facts] = []
        self.collector = Collector(
            source,
            clock,
            deliver=self.frames.append,
            deliver_facts=self.facts.append,
            idle_seconds=idle_seconds,
        )


async def test_facts_come_first_and_again_when_they_change() -> None:
    source = Source()
    delivered = Delivered(source, SetClock())
    await delivered.collector.step()
    await delivered.collector.step()
    source.hostname = "two"
    await delivered.collector.step()
    assert [each.hostname for each in delivered.facts] == ["one", "two"]
    assert len(delivered.frames) == 3


async def test_a_lease_makes_it_sample_often_and_ends() -> None:
    clock = SetClock()
    collector = Delivered(Source(), clock).collector
    assert collector.interval_seconds == 15
    collector.watch(1, 30)
    assert collector.interval_seconds == 1
    clock.pass_(29)
    collector.watch(1, 30)
    clock.pass_(29)
    assert collector.interval_seconds == 1
    clock.pass_(2)
    assert collector.interval_seconds == 15


async def test_a_lease_can_ask_neither_too_much_nor_for_ever() -> None:
    clock = SetClock()
    collector = Delivered(Source(), clock).collector
    collector.watch(0.001, 1e9)
    assert collector.interval_seconds == 1
    clock.pass_(121)
    assert collector.interval_seconds == 15


async def test_a_clock_that_is_set_moves_no_lease() -> None:
    clock = SetClock()
    collector = Delivered(Source(), clock).collector
    collector.watch(1, 30)
    clock.jump(86_400)
    assert collector.interval_seconds == 1


async def test_a_look_is_answered_with_a_sample_within_a_second_or_so() -> None:
    delivered = Delivered(Source(), SystemClock(), idle_seconds=3_600)
    running = asyncio.create_task(delivered.collector.run())
    async with asyncio.timeout(10):
        while not delivered.frames:
            await asyncio.sleep(0.01)
        delivered.collector.watch(1, 30)
        while len(delivered.frames) < 3:
            await asyncio.sleep(0.01)
    running.cancel()
    assert delivered.collector.interval_seconds == 1


async def test_a_failing_sample_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    delivered = Delivered(Source(faults=1), SystemClock(), idle_seconds=1)
    with caplog.at_level(logging.ERROR):
        running = asyncio.create_task(delivered.collector.run())
        async with asyncio.timeout(10):
            while not delivered.frames:
                await asyncio.sleep(0.01)
        running.cancel()
    assert "a sample of this machine failed" in caplog.text
