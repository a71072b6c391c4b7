"""The master's side of a task on a worker, with a real worker at the other end."""

import asyncio
import contextlib
import dataclasses
import socket
from pathlib import Path

import psutil
import pytest

from quarterdeck.core.errors import QuarterdeckError, Unreachable
from quarterdeck.hosts.models import WorkerLink
from quarterdeck.protocol.orders import Order
from quarterdeck.tasks.calls.worker_call import Patience, WorkerExecution
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.states import RunState
from tests.worker_node import WorkerNode, assert_counted, counting_until, new_order

QUICK = Patience(contact_seconds=0.5, gone_seconds=1, wait_seconds=2)


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Stream, bytes]] = []
        self.starts = 0
        self.news = asyncio.Event()

    def of(self, stream: Stream) -> bytes:
        return b"".join(data for each, data in self.pieces if each is stream)

    async def started(self) -> None:
        self.starts += 1

    async def write(self, stream: Stream, data: bytes) -> None:
        self.pieces.append((stream, data))
        self.news.set()

    async def has(self, text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in self.of(Stream.OUT):
                self.news.clear()
                await self.news.wait()


def link(worker: WorkerNode) -> WorkerLink:
    return WorkerLink("worker-1", worker.url, worker.token)


async def follow(worker: WorkerNode, order: Order, seen: Sizes | None = None) -> tuple[Result, Kept]:
    sink = Kept()
    result = await asyncio.wait_for(WorkerExecution(link(worker), order, seen).run(sink), 30)
    return result, sink


async def test_output_and_status_come_back_in_order(worker: WorkerNode) -> None:
    result, sink = await follow(worker, new_order("echo a; sleep 0.2; echo b >&2; sleep 0.2; echo c; exit 4"))
    assert (result.exit_status, result.state, sink.starts) == (4, RunState.FAILED, 1)
    assert sink.pieces == [(Stream.OUT, b"a\n"), (Stream.ERR, b"b\n"), (Stream.OUT, b"c\n")]


async def test_ten_megabytes_come_back_exactly(worker: WorkerNode) -> None:
    task = "head -c 10000000 /dev/zero | tr '\\0' x; head -c 200000 /dev/zero >&2"
    result, sink = await follow(worker, new_order(task))
    assert result.state is RunState.SUCCEEDED
    assert sink.of(Stream.OUT) == b"x" * 10_000_000
    assert sink.of(Stream.ERR) == b"\0" * 200_000


async def test_thirty_at_once_give_their_own_output(worker: WorkerNode) -> None:
    answers = await asyncio.gather(
        *(follow(worker, new_order(f"sleep 0.3; echo number {n}")) for n in range(30))
    )
    assert [sink.of(Stream.OUT) for _, sink in answers] == [b"number %d\n" % n for n in range(30)]


async def test_a_master_that_restarts_goes_on_where_it_was(worker: WorkerNode) -> None:
    order = new_order("echo first; sleep 1; echo second")
    sink = Kept()
    running = asyncio.ensure_future(WorkerExecution(link(worker), order).run(sink))
    await sink.has(b"first\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    result, later = await follow(worker, order, Sizes(6, 0))
    assert (result.state, later.of(Stream.OUT), later.starts) == (RunState.SUCCEEDED, b"second\n", 1)


async def test_each_sides_head_reaches_the_other(worker: WorkerNode) -> None:
    seen: list[tuple[str, str, int]] = []
    order = new_order("true", master_head="cd" * 32, master_seq=3)
    execution = WorkerExecution(link(worker), order, on_witness=lambda *note: seen.append(note))
    await execution.run(Kept())
    hashes = {line["hash"] for line in worker.history()}
    assert {name for name, _, _ in seen} == {"worker-1"}
    assert {head for _, head, _ in seen} <= hashes
    assert "cd" * 32 in str(worker.history())


async def test_cancel_ends_the_tree_on_the_worker_with_proof(worker: WorkerNode) -> None:
    order = new_order("trap 'echo bye' TERM; echo $$; sleep 300 & wait; wait")
    sink = Kept()
    execution = WorkerExecution(link(worker), order)
    running = asyncio.ensure_future(execution.run(sink))
    await sink.has(b"\n")
    pid = int(sink.of(Stream.OUT).split()[0])
    assert await execution.cancel() is True
    assert (await running).state is RunState.CANCELLED
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_worker_that_was_killed_and_comes_back_has_lost_no_output(
    worker: WorkerNode, tmp_path: Path
) -> None:
    sink, stop = Kept(), tmp_path / "stop"
    running = asyncio.ensure_future(WorkerExecution(link(worker), new_order(counting_until(stop))).run(sink))
    await sink.has(b"\n300\n")
    await asyncio.to_thread(worker.kill)
    await asyncio.to_thread(worker.start)
    stop.touch()
    result = await asyncio.wait_for(running, 30)
    assert (result.state, sink.starts) == (RunState.SUCCEEDED, 1)
    assert_counted(sink.of(Stream.OUT), sink.of(Stream.ERR))


async def test_a_worker_that_stays_away_loses_the_task_with_a_plain_message(worker: WorkerNode) -> None:
    sink = Kept()
    execution = WorkerExecution(link(worker), new_order("echo up; sleep 300"), patience=QUICK)
    running = asyncio.ensure_future(execution.run(sink))
    await sink.has(b"up\n")
    await asyncio.to_thread(worker.kill)
    result = await asyncio.wait_for(running, 20)
    assert result.state is RunState.LOST
    assert "not known" in result.message
    assert await execution.cancel() is None
    await asyncio.to_thread(worker.start)


async def test_a_worker_that_is_not_there_was_surely_not_begun(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = WorkerLink("worker-1", f"http://127.0.0.1:{unused.getsockname()[1]}", "t" * 32)
        with pytest.raises(Unreachable, match="nothing listens there"):
            await WorkerExecution(nowhere, new_order("true"), patience=QUICK).run(Kept())


async def test_a_worker_that_takes_the_connection_and_says_nothing_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        quiet = WorkerLink("worker-1", f"http://127.0.0.1:{silent.getsockname()[1]}", "t" * 32)
        patience = dataclasses.replace(QUICK, read_seconds=0.3)
        result = await WorkerExecution(quiet, new_order("true"), patience=patience).run(Kept())
    assert result.state is RunState.LOST
    assert "silent for 0.3 s" in result.message


async def test_a_wrong_bearer_is_refused_and_not_shown(worker: WorkerNode) -> None:
    wrong = WorkerLink("worker-1", worker.url, "wrong-bearer-0123456789")
    with pytest.raises(QuarterdeckError, match="refuses the master's bearer") as caught:
        await WorkerExecution(wrong, new_order("true")).run(Kept())
    assert "wrong-bearer" not in str(caught.value)


async def test_what_the_worker_refuses_is_told_in_its_words(worker: WorkerNode) -> None:
    with pytest.raises(QuarterdeckError, match="nonce"):
        await WorkerExecution(link(worker), new_order("true", nonce="short")).run(Kept())


async def test_an_order_cancelled_before_it_is_sent_is_never_sent(worker: WorkerNode) -> None:
    execution = WorkerExecution(link(worker), new_order("true"))
    assert await execution.cancel() is True
    assert (await execution.run(Kept())).state is RunState.CANCELLED
    assert [line for line in worker.history() if line["action"] == "task.run"] == []


async def test_an_order_cancelled_while_it_is_tried_is_not_sent_later(worker: WorkerNode) -> None:
    await asyncio.to_thread(worker.kill)
    execution = WorkerExecution(link(worker), new_order("true"))
    running = asyncio.ensure_future(execution.run(Kept()))
    await asyncio.sleep(0)
    await asyncio.gather(asyncio.to_thread(worker.start), execution.cancel())
    with contextlib.suppress(QuarterdeckError):
        await asyncio.wait_for(running, 20)
    lines = [line for line in worker.history() if line["action"] == "task.run"]
    assert [line for line in lines if line["kind"] == "intent" and "true" in str(line)] == []
