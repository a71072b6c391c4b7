"""A simulated fleet, driven by a real master over real sockets."""

from pathlib import Path

import psutil
import pytest

from quarterdeck.core.errors import Busy, Conflict
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, KeyState
from quarterdeck.tasks.simulation.fleet import Manner, Shares
from quarterdeck.tasks.simulation.keys import fleet_keys
from quarterdeck.tasks.simulation.registration import TAG, add_fleet, remove_fleet
from quarterdeck.tasks.simulation.simulator import Plan, Simulator
from quarterdeck.tasks.simulation.timing import MaxStartups
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.sshd import make_key, openssh
from tests.tasks.conftest import ADA, Node, StartNode
from tests.tasks.simulated_fleet import StartFleet, names_of
from tests.tasks.simulated_fleet import fleet as fleet

DF = b"Filesystem      Size  Used Avail Use% Mounted on\n/dev/vda1        50G  20G   28G  42% /\n"


def states(node: Node, run_id: str) -> dict[str, RunState]:
    return {host.name: host.state for host in node.parts.runs.list_hosts(run_id)}


def run_all(node: Node, command: str) -> str:
    """Run a command on the whole fleet and return the run's id."""
    return node.run(command, *names_of(node)).id


# --- runs over the fleet ---


def test_fifty_hosts_answer_exactly(node: Node, fleet: StartFleet) -> None:
    fleet(50).add_to(node)
    run_id = run_all(node, "df -h /; hostname")
    outputs = {name: node.output(run_id, name) for name in states(node, run_id)}
    assert outputs == {f"sim-{number:04}": DF + f"sim-{number:04}\n".encode() for number in range(1, 51)}
    assert set(states(node, run_id).values()) == {RunState.SUCCEEDED}


def test_shares_are_kept_exactly_and_by_the_seed(node: Node, fleet: StartFleet) -> None:
    fifty = fleet(50, shares=Shares(failing=10, differing=6), seed=7)
    fifty.add_to(node)
    run_id = run_all(node, "df -h /")
    failed = {name for name, state in states(node, run_id).items() if state is RunState.FAILED}
    differing = {name for name in states(node, run_id) if node.output(run_id, name) != DF}
    assert failed == fifty.names(Manner.FAILING)
    assert differing == fifty.names(Manner.DIFFERING)
    assert (len(failed), len(differing)) == (5, 3)


def test_refusing_hosts_are_told_plainly(start: StartNode, fleet: StartFleet) -> None:
    node = start(ssh_connect_seconds=2)
    fifty = fleet(4, shares=Shares(refusing=50))
    fifty.add_to(node)
    run_id = run_all(node, "uptime")
    messages = {host.name: host.message for host in node.parts.runs.list_hosts(run_id) if host.message}
    assert messages.keys() == fifty.names(Manner.REFUSING, Manner.DROPPING)
    refusing, dropping = fifty.names(Manner.REFUSING).pop(), fifty.names(Manner.DROPPING).pop()
    assert "connection refused" in messages[refusing]
    assert "closes them before sign-in" in messages[dropping]


def test_cancel_is_proved_on_every_host(node: Node, fleet: StartFleet) -> None:
    fleet(20).add_to(node)
    names = names_of(node)
    run = node.start("echo begun; sleep 300", *names)
    wait_until(lambda: all(node.output(run.id, name) == b"begun\n" for name in names), "all to begin", 30)
    node.parts.runs.cancel_run(ADA, run.id)
    node.end_of(run.id)
    assert [(host.state, host.gone) for host in node.parts.runs.list_hosts(run.id)] == [
        (RunState.CANCELLED, True)
    ] * 20


def test_long_output_comes_whole(node: Node, fleet: StartFleet) -> None:
    fleet(1).add_to(node)
    run = node.run("seq 1 42000", "sim-0001")
    assert node.output(run.id, "sim-0001") == b"".join(b"%d\n" % number for number in range(1, 42_001))


def test_dropped_connections_never_make_a_host_down(node: Node, fleet: StartFleet) -> None:
    fleet(1, latency_milliseconds=40, max_startups=MaxStartups(1, 60, 3)).add_to(node)
    runs = [node.start(f"echo {number}", "sim-0001") for number in range(40)]
    assert {node.end_of(run.id).state for run in runs} == {RunState.SUCCEEDED}


def test_nothing_of_the_real_machine_is_run(node: Node, fleet: StartFleet, tmp_path: Path) -> None:
    fleet(1).add_to(node)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    for command in (f"touch {tmp_path}/ran", f"echo x > {tmp_path}/ran", "echo $(id)", "cat /etc/passwd"):
        run = node.run(command, "sim-0001")
        assert run.state is RunState.FAILED
        assert node.output(run.id, "sim-0001") == b""
    assert not (tmp_path / "ran").exists()
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before


def test_who_has_another_key_is_not_let_in(fleet: StartFleet, tmp_path: Path) -> None:
    place = fleet(1).simulator.hosts[0]
    make_key(tmp_path / "other")
    done = openssh(tmp_path / "other", place.address, place.port, "uptime")
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


# --- in the list of hosts ---


def test_hosts_are_listed_with_their_keys_in_one_import(node: Node, fleet: StartFleet) -> None:
    fleet(50).add_to(node)
    hosts = node.parts.hosts.list_hosts(tags=(TAG,))
    assert len(hosts) == 50
    assert {host.key_state for host in hosts} == {KeyState.PINNED}
    assert {tuple(host.stored) for host in hosts} == {("private_key",)}


def test_adding_and_removing_twice_changes_nothing(node: Node, fleet: StartFleet) -> None:
    hosts, five = node.parts.hosts, fleet(5)
    assert (add_fleet(hosts, ADA, five.simulator.drafts).new, len(hosts.list_hosts(tags=(TAG,)))) == (5, 5)
    before = hosts.list_hosts(tags=(TAG,))
    again = add_fleet(hosts, ADA, five.simulator.drafts)
    assert (again.new, again.known, hosts.list_hosts(tags=(TAG,))) == (0, 5, before)
    assert [remove_fleet(hosts, ADA), remove_fleet(hosts, ADA)] == [5, 0]
    assert [host.name for host in hosts.list_hosts()] == ["master"]


def test_fleet_on_another_port_takes_the_place_of_the_former(node: Node, fleet: StartFleet) -> None:
    hosts = node.parts.hosts
    add_fleet(hosts, ADA, fleet(3).simulator.drafts)
    moved = fleet(5)
    assert add_fleet(hosts, ADA, moved.simulator.drafts).new == 5
    assert {host.port for host in hosts.list_hosts(tags=(TAG,))} == {moved.simulator.hosts[0].port}


def test_hosts_of_ones_own_are_never_touched(node: Node, fleet: StartFleet) -> None:
    hosts = node.parts.hosts
    own = HostDraft("sim-0002", HostKind.SSH, address="192.0.2.7", username="root", tags=(TAG,))
    hosts.import_hosts(ADA, [own])
    with pytest.raises(Conflict, match="sim-0002 can't be added"):
        add_fleet(hosts, ADA, fleet(3).simulator.drafts)
    assert remove_fleet(hosts, ADA) == 0
    assert [host.name for host in hosts.list_hosts()] == ["master", "sim-0002"]


def test_place_in_use_is_told(fleet: StartFleet, tmp_path: Path) -> None:
    first = fleet(2).simulator
    keys = fleet_keys(tmp_path / "simulation")
    second = Simulator(Plan(hosts=2, port=first.hosts[0].port), keys)
    with pytest.raises(Busy, match="choose another --port"):
        second.listen()


def test_keys_are_kept_and_private(tmp_path: Path) -> None:
    keys, again = fleet_keys(tmp_path / "simulation"), fleet_keys(tmp_path / "simulation")
    assert (keys.client_text, keys.line_of(3)) == (again.client_text, again.line_of(3))
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "simulation").iterdir()} == {0o600}
