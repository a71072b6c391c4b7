"""A worker's heartbeat: what is worth sending, what is kept while the master is away, when it comes back."""

import logging
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quarterdeck.core.config import load_settings
from quarterdeck.core.errors import QuarterdeckError, Unreachable
from quarterdeck.hosts.master_link import MasterConnection
from quarterdeck.hosts.membership import Member, Membership
from quarterdeck.metrics.sampling.deltas import FULL_EVERY, Deltas
from quarterdeck.metrics.sampling.heartbeat import (
    LONGEST_PAUSE,
    MOST_KEPT,
    NodeNow,
    NoMaster,
    Refused,
    Sender,
    Unfit,
    pause_seconds,
)
from quarterdeck.protocol.samples import Facts, Frame, HeartbeatAnswer, Interface, Mount, Watching
from tests.certificates import make_certificate, tls_proxy
from tests.deck import wait_until
from tests.metrics.clocks import SetClock
from tests.metrics.master_end import MasterEnd, master_end
from tests.namespaces import far_machine
from tests.worker_node import WorkerNode

DISK = Mount("/", 1_000_000, 500_000)


def full(at: float = 1, **values: float) -> Frame:
    return Frame(
        at=at, is_full=True, values=values, cores=[1, 2], mounts=[DISK], interfaces=[], temperatures=[]
    )


# --- what is worth sending ---


def test_the_first_frame_is_full_and_then_only_what_moved() -> None:
    deltas = Deltas()
    assert deltas.next(full(cpu=10, memory=50)).is_full
    sent = deltas.next(full(2, cpu=20, memory=50.1))
    assert sent == Frame(at=2, values={"cpu": 20})


def test_slow_changes_add_up() -> None:
    deltas = Deltas()
    values = [deltas.next(full(cpu=10 + number / 5)).values.get("cpu") for number in range(5)]
    assert values == [10, None, None, 10.6, None]


def test_to_zero_is_always_news() -> None:
    deltas = Deltas()
    deltas.next(full(disk_read=900))
    assert deltas.next(full(disk_read=0)).values == {"disk_read": 0}
    assert deltas.next(full(disk_read=0)).values == {}


def test_every_twentieth_frame_is_full() -> None:
    deltas = Deltas()
    frames = [deltas.next(full(cpu=1)).is_full for _ in range(2 * FULL_EVERY + 1)]
    assert [place for place, is_full in enumerate(frames) if is_full] == [0, FULL_EVERY, 2 * FULL_EVERY]


def test_a_figure_that_is_gone_needs_a_full_frame() -> None:
    deltas = Deltas()
    deltas.next(full(cpu=1, temperature=50))
    assert deltas.next(full(cpu=1)).is_full


def test_after_a_doubt_the_next_frame_is_full() -> None:
    deltas = Deltas()
    deltas.next(full(cpu=1))
    deltas.forget()
    assert deltas.next(full(cpu=1)).is_full


@pytest.mark.parametrize(
    ("change", "is_news"),
    [
        (Mount("/", 1_000_000, 499_900), False),
        (Mount("/", 1_000_000, 490_000), True),
        (Mount("/", 1_000_000, 500_000, hangs=True), True),
        (Mount("/", 2_000_000, 500_000), True),
    ],
)
def test_a_file_system_is_told_of_when_its_room_has_changed(change: Mount, is_news: bool) -> None:
    deltas = Deltas()
    deltas.next(Frame(at=1, is_full=True, mounts=[DISK]))
    assert (deltas.next(Frame(at=2, is_full=True, mounts=[change])).mounts == [change]) is is_news


def test_an_interface_is_told_of_when_it_carries_more_or_less() -> None:
    deltas = Deltas()
    deltas.next(Frame(at=1, is_full=True, interfaces=[Interface("eth0", 1, 1, 5_000, 0)]))
    totals_only = Interface("eth0", 90_000, 1, 5_500, 0)
    assert deltas.next(Frame(at=2, is_full=True, interfaces=[totals_only])).interfaces is None
    more = Interface("eth0", 99_000, 1, 9_000, 0)
    assert deltas.next(Frame(at=3, is_full=True, interfaces=[more])).interfaces == [more]


# --- pauses ---


def test_pauses_grow_are_random_and_never_long_enough_to_be_late() -> None:
    pauses = {tries: [pause_seconds(tries, is_refused=False) for _ in range(200)] for tries in (1, 3, 9, 999)}
    assert all(0.5 <= pause <= LONGEST_PAUSE for each in pauses.values() for pause in each)
    assert max(pauses[1]) <= 2 < max(pauses[9])
    assert len(set(pauses[999])) > 100
    assert LONGEST_PAUSE < 30
    assert all(30 <= pause_seconds(1, is_refused=True) <= 60 for _ in range(100))


# --- one worker's sender and a real master's end ---


@pytest.fixture
def master(tmp_path: Path) -> Iterator[MasterEnd]:
    with master_end(tmp_path / "master") as master:
        yield master


class Worker:
    """A sender of a worker whose clock a test moves."""

    def __init__(self, master: MasterEnd, home: Path) -> None:
        settings = load_settings({"QUARTERDECK_HOME": str(home), **master.settings})
        self.clock = SetClock()
        self.answers: list[HeartbeatAnswer] = []
        self.sender = Sender(
            Membership(settings),
            self.clock,
            NodeNow("far", lambda: 3, lambda: ("ab" * 32, 7)),
            obey=self.answers.append,
            interval_seconds=lambda: 15,
        )
        self.sender.take_facts(Facts(hostname="far"))

    def sample(self, cpu: float, *, after: float = 15) -> None:
        """Let time pass and take a sample."""
        self.clock.pass_(after)
        self.sender.take(full(self.clock.now().timestamp(), cpu=cpu))

    async def sends(self) -> str:
        """Send, as the loop does; returns why it failed, or an empty text."""
        try:
            await self.sender.send()
        except QuarterdeckError as error:
            self.sender._fail(error, 1)
            return error.message
        return ""


@pytest.fixture
def worker(master: MasterEnd, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(master, tmp_path / "worker")
    yield worker
    worker.sender.close()


async def test_one_connection_carries_heartbeat_after_heartbeat(master: MasterEnd, worker: Worker) -> None:
    for cpu in (10, 20, 30):
        worker.sample(cpu)
        assert await worker.sends() == ""
    assert len(master.peers) == 1
    assert [beat.number for beat in master.beats] == [1, 2, 3]
    assert [beat.frames[0].is_full for beat in master.beats] == [True, False, False]
    assert [beat.facts is not None for beat in master.beats] == [True, False, False]
    assert (master.beats[0].running, master.beats[0].head, master.beats[0].seq) == (3, "ab" * 32, 7)
    assert master.now is not None
    assert master.now.values == {"cpu": 30}


async def test_samples_missed_by_the_master_come_afterwards_with_their_ages(
    master: MasterEnd, worker: Worker
) -> None:
    worker.sample(1)
    assert await worker.sends() == ""
    master.stop()
    for cpu in range(2, 7):
        worker.sample(cpu)
        assert "can't be reached" in await worker.sends()
    master.start()
    began = time.time()
    assert await worker.sends() == ""
    assert master.now is not None
    samples = [(round(at - began), row[0]) for at, row in master.now.ring.since()]
    assert samples == [(-60, 2), (-45, 3), (-30, 4), (-15, 5), (0, 6)]
    assert master.now.facts == Facts(hostname="far")


async def test_what_waits_for_the_master_is_bounded(worker: Worker) -> None:
    for _ in range(3_000):
        worker.sample(1, after=1)
    assert len(worker.sender._pending) <= MOST_KEPT
    assert worker.sender._pending[0][0] >= worker.clock.monotonic() - 600
    worker.clock.pass_(601)
    worker.sample(1)
    assert len(worker.sender._pending) == 1


async def test_a_clock_that_was_set_makes_no_sample_older_or_younger(
    master: MasterEnd, worker: Worker
) -> None:
    worker.sample(1)
    worker.sample(2)
    worker.clock.jump(86_400)
    began = time.time()
    assert await worker.sends() == ""
    worker.sample(3)
    worker.clock.jump(-2 * 86_400)
    assert await worker.sends() == ""
    assert master.now is not None
    ages = [round(at - began) for at, _ in master.now.ring.since()]
    assert ages[:2] == [-15, 0]


async def test_a_master_that_lost_everything_gets_everything(master: MasterEnd, worker: Worker) -> None:
    worker.sample(1)
    assert await worker.sends() == ""
    master.fleet.forget([master.host_id])
    worker.sample(2)
    worker.sender._deltas.next(full(cpu=2))
    assert await worker.sends() == ""
    assert worker.answers[-1].wants_full
    assert await worker.sends() == ""
    assert master.now is not None
    assert (master.now.values, master.now.facts) == ({"cpu": 2}, Facts(hostname="far"))
    assert not worker.answers[-1].wants_full


async def test_a_refused_worker_keeps_its_samples_and_asks_rarely(master: MasterEnd, worker: Worker) -> None:
    master.node.hosts.remove_host(master.node.actor, "far")
    worker.sample(1)
    with pytest.raises(Refused, match="removed or revoked"):
        await worker.sender.send()
    assert worker.sender._fail(Refused("no"), 1) >= 30
    assert len(worker.sender._pending) == 1


async def test_samples_that_the_master_does_not_take_are_not_sent_for_ever(
    worker: Worker,
) -> None:
    worker.sample(1)
    worker.sender._fail(Unfit("too large"), 1)
    assert not worker.sender._pending


async def test_a_worker_without_a_master_waits_for_one(tmp_path: Path) -> None:
    membership = Membership(load_settings({"QUARTERDECK_HOME": str(tmp_path)}))
    sender = Sender(
        membership,
        SetClock(),
        NodeNow("far", lambda: 0, lambda: ("", 0)),
        obey=lambda _: None,
        interval_seconds=lambda: 15,
    )
    sender.take(full(cpu=1))
    with pytest.raises(NoMaster):
        await sender.send()
    assert sender._fail(NoMaster(""), 5) == 1


async def test_the_same_failure_is_logged_once(
    master: MasterEnd, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    master.stop()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            worker.sample(1)
            await worker.sends()
    assert caplog.text.count("no heartbeat reaches the master") == 1


def test_a_connection_that_the_master_closed_is_opened_again(master: MasterEnd) -> None:
    connection, member = MasterConnection(), Member(master.url, "a-token-that-nobody-has")
    # A refusal closes the connection after the answer.
    assert [connection.post(member, "/nodes/heartbeat", b"")[0] for _ in range(3)] == [401, 401, 401]
    master.stop()
    with pytest.raises(Unreachable, match="can't be reached"):
        connection.post(member, "/nodes/heartbeat", b"")
    master.start()
    assert connection.post(member, "/nodes/heartbeat", b"")[0] == 401
    connection.close()


def test_nothing_is_sent_to_another_certificate_than_the_pinned_one(
    master: MasterEnd, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path / "tls.pem")
    with tls_proxy(master.port, certificate) as proxy:
        good = Member(proxy.url, "a-token-that-nobody-has", certificate.fingerprint)
        connection = MasterConnection()
        assert [connection.post(good, "/nodes/heartbeat", b"")[0] for _ in range(2)] == [401, 401]
        came = len(master.peers)
        with pytest.raises(Unreachable, match="not the pinned one"):
            connection.post(Member(proxy.url, "a-token-that-nobody-has", "0" * 64), "/nodes/heartbeat", b"")
        assert len(master.peers) == came
        connection.close()


# --- real workers ---

Started = Callable[..., WorkerNode]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    nodes: list[WorkerNode] = []

    def start(master: MasterEnd, **settings: str) -> WorkerNode:
        node = WorkerNode(tmp_path / "far", **master.settings, **settings)
        nodes.append(node)
        return node.start()

    yield start
    for node in nodes:
        node.resume()
        node.end()


def beats(master: MasterEnd) -> int:
    return len(master.beats)


def test_a_real_worker_says_how_its_machine_is(master: MasterEnd, started: Started) -> None:
    started(master)
    wait_until(lambda: master.now is not None, "the first heartbeat", 20)
    now = master.now
    assert now is not None
    assert {"cpu", "memory", "load", "disk", "processes"} <= now.values.keys()
    assert now.facts is not None
    assert now.facts.processors == len(now.cores)
    assert abs(now.at - time.time()) < 5
    assert master.beats[0].start
    assert master.beats[0].head


def test_a_look_makes_a_worker_sample_each_second(master: MasterEnd, started: Started) -> None:
    worker = started(master)
    wait_until(lambda: master.now is not None, "the first heartbeat", 20)
    assert worker.ask("POST", "/sampling", Watching()).status_code == 204
    before = beats(master)
    master.attention.look([master.host_id])
    wait_until(lambda: beats(master) >= before + 6, "a heartbeat each second", 40)
    assert 0.7 < statistics.median(master.intervals()[-5:]) < 3, master.intervals()
    assert len(master.peers) <= 2


def test_only_the_master_may_say_how_often_and_see_processes(master: MasterEnd, started: Started) -> None:
    worker = started(master)
    for method, path in (("POST", "/sampling"), ("GET", "/processes")):
        assert worker.ask(method, path, Watching(), headers={}).status_code in (401, 403)
        wrong = {"Authorization": "Bearer not-the-bearer-of-the-master"}
        assert worker.ask(method, path, Watching(), headers=wrong).status_code == 401
    bad: list[object] = [{"interval_seconds": 0}, {"for_seconds": 1e12}, {"interval_seconds": "x"}, [], "x"]
    for body in bad:
        assert worker.ask("POST", "/sampling", body).status_code == 422, body
    assert worker.ask("GET", "/processes?order=name").status_code == 422


@pytest.mark.parametrize("order", ["cpu", "memory"])
def test_processes_that_use_most_come_first(master: MasterEnd, started: Started, order: str) -> None:
    worker = started(master)
    top = worker.ask("GET", f"/processes?order={order}").json()
    assert 0 < len(top["top"]) <= 20 <= top["count"]
    key = "cpu_percent" if order == "cpu" else "memory_bytes"
    used = [each[key] for each in top["top"]]
    assert used == sorted(used, reverse=True)
    assert "cmdline" not in top["top"][0]


def test_after_a_restart_of_the_master_a_worker_is_back_within_30_seconds(
    master: MasterEnd, started: Started
) -> None:
    started(master)
    wait_until(lambda: master.now is not None, "the first heartbeat", 20)
    master.stop()
    master.start()
    wait_until(lambda: master.now is not None, "the worker to be back", 30)
    wait_until(lambda: master.now is not None and master.now.facts is not None, "its facts", 5)


def test_a_paused_worker_goes_on_with_the_truth(master: MasterEnd, started: Started) -> None:
    worker = started(master)
    wait_until(lambda: master.now is not None, "the first heartbeat", 20)
    worker.ask("POST", "/sampling", Watching())
    wait_until(lambda: beats(master) >= 4, "some heartbeats", 15)
    worker.halt()
    wait_until(lambda: silence(master) > 4, "it to be silent", 15)
    halted = beats(master)
    worker.resume()
    wait_until(lambda: beats(master) >= halted + 3, "it to go on", 15)
    assert any(each > 3 for each in master.intervals()), "the gap is a gap"
    now = master.now
    assert now is not None
    assert 0 <= now.values["cpu"] <= 100
    assert abs(now.at - time.time()) < 3


def silence(master: MasterEnd) -> float:
    """Return how long ago the last sample was made, in seconds."""
    return time.time() - master.now.at if master.now is not None else 0.0


class FarWorker(WorkerNode):
    """A worker on a machine whose addresses are not reached from here."""

    def is_alive(self) -> bool:
        return self.is_running


def test_a_link_that_was_down_leaves_no_gap(tmp_path: Path) -> None:
    with far_machine() as machine:
        near = f"{machine.address.rpartition('.')[0]}.1"
        certificate = make_certificate(tmp_path / "tls.pem")
        with master_end(tmp_path / "master", near, idle_seconds=2, certificate=certificate) as master:
            node = FarWorker(tmp_path / "far", QUARTERDECK_SAMPLE_SECONDS="2", **master.settings)
            node.before = machine.command
            node.environment["QUARTERDECK_WORKER_BIND"] = f"{machine.address}:5001"
            try:
                node.start()
                wait_until(lambda: beats(master) >= 3, "heartbeats over the link", 40)
                machine.unplug()
                wait_until(lambda: silence(master) > 14, "a cut that heartbeats run into", 30)
                cut = beats(master)
                machine.plug()
                wait_until(lambda: beats(master) > cut + 1, "heartbeats after the cut", 40)
                # Without the samples of the cut, one would be 14 s; a busy machine is late with some.
                assert all(each < 7 for each in master.intervals()), master.intervals()
            finally:
                node.end()
