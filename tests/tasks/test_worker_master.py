"""What a worker says to its master: handed tasks and late results. The master's end is a bare HTTP server."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from quarterdeck.core.config import load_settings
from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.membership import Member, Membership
from quarterdeck.protocol.orders import Handed, HandedAnswer, JoinAnswer, JoinRequest, OrderStatus
from quarterdeck.protocol.tasks import Builtin, BuiltinTask
from tests.deck import wait_until
from tests.worker_node import WorkerNode

WORKER_TOKEN = "token-given-by-the-master-0123456789"
RUN_FOLDERS = {"task": {"kind": "builtin", "name": "root-folders"}, "target": "master"}


@dataclass
class Desk:
    """What stands at the master's address: keeps what came and answers as it is told."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """Taken for the next answers; 200 when there is none left."""
    received: list[tuple[str, str, bytes]] = field(default_factory=list)

    def results(self) -> list[OrderStatus]:
        return [
            msgspec.json.decode(body, type=OrderStatus)
            for path, _, body in self.received
            if path == "/tasks/result"
        ]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()

    class Request(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/nodes/heartbeat":  # of no interest here: as a master before them answers
                self.send_error(404)
                return
            desk.received.append((self.path, self.headers["Authorization"], body))
            answer = HandedAnswer(id="x", run="01run", state="queued", head="ef" * 32, seq=5)
            content = msgspec.json.encode(answer)
            self.send_response(desk.statuses.pop(0) if desk.statuses else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
    desk.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield desk
    server.shutdown()
    thread.join()
    server.server_close()


def join(worker: WorkerNode, desk: Desk) -> JoinAnswer:
    request = JoinRequest(
        master_url=desk.url, worker_token=WORKER_TOKEN, audience="host-1", head="ab" * 32, seq=9
    )
    answer = worker.ask("POST", "/join", request)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=JoinAnswer)


def test_joining_is_on_record_and_outlives_a_restart(worker: WorkerNode, desk: Desk) -> None:
    answer = join(worker, desk)
    assert answer.node.startswith("worker")
    kinds = [line["kind"] for line in worker.history() if line["action"] == "node.join"]
    assert kinds == ["intent", "outcome"]
    wait_until(lambda: "ab" * 32 in str(worker.history()), "the record of the master's head")
    assert WORKER_TOKEN not in str(worker.history()) + worker.log()
    worker.stop()
    worker.start()
    assert worker.ask("GET", "/health").json()["joined"] is True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"master_url": "http://deck.example.org"}, "master_url"),
        ({"master_url": "ftp://127.0.0.1"}, "master_url"),
        ({"master_url": "http://127.0.0.1:99999"}, "master_url"),
        ({"master_url": "http://user:pass@127.0.0.1"}, "master_url"),
        ({"master_url": "http://127.0.0.1/ x"}, "master_url"),
        ({"master_url": ""}, "master_url"),
        ({"worker_token": "short"}, "worker_token"),
    ],
)
def test_a_join_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, str], field: str) -> None:
    membership = Membership(load_settings({}, home=tmp_path))
    good = JoinRequest(master_url="http://127.0.0.1:9", worker_token="t" * 32)
    with pytest.raises(Invalid) as caught:
        membership.join(msgspec.structs.replace(good, **change))
    assert list(caught.value.fields) == [field]
    assert membership.current() is None


def test_the_settings_win_over_what_the_master_said(tmp_path: Path) -> None:
    membership = Membership(load_settings({"MASTER_URL": "https://deck.example.org"}, home=tmp_path))
    membership.join(JoinRequest(master_url="http://127.0.0.1:9", worker_token="t" * 32))
    assert membership.current() == Member("https://deck.example.org", "t" * 32)


def test_a_task_is_handed_to_the_master_and_both_heads_are_exchanged(worker: WorkerNode, desk: Desk) -> None:
    join(worker, desk)
    answer = worker.ask("POST", "/process_task", RUN_FOLDERS)
    assert (answer.status_code, answer.json()["run"]) == (202, "01run")
    path, authorization, body = desk.received[-1]
    handed = msgspec.json.decode(body, type=Handed)
    assert (path, authorization) == ("/tasks/process", f"Bearer {WORKER_TOKEN}")
    assert handed.task == BuiltinTask(Builtin.ROOT_FOLDERS)
    assert handed.head in {line["hash"] for line in worker.history()}
    intent, outcome = [line for line in worker.history() if line["action"] == "task.hand"]
    assert (outcome["pair"], outcome["detail"]["run"]) == (intent["id"], "01run")
    wait_until(lambda: "ef" * 32 in str(worker.history()), "the master's head on record")


def test_a_task_can_be_handed_to_no_master(worker: WorkerNode) -> None:
    answer = worker.ask("POST", "/process_task", RUN_FOLDERS)
    assert answer.status_code == 409
    assert "knows no master" in answer.json()["detail"]


@pytest.mark.parametrize(("status", "answered"), [(403, 403), (422, 409), (500, 502)])
def test_a_master_that_refuses_is_told_and_recorded(
    worker: WorkerNode, desk: Desk, status: int, answered: int
) -> None:
    join(worker, desk)
    desk.statuses.append(status)
    assert worker.ask("POST", "/process_task", RUN_FOLDERS).status_code == answered
    outcome = [line for line in worker.history() if line["action"] == "task.hand"][-1]
    assert outcome["kind"] == "outcome"
    assert "master" in outcome["detail"]["error"]


def test_a_task_that_took_long_is_reported_at_its_end(worker: WorkerNode, desk: Desk) -> None:
    join(worker, desk)
    wanted = {"task": {"kind": "command", "command": "sleep 0.3; echo late; exit 2"}, "wait_seconds": 0}
    answer = worker.ask("POST", "/process_task", wanted)
    assert answer.status_code == 202
    wait_until(lambda: bool(desk.results()), "the late result")
    status = desk.results()[0]
    assert (status.id, status.state, status.exit_status) == (answer.json()["id"], "failed", 2)
    assert status.out_bytes == 5
    assert {authorization for _, authorization, _ in desk.received} == {f"Bearer {WORKER_TOKEN}"}


def test_what_ends_after_a_restart_of_the_worker_is_reported_too(
    worker: WorkerNode, desk: Desk, tmp_path: Path
) -> None:
    join(worker, desk)
    order = worker.order(f"until [ -e {tmp_path}/on ]; do sleep 0.05; done; exit 3", audience="host-1")
    wait_until(lambda: worker.status(order.id).state == "running", "it to run")
    worker.kill()
    worker.start()
    (tmp_path / "on").touch()
    wait_until(lambda: bool(desk.results()), "the late result")
    assert (desk.results()[0].id, desk.results()[0].exit_status) == (order.id, 3)


def test_a_late_result_is_tried_again_when_the_master_is_away(worker: WorkerNode, desk: Desk) -> None:
    join(worker, desk)
    desk.statuses += [503, 500]
    wanted = {"task": {"kind": "command", "command": "sleep 0.2"}, "wait_seconds": 0}
    worker.ask("POST", "/process_task", wanted)
    wait_until(lambda: len(desk.results()) == 3, "the third try")
    assert {status.state for status in desk.results()} == {"succeeded"}


def test_an_order_that_nobody_follows_is_reported(worker: WorkerNode, desk: Desk) -> None:
    join(worker, desk)
    order = worker.order("echo x", audience="host-1")
    wait_until(lambda: bool(desk.results()), "the late result")
    assert (desk.results()[0].id, desk.results()[0].run) == (order.id, order.run)


def test_what_was_answered_in_time_is_not_reported(worker: WorkerNode, desk: Desk) -> None:
    join(worker, desk)
    quick = {"task": {"kind": "command", "command": "true"}, "wait_seconds": 10}
    assert worker.ask("POST", "/process_task", quick).status_code == 200
    slow = {"task": {"kind": "command", "command": "sleep 0.3"}, "wait_seconds": 0}
    later = worker.ask("POST", "/process_task", slow).json()["id"]
    wait_until(lambda: bool(desk.results()), "the late result of the other")
    assert {status.id for status in desk.results()} == {later}
