"""Workers as hosts: joined, watched, lost and back; a real worker process on the other side."""

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from quarterdeck import __version__
from quarterdeck.core.config import Bind, Settings
from quarterdeck.core.errors import Invalid, NotFound, Unreachable
from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.bootstrap import ensure_own_hosts
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.health import HealthWatch
from quarterdeck.hosts.models import Host, HostKind, HostState
from quarterdeck.hosts.peers import WorkerPeers
from tests.hosts.factories import ADA, TOKEN, Node, draft, ssh_draft
from tests.sshd import StartSshd
from tests.worker_node import WorkerNode


class Watch:
    """The watch over a node's hosts, driven by hand, and what it announced."""

    def __init__(self, node: Node) -> None:
        self.node, self.said = node, list[tuple[str, str, str]]()
        self.watch = HealthWatch(
            node.hosts,
            node.history,
            node.clock,
            node.settings,
            publish=lambda event, data, *, room: node.news.append((event, data, room)),
            announce=lambda *words: self.said.append(words),
        )

    def round(self, times: int = 1) -> None:
        for _ in range(times):
            self.node.clock.forward(10)
            self.node.loop.run(self.watch.round())


@pytest.fixture
def watch(node: Node) -> Watch:
    node.clock.moment = datetime.now(UTC)  # as the workers have it, which are real processes
    return Watch(node)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that nobody listens on while the test lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def worker_draft(url: str, token: str, name: str = "w1") -> HostDraft:
    return HostDraft(name, HostKind.WORKER, address=url, secrets={"token": token} if token else {})


def test_worker_is_joined_when_it_is_added(node: Node, worker: WorkerNode) -> None:
    host = node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    assert (host.state, host.version, host.joined) == (HostState.WELL, __version__, True)
    assert [event["host"] for event in node.events("host.joined")] == ["w1"]


def test_each_side_has_its_own_token(node: Node, worker: WorkerNode) -> None:
    host = node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    shown = json.loads((worker.home / "keys" / "master.json").read_text())
    assert node.hosts.worker_by_token(shown["token"]) == host
    assert node.hosts.worker_by_token(worker.token) is None
    assert shown["audience"] == host.id
    assert shown["token"].encode() not in node.everything_stored()


def test_removed_worker_can_no_longer_show_its_token(node: Node, worker: WorkerNode) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    shown = json.loads((worker.home / "keys" / "master.json").read_text())
    node.hosts.remove_host(ADA, "w1")
    assert node.hosts.worker_by_token(shown["token"]) is None


def test_wrong_token_is_told(node: Node, worker: WorkerNode) -> None:
    host = node.hosts.add_host(ADA, worker_draft(worker.url, TOKEN))
    assert (host.state, host.joined) == (HostState.LOST, False)
    assert "refuses the token" in host.state_reason


def test_right_token_given_later_mends_it(node: Node, worker: WorkerNode) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, TOKEN))
    host = node.hosts.edit_host(ADA, "w1", worker_draft(worker.url, worker.token))
    assert (host.state, host.joined) == (HostState.WELL, True)


def test_worker_without_a_token_says_what_is_missing(node: Node, worker: WorkerNode) -> None:
    host = node.hosts.add_host(ADA, worker_draft(worker.url, ""))
    assert "no token is stored" in host.state_reason.lower()


def test_other_servers_are_no_workers(node: Node, sshd: StartSshd) -> None:
    host = node.hosts.add_host(ADA, worker_draft(f"http://127.0.0.1:{sshd().port}", TOKEN))
    assert host.state is HostState.LOST
    assert host.state_reason


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("http://w1.example.org:5001", "address"),
        ("ftp://w1.example.org", "address"),
        ("https://ada:secret@w1.example.org", "address"),
        ("https://w1.example.org/path", "address"),
        ("-w1", "address"),
        ("https://w1.example.org:99999", "address"),
    ],
)
def test_bad_worker_addresses_are_refused(node: Node, address: str, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        node.hosts.register(ADA, worker_draft(address, TOKEN))
    assert list(refusal.value.fields) == [field]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("w1.example.org", "https://w1.example.org:5001"),
        ("localhost", "http://localhost:5001"),
        ("http://[::1]:5001", "http://[::1]:5001"),
        ("https://W1.example.org:8443/", "https://w1.example.org:8443"),
    ],
)
def test_worker_address_may_be_a_host_or_a_url(node: Node, address: str, url: str) -> None:
    assert node.hosts.register(ADA, worker_draft(address, TOKEN)).url == url


def test_worker_that_misses_two_is_late_and_four_is_lost(
    node: Node, worker: WorkerNode, watch: Watch
) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    worker.kill()
    states = []
    for _ in range(5):
        watch.round()
        states.append(node.hosts.get("w1").state)
    assert states == ["well", "late", "late", "lost", "lost"]
    assert "refuses the connection" in node.hosts.get("w1").state_reason


def test_loss_and_return_are_recorded_and_told_once(node: Node, worker: WorkerNode, watch: Watch) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    worker.kill()
    watch.round(6)
    worker.start()
    watch.round(3)
    assert (len(node.events("host.lost")), len(node.events("host.back"))) == (1, 1)
    assert [(level, link) for _, level, link in watch.said] == [
        ("error", "/hosts/w1"),
        ("success", "/hosts/w1"),
    ]


def test_lost_worker_keeps_when_it_was_seen(node: Node, worker: WorkerNode, watch: Watch) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    watch.round()
    seen = node.hosts.get("w1").last_seen
    worker.kill()
    watch.round(5)
    host = node.hosts.get("w1")
    assert (host.last_seen, host.version) == (seen, __version__)


def test_halted_worker_is_told_from_a_refusing_one(node: Node, worker: WorkerNode, watch: Watch) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    worker.halt()
    assert "does not answer" in node.hosts.test_host(ADA, "w1").message


def test_worker_that_was_down_is_joined_when_it_comes_up(
    node: Node, worker: WorkerNode, watch: Watch
) -> None:
    token = worker.token
    worker.kill()
    assert not node.hosts.add_host(ADA, worker_draft(worker.url, token)).joined
    worker.start()
    watch.round()
    assert node.hosts.get("w1").joined


def test_health_brings_the_workers_head_as_witness(node: Node, worker: WorkerNode, watch: Watch) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    watch.round()
    assert {line["object"] for line in node.records("history.witness")} == {"node:w1"}


def test_pages_hear_of_changes_only_and_of_ages_each_round(
    node: Node, worker: WorkerNode, watch: Watch
) -> None:
    host = node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    watch.round()
    node.news.clear()
    watch.round(3)
    assert [event for event, _, _ in node.news] == ["hosts:seen"] * 3
    worker.kill()
    watch.round()
    assert node.news[-1] == ("hosts:seen", {"at": node.clock.now().isoformat(), "missed": [host.id]}, "hosts")


def test_change_by_the_command_line_reaches_the_pages(node: Node, watch: Watch) -> None:
    host = node.hosts.register(ADA, draft())
    watch.round()
    node.news.clear()
    with node.db.write() as session:
        session.execute(update(Host).where(Host.id == host.id).values(name="renamed"))
    watch.round()
    node.loop.run(_settled(node))
    assert ("hosts:changed", {"ids": [host.id]}, "hosts") in node.news


def test_new_ssh_host_is_looked_at_by_the_watch(node: Node, sshd: StartSshd, watch: Watch) -> None:
    node.hosts.import_hosts(ADA, [ssh_draft(sshd())])
    watch.round()
    assert node.hosts.get("web1").key_state == "unconfirmed"


def test_host_that_is_down_is_looked_at_once_a_minute(node: Node, silent: int, watch: Watch) -> None:
    node.hosts.register(ADA, draft(port=silent))
    watch.round()
    assert "refused" in node.hosts.get("web1").state_reason
    node.hosts.note_contact(node.hosts.get("web1").id, HostState.UNKNOWN, "marked")
    watch.round()
    assert node.hosts.get("web1").state_reason == "marked"
    watch.round(6)
    assert "refused" in node.hosts.get("web1").state_reason


def test_times_of_contact_outlive_the_process(node: Node, worker: WorkerNode, watch: Watch) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    watch.round(2)
    node.loop.run(watch.watch.save())
    node.hosts.contacts.forget(node.hosts.get("w1").id)
    assert node.hosts.get("w1").last_seen == node.clock.now()


def test_master_lists_itself_and_its_own_worker_once(node: Node, worker: WorkerNode) -> None:
    own = Settings(home=node.home, worker_bind=Bind("127.0.0.1", worker.port))
    for _ in range(2):
        ensure_own_hosts(node.hosts, own, own_worker=worker.home)
    assert [(host.name, host.kind) for host in node.hosts.list_hosts()] == [
        ("master", HostKind.MASTER),
        ("worker", HostKind.WORKER),
    ]
    assert node.hosts.test_host(ADA, "worker").ok
    assert node.hosts.test_host(ADA, "master").ok


def test_no_worker_is_listed_where_none_was_started(node: Node) -> None:
    ensure_own_hosts(node.hosts, node.settings, own_worker=node.home / "worker")
    assert [host.name for host in node.hosts.list_hosts()] == ["master"]


def test_workers_history_is_read_and_proved_from_the_master(node: Node, worker: WorkerNode) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    peers = WorkerPeers(node.hosts, node.history)
    page = peers.page("w1", HistoryQuery(limit=10))
    assert peers.names() == ["w1"]
    assert page.entries
    assert peers.get("w1", page.entries[0].id).entry == page.entries[0]
    assert peers.verify("w1").is_whole
    assert peers.heads("w1", [1])[1]
    assert isinstance(peers.witnessed("w1"), list)


def test_unknown_entry_of_a_worker_is_not_found(node: Node, worker: WorkerNode) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    with pytest.raises(NotFound, match="history of w1"):
        WorkerPeers(node.hosts, node.history).get("w1", "0" * 26)


def test_history_of_a_worker_that_is_gone_is_unreachable(node: Node, worker: WorkerNode) -> None:
    node.hosts.add_host(ADA, worker_draft(worker.url, worker.token))
    worker.kill()
    with pytest.raises(Unreachable, match="w1: it refuses the connection"):
        WorkerPeers(node.hosts, node.history).verify("w1")


async def _settled(node: Node) -> None:
    """Wait until the collected news are out; they wait for a clock that stands still here."""
    for _ in range(200):
        if any(event == "hosts:changed" for event, _, _ in node.news):
            return
        await asyncio.sleep(0.01)
