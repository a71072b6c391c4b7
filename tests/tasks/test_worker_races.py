"""Orders that are cancelled while they are still being put on record."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quarterdeck.protocol.orders import Order
from tests.deck import wait_until
from tests.worker_node import WorkerNode, new_order

ORDERS = 40


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerNode]:
    node = WorkerNode(tmp_path / "worker")
    yield node.start()
    node.end()


def give_and_cancel(worker: WorkerNode, order: Order) -> None:
    """Send an order, and its cancel from beside until the worker knows the order."""

    def cancel() -> None:
        wait_until(lambda: worker.ask("POST", f"/tasks/{order.id}/cancel").status_code == 200, "the cancel")

    beside = threading.Thread(target=cancel)
    beside.start()
    worker.ask("POST", "/process_task", order)
    beside.join()


def test_each_order_cancelled_at_once_has_its_outcome(worker: WorkerNode) -> None:
    orders = [new_order("sleep 60") for _ in range(ORDERS)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda order: give_and_cancel(worker, order), orders))
    known = [order for order in orders if worker.ask("GET", f"/tasks/{order.id}").status_code == 200]
    assert {worker.finished(order.id).state for order in known} == {"cancelled"}
    lines = [line for line in worker.history() if line["action"] == "task.run"]
    begun = {line["object"] for line in lines if line["kind"] == "intent"}
    ended = [line["object"] for line in lines if line["kind"] == "outcome"]
    assert sorted(ended) == sorted(begun)
    assert len(begun) == len(known)
