"""Heartbeats as contacts: they keep a worker well without a question, and cost the database nothing."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import event, select, update

from quarterdeck import __version__
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import Host, HostKind, HostRecord, HostState
from quarterdeck.hosts.silences import SilenceDraft
from tests.hosts.factories import ADA, TOKEN, Api, Browser, Node
from tests.hosts.test_workers import Watch

INTERVAL = 15.0


class Workers:
    """Workers at addresses where nobody answers, which send heartbeats when they are told to."""

    def __init__(self, node: Node, count: int) -> None:
        self.node, self.watch = node, Watch(node)
        self.hosts = [node.hosts.register(ADA, _draft(f"w{number}")) for number in range(count)]
        self.watch.round()

    def beat(self, *hosts: HostRecord, version: str = __version__, ahead: float = 0.0) -> None:
        """Send a heartbeat of these hosts, or of all; and wait until what it changed is written."""
        self.node.loop.run(self._beat(hosts or self.hosts, version, ahead))

    async def _beat(
        self, hosts: "list[HostRecord] | tuple[HostRecord, ...]", version: str, ahead: float
    ) -> None:
        now = self.node.clock.now().timestamp()
        for host in hosts:
            self.watch.watch.note_heartbeat(host.id, version, now + ahead, now, INTERVAL)
        while self.watch.watch.is_settling:
            await asyncio.sleep(0)

    def well(self) -> None:
        """Bring all of them to a state that a heartbeat does not change."""
        for _ in range(2):
            self.beat()

    def lose(self, host: HostRecord) -> None:
        """Let nothing be heard of a host until it is lost; the others go on."""
        while self.state(host) is not HostState.LOST:
            others = [each for each in self.hosts if each.id != host.id]
            if others:
                self.beat(*others)
            self.watch.round()

    def state(self, host: HostRecord) -> HostState:
        return self.node.hosts.get(host.name).state

    @property
    def said(self) -> list[str]:
        return [text for text, _, _ in self.watch.said]


def _draft(name: str, *tags: str) -> HostDraft:
    return HostDraft(name, HostKind.WORKER, address="http://127.0.0.1:1", tags=tags, secrets={"token": TOKEN})


@pytest.fixture
def workers(node: Node) -> Workers:
    workers = Workers(node, 2)
    workers.well()
    return workers


def test_worker_whose_heartbeat_came_is_well_and_is_not_asked(workers: Workers) -> None:
    for _ in range(4):
        workers.beat()
        workers.watch.round()
    assert [workers.state(host) for host in workers.hosts] == [HostState.WELL] * 2


def test_worker_whose_heartbeats_stop_is_late_and_then_lost(workers: Workers) -> None:
    states = []
    for _ in range(7):
        workers.watch.round()
        states.append(str(workers.state(workers.hosts[0])))
    assert states == ["well", "well", "well", "late", "late", "lost", "lost"]
    assert "refuses the connection" in workers.node.hosts.get("w0").state_reason


def test_lost_worker_is_back_after_two_heartbeats(workers: Workers) -> None:
    host = workers.hosts[0]
    workers.lose(host)
    workers.beat(host)
    assert workers.state(host) is HostState.LOST
    assert workers.node.hosts.get("w0").state_reason == (
        "It answers again, and counts as well after one more answer."
    )
    workers.beat(host)
    assert workers.state(host) is HostState.LOST, "what had piled up and comes at once is one answer"
    workers.node.clock.forward(5)
    workers.beat(host)
    assert workers.state(host) is HostState.WELL
    assert [(each["host"], each["before"]) for each in workers.node.events("host.back")] == [("w0", "lost")]


def test_each_change_of_state_is_an_event_with_its_reason(workers: Workers) -> None:
    workers.lose(workers.hosts[0])
    late, lost = workers.node.events("host.late"), workers.node.events("host.lost")
    assert [(each["host"], each["before"]) for each in (*late, *lost)] == [("w0", "well"), ("w0", "late")]
    assert all("refuses the connection" in each["reason"] for each in (*late, *lost))


def test_state_says_since_when(workers: Workers) -> None:
    workers.lose(workers.hosts[0])
    since = workers.node.hosts.get("w0").state_since
    workers.watch.round(2)
    assert since
    assert (
        workers.node.hosts.get("w0").state_since == since == workers.node.clock.now() - timedelta(seconds=20)
    )


def test_heartbeat_with_nothing_new_leaves_the_database_alone(workers: Workers) -> None:
    statements: list[str] = []
    event.listen(workers.node.db.engine, "before_cursor_execute", lambda *words: statements.append(words[2]))
    workers.beat()
    assert statements == []
    assert workers.node.hosts.get("w0").last_seen == workers.node.clock.now()


def test_many_that_are_back_are_written_down_in_one_go_and_told_in_one_message(node: Node) -> None:
    workers = Workers(node, 40)
    workers.well()
    workers.watch.round(8)
    workers.watch.said.clear()
    workers.beat()
    workers.node.clock.forward(5)
    workers.beat()
    assert workers.said == ["40 hosts are back."]
    assert len(node.events("host.back")) == 40


def test_worker_of_another_version_says_so_by_its_heartbeat(workers: Workers) -> None:
    workers.beat(workers.hosts[0], version="0.0.9")
    host = workers.node.hosts.get("w0")
    assert (host.state, host.version) == (HostState.WELL, "0.0.9")
    assert host.state_reason.startswith("Older than the master: 0.0.9.")


def test_clock_that_is_off_is_told_and_forgotten_when_it_is_right(
    workers: Workers, api_as: Callable[[str], Api]
) -> None:
    host = workers.hosts[0]
    for _ in range(3):
        workers.beat(host, ahead=90)
    told = api_as("vera")("GET", "/hosts/w0").get_json()
    assert (told["state"], told["clock_skew_seconds"]) == ("well", 90)
    assert told["state_reason"] == "Its clock is 90 s ahead of the master’s."
    for _ in range(3):
        workers.beat(host)
    assert workers.node.hosts.get("w0").state_reason == ""
    assert api_as("vera")("GET", "/hosts/w0").get_json()["clock_skew_seconds"] is None


def test_clock_that_is_off_costs_the_database_nothing_more_once_it_is_told(workers: Workers) -> None:
    for _ in range(3):
        workers.beat(ahead=90)
    statements: list[str] = []
    event.listen(workers.node.db.engine, "before_cursor_execute", lambda *words: statements.append(words[2]))
    workers.beat(ahead=90.4)
    assert statements == []


def flap(workers: Workers, host: HostRecord, times: int) -> None:
    for _ in range(times):
        workers.beat()  # so that nobody is asked meanwhile
        workers.node.hosts.note_contact(host.id, HostState.LOST, "the cable")
        workers.watch.round()
        workers.node.hosts.note_contact(host.id, HostState.WELL)
        workers.watch.round()


def test_flapping_host_is_marked_and_its_messages_are_held_back(
    workers: Workers, as_: Callable[[str], Browser], api_as: Callable[[str], Api]
) -> None:
    host = workers.hosts[0]
    flap(workers, host, 6)
    assert workers.said == [
        "w0 is lost. the cable",
        "w0 is back.",
        "w0 is lost. the cable",
        "w0 is back.",
        "w0 is lost. the cable",
        "w0 is flapping: its state changed 6 times in 10 minutes.",
    ]
    assert len(workers.node.events("host.lost")) == 6, "the history has each of them"
    assert len(workers.node.events("host.flapping")) == 1
    assert api_as("vera")("GET", "/hosts/w0").get_json()["is_flapping"] is True
    for path in ("/hosts", "/hosts/w0"):
        assert "flapping" in as_("vera").get(path).text


def keep_quiet(workers: Workers, minutes: int) -> None:
    for _ in range(minutes * 6):
        workers.beat()
        workers.watch.round()


def test_flapping_ends_after_five_quiet_minutes_and_is_told(workers: Workers) -> None:
    flap(workers, workers.hosts[0], 4)
    workers.watch.said.clear()
    keep_quiet(workers, 6)
    assert not workers.node.hosts.get("w0").is_flapping
    assert workers.said == ["w0 is steady again."]
    assert [each["state"] for each in workers.node.events("host.steady")] == ["well"]


def test_host_that_ends_its_flapping_lost_is_told_as_lost(workers: Workers) -> None:
    host = workers.hosts[0]
    flap(workers, host, 4)
    workers.watch.said.clear()
    workers.node.hosts.note_contact(host.id, HostState.LOST, "the cable")
    for _ in range(36):
        workers.beat(workers.hosts[1])
        workers.watch.round()
    assert workers.said == ["w0 is lost. It refuses the connection; no worker listens there."]


def test_flapping_outlives_the_master_and_ends_there(workers: Workers) -> None:
    flap(workers, workers.hosts[0], 4)
    workers.node.hosts.contacts.forget(workers.hosts[0].id)
    workers.watch = Watch(workers.node)
    workers.watch.round()
    assert workers.node.hosts.get("w0").is_flapping
    workers.node.clock.forward(310)
    workers.beat()
    workers.watch.round()
    assert not workers.node.hosts.get("w0").is_flapping


def test_many_lost_at_once_are_one_message(node: Node) -> None:
    workers = Workers(node, 5)
    workers.well()
    workers.watch.said.clear()
    workers.watch.round(8)
    assert workers.watch.said == [("5 hosts are lost.", "error", "/hosts?state=lost")]


def test_silenced_host_is_lost_without_a_message_and_told_when_the_silence_is_over(workers: Workers) -> None:
    until = workers.node.clock.now() + timedelta(minutes=5)
    workers.node.hosts.silences.add(ADA, SilenceDraft(host="w0", reason="new disks", ends_at=until))
    workers.lose(workers.hosts[0])
    assert workers.said == []
    assert len(workers.node.events("host.lost")) == 1
    workers.node.clock.forward(300)
    workers.beat(workers.hosts[1])
    workers.watch.round()
    assert [text[:11] for text in workers.said] == ["w0 is lost."]


def test_silenced_host_that_was_lost_and_is_back_is_never_told(workers: Workers) -> None:
    workers.node.hosts.silences.add(ADA, SilenceDraft(host="w0", reason="new disks"))
    workers.lose(workers.hosts[0])
    workers.beat(workers.hosts[0])
    workers.node.clock.forward(5)
    workers.beat(workers.hosts[0])
    workers.node.clock.forward(8_000)
    workers.beat()
    workers.watch.round()
    assert workers.said == []


def test_state_that_another_process_wrote_is_mended_by_the_next_heartbeats(workers: Workers) -> None:
    host = workers.hosts[0]
    with workers.node.db.write() as session:
        session.execute(update(Host).where(Host.id == host.id).values(state="late", state_reason="a test"))
    workers.watch.round()
    workers.beat(host)
    assert (workers.state(host), workers.node.hosts.get("w0").state_reason) == (HostState.WELL, "")


def test_heartbeat_of_a_host_that_no_round_has_seen_changes_nothing(workers: Workers) -> None:
    gone = workers.hosts[0]
    workers.node.hosts.remove_host(ADA, "w0")
    workers.watch.round()
    workers.beat(gone)
    with workers.node.db.read() as session:
        assert session.scalar(select(Host.name).where(Host.id == gone.id)) is None


def test_revoked_worker_stays_revoked_whatever_it_sends(workers: Workers) -> None:
    with workers.node.db.write() as session:
        session.execute(update(Host).where(Host.name == "w0").values(state=HostState.REVOKED))
    workers.beat(workers.hosts[0], version="0.0.9")
    workers.watch.round(3)
    assert workers.state(workers.hosts[0]) is HostState.REVOKED


def test_workers_that_were_well_have_half_a_minute_to_come_back_to_a_restarted_master(
    workers: Workers,
) -> None:
    with workers.node.db.write() as session:
        session.execute(update(Host).values(joined=True))
    again = Watch(workers.node)

    async def begin() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(again.watch.run(), 0.5)

    workers.node.loop.run(begin())
    again.round(2)
    assert workers.state(workers.hosts[0]) is HostState.WELL
    again.round(3)
    assert workers.state(workers.hosts[0]) is HostState.LATE
