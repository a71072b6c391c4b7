"""Runs on other machines: SSH hosts and a worker, all of them real."""

import threading
from pathlib import Path

import httpx
import psutil
import pytest

from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask
from quarterdeck.tasks.options import OnOutputLimit, RunOptions
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.sshd import SshServer, StartSshd
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode, add_worker
from tests.worker_node import WorkerNode, assert_counted, counting_until

MANY = tuple(f"127.0.0.{number}" for number in range(2, 52))


def add_ssh_hosts(node: Node, server: SshServer, **names: str) -> None:
    """Put hosts into the list, each by its address, with the server's key pinned."""
    drafts = [
        HostDraft(
            name.replace("_", "-"),
            HostKind.SSH,
            address,
            server.port,
            "root",
            host_key=server.host_key,
            tags=("fleet",),
            secrets={"private_key": server.keys.good},
        )
        for name, address in names.items()
    ]
    node.parts.hosts.import_hosts(ADA, drafts)


def test_one_command_on_fifty_hosts_gives_each_its_own_output(node: Node, sshd: StartSshd) -> None:
    server = sshd(("0.0.0.0",))  # noqa: S104 - all of 127.0.0.0/8 and nothing that is reachable in a test
    add_ssh_hosts(node, server, **{f"web_{address}": address for address in MANY})
    run = node.parts.runs.start_run(
        OSKAR, StartRun(task=CommandTask("echo $SSH_CONNECTION"), tags=("fleet",))
    )
    assert node.end_of(run.id).state is RunState.SUCCEEDED
    for address in MANY:
        assert node.output(run.id, f"web-{address}").split()[2] == address.encode()


def test_thirty_commands_at_once_to_one_host_stay_apart(node: Node, sshd: StartSshd) -> None:
    add_ssh_hosts(node, sshd(), web1="127.0.0.1")
    runs = [node.start(f"echo {number}; echo e{number} >&2", "web1").id for number in range(30)]
    for number, run_id in enumerate(runs):
        assert node.end_of(run_id).state is RunState.SUCCEEDED
        assert node.output(run_id, "web1") == f"{number}\n".encode()
        assert node.output(run_id, "web1", "err") == f"e{number}\n".encode()


def test_a_host_that_is_down_fails_with_the_reason_and_is_noted_lost(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    add_ssh_hosts(node, server, web1="127.0.0.1")
    server.stop()
    run = node.run("true", "web1", "master")
    hosts = {host.name: host for host in node.parts.runs.list_hosts(run.id)}
    assert (hosts["web1"].state, hosts["master"].state) == (RunState.FAILED, RunState.SUCCEEDED)
    assert "refused" in hosts["web1"].message
    assert run.tally == {"failed": 1, "succeeded": 1}
    wait_until(lambda: node.parts.hosts.get("web1").state is HostState.LOST, "the host to be noted lost")


def test_a_host_that_answers_is_noted_well(node: Node, sshd: StartSshd) -> None:
    add_ssh_hosts(node, sshd(), web1="127.0.0.1")
    node.run("true", "web1")
    wait_until(lambda: node.parts.hosts.get("web1").state is HostState.WELL, "the host to be noted well")


def test_the_latest_of_two_contacts_in_one_moment_counts(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    add_ssh_hosts(node, server, web1="127.0.0.1")
    server.stop()
    node.run("true", "web1")
    server.start()
    node.run("true", "web1", force=True, reason="it is up again")
    threading.Event().wait(0.5)  # longer than contacts are gathered
    assert node.parts.hosts.get("web1").state is HostState.WELL


def test_a_worker_runs_a_command_and_a_builtin(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    run = node.run("echo out; echo err >&2; exit 4", "worker")
    assert node.parts.runs.list_hosts(run.id)[0].exit_status == 4
    assert node.output(run.id, "worker") == b"out\n"
    assert node.output(run.id, "worker", "err") == b"err\n"
    task = BuiltinTask(Builtin.DISK_USE)
    builtin = node.parts.runs.start_run(OSKAR, StartRun(task=task, hosts=("worker", "master")))
    assert node.end_of(builtin.id).state is RunState.SUCCEEDED


def test_a_worker_is_called_by_path_with_its_bearer(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    task = CallTask("GET", "/health")
    run = node.parts.runs.start_run(OSKAR, StartRun(task=task, hosts=("worker",)))
    assert node.end_of(run.id).state is RunState.SUCCEEDED
    assert node.parts.runs.list_hosts(run.id)[0].details["status"] == 200
    assert b'"version"' in node.output(run.id, "worker")


def test_what_runs_on_a_worker_outlives_the_master(
    start: StartNode, worker: WorkerNode, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    node = start()
    add_worker(node, worker)
    run = node.start(f"echo first; until [ -e {go_on} ]; do sleep 0.05; done; echo second", "worker")
    wait_until(lambda: node.output(run.id, "worker") == b"first\n", "the first line")
    node.stop()
    again = start()
    assert again.parts.runs.get_run(run.id).state is RunState.RUNNING
    go_on.touch()
    assert again.end_of(run.id).state is RunState.SUCCEEDED
    assert again.output(run.id, "worker") == b"first\nsecond\n"


def test_what_runs_on_a_worker_outlives_the_worker(node: Node, worker: WorkerNode, tmp_path: Path) -> None:
    add_worker(node, worker)
    run = node.start(counting_until(tmp_path / "stop"), "worker")
    wait_until(lambda: len(node.output(run.id, "worker")) > 5000, "output")
    worker.kill()
    worker.start()
    (tmp_path / "stop").touch()
    assert node.end_of(run.id).state is RunState.SUCCEEDED
    assert_counted(node.output(run.id, "worker"), node.output(run.id, "worker", "err"))


def test_what_runs_on_a_worker_outlives_both(start: StartNode, worker: WorkerNode, tmp_path: Path) -> None:
    node = start()
    add_worker(node, worker)
    run = node.start(counting_until(tmp_path / "stop"), "worker")
    wait_until(lambda: len(node.output(run.id, "worker")) > 5000, "output")
    node.stop()
    worker.kill()
    worker.start()
    again = start()
    (tmp_path / "stop").touch()
    assert again.end_of(run.id).state is RunState.SUCCEEDED
    assert_counted(again.output(run.id, "worker"), again.output(run.id, "worker", "err"))


def test_a_worker_cuts_output_at_the_limit_of_the_run(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    options = RunOptions(output_bytes=1000, on_output_limit=OnOutputLimit.CUT)
    run = node.run("yes | head -c 5000; echo late >&2", "worker", options=options)
    host = node.parts.runs.list_hosts(run.id)[0]
    assert (host.state, host.out_bytes + host.err_bytes) == (RunState.SUCCEEDED, 1000)
    assert b"The output is cut here" in node.output(run.id, "worker")
    assert "are not kept" in host.message


def test_what_is_cancelled_as_soon_as_the_master_is_back_is_ended_on_its_worker(
    start: StartNode, worker: WorkerNode, tmp_path: Path
) -> None:
    node = start()
    add_worker(node, worker)
    run = node.start(f"echo $$ > {tmp_path}/process; exec sleep 300", "worker")
    wait_until((tmp_path / "process").exists, "the command to run")
    node.stop()
    again = start()
    again.parts.runs.cancel_run(OSKAR, run.id)  # perhaps before it is followed again
    assert again.end_of(run.id).state is RunState.CANCELLED
    assert again.parts.runs.list_hosts(run.id)[0].gone is True
    assert not psutil.pid_exists(int((tmp_path / "process").read_text()))


def test_cancel_on_a_worker_proves_that_all_is_gone(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    run = node.start("echo begun; sleep 300", "worker")
    wait_until(lambda: node.output(run.id, "worker") == b"begun\n", "the command to run")
    node.parts.runs.cancel_run(OSKAR, run.id)
    assert node.end_of(run.id).state is RunState.CANCELLED
    assert node.parts.runs.list_hosts(run.id)[0].gone is True


def test_a_worker_that_is_gone_is_said_to_be(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    worker.kill()
    run = node.run("true", "worker")
    host = node.parts.runs.list_hosts(run.id)[0]
    assert host.state is RunState.FAILED
    assert "does not answer" in host.message


def test_a_call_elsewhere_on_a_registered_origin_is_refused(node: Node, worker: WorkerNode) -> None:
    node.parts.hosts.bases.add_base(ADA, "part", f"{worker.url}/api")
    assert httpx.get(f"{worker.url}/healthz", trust_env=False).status_code == 200
    with pytest.raises(Exception, match="no registered API base"):
        node.parts.runs.start_run(OSKAR, StartRun(task=CallTask("GET", f"{worker.url}/healthz")))
