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
    """Send an order, and its cancel from beside as soon as the worker knows of it."""

    def is_known() -> bool:
        return worker.ask("GET", f"/tasks/{order.id}").status_code == 200

    def cancel() -> None:
        wait_until(is_known, "the order to be known", 60)
        worker.ask("POST", f"/tasks/{order.id}/cancel")

    beside = threading.Thread(target=cancel)
    beside.start()
    worker.ask("POST", "/process_task", order)
    beside.join()


def test_each_order_cancelled_at_once_has_its_outcome(worker: WorkerNode) -> None:
    orders = [new_order("sleep 60") for _ in range(ORDERS)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda order: give_and_cancel(worker, order), orders))
    assert {worker.finished(order.id).state for order in orders} == {"cancelled"}
    lines = [line for line in worker.history() if line["action"] == "task.run"]
    begun = {line["object"] for line in lines if line["kind"] == "intent"}
    ended = [line["object"] for line in lines if line["kind"] == "outcome"]
    assert sorted(ended) == sorted(begun)
    assert len(begun) == ORDERS
