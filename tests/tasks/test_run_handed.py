"""What workers ask of their master: to run a task, once, and to take a late result."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from flask import Flask
from sqlalchemy import select, update

from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import Host, HostKind
from quarterdeck.master import create_app
from quarterdeck.protocol.orders import Handed, HandedAnswer, OrderStatus
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.states import RunState
from tests.tasks.conftest import ADA, Answer, Node, StartNode


class Worker:
    """A worker as the master's list has it; ``say`` sends what it says."""

    def __init__(self, node: Node, app: Flask) -> None:
        self.token = new_token()
        self.client = app.test_client()
        node.parts.hosts.import_hosts(
            ADA, [HostDraft("w1", HostKind.WORKER, "http://127.0.0.1:9", secrets={"token": "x" * 30})]
        )
        with node.parts.db.write() as session:
            change = update(Host).where(Host.name == "w1").values(token_digest=token_digest(self.token))
            session.execute(change)

    def say(self, path: str, message: msgspec.Struct) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return self.client.post(path, data=msgspec.json.encode(message), headers=headers)


@pytest.fixture
def worker(node: Node, app: Flask) -> Worker:
    return Worker(node, app)


def handed(task: Task, **more: Any) -> Handed:
    deadline = datetime.now(UTC) + timedelta(minutes=1)
    return Handed(**{"id": new_id(), "task": task, "deadline": deadline, "actor": "someone"} | more)


def test_a_builtin_runs_on_the_master_and_both_names_are_on_record(node: Node, worker: Worker) -> None:
    answer = worker.say("/tasks/process", handed(BuiltinTask(Builtin.UPTIME)))
    assert answer.status_code == 200
    told = msgspec.json.decode(answer.data, type=HandedAnswer)
    assert node.end_of(told.run).state is RunState.SUCCEEDED
    assert node.parts.history.heads([told.seq]) == {told.seq: told.head}
    entries = node.parts.history.page(HistoryQuery(object=f"run:{told.run}")).entries
    assert {entry.actor for entry in entries} == {"node:w1"}


def test_handed_again_it_runs_once(node: Node, worker: Worker) -> None:
    message = handed(BuiltinTask(Builtin.UPTIME))
    answers = [worker.say("/tasks/process", message) for _ in range(2)]
    runs = {msgspec.json.decode(answer.data, type=HandedAnswer).run for answer in answers}
    assert len(runs) == 1
    assert node.parts.runs.counts().today == 1


@pytest.mark.parametrize("task", [CommandTask("true"), CallTask("GET", "http://127.0.0.1:9/x")])
def test_commands_and_calls_of_workers_are_refused(node: Node, worker: Worker, task: Task) -> None:
    assert worker.say("/tasks/process", handed(task)).status_code == 403
    assert node.parts.runs.counts().today == 0


def test_commands_run_where_the_master_allows_them(start: StartNode) -> None:
    node = start(worker_commands_on_master=True)
    answer = Worker(node, create_app(node.parts)).say("/tasks/process", handed(CommandTask("echo handed")))
    run = msgspec.json.decode(answer.data, type=HandedAnswer).run
    assert node.end_of(run).state is RunState.SUCCEEDED
    assert node.output(run) == b"handed\n"


def test_what_comes_too_late_or_makes_no_sense_is_refused(worker: Worker) -> None:
    late = handed(BuiltinTask(Builtin.UPTIME), deadline=datetime.now(UTC) - timedelta(seconds=1))
    assert worker.say("/tasks/process", late).status_code == 422
    assert worker.say("/tasks/process", CommandTask("true")).status_code == 422
    for more in ({"timeout_seconds": -5}, {"timeout_seconds": 1e13}):
        assert worker.say("/tasks/process", handed(BuiltinTask(Builtin.UPTIME), **more)).status_code == 422
    asked = BuiltinTask(Builtin.TOP_MEMORY, {"count": "many"})
    assert worker.say("/tasks/process", handed(asked)).status_code == 422


def test_a_strange_token_is_refused(worker: Worker) -> None:
    worker.token = new_token()
    assert worker.say("/tasks/process", handed(BuiltinTask(Builtin.UPTIME))).status_code == 401


def test_a_late_result_of_a_lost_run_is_put_on_record(node: Node, worker: Worker) -> None:
    run = node.start("true", "w1")
    with node.parts.db.read() as session:
        order = session.scalar(select(RunHost.order).where(RunHost.run_id == run.id))
    assert order is not None
    node.end_of(run.id)
    with node.parts.db.write() as session:
        session.execute(update(RunHost).where(RunHost.run_id == run.id).values(state="lost"))
    status = OrderStatus(id=order["id"], run=run.id, state="succeeded", exit_status=0)
    assert worker.say("/tasks/result", status).status_code == 204
    (entry,) = node.parts.history.page(HistoryQuery(action="task.late-result")).entries
    assert (entry.detail["host"], entry.detail["exit_status"]) == ("w1", 0)
    assert node.parts.runs.list_hosts(run.id)[0].state is RunState.LOST


def test_the_end_of_a_task_that_the_worker_itself_was_asked_for_is_put_on_record(
    node: Node, worker: Worker
) -> None:
    id_ = new_id()
    status = OrderStatus(id=id_, run=id_, state="failed", exit_status=2, finished_at=datetime.now(UTC))
    assert worker.say("/tasks/result", status).status_code == 204
    (entry,) = node.parts.history.page(HistoryQuery(action="task.late-result")).entries
    assert (entry.actor, entry.object) == ("node:w1", f"order:{id_}")
    assert (entry.detail["host"], entry.detail["exit_status"]) == ("w1", 2)


def test_a_result_of_somebody_elses_order_is_not_found(node: Node, worker: Worker) -> None:
    run = node.run("true")
    status = OrderStatus(id="foreign", run=run.id, state="succeeded")
    assert worker.say("/tasks/result", status).status_code == 404
