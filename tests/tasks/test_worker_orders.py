"""Orders to a real worker process: what it does with them, and which it refuses."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from quarterdeck.protocol.orders import JoinRequest, Order, OutputPage, Receipt
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask
from tests.deck import wait_until
from tests.worker_node import WorkerNode, new_order


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerNode]:
    node = WorkerNode(tmp_path_factory.mktemp("worker") / "home").start()
    yield node
    node.end()


def refusals(worker: WorkerNode, order: Order) -> list[str]:
    return [
        line["detail"]["error"]
        for line in worker.history()
        if line["action"] == "order.refused" and line["object"] == f"order:{order.id}"
    ]


def test_a_command_runs_and_its_output_is_kept_streams_apart(worker: WorkerNode) -> None:
    order = worker.order("echo one; echo two >&2; exit 3")
    status = worker.finished(order.id)
    assert (status.state, status.exit_status, status.out_bytes, status.err_bytes) == ("failed", 3, 4, 4)
    assert (worker.output(order.id), worker.output(order.id, "err")) == (b"one\n", b"two\n")


def test_ten_megabytes_come_back_exactly(worker: WorkerNode) -> None:
    order = worker.order("head -c 10000000 /dev/zero | tr '\\0' x; head -c 100000 /dev/zero >&2")
    worker.finished(order.id)
    assert worker.output(order.id) == b"x" * 10_000_000
    assert worker.output(order.id, "err") == b"\0" * 100_000


def test_a_built_in_task_answers_with_figures(worker: WorkerNode) -> None:
    order = worker.order(BuiltinTask(Builtin.ROOT_FOLDERS))
    status = worker.finished(order.id)
    assert status.state == "succeeded"
    assert status.details["folders"] == sum(
        path.is_dir() and not path.is_symlink() for path in Path("/").iterdir()
    )


def test_thirty_orders_at_once_get_their_own_output(worker: WorkerNode) -> None:
    with ThreadPoolExecutor(10) as pool:
        orders = list(pool.map(lambda number: worker.order(f"echo number {number}"), range(30)))
    for number, order in enumerate(orders):
        assert worker.finished(order.id).state == "succeeded"
        assert worker.output(order.id) == b"number %d\n" % number


def test_a_page_has_both_streams_in_their_order(worker: WorkerNode) -> None:
    order = worker.order("echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c")
    worker.finished(order.id)
    answer = worker.ask("GET", f"/tasks/{order.id}/page?out=1&err=0")
    page = msgspec.msgpack.decode(answer.content, type=OutputPage)
    assert [(chunk.stream, chunk.offset, chunk.data) for chunk in page.chunks] == [
        ("out", 1, b"\n"),
        ("err", 0, b"b\n"),
        ("out", 2, b"c\n"),
    ]


def test_order_and_receipt_are_in_the_history_before_and_after(worker: WorkerNode) -> None:
    order = worker.order("true", master_head="ab" * 32, master_seq=7)
    worker.finished(order.id)
    wait_until(lambda: len([e for e in worker.history() if e["object"] == f"order:{order.id}"]) == 2, "both")
    intent, outcome = [line for line in worker.history() if line["object"] == f"order:{order.id}"]
    assert (intent["kind"], intent["action"], intent["actor"]) == ("intent", "task.run", "node:master")
    assert intent["detail"]["asked_by"] == "oskar"
    assert intent["detail"]["task"] == {"kind": "command", "command": "true"}
    assert (outcome["kind"], outcome["pair"], outcome["detail"]["state"]) == (
        "outcome",
        intent["id"],
        "succeeded",
    )
    witnessed = [line["detail"]["head"] for line in worker.history() if line["object"] == "node:master"]
    assert "ab" * 32 in witnessed


def test_the_receipt_carries_the_workers_head(worker: WorkerNode) -> None:
    answer = worker.ask("POST", "/process_task", new_order("true"))
    receipt = msgspec.json.decode(answer.content, type=Receipt)
    assert receipt.head in {line["hash"] for line in worker.history()}
    assert receipt.seq > 0


def test_a_repeated_order_is_answered_with_the_first_ones_state(worker: WorkerNode, tmp_path: Path) -> None:
    order = worker.order(f"echo x >> {tmp_path}/count")
    worker.finished(order.id)
    again = worker.ask("POST", "/process_task", order)
    assert (again.status_code, again.json()["state"]) == (202, "succeeded")
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"


def test_an_order_sent_ten_times_at_once_runs_once(worker: WorkerNode, tmp_path: Path) -> None:
    order = new_order(f"echo x >> {tmp_path}/count")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: worker.ask("POST", "/process_task", order), range(10)))
    worker.finished(order.id)
    assert {answer.status_code for answer in answers} == {202}
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"


def test_a_changed_order_is_refused_and_recorded(worker: WorkerNode) -> None:
    order = msgspec.structs.replace(new_order("true"), task=CommandTask("echo changed"))
    answer = worker.ask("POST", "/process_task", order)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["digest"])
    assert refusals(worker, order)


def test_an_order_after_its_deadline_is_refused_and_recorded(worker: WorkerNode) -> None:
    order = new_order("true", deadline=datetime.now(UTC) - timedelta(seconds=30))
    answer = worker.ask("POST", "/process_task", order)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["deadline"])
    assert "clock" in refusals(worker, order)[0]


def test_a_nonce_of_another_order_is_refused_and_recorded(worker: WorkerNode) -> None:
    first = worker.order("true")
    replay = new_order("true", nonce=first.nonce)
    assert worker.ask("POST", "/process_task", replay).status_code == 409
    assert "nonce" in refusals(worker, replay)[0]


def test_another_order_under_a_used_id_is_refused_and_recorded(worker: WorkerNode) -> None:
    first = worker.order("true")
    other = new_order("echo other", id=first.id)
    assert worker.ask("POST", "/process_task", other).status_code == 409
    assert refusals(worker, other)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"id": "../../etc/passwd"}, "id"),
        ({"id": ""}, "id"),
        ({"run": "a/b"}, "id"),
        ({"nonce": "short"}, "nonce"),
        ({"timeout_seconds": -1}, "timeout_seconds"),
        ({"timeout_seconds": 1e13}, "timeout_seconds"),
        ({"task": " "}, "task.command"),
        ({"task": "true\0; echo other"}, "task.command"),
        ({"task": CallTask("GET", "http://127.0.0.1/")}, "task"),
        ({"task": BuiltinTask(Builtin.TOP_MEMORY, {"count": "0"})}, "arguments.count"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_field(
    worker: WorkerNode,
    members: dict[str, Any],  # Any: members of an order
    field: str,
) -> None:
    answer = worker.ask("POST", "/process_task", new_order(**{"task": "true"} | members))
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"{}", b'{"nonce": 1}', b"\xff\xfe"])
def test_a_body_that_is_no_order_is_refused(worker: WorkerNode, body: bytes) -> None:
    answer = worker.ask("POST", "/process_task", msgspec.Raw(body))
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_newer_master_is_understood(worker: WorkerNode) -> None:
    newer = msgspec.to_builtins(new_order("echo hello")) | {"colour": "blue"}
    assert worker.ask("POST", "/process_task", newer).status_code == 202
    assert worker.finished(newer["id"]).state == "succeeded"


def test_the_order_of_another_worker_is_refused(worker: WorkerNode) -> None:
    join = JoinRequest(master_url="http://127.0.0.1:9", worker_token="t" * 32, audience="host-1")
    assert worker.ask("POST", "/join", join).status_code == 200
    assert worker.ask("POST", "/process_task", new_order("true", audience="host-2")).status_code == 403
    worker.finished(worker.order("true", audience="host-1").id)


def test_an_order_ends_at_its_time_limit(worker: WorkerNode) -> None:
    order = worker.order("echo begun; sleep 300", timeout_seconds=0.5)
    status = worker.finished(order.id)
    assert (status.state, status.gone) == ("timed-out", True)
    assert "limit of 0.5 s" in status.message


def test_cancel_ends_children_that_ignore_term_and_proves_it(worker: WorkerNode) -> None:
    order = worker.order("trap '' TERM; (trap '' TERM; echo $$; sleep 300) & sleep 300; sleep 300")
    wait_until(lambda: worker.output(order.id) != b"", "output")
    status = worker.ask("POST", f"/tasks/{order.id}/cancel").json()
    assert (status["state"], status["gone"]) == ("cancelled", True)
    assert not [p for p in psutil.process_iter() if order.id in _marker(p)]


def _marker(process: psutil.Process) -> str:
    try:
        return process.environ().get("DECK_TASK_ID", "")
    except psutil.Error:
        return ""


def test_a_finished_order_can_be_cancelled_without_effect(worker: WorkerNode) -> None:
    order = worker.order("true")
    worker.finished(order.id)
    assert worker.ask("POST", f"/tasks/{order.id}/cancel").json()["state"] == "succeeded"


def test_an_order_that_is_not_there_is_not_found(worker: WorkerNode) -> None:
    assert worker.ask("GET", "/tasks/01nothing").status_code == 404
    assert worker.ask("GET", "/tasks/..%2Fkeys/output").status_code == 404
    assert worker.ask("POST", "/tasks/01nothing/cancel").status_code == 404


@pytest.mark.parametrize("query", ["stream=both", "from=-1", "from=x", "wait=nan", "wait=-1", "wait=x"])
def test_a_question_for_output_that_makes_no_sense_is_refused(worker: WorkerNode, query: str) -> None:
    order = worker.order("true")
    assert worker.ask("GET", f"/tasks/{order.id}/output?{query}").status_code == 422


def test_output_is_never_shown_as_a_page(worker: WorkerNode) -> None:
    order = worker.order("echo '<script>alert(1)</script>'")
    worker.finished(order.id)
    answer = worker.ask("GET", f"/tasks/{order.id}/output")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (answer.headers["X-Task-State"], answer.headers["X-Task-Bytes"]) == ("succeeded", "26")


def test_a_plain_request_is_answered_with_the_result(worker: WorkerNode) -> None:
    wanted = {"task": {"kind": "command", "command": "echo hello; echo err >&2"}, "wait_seconds": 10}
    answer = worker.ask("POST", "/process_task", wanted)
    assert answer.status_code == 200
    assert (answer.json()["out"], answer.json()["err"]) == ("hello\n", "err\n")
    assert answer.json()["status"]["exit_status"] == 0


def test_a_plain_request_that_takes_long_is_answered_at_once(worker: WorkerNode) -> None:
    wanted = {"task": {"kind": "command", "command": "sleep 300"}, "wait_seconds": 0}
    answer = worker.ask("POST", "/process_task", wanted)
    assert answer.status_code == 202
    assert worker.ask("POST", f"/tasks/{answer.json()['id']}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "more",
    [
        {"target": "elsewhere"},
        {"wait_seconds": 26},
        {"wait_seconds": -1},
        {"timeout_seconds": -1},
        {"timeout_seconds": 1e13},
        {"timeout_seconds": -1, "target": "master"},
    ],
)
def test_a_plain_request_that_makes_no_sense_is_refused(worker: WorkerNode, more: dict[str, object]) -> None:
    wanted = {"task": {"kind": "command", "command": "true"}} | more
    assert worker.ask("POST", "/process_task", wanted).status_code == 422
