"""What a run that spans foreign hosts tells of itself on a host that is open: nothing, by any side way."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core.actors import SYSTEM, Actor, Role
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.service import Hosts
from quarterdeck.tasks.models import Run, RunHost
from tests.tasks.conftest import ADA, PASSWORD, Api, Browser, Node

COMMAND = {"kind": "command", "command": "echo hello"}


@pytest.fixture
def wanda(node: Node, app: Flask) -> Browser:
    """Somebody without a role, who may run on what is tagged ``own``: the master itself."""
    node.parts.hosts.register(ADA, HostDraft("away", HostKind.SSH, "192.0.2.1", username="root", port=9))
    node.parts.access.add_person(SYSTEM, "wanda", password=PASSWORD)
    node.parts.grants.give(SYSTEM, "tag:own", "run", person="wanda")
    return Browser(app, "wanda")


@pytest.fixture
def api(node: Node, app: Flask, wanda: Browser) -> Api:
    """A token of hers."""
    return Api(app, node.parts.access.create_token(SYSTEM, "wanda", "job", "run").secret)


def actor_of(node: Node, name: str) -> Actor:
    actor = node.parts.access.person_now(node.parts.access.person(name).id)
    assert actor is not None
    return actor


def spread(node: Node, command: str) -> str:
    """Let a run that ends well on the master be one with the foreign host too; returns it."""
    run = node.run(command, "master", actor=ADA)
    away = node.parts.hosts.get("away")
    with node.parts.db.write() as session:
        row = session.get_one(Run, run.id)
        row.host_count, row.targets = 2, "master, away"
        session.add(
            RunHost(
                run_id=run.id, host_id=away.id, name="away", kind="ssh", position=1,
                fingerprint=row.fingerprint, state="succeeded", started_at=row.started_at,
                finished_at=row.finished_at, message="", out_bytes=0, err_bytes=0, details={}, order=None,
            )
        )  # fmt: skip
    return run.id


def test_a_duplicate_in_a_foreign_run_is_told_without_the_run(
    api: Api, wanda: Browser, node: Node, app: Flask
) -> None:
    foreign = spread(node, "echo hello")
    refused = api("POST", "/runs", json={"task": COMMAND, "hosts": ["master"]})
    assert (refused.status_code, refused.json["duplicate_of"], refused.json["started_by"]) == (
        409,
        None,
        None,
    )
    assert foreign not in refused.text
    assert ADA.name not in refused.json["detail"]
    page = wanda.post("/runs", kind="command", command="echo hello", hosts="master")
    assert page.status_code == 409
    assert foreign not in page.text
    forced = api(
        "POST", "/runs", json={"task": COMMAND, "hosts": ["master"], "force": True, "reason": "I must"}
    )
    assert (forced.status_code, forced.json["duplicate_of"]) == (201, None)
    run = node.end_of(forced.json["id"])
    assert run.duplicate_of == foreign
    assert foreign not in wanda.get(f"/runs/{run.id}").text
    assert all(each["duplicate_of"] is None for each in api("GET", "/runs").json["runs"])


def test_who_may_read_the_other_run_is_led_to_it(api: Api, node: Node) -> None:
    own = node.run("echo hello", actor=actor_of(node, "wanda"))
    refused = api("POST", "/runs", json={"task": COMMAND, "hosts": ["master"]})
    assert (refused.json["duplicate_of"], refused.json["started_by"]) == (own.id, "wanda")


def test_a_foreign_run_is_nothing_to_compare_with(api: Api, wanda: Browser, node: Node) -> None:
    foreign = spread(node, "date +%N")
    run = node.start("date +%N", actor=actor_of(node, "wanda"), force=True, reason="again")
    node.end_of(run.id)
    page = wanda.get(f"/runs/{run.id}")
    assert page.status_code == 200
    assert foreign not in page.text
    assert wanda.get(f"/runs/{run.id}/difference?host=master&to=before").status_code == 404
    results = node.parts.runs.results
    within = bounds_of(actor_of(node, "wanda"), "run.read")
    assert results.before(run, within) == {}
    assert [part.run_id for part in results.before(run, None).values()] == [foreign]
    older = node.end_of(
        node.start("date +%N", actor=actor_of(node, "wanda"), force=True, reason="once more").id
    )
    assert [part.run_id for part in results.before(older, within).values()] == [run.id]


def test_what_is_usual_is_reckoned_from_open_runs_alone(node: Node, wanda: Browser) -> None:
    for _ in range(3):
        node.parts.runs.wait(spread(node, f"true # {_}"), 5)
    with node.parts.db.write() as session:
        for row in session.query(RunHost).all() + session.query(Run).all():
            row.fingerprint = "the same"
    run = node.run("true", actor=actor_of(node, "wanda"))
    with node.parts.db.write() as session:
        session.get_one(Run, run.id).fingerprint = "the same"
    run, runs = node.parts.runs.get_run(run.id), node.parts.runs
    hosts, within = runs.list_hosts(run.id), bounds_of(actor_of(node, "wanda"), "run.read")
    assert [usual.runs for usual in runs.usual(run, hosts, None).values()] == [3]
    assert runs.usual(run, hosts, within) == {}
    assert runs.usual_by_now(run, hosts, within) == {}


def test_a_key_sent_again_by_a_narrower_token_does_not_show_the_run(app: Flask, node: Node) -> None:
    access = node.parts.access
    access.add_person(SYSTEM, "olga", role=Role.OPERATOR)
    wide = Api(app, access.create_token(SYSTEM, "olga", "wide", "run").secret)
    narrow = Api(app, access.create_token(SYSTEM, "olga", "narrow", "run", host_tags=["db"]).secret)
    sent: dict[str, Any] = {
        "json": {"task": COMMAND, "hosts": ["master"]},
        "headers": {"Idempotency-Key": "k"},
    }
    first = wide("POST", "/runs", **sent)
    assert first.status_code == 201
    again = narrow("POST", "/runs", **sent)
    assert again.status_code == 404
    assert first.json["id"] not in again.text
    assert wide("POST", "/runs", **sent).json["id"] == first.json["id"]


def test_an_address_of_a_foreign_worker_is_as_one_of_nobody(api: Api, node: Node) -> None:
    worker = HostDraft(
        "far-worker", HostKind.WORKER, "127.0.0.1", 9, scheme="http", secrets={"token": "x" * 40}
    )
    node.parts.hosts.import_hosts(ADA, [worker])
    call = {"kind": "call", "method": "GET", "url": "http://127.0.0.1:9/health"}
    foreign = api("POST", "/runs", json={"task": call})
    nobody = api("POST", "/runs", json={"task": call | {"url": "http://127.0.0.1:8/health"}})
    assert (foreign.status_code, foreign.json["errors"]) == (422, nobody.json["errors"])


def test_bases_are_no_choice_of_whom_may_not_read_them(
    wanda: Browser, node: Node, as_: Callable[[str], Browser]
) -> None:
    node.parts.hosts.bases.add_base(ADA, "billing", "https://billing.example/", "a-secret-bearer")
    assert "billing.example" not in wanda.get("/runs/new?kind=call").text
    assert "billing.example" in as_("oskar").get("/runs/new?kind=call").text


def test_a_jump_host_that_is_not_open_is_not_named(node: Node, app: Flask) -> None:
    hosts: Hosts = node.parts.hosts
    hosts.register(ADA, HostDraft("gate", HostKind.SSH, "127.0.0.1", username="root", port=9))
    hosts.register(
        ADA, HostDraft("web1", HostKind.SSH, "127.0.0.1", username="root", port=9, jump="gate", tags=("web",))
    )
    node.parts.access.add_person(SYSTEM, "wanda", password=PASSWORD)
    node.parts.grants.give(SYSTEM, "tag:web", "read", person="wanda")
    wanda = Browser(app, "wanda")
    api = Api(app, node.parts.access.create_token(SYSTEM, "wanda", "job", "read").secret)
    assert "one that is not open to you" in wanda.get("/hosts/web1").text
    assert "/hosts/gate" not in wanda.get("/hosts/web1").text
    assert api("GET", "/hosts/web1").json["jump"] is None
    node.parts.grants.give(SYSTEM, "host:gate", "read", person="wanda")
    assert api("GET", "/hosts/web1").json["jump"] == "gate"


def test_only_buttons_that_work_are_shown(node: Node, app: Flask) -> None:
    node.parts.access.add_person(SYSTEM, "wanda", password=PASSWORD)
    node.parts.hosts.register(ADA, HostDraft("gate", HostKind.SSH, "127.0.0.1", username="root", port=9))
    node.parts.grants.give(SYSTEM, "host:gate", "run", person="wanda")
    node.parts.grants.give(SYSTEM, "host:master", "read", person="wanda")
    wanda = Browser(app, "wanda")
    assert "/runs/new?host=gate" in wanda.get("/hosts/gate").text
    assert "/runs/new?host=master" not in wanda.get("/hosts/master").text
