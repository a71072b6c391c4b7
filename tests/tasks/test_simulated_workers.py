"""Simulated workers, driven by a real master through the worker's API."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from quarterdeck.hosts.models import HostState
from quarterdeck.protocol.orders import Order, OrderStatus
from quarterdeck.protocol.tasks import Builtin, BuiltinTask
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.simulation.fleet import Manner, Shares
from quarterdeck.tasks.simulation.registration import TAG, add_fleet, remove_fleet
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.tasks.conftest import ADA, OSKAR, Node
from tests.tasks.simulated_fleet import Fleet, StartFleet, names_of
from tests.tasks.simulated_fleet import fleet as fleet
from tests.worker_node import new_order


def call(fleet: Fleet, method: str, path: str, body: object = None, bearer: str = "") -> httpx.Response:
    """Call the first worker as its master would."""
    host = fleet.simulator.workers[0]
    return httpx.request(
        method,
        f"http://{host.address}:{host.port}{path}",
        content=msgspec.json.encode(body),
        headers={"Authorization": f"Bearer {bearer or fleet.simulator.keys.bearer}"},
        trust_env=False,
    )


def states(node: Node, run_id: str) -> set[RunState]:
    return {host.state for host in node.parts.runs.list_hosts(run_id)}


def test_workers_answer_exactly_beside_ssh_hosts(node: Node, fleet: StartFleet) -> None:
    fleet(2, workers=10).add_to(node)
    run = node.run("hostname; seq 3", *names_of(node))
    assert run.state is RunState.SUCCEEDED
    outputs = {name: node.output(run.id, name) for name in names_of(node)}
    assert outputs == {name: f"{name}\n1\n2\n3\n".encode() for name in names_of(node)}
    assert len(outputs) == 12


def test_long_output_of_a_worker_comes_whole(node: Node, fleet: StartFleet) -> None:
    fleet(0, workers=1).add_to(node)
    run = node.run("seq 1 42000", "sim-worker-0001")
    assert node.output(run.id, "sim-worker-0001") == b"".join(b"%d\n" % each for each in range(1, 42_001))


def test_cancel_is_proved_by_workers(node: Node, fleet: StartFleet) -> None:
    fleet(0, workers=5).add_to(node)
    run = node.start("echo begun; sleep 300", *names_of(node))
    wait_until(lambda: all(node.output(run.id, name) for name in names_of(node)), "all to begin", 30)
    node.parts.runs.cancel_run(ADA, run.id)
    node.end_of(run.id)
    assert states(node, run.id) == {RunState.CANCELLED}
    assert {host.gone for host in node.parts.runs.list_hosts(run.id)} == {True}


def test_workers_fail_as_they_are_told(node: Node, fleet: StartFleet) -> None:
    ten = fleet(0, workers=10, shares=Shares(failing=20))
    ten.add_to(node)
    run = node.run("uptime", *names_of(node))
    failed = {h.name for h in node.parts.runs.list_hosts(run.id) if h.state is RunState.FAILED}
    assert failed == {host.name for host in ten.simulator.workers if host.manner is Manner.FAILING}
    assert len(failed) == 2


def test_workers_keep_the_limit_themselves(node: Node, fleet: StartFleet) -> None:
    fleet(0, workers=1).add_to(node)
    assert node.run("sleep 60", "sim-worker-0001", timeout_seconds=1).state is RunState.TIMED_OUT


def test_built_in_tasks_are_made_up_too(node: Node, fleet: StartFleet) -> None:
    fleet(0, workers=1).add_to(node)
    wanted = StartRun(task=BuiltinTask(Builtin.DISK_USE), hosts=("sim-worker-0001",))
    run = node.end_of(node.parts.runs.start_run(OSKAR, wanted).id)
    assert b"/dev/vda1        50G" in node.output(run.id, "sim-worker-0001")


def test_workers_are_well_once_they_are_asked(node: Node, fleet: StartFleet) -> None:
    two = fleet(0, workers=2, shares=Shares(refusing=50))
    two.add_to(node)
    by_manner = {host.manner: host.name for host in two.simulator.workers}
    tested = {name: node.parts.hosts.test_host(ADA, name).ok for name in by_manner.values()}
    assert tested == {by_manner[Manner.WELL]: True, by_manner[Manner.REFUSING]: False}
    assert node.parts.hosts.get(by_manner[Manner.WELL]).state is HostState.WELL


def test_workers_are_added_and_removed_with_the_fleet(node: Node, fleet: StartFleet) -> None:
    hosts, mixed = node.parts.hosts, fleet(1, workers=2)
    assert add_fleet(hosts, ADA, mixed.simulator.drafts).new == 3
    assert add_fleet(hosts, ADA, mixed.simulator.drafts).new == 0
    assert remove_fleet(hosts, ADA) == 3
    assert hosts.list_hosts(tags=(TAG,)) == []


def test_nobody_else_may_call_a_worker(fleet: StartFleet) -> None:
    one = fleet(0, workers=1)
    for path in ("/health", "/process_task", "/tasks/x"):
        assert (
            call(one, "POST" if path == "/process_task" else "GET", path, bearer="guess").status_code == 401
        )


def test_orders_are_begun_once(fleet: StartFleet) -> None:
    one, order = fleet(0, workers=1), new_order("echo once")
    assert [call(one, "POST", "/process_task", order).status_code for _ in range(2)] == [202, 202]
    status = msgspec.json.decode(call(one, "GET", f"/tasks/{order.id}?wait=5").content, type=OrderStatus)
    assert (status.state, status.out_bytes) == ("succeeded", len(b"once\n"))
    assert call(one, "GET", f"/tasks/{order.id}/output?stream=out").content == b"once\n"


def test_orders_that_a_worker_would_refuse_are_refused(fleet: StartFleet) -> None:
    one, order = fleet(0, workers=1), new_order("echo once")
    late = new_order("echo late", deadline=datetime.now(UTC) - timedelta(seconds=1))
    changed: Order = msgspec.structs.replace(order, actor="mallory")
    other = new_order("echo other", id=order.id)
    assert call(one, "POST", "/process_task", order).status_code == 202
    answers = [call(one, "POST", "/process_task", each).status_code for each in (late, changed, other, "x")]
    assert answers == [422, 422, 409, 422]


@pytest.mark.parametrize("path", ["/tasks/unknown", "/history", "/history/verify", "/shutdown", "/tasks"])
def test_what_a_simulated_worker_does_not_have_is_not_found(fleet: StartFleet, path: str) -> None:
    assert call(fleet(0, workers=1), "GET", path).status_code == 404


def test_fleet_ends_at_once_while_orders_run(fleet: StartFleet) -> None:
    one, order = fleet(0, workers=1), new_order("sleep 300")
    call(one, "POST", "/process_task", order)
    one.end()
    assert not one.thread.is_alive()
    assert asyncio.all_tasks(one.loop) == set()
