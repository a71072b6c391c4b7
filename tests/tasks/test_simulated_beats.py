"""Heartbeats of simulated workers: over real sockets, with made-up figures that move and say so."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.protocol.orders import JoinRequest
from quarterdeck.protocol.samples import Processes, Watching
from quarterdeck.tasks.simulation.fleet import Manner, SimulatedHost
from quarterdeck.tasks.simulation.walks import SYSTEM as SIMULATED
from quarterdeck.tasks.simulation.walks import Walk
from tests.deck import wait_until
from tests.metrics.desk import TOKEN, join
from tests.metrics.master_end import MasterEnd, master_end
from tests.tasks.simulated_fleet import Fleet, StartFleet
from tests.tasks.simulated_fleet import fleet as fleet

HOST = SimulatedHost("sim-worker-0001", "127.78.0.1", 2222, Manner.WELL, 0)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[MasterEnd]:
    with master_end(tmp_path / "master") as master:
        yield master


def call(fleet: Fleet, method: str, path: str, body: object, number: int = 0) -> httpx.Response:
    host = fleet.simulator.workers[number]
    answer = httpx.request(
        method,
        f"http://{host.address}:{host.port}{path}",
        content=msgspec.json.encode(body),
        headers={"Authorization": f"Bearer {fleet.simulator.keys.bearer}"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return answer


def join_all(fleet: Fleet, master: MasterEnd) -> list[str]:
    """Join the workers of a fleet as their master does; returns their ids."""
    ids = [master.host_id]
    for number in range(len(fleet.simulator.workers)):
        token = TOKEN if not number else f"a-token-of-worker-{number:04}-of-the-fleet"
        if number:
            ids.append(join(master.node, f"far-{number}", token))
        request = JoinRequest(master_url=master.url, worker_token=token, audience=ids[-1])
        call(fleet, "POST", "/join", request, number)
    return ids


def test_workers_send_once_they_have_joined(fleet: StartFleet, master: MasterEnd) -> None:
    ids = join_all(fleet(0, workers=20), master)
    wait_until(lambda: all(master.fleet.now(each) for each in ids), "all to have sent", 15)
    assert len(master.peers) <= 8, "they share a few connections"
    hosts = master.fleet.all().values()
    assert {now.facts.system for now in hosts if now.facts} == {SIMULATED}
    assert len({now.values["memory"] for now in hosts}) > 10


def test_a_worker_that_is_asked_to_sends_each_second(fleet: StartFleet, master: MasterEnd) -> None:
    one = fleet(0, workers=1)
    join_all(one, master)
    wait_until(lambda: master.now is not None, "the first heartbeat", 10)
    call(one, "POST", "/sampling", Watching(for_seconds=30))
    wait_until(lambda: len(master.intervals()) >= 5, "some more", 40)
    assert 0.7 < statistics.median(master.intervals()[-4:]) < 3, master.intervals()


def test_a_fleet_that_is_started_again_knows_its_master(fleet: StartFleet, master: MasterEnd) -> None:
    first = fleet(0, workers=1)
    join_all(first, master)
    wait_until(lambda: master.now is not None, "the first heartbeat", 10)
    first.end()
    assert len(first.simulator.keys.members_file.read_bytes()) > 0
    master.fleet.forget([master.host_id])
    fleet(0, workers=1)
    wait_until(lambda: master.now is not None, "a heartbeat of the second", 20)


def test_a_removed_worker_falls_silent(fleet: StartFleet, master: MasterEnd) -> None:
    two = fleet(0, workers=2)
    _, other = join_all(two, master)
    wait_until(lambda: master.now is not None and master.fleet.now(other) is not None, "both", 20)
    for number in range(2):
        call(two, "POST", "/sampling", Watching(for_seconds=60), number)
    master.node.hosts.remove_host(SYSTEM, "far")
    wait_until(lambda: master.ingest.refused == 1, "the refusal", 10)
    taken = master.ingest.taken
    wait_until(lambda: master.ingest.taken > taken + 3, "the other to go on", 15)
    assert master.ingest.refused == 1


def test_processes_are_made_up(fleet: StartFleet) -> None:
    answer = call(fleet(0, workers=1), "GET", "/processes", None)
    top = msgspec.json.decode(answer.content, type=Processes)
    assert top.top
    assert all(each.name.startswith("simulated-") for each in top.top)


def test_the_same_seed_walks_the_same_way() -> None:
    ways = [[Walk(HOST, seed, 0).next(1, 1) for _ in range(3)] for seed in (1, 1, 2)]
    assert ways[0] == ways[1] != ways[2]


def test_a_walk_moves_and_stays_within_what_there_is() -> None:
    walk = Walk(HOST, 1, 0)
    frames = [walk.next(float(at), 15) for at in range(500)]
    assert [at for at, frame in enumerate(frames) if frame.is_full] == list(range(0, 500, 20))
    cpu = [frame.values["cpu"] for frame in frames]
    assert len(set(cpu)) > 100
    shares = [frame.values.get(key, 0) for frame in frames for key in ("cpu", "memory", "swap", "disk")]
    assert all(0 <= share <= 100 for share in shares)
    sizes = [len(msgspec.msgpack.encode(frame)) for frame in frames]
    assert sum(sizes) / len(sizes) < 400
