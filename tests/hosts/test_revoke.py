"""A worker is revoked: its token is refused at once, nothing more is asked of it, and both sides say so."""

import json
from collections.abc import Callable

import pytest

from quarterdeck.core.config import Bind, Settings
from quarterdeck.core.errors import Conflict, Unreachable
from quarterdeck.hosts.bootstrap import ensure_own_hosts
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.health import HealthWatch
from quarterdeck.hosts.models import HostKind, HostState
from tests.hosts.factories import ADA, Api, Browser, Node, draft
from tests.worker_node import WorkerNode


def add(node: Node, worker: WorkerNode) -> str:
    """Add a worker; returns the token that it shows to the master."""
    node.hosts.add_host(ADA, HostDraft("w1", HostKind.WORKER, worker.url, secrets={"token": worker.token}))
    return str(json.loads((worker.home / "keys" / "master.json").read_text())["token"])


def look_round(node: Node) -> None:
    watch = HealthWatch(
        node.hosts,
        node.history,
        node.clock,
        node.settings,
        publish=lambda event, data, *, room: None,
        announce=lambda *words: None,
    )
    node.loop.run(watch.round())


def test_the_token_of_a_revoked_worker_is_refused_at_once(node: Node, worker: WorkerNode) -> None:
    shown = add(node, worker)
    assert node.hosts.worker_by_token(shown)
    host = node.hosts.revoke_worker(ADA, "w1")
    assert node.hosts.worker_by_token(shown) is None
    assert (host.state, host.state_reason, host.joined) == (HostState.REVOKED, "Revoked by ada.", False)
    assert host.stored == frozenset()


def test_both_histories_have_it_and_the_worker_forgets_its_master(node: Node, worker: WorkerNode) -> None:
    add(node, worker)
    node.hosts.revoke_worker(ADA, "w1")
    here = node.records("host.revoke")
    assert [line["kind"] for line in here] == ["intent", "outcome"]
    assert (here[1]["actor"], here[1]["detail"]["told"]) == ("ada", True)
    there = [line for line in worker.history() if line["action"] == "node.revoke"]
    assert [line["kind"] for line in there] == ["intent", "outcome"]
    assert worker.ask("GET", "/health").json()["joined"] is False


def test_nothing_more_is_asked_of_a_revoked_worker(node: Node, worker: WorkerNode) -> None:
    add(node, worker)
    host = node.hosts.revoke_worker(ADA, "w1")
    with pytest.raises(Unreachable, match="was revoked"):
        node.hosts.worker_link(host)
    look_round(node)
    assert node.hosts.get("w1").state is HostState.REVOKED
    counts = node.hosts.counts()
    assert (counts.total, counts.asked, counts.states[HostState.REVOKED]) == (1, 0, 1)
    result = node.hosts.test_host(ADA, "w1")
    assert (result.ok, node.hosts.get("w1").state) == (False, HostState.REVOKED)


def test_the_masters_own_bearer_is_not_used_for_it_either(node: Node, worker: WorkerNode) -> None:
    add(node, worker)
    host = node.hosts.revoke_worker(ADA, "w1")
    own = Settings(home=node.home, worker_bind=Bind("127.0.0.1", worker.port))
    ensure_own_hosts(node.hosts, own, own_worker=worker.home)
    assert node.hosts.get("w1") == host


def test_a_worker_that_is_away_is_revoked_all_the_same(node: Node, worker: WorkerNode) -> None:
    shown = add(node, worker)
    worker.kill()
    host = node.hosts.revoke_worker(ADA, "w1")
    assert node.hosts.worker_by_token(shown) is None
    assert host.state is HostState.REVOKED
    assert "was not told: w1: it refuses the connection" in host.state_reason
    assert node.records("host.revoke")[1]["detail"]["told"] is False


def test_a_worker_that_is_given_a_token_anew_joins_again(node: Node, worker: WorkerNode) -> None:
    before = add(node, worker)
    node.hosts.revoke_worker(ADA, "w1")
    draft = HostDraft("w1", HostKind.WORKER, worker.url, secrets={"token": worker.token})
    host = node.hosts.edit_host(ADA, "w1", draft)
    assert (host.state, host.joined) == (HostState.WELL, True)
    assert node.hosts.worker_by_token(before) is None


def test_only_a_worker_can_be_revoked_and_once(node: Node, worker: WorkerNode) -> None:
    add(node, worker)
    node.hosts.register(ADA, draft("web1"))
    with pytest.raises(Conflict, match="no worker"):
        node.hosts.revoke_worker(ADA, "web1")
    node.hosts.revoke_worker(ADA, "w1")
    with pytest.raises(Conflict, match="already"):
        node.hosts.revoke_worker(ADA, "w1")


def test_an_administrator_revokes_by_the_page(
    node: Node, worker: WorkerNode, as_: Callable[[str], Browser]
) -> None:
    add(node, worker)
    ada = as_("ada")
    assert "/hosts/w1/revoke" in ada.get("/hosts/w1").text
    assert "Revoke w1?" in ada.get("/hosts/w1/revoke").text
    assert ada.post("/hosts/w1/revoke").status_code == 303
    page = ada.get("/hosts/w1?revoked=yes").text
    assert "its token is refused from now on" in page
    assert "/hosts/w1/revoke" not in page
    assert "revoked" in ada.get("/hosts?state=revoked").text


def test_who_may_not_change_hosts_may_not_revoke(
    node: Node, worker: WorkerNode, as_: Callable[[str], Browser], api_as: Callable[[str], Api]
) -> None:
    shown = add(node, worker)
    for name in ("oskar", "vera", "nils"):
        assert "/revoke" not in as_(name).get("/hosts/w1").text
        assert as_(name).get("/hosts/w1/revoke").status_code == 403
        assert api_as(name)("POST", "/hosts/w1/revoke").status_code == 403
    assert api_as("")("POST", "/hosts/w1/revoke").status_code == 401
    assert node.hosts.worker_by_token(shown)


def test_the_json_api_revokes(node: Node, worker: WorkerNode, api_as: Callable[[str], Api]) -> None:
    add(node, worker)
    answer = api_as("ada")("POST", "/hosts/w1/revoke")
    assert (answer.status_code, answer.get_json()["state"]) == (200, "revoked")
    assert api_as("ada")("POST", "/hosts/w1/revoke").status_code == 409
    assert api_as("ada")("POST", "/hosts/none/revoke").status_code == 404
