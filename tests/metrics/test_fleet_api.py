"""GET /api/v1/fleet: the figures of each host now, for programs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from quarterdeck.core.actors import SYSTEM, Level
from quarterdeck.core.ids import new_id
from tests.metrics.fleet_world import FleetWorld, fleet_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FleetWorld]:
    with fleet_world(tmp_path / "home") as world:
        world.sample(world.add("alpha"), cpu=12.5, disk_read=4096)
        world.sample(world.add("beta", "db", state="late", state_reason="Asked twice."), 100, cpu=80)
        world.add("gamma", "db", kind="ssh")
        yield world


def ask(world: FleetWorld, name: str, query: str = "", **headers: str) -> TestResponse:
    secret = world.parts.access.create_token(SYSTEM, name, new_id(), Level.READ).secret
    client = world.app.test_client()
    return client.get(f"/api/v1/fleet{query}", headers={"Authorization": f"Bearer {secret}"} | headers)


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [host["name"] for host in answer.json["hosts"]] if answer.json else []


def test_each_host_has_its_figures(world: FleetWorld) -> None:
    answer = ask(world, "vera").json
    assert answer
    alpha, beta, gamma = answer["hosts"]
    assert (alpha["figures"]["cpu"], alpha["figures"]["disk_read"], alpha["figures"]["swap"]) == (
        12.5,
        4096,
        None,
    )
    assert (alpha["is_old"], beta["is_old"]) == (False, True)
    assert (gamma["figures"], gamma["sampled_at"]) == (None, None)
    assert gamma["why"].startswith("Name a tag in QUARTERDECK_SSH_SAMPLE_TAG")
    assert answer["next_cursor"] is None


def test_it_pages_by_cursor(world: FleetWorld) -> None:
    first = ask(world, "vera", "?limit=2")
    assert (names(first), first.json and first.json["next_cursor"]) == (["alpha", "beta"], "beta")
    assert names(ask(world, "vera", "?limit=2&cursor=beta")) == ["gamma"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?tag=db", ["beta", "gamma"]),
        ("?state=late", ["beta"]),
        ("?state=late,well&figures=yes", ["alpha", "beta"]),
        ("?figures=no", ["gamma"]),
        ("?q=gam", ["gamma"]),
    ],
)
def test_filters_choose(world: FleetWorld, query: str, found: list[str]) -> None:
    assert names(ask(world, "vera", query)) == found


@pytest.mark.parametrize("query", ["?state=odd", "?limit=0", "?limit=1001", "?figures=some", "?surprise=1"])
def test_what_makes_no_sense_is_refused(world: FleetWorld, query: str) -> None:
    assert ask(world, "vera", query).status_code == 422


def test_narrowed_readers_get_theirs(world: FleetWorld) -> None:
    assert names(ask(world, "gerda")) == ["alpha"]
    assert world.as_("nils").get("/api/v1/fleet").status_code == 403
    assert world.app.test_client().get("/api/v1/fleet").status_code == 401


def test_an_answer_that_still_holds_is_not_sent_again(world: FleetWorld) -> None:
    secret = world.parts.access.create_token(SYSTEM, "vera", "fleet", Level.READ).secret
    client, headers = world.app.test_client(), {"Authorization": f"Bearer {secret}"}
    first = client.get("/api/v1/fleet?figures=no", headers=headers)
    tag = first.headers["ETag"]
    again = client.get("/api/v1/fleet?figures=no", headers=headers | {"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    world.add("zeta")
    changed = client.get("/api/v1/fleet?figures=no", headers=headers | {"If-None-Match": tag})
    assert names(changed) == ["gamma", "zeta"]
