"""Orders that wait for hosts which are away: tried again, cancelled, expired, and kept over a restart."""

import multiprocessing
import os
import signal
from datetime import timedelta
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.dispatch import reach
from quarterdeck.tasks.models import Run
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.records import RunRecord
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState
from tests.deck import free_port, wait_until
from tests.sshd import SshServer, StartSshd
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode, start_node
from tests.tasks.test_recovery import outcomes
from tests.worker_node import WorkerNode

HOUR = 3600


def add_ssh(node: Node, server: SshServer, **more: Any) -> None:
    values: dict[str, Any] = {"host_key": server.host_key, "secrets": {"private_key": server.keys.good}}
    draft = HostDraft("web1", HostKind.SSH, "127.0.0.1", server.port, "root", **(values | more))
    node.parts.hosts.import_hosts(ADA, [draft])


def waiting(node: Node, command: str, host: str, seconds: int = HOUR, **options: Any) -> RunRecord:
    """Start a command that waits for its host, and wait until it says so."""
    run = node.start(command, host, options=RunOptions(expires_seconds=seconds, **options))
    wait_until(lambda: "can't be reached; trying" in message(node, run.id, host), "it to wait")
    return run


def message(node: Node, run_id: str, host: str) -> str:
    return node.parts.runs.get_host(run_id, host).message


def test_a_command_waits_for_its_host_and_runs_when_it_is_back(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    add_ssh(node, server)
    server.stop()
    run = waiting(node, "echo here", "web1")
    host = node.parts.runs.get_host(run.id, "web1")
    until = (run.created_at + timedelta(seconds=HOUR)).strftime("%H:%M")
    assert (host.state, node.parts.runs.get_run(run.id).state) == (RunState.QUEUED, RunState.QUEUED)
    assert until in host.message
    server.start()
    assert node.end_of(run.id).state is RunState.SUCCEEDED
    assert node.output(run.id, "web1") == b"here\n"
    assert message(node, run.id, "web1") == ""


def test_a_host_that_moved_while_its_order_waited_is_found(node: Node, sshd: StartSshd) -> None:
    old, new = sshd(), sshd()
    add_ssh(node, old)
    old.stop()
    run = waiting(node, "echo moved", "web1")
    secrets = {"private_key": new.keys.good}
    draft = HostDraft(
        "web1", HostKind.SSH, "127.0.0.1", new.port, "root", host_key=new.host_key, secrets=secrets
    )
    node.parts.hosts.edit_host(ADA, "web1", draft)
    assert node.end_of(run.id).state is RunState.SUCCEEDED
    assert node.output(run.id, "web1") == b"moved\n"


def test_a_host_that_is_removed_while_its_order_waits_ends_it(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    add_ssh(node, server)
    server.stop()
    run = waiting(node, "echo never", "web1")
    node.parts.hosts.remove_host(ADA, "web1")
    assert node.end_of(run.id).state is RunState.FAILED
    assert "removed" in message(node, run.id, "web1")


def test_a_worker_s_order_waits_as_well(node: Node, tmp_path: Path) -> None:
    worker = WorkerNode(tmp_path / "worker").start()
    try:
        token = worker.token
        node.parts.hosts.add_host(
            ADA, HostDraft("worker", HostKind.WORKER, worker.url, secrets={"token": token})
        )
        worker.stop()
        run = waiting(node, "echo here", "worker")
        worker.start()
        assert node.end_of(run.id).state is RunState.SUCCEEDED
        assert node.output(run.id, "worker") == b"here\n"
    finally:
        worker.end()


def test_a_call_waits_for_what_it_calls(node: Node) -> None:
    base = f"http://127.0.0.1:{free_port()}"
    node.parts.hosts.bases.add_base(ADA, "api", base)
    wanted = StartRun(task=CallTask("GET", f"{base}/x"), options=RunOptions(expires_seconds=HOUR))
    run = node.parts.runs.start_run(OSKAR, wanted)
    wait_until(lambda: "trying until" in message(node, run.id, "master"), "it to wait")
    node.parts.runs.cancel_run(OSKAR, run.id)
    assert node.end_of(run.id).state is RunState.CANCELLED


def test_after_its_time_it_ends_as_timed_out(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    add_ssh(node, server)
    server.stop()
    run = node.run("echo never", "web1", options=RunOptions(expires_seconds=1))
    host = node.parts.runs.get_host(run.id, "web1")
    assert (run.state, host.started_at) == (RunState.TIMED_OUT, None)
    assert host.message.startswith("Expired: web1 could not be reached until ")
    assert "refused" in host.message
    wait_until(lambda: node.parts.hosts.get("web1").state is HostState.LOST, "the host to be noted lost")


def test_cancel_ends_the_waiting(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    add_ssh(node, server)
    server.stop()
    run = waiting(node, "echo never", "web1")
    node.parts.runs.cancel_run(OSKAR, run.id)
    assert node.end_of(run.id).state is RunState.CANCELLED
    assert message(node, run.id, "web1") == "Cancelled by oskar."


def test_waiting_takes_no_slot(start: StartNode, sshd: StartSshd) -> None:
    node, server = start(run_concurrency=1), sshd()
    add_ssh(node, server)
    server.stop()
    waiting(node, "echo never", "web1")
    assert node.run("echo well").state is RunState.SUCCEEDED


@pytest.mark.parametrize("fault", ["a wrong key", "a changed host key"])
def test_what_a_person_must_mend_fails_at_once(node: Node, sshd: StartSshd, fault: str) -> None:
    server = sshd()
    secrets = {"private_key": server.keys.wrong if fault == "a wrong key" else server.keys.good}
    add_ssh(node, server, secrets=secrets)
    if fault == "a changed host key":
        server.change_host_key()
    run = node.run("true", "web1", options=RunOptions(expires_seconds=HOUR))
    assert run.state is RunState.FAILED
    assert "trying until" not in message(node, run.id, "web1")


def test_a_stopped_master_goes_on_waiting_after_its_next_start(start: StartNode, sshd: StartSshd) -> None:
    node, server = start(), sshd()
    add_ssh(node, server)
    server.stop()
    run = waiting(node, "echo here", "web1")
    node.stop()
    again = start()
    assert again.parts.runs.get_host(run.id, "web1").state is RunState.QUEUED
    server.start()
    assert again.end_of(run.id).state is RunState.SUCCEEDED
    assert again.output(run.id, "web1") == b"here\n"
    assert outcomes(again, run.id) == 1


def test_a_killed_master_goes_on_waiting_and_runs_it_once(
    start: StartNode, sshd: StartSshd, tmp_path: Path
) -> None:
    server, home, log = sshd(), tmp_path / "home", tmp_path / "log"
    node = start()
    add_ssh(node, server)
    node.stop()
    server.stop()
    context = multiprocessing.get_context("spawn")
    told: Queue[str] = context.Queue()
    process = context.Process(target=wait_until_killed, args=(home, f"echo ran >> {log}", told))
    process.start()
    run_id = told.get(timeout=60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    again = start()
    server.start()
    assert again.end_of(run_id).state is RunState.SUCCEEDED
    assert log.read_text() == "ran\n"
    assert outcomes(again, run_id) == 1


def wait_until_killed(home: Path, command: str, told: "Queue[str]") -> None:
    """Start what waits for its host, in a process of its own."""
    node = start_node(home)
    told.put(waiting(node, command, "web1").id)
    signal.pause()


def test_what_expired_while_the_master_was_down_says_so(start: StartNode, sshd: StartSshd) -> None:
    node, server = start(), sshd()
    add_ssh(node, server)
    server.stop()
    run = waiting(node, "echo never", "web1")
    node.stop()
    longer_ago(node, run.id)
    again = start()
    host = again.parts.runs.get_host(run.id, "web1")
    assert (again.end_of(run.id).state, host.state) == (RunState.TIMED_OUT, RunState.TIMED_OUT)
    assert host.message.startswith("Expired: web1 could not be reached until ")


def longer_ago(node: Node, run_id: str) -> None:
    with node.parts.db.write() as session:
        created = session.get_one(Run, run_id).created_at - timedelta(seconds=2 * HOUR)
        session.execute(update(Run).where(Run.id == run_id).values(created_at=created))


def test_pauses_grow_and_are_never_the_same_for_all() -> None:
    pauses = [reach.pause_seconds(5) for _ in range(20)]
    assert len(set(pauses)) > 10
    assert all(16 <= pause <= 32 for pause in pauses)
    assert all(30 <= reach.pause_seconds(1000) <= 60 for _ in range(20))
