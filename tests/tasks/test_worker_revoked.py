"""What a revoked worker was doing: cancelled where it answers, else said to be unknown."""

from collections.abc import Callable

import msgspec
import psutil
from flask import Flask

from quarterdeck.core.config import Settings
from quarterdeck.hosts.commands import running
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.health import HealthWatch
from quarterdeck.hosts.models import HostKind
from quarterdeck.parts import Parts
from quarterdeck.protocol.orders import OrderStatus
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.tasks.conftest import ADA, Node, StartNode
from tests.worker_node import WorkerNode


def run_on(node: Node, worker: WorkerNode) -> tuple[str, int]:
    """Add the worker and have it run something that doesn't end; returns the run's and the process's id."""
    draft = HostDraft("worker", HostKind.WORKER, worker.url, secrets={"token": worker.token})
    node.parts.hosts.add_host(ADA, draft)
    run = node.start("echo $$; sleep 300", "worker")
    wait_until(lambda: node.output(run.id, "worker").endswith(b"\n"), "the command to run")
    return run.id, int(node.output(run.id, "worker"))


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_a_revoked_worker_runs_is_cancelled_with_proof(node: Node, worker: WorkerNode) -> None:
    run_id, pid = run_on(node, worker)
    node.parts.hosts.revoke_worker(ADA, "worker")
    assert node.end_of(run_id).state is RunState.CANCELLED
    host = node.parts.runs.list_hosts(run_id)[0]
    assert (host.gone, host.message) == (True, "The worker was revoked.")
    assert not is_alive(pid)


def test_what_a_revoked_worker_that_is_away_runs_is_said_to_be_unknown(
    node: Node, worker: WorkerNode
) -> None:
    run_id, _ = run_on(node, worker)
    worker.kill()
    node.parts.hosts.revoke_worker(ADA, "worker")
    assert node.end_of(run_id).state is RunState.CANCELLED
    host = node.parts.runs.list_hosts(run_id)[0]
    assert host.gone is None
    assert "not known" in host.message


def test_a_revoked_worker_gets_no_order(node: Node, worker: WorkerNode) -> None:
    run_on(node, worker)
    node.parts.hosts.revoke_worker(ADA, "worker")
    orders = len([line for line in worker.history() if line["action"] == "task.run"])
    run = node.run("echo again", "worker")
    assert "was revoked" in node.parts.runs.list_hosts(run.id)[0].message
    assert len([line for line in worker.history() if line["action"] == "task.run"]) == orders


def test_what_another_process_revoked_is_ended_by_the_watch_of_the_master(
    node: Node, worker: WorkerNode
) -> None:
    run_id, pid = run_on(node, worker)
    parts = Parts(Settings(home=node.parts.settings.home))
    with running(parts.hosts) as hosts:
        hosts.revoke_worker(parts.actor, "worker")
    parts.history.close()
    parts.db.close()
    assert is_alive(pid)
    watch = HealthWatch(
        node.parts.hosts,
        node.parts.history,
        node.parts.clock,
        node.parts.settings,
        publish=node.parts.publish,
        announce=lambda *_: None,
    )
    node.parts.loop.run(watch.round())
    assert node.end_of(run_id).state is RunState.CANCELLED
    assert not is_alive(pid)


def test_after_a_restart_of_the_master_the_order_of_a_revoked_worker_is_lost(
    start: StartNode, worker: WorkerNode
) -> None:
    node = start()
    run_id, _ = run_on(node, worker)
    node.stop()
    parts = Parts(Settings(home=node.parts.settings.home))
    with running(parts.hosts) as hosts:
        hosts.revoke_worker(parts.actor, "worker")
    parts.history.close()
    parts.db.close()
    again = start()
    assert again.end_of(run_id).state is RunState.LOST
    assert "was revoked" in again.parts.runs.list_hosts(run_id)[0].message


def test_a_revoked_worker_can_report_nothing_more(
    node: Node, worker: WorkerNode, app: Flask, as_: Callable[[str], object]
) -> None:
    run_id, _ = run_on(node, worker)
    token = msgspec.json.decode((worker.home / "keys" / "master.json").read_bytes())["token"]
    headers = {"Authorization": f"Bearer {token}"}
    report = msgspec.json.encode(OrderStatus(id="x", state="succeeded", run=run_id))
    client = app.test_client()
    assert client.post("/tasks/result", data=report, headers=headers).status_code == 404
    node.parts.hosts.revoke_worker(ADA, "worker")
    assert client.post("/tasks/result", data=report, headers=headers).status_code == 401
