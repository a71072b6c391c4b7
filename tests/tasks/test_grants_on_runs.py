"""Grants, tokens limited to tags, and people who lost a right while a run waited: by each way in."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core.actors import SYSTEM, Actor, Role
from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.rights import BARRED
from tests.deck import wait_until
from tests.tasks.conftest import ADA, PASSWORD, Answer, Api, Browser, Node

COMMAND = {"kind": "command", "command": "echo hello"}


@pytest.fixture
def wanda(node: Node, app: Flask) -> Browser:
    """Somebody without a role, who may run on what is tagged ``own``: the master itself."""
    node.parts.hosts.register(
        ADA, HostDraft("away", HostKind.SSH, "192.0.2.1", username="root", tags=("far",))
    )
    node.parts.access.add_person(SYSTEM, "wanda", password=PASSWORD)
    node.parts.grants.give(SYSTEM, "tag:own", "run", person="wanda")
    return Browser(app, "wanda")


@pytest.fixture
def api(node: Node, app: Flask, wanda: Browser) -> Api:
    """A token of hers."""
    return Api(app, node.parts.access.create_token(SYSTEM, "wanda", "job", "run").secret)


@pytest.fixture
def foreign(node: Node, wanda: Browser) -> str:
    """A run on a host that she has nothing to do with, ended in its queue."""
    run = node.start("echo secret-of-away", "away", "master", actor=ADA, options=RunOptions(canary=1))
    node.parts.runs.cancel_run(ADA, run.id)
    return node.end_of(run.id).id


def actor_of(node: Node, name: str) -> Actor:
    actor = node.parts.access.person_now(node.parts.access.person(name).id)
    assert actor is not None
    return actor


def test_a_grant_lets_one_run_on_the_hosts_of_a_tag(api: Api, node: Node) -> None:
    answer = api("POST", "/runs", json={"task": COMMAND, "tags": ["own"]})
    assert answer.status_code == 201, answer.json
    run = node.end_of(answer.json["id"])
    assert (run.state, run.actor) == ("succeeded", "token:wanda/job")
    assert api("GET", f"/runs/{run.id}/output?host=master").text == "hello\n"
    assert [each["id"] for each in api("GET", "/runs").json["runs"]] == [run.id]


@pytest.mark.parametrize("chosen", [{"hosts": ["away"]}, {"tags": ["far"]}, {"hosts": ["master", "away"]}])
def test_other_hosts_are_as_absent(api: Api, node: Node, chosen: dict[str, Any]) -> None:
    answer = api("POST", "/runs", json={"task": COMMAND} | chosen)
    assert answer.status_code == 422
    assert node.parts.runs.counts().today == 0


def test_lists_counts_and_choices_show_nothing_of_other_hosts(
    api: Api, wanda: Browser, foreign: str, node: Node
) -> None:
    assert [host["name"] for host in api("GET", "/hosts").json["hosts"]] == ["master"]
    assert api("GET", "/runs").json["runs"] == []
    for path in ("/hosts", "/runs", "/runs/new", "/", "/search?q=a", "/search?q=secret"):
        page = wanda.get(path)
        assert page.status_code == 200, path
        assert not any(word in page.text for word in ("away", "192.0.2.1", "secret-of-away", foreign)), path
    counts = node.parts.hosts.counts(bounds_of(actor_of(node, "wanda"), "host.read"))
    assert counts.total == 1


@pytest.mark.parametrize(
    "path",
    [
        "/runs/{run}",
        "/runs/{run}?wait=1",
        "/runs/{run}/output?host=master",
        "/runs/{run}/results",
        "/runs/{run}/results?format=csv",
        "/hosts/away",
        "/hosts/no-such-host",
    ],
)
def test_what_is_foreign_is_as_absent_to_programs(api: Api, foreign: str, path: str) -> None:
    assert api("GET", path.format(run=foreign)).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/runs/{run}",
        "/runs/{run}/standing",
        "/runs/{run}/lines?host=master&from=1",
        "/runs/{run}/find?host=master&q=a",
        "/runs/{run}/first-error?host=master",
        "/runs/{run}/output?host=master",
        "/runs/{run}/results.csv",
        "/runs/{run}/results.json",
        "/runs/{run}/difference?host=master&to=usual",
        "/runs/new?again={run}",
        "/hosts/away",
        "/hosts/away/state",
    ],
)
def test_what_is_foreign_is_as_absent_to_people(wanda: Browser, foreign: str, path: str) -> None:
    assert wanda.get(path.format(run=foreign)).status_code == 404


def test_neither_cancel_nor_test_nor_change_reaches_what_is_foreign(
    api: Api, node: Node, foreign: str
) -> None:
    assert api("POST", f"/runs/{foreign}/cancel").status_code == 404
    assert api("POST", "/hosts/away/test").status_code == 404
    for method, path in (("PATCH", "/hosts/master"), ("DELETE", "/hosts/away"), ("POST", "/hosts")):
        assert api(method, path, json={"name": "x", "address": "192.0.2.9"}).status_code == 403, path
    denied = node.parts.history.page(HistoryQuery(kind="denied")).entries
    assert {record.object for record in denied} >= {f"run:{foreign}", "host:away"}


def test_the_rooms_of_foreign_runs_stay_shut(node: Node, foreign: str) -> None:
    actor = actor_of(node, "wanda")
    assert node.parts.judge(actor, "run.read", f"run:{foreign}") is False
    assert node.parts.judge(actor, "run.read", "") is True


def test_a_token_limited_to_tags_reaches_no_further_whatever_its_person_may(app: Flask, node: Node) -> None:
    node.parts.hosts.register(
        ADA, HostDraft("away", HostKind.SSH, "192.0.2.1", username="root", tags=("far",))
    )
    node.parts.access.add_person(SYSTEM, "ada", role=Role.ADMINISTRATOR)
    made = node.parts.access.create_token(SYSTEM, "ada", "job", "admin", host_tags=["own"])
    api = Api(app, made.secret)
    assert [host["name"] for host in api("GET", "/hosts").json["hosts"]] == ["master"]
    assert api("POST", "/runs", json={"task": COMMAND, "hosts": ["master"]}).status_code == 201
    assert api("POST", "/runs", json={"task": COMMAND, "hosts": ["away"]}).status_code == 422
    assert api("GET", "/hosts/away").status_code == 404
    for method, path in (
        ("GET", "/people"),
        ("GET", "/history"),
        ("GET", "/bases"),
        ("DELETE", "/hosts/away"),
    ):
        assert api(method, path).status_code == 403, path


def test_a_grant_that_is_taken_back_counts_no_more_at_once(api: Api, node: Node) -> None:
    (grant,) = node.parts.grants.list_grants(person="wanda")
    assert api("GET", "/hosts").status_code == 200
    node.parts.grants.take(SYSTEM, grant.id)
    assert api("GET", "/hosts").status_code == 403


def test_a_group_gives_its_grants_to_those_in_it(app: Flask, node: Node) -> None:
    from quarterdeck.access.models import Person

    added = node.parts.access.add_person(SYSTEM, "gina", password=PASSWORD)
    node.parts.grants.give(SYSTEM, "host:master", "read", group="crew")
    with node.parts.db.write() as session:
        session.get_one(Person, added.id).groups = ["crew"]
    node.parts.access.forget_rights()
    gina = Browser(app, "gina")
    assert gina.get("/hosts/master").status_code == 200
    assert gina.get("/runs/new").status_code == 403


def test_a_new_host_does_not_inherit_the_grants_of_one_that_was_removed(node: Node) -> None:
    draft = HostDraft("web1", HostKind.SSH, "192.0.2.7", username="root")
    node.parts.access.add_person(SYSTEM, "wanda")
    node.parts.hosts.register(ADA, draft)
    node.parts.grants.give(SYSTEM, "host:web1", "run", person="wanda")
    node.parts.hosts.remove_host(ADA, "web1")
    node.parts.hosts.register(ADA, draft)
    assert node.parts.grants.list_grants(person="wanda") == []


def test_a_renamed_host_keeps_its_grants(node: Node) -> None:
    node.parts.access.add_person(SYSTEM, "wanda")
    node.parts.hosts.register(ADA, HostDraft("web1", HostKind.SSH, "192.0.2.7", username="root"))
    node.parts.grants.give(SYSTEM, "host:web1", "run", person="wanda")
    node.parts.hosts.change(ADA, "web1", HostDraft("web2", HostKind.SSH, "192.0.2.7", username="root"))
    assert [grant.object for grant in node.parts.grants.list_grants()] == ["host:web2"]


def waiting_run(api: Api) -> str:
    """Start two hosts' work one at a time, so that the second still waits; returns the run."""
    body = {"task": {"kind": "command", "command": "sleep 1.5"}, "hosts": ["master", "zed"]}
    answer: Answer = api("POST", "/runs", json=body | {"options": {"at_once": 1}})
    assert answer.status_code == 201, answer.json
    return str(answer.json["id"])


@pytest.mark.parametrize("lose", ["disabled", "demoted"])
def test_what_waits_does_not_begin_once_its_starter_may_no_more(
    node: Node, api_as: Callable[[str], Api], lose: str
) -> None:
    node.parts.hosts.register(
        ADA, HostDraft("zed", HostKind.SSH, "192.0.2.1", username="root", tags=("far",))
    )
    run_id = waiting_run(api_as("oskar"))
    wait_until(lambda: node.parts.runs.get_host(run_id, "master").state == "running", "the first host runs")
    if lose == "disabled":
        node.parts.access.disable(SYSTEM, "oskar")
    else:
        node.parts.access.set_role(SYSTEM, "oskar", Role.VIEWER)
    node.end_of(run_id)
    zed = node.parts.runs.get_host(run_id, "zed")
    assert (zed.state, zed.message, zed.started_at) == ("cancelled", BARRED, None)
    denied = node.parts.history.page(HistoryQuery(kind="denied", object=f"run:{run_id}")).entries
    assert [(record.action, record.actor) for record in denied] == [("run.start", denied[0].actor)]
