"""Many hosts: so many at once, a canary first, and an end when too many have failed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.protocol.tasks import CommandTask
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.records import RunHostRecord, RunRecord
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.sshd import SshServer
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode
from tests.tasks.test_recovery import outcomes
from tests.worker_node import WorkerNode

HOSTS = 10


@pytest.fixture
def fleet(node: Node, ssh_server: SshServer) -> Node:
    """Ten hosts, web01 to web10, each with an address of its own: 127.0.0.1 to 127.0.0.10."""
    drafts = [
        HostDraft(
            f"web{number:02}",
            HostKind.SSH,
            ssh_server.addresses[number - 1],
            ssh_server.port,
            "root",
            host_key=ssh_server.host_key,
            tags=("fleet",),
            secrets={"private_key": ssh_server.keys.good},
        )
        for number in range(1, HOSTS + 1)
    ]
    node.parts.hosts.import_hosts(ADA, drafts)
    return node


def spread(node: Node, command: str, **options: Any) -> tuple[RunRecord, list[RunHostRecord]]:
    wanted = StartRun(task=CommandTask(command), tags=("fleet",), options=RunOptions(**options))
    run = node.end_of(node.parts.runs.start_run(OSKAR, wanted).id)
    return run, node.parts.runs.list_hosts(run.id)


def outcome_of(node: Node, run_id: str) -> dict[str, Any]:
    query = HistoryQuery(object=f"run:{run_id}", action="task.run")
    return dict(node.parts.history.page(query).entries[0].detail)


def fails_on(*numbers: int) -> str:
    """Return a command that fails on these hosts of the fleet."""
    ends = "|".join(f"127.0.0.{number}" for number in numbers)
    return f'case "$(echo $SSH_CONNECTION | cut -d" " -f3)" in {ends}) exit 1;; esac; echo well'


def test_at_once_keeps_the_order_and_the_number(fleet: Node, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = f"echo begin >> {log}; sleep 0.1; echo end >> {log}"
    run, hosts = spread(fleet, command, at_once=1)
    assert run.state is RunState.SUCCEEDED
    assert log.read_text().split() == ["begin", "end"] * HOSTS
    begun = [host.started_at for host in hosts if host.started_at]
    assert len(begun) == HOSTS
    assert begun == sorted(begun)


def test_two_at_once_are_two(fleet: Node, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    command = f"cd {tmp_path}/marks; touch $$; ls | wc -l; sleep 0.1; rm $$"
    run, _ = spread(fleet, command, at_once=2)
    assert max(int(fleet.output(run.id, f"web{number:02}")) for number in range(1, HOSTS + 1)) == 2


def test_after_a_good_canary_the_rest_follows(fleet: Node) -> None:
    run, hosts = spread(fleet, "echo well", canary=2)
    assert run.state is RunState.SUCCEEDED
    canaries_ended = max(host.finished_at for host in hosts[:2] if host.finished_at)
    assert all(host.started_at and host.started_at >= canaries_ended for host in hosts[2:])
    assert all(host.message == "" for host in hosts)


def test_after_a_bad_canary_nothing_more_begins(fleet: Node) -> None:
    run, hosts = spread(fleet, fails_on(1), canary=2)
    assert run.state is RunState.FAILED
    assert (hosts[0].state, hosts[1].state) == (RunState.FAILED, RunState.SUCCEEDED)
    for host in hosts[2:]:
        assert (host.state, host.started_at) == (RunState.CANCELLED, None)
        assert host.message == "Not begun: the canary failed on web01."
    assert run.tally == {"failed": 1, "succeeded": 1, "cancelled": 8}
    assert outcome_of(fleet, run.id)["stopped"] == "the canary failed on web01."


def test_while_the_canary_runs_the_others_say_what_they_wait_for(fleet: Node, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    wanted = StartRun(
        task=CommandTask(f"until [ -e {go_on} ]; do sleep 0.05; done"),
        tags=("fleet",),
        options=RunOptions(canary=1),
    )
    run = fleet.parts.runs.start_run(OSKAR, wanted)
    wait_until(lambda: fleet.parts.runs.get_host(run.id, "web01").started_at is not None, "the canary")
    waiting = fleet.parts.runs.get_host(run.id, "web02")
    assert (waiting.state, waiting.message) == (RunState.QUEUED, "Waits for the canary of 1.")
    go_on.touch()
    assert fleet.end_of(run.id).state is RunState.SUCCEEDED


def test_cancel_ends_canary_and_rest(fleet: Node) -> None:
    wanted = StartRun(task=CommandTask("sleep 300"), tags=("fleet",), options=RunOptions(canary=1))
    run = fleet.parts.runs.start_run(OSKAR, wanted)
    wait_until(lambda: fleet.parts.runs.get_host(run.id, "web01").started_at is not None, "the canary")
    fleet.parts.runs.cancel_run(OSKAR, run.id)
    assert fleet.end_of(run.id).tally == {"cancelled": HOSTS}
    assert {host.message for host in fleet.parts.runs.list_hosts(run.id)} == {"Cancelled by oskar."}


def test_no_further_host_begins_when_too_many_have_failed(fleet: Node) -> None:
    run, hosts = spread(fleet, fails_on(2, 4, 6), at_once=1, stop_at_failed_percent=30)
    assert run.state is RunState.FAILED
    assert run.tally == {"succeeded": 3, "failed": 3, "cancelled": 4}
    told = "Not begun: 3 of 10 hosts did not succeed; the run stops at 30 %."
    assert {host.message for host in hosts if host.state is RunState.CANCELLED} == {told}
    assert [host.started_at is not None for host in hosts] == [True] * 6 + [False] * 4
    assert outcome_of(fleet, run.id)["stopped"] == told.removeprefix("Not begun: ")


def test_fewer_failures_than_that_stop_nothing(fleet: Node) -> None:
    run, _ = spread(fleet, fails_on(2, 4), at_once=1, stop_at_failed_percent=30)
    assert run.tally == {"succeeded": 8, "failed": 2}
    assert "stopped" not in outcome_of(fleet, run.id)


def test_a_canary_that_runs_on_a_worker_is_remembered_over_a_restart(
    start: StartNode, tmp_path: Path, worker: WorkerNode, second: WorkerNode
) -> None:
    go_on = tmp_path / "go-on"
    node = start()
    for name, each in (("one", worker), ("two", second)):
        draft = HostDraft(name, HostKind.WORKER, each.url, secrets={"token": each.token})
        node.parts.hosts.add_host(ADA, draft)
    options = RunOptions(canary=1, expires_seconds=600)
    command = f"echo begun; until [ -e {go_on} ]; do sleep 0.05; done; exit 1"
    run = node.start(command, "one", "two", options=options)
    wait_until(lambda: node.output(run.id, "one") == b"begun\n", "the canary to begin")
    node.stop()
    again = start()
    assert again.parts.runs.get_host(run.id, "two").state is RunState.QUEUED
    go_on.touch()
    assert again.end_of(run.id).tally == {"failed": 1, "cancelled": 1}
    assert again.parts.runs.get_host(run.id, "two").message == "Not begun: the canary failed on one."
    assert outcomes(again, run.id) == 1


@pytest.fixture
def second(tmp_path: Path) -> Iterator[WorkerNode]:
    worker = WorkerNode(tmp_path / "second").start()
    yield worker
    worker.end()
