"""Orders that come twice, too late, out of turn or to the wrong worker: refused, and on record."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.protocol.orders import JoinRequest, Order, sealed
from quarterdeck.tasks.order_checks import check_content
from tests.worker_node import WorkerNode, new_order

DEADLINE = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerNode]:
    node = WorkerNode(tmp_path_factory.mktemp("worker") / "home").start()
    yield node
    node.end()


def refusals(worker: WorkerNode, order: Order) -> list[str]:
    lines = [line for line in worker.history() if line["object"] == f"order:{order.id}"]
    return [line["detail"]["error"] for line in lines if line["action"] == "order.refused"]


@pytest.mark.parametrize("seconds_after", [0, 0.000001, 1, 3600])
def test_from_its_deadline_on_an_order_is_too_late(seconds_after: float) -> None:
    order = new_order("true", deadline=DEADLINE)
    with pytest.raises(Invalid) as caught:
        check_content(order, DEADLINE + timedelta(seconds=seconds_after))
    assert list(caught.value.fields) == ["deadline"]


@pytest.mark.parametrize("seconds_before", [0.000001, 1, 3600])
def test_until_its_deadline_an_order_is_in_time(seconds_before: float) -> None:
    check_content(new_order("true", deadline=DEADLINE), DEADLINE - timedelta(seconds=seconds_before))


def test_an_order_that_ran_does_not_run_again_under_a_new_id(worker: WorkerNode, tmp_path: Path) -> None:
    first = worker.order(f"echo x >> {tmp_path}/count")
    worker.finished(first.id)
    replay = sealed(msgspec.structs.replace(first, id="another-id"))
    assert worker.ask("POST", "/process_task", replay).status_code == 409
    assert "replay" in refusals(worker, replay)[0]
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"


def test_an_order_with_a_later_deadline_than_it_was_sealed_with_is_refused(worker: WorkerNode) -> None:
    late = new_order("true", deadline=datetime.now(UTC) - timedelta(seconds=1))
    changed = msgspec.structs.replace(late, deadline=datetime.now(UTC) + timedelta(hours=1))
    answer = worker.ask("POST", "/process_task", changed)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["digest"])
    assert refusals(worker, changed)


def test_orders_run_whatever_their_order_of_arrival(worker: WorkerNode) -> None:
    earlier, later = new_order("echo earlier"), new_order("echo later")
    for order in (later, earlier):
        assert worker.ask("POST", "/process_task", order).status_code == 202
    assert [worker.finished(order.id).state for order in (earlier, later)] == ["succeeded"] * 2


def test_an_order_that_its_cancel_has_overtaken_never_begins(worker: WorkerNode, tmp_path: Path) -> None:
    order = new_order(f"touch {tmp_path}/ran")
    assert worker.ask("POST", f"/tasks/{order.id}/cancel").status_code == 404
    assert worker.ask("POST", "/process_task", order).status_code == 409
    assert "cancelled before it came" in refusals(worker, order)[0]
    assert not (tmp_path / "ran").exists()


def test_many_cancels_of_nothing_take_no_memory_to_speak_of(worker: WorkerNode) -> None:
    before = worker.resident_megabytes()
    for number in range(1200):
        assert worker.ask("POST", f"/tasks/none-{number}/cancel").status_code == 404
    assert worker.resident_megabytes() < before + 5


def test_the_order_of_another_worker_is_refused_and_recorded(worker: WorkerNode) -> None:
    join = JoinRequest(master_url="http://127.0.0.1:9", worker_token="t" * 32, audience="host-1")
    assert worker.ask("POST", "/join", join).status_code == 200
    order = new_order("true", audience="host-2")
    assert worker.ask("POST", "/process_task", order).status_code == 403
    assert "another worker" in refusals(worker, order)[0]
    stripped = msgspec.structs.replace(order, audience="")
    assert worker.ask("POST", "/process_task", stripped).status_code == 422
