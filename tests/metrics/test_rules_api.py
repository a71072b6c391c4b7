from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.hosts.factories import ADA, Api
from tests.metrics.alarms import HOT, AlarmWorld

BODY: dict[str, Any] = {  # Any: JSON
    "name": "Hot", "level": "alert", "figure": "memory", "threshold": 95, "duration_seconds": 60, "tag": "db",
}  # fmt: skip
EVERYBODY = ["", "nils", "vera", "oskar", "ada"]


@pytest.fixture
def api_as(world: AlarmWorld) -> Callable[[str], Api]:
    app = world.app()
    return lambda name: Api(app, name)


def statuses(api_as: Callable[[str], Api], method: str, path: str, body: object = None) -> list[int]:
    return [api_as(name)(method, path, body).status_code for name in EVERYBODY]


def test_a_rule_is_added_read_changed_and_removed(world: AlarmWorld, api_as: Callable[[str], Api]) -> None:
    ada = api_as("ada")
    added = ada("POST", "/rules", BODY)
    assert added.status_code == 201
    rule = added.get_json()
    path = f"/rules/{rule['id']}"
    assert added.headers["Location"] == f"/api/v1{path}"
    assert rule["condition"] == "Memory above 95 % for 1 min"
    assert ada("GET", path).get_json() == rule
    assert ada("GET", "/rules").get_json() == {"rules": [rule]}
    changed = ada("PATCH", path, {"threshold": 90, "enabled": False}).get_json()
    assert changed == rule | {
        "threshold": 90, "enabled": False, "condition": "Memory above 90 % for 1 min"
    }  # fmt: skip
    assert ada("DELETE", path).status_code == 204
    assert ada("GET", path).status_code == 404


def test_who_may_read_and_who_may_change(world: AlarmWorld, api_as: Callable[[str], Api]) -> None:
    rule = world.rules.add(ADA, HOT)
    assert statuses(api_as, "GET", "/rules") == [401, 403, 200, 200, 200]
    assert statuses(api_as, "GET", f"/rules/{rule.id}") == [401, 403, 200, 200, 200]
    assert statuses(api_as, "GET", "/alerts") == [401, 403, 200, 200, 200]
    assert statuses(api_as, "POST", "/rules", BODY) == [401, 403, 403, 403, 201]
    assert statuses(api_as, "PATCH", f"/rules/{rule.id}", {"level": "warn"}) == [401, 403, 403, 403, 200]
    assert statuses(api_as, "DELETE", f"/rules/{rule.id}") == [401, 403, 403, 403, 204]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"figure": "colour"}, "figure"),
        ({"level": "awful"}, "level"),
        ({"threshold": 101}, "threshold"),
        ({"threshold": "much"}, "threshold"),
        ({"duration_seconds": 1e9}, "duration_seconds"),
        ({"tag": "two words"}, "tag"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_fields_are_named(
    world: AlarmWorld, api_as: Callable[[str], Api], change: dict[str, object], field: str
) -> None:
    answer = api_as("ada")("POST", "/rules", BODY | change)
    assert answer.status_code == 422
    assert list(answer.get_json()["errors"]) == [field]
    assert world.rules.list_rules() == []


def test_a_name_in_use_is_a_conflict(world: AlarmWorld, api_as: Callable[[str], Api]) -> None:
    world.rules.add(ADA, replace(HOT, name="Hot"))
    assert api_as("ada")("POST", "/rules", BODY).status_code == 409


def test_alerts_are_listed_by_page_and_filter(world: AlarmWorld, api_as: Callable[[str], Api]) -> None:
    hosts = [world.add_host(f"web{number}") for number in range(3)]
    world.only(replace(HOT, duration_seconds=0))
    for host_id in hosts:
        world.samples(host_id, 1, memory=95)
    world.samples(hosts[0], 5)
    vera = api_as("vera")
    first = vera("GET", "/alerts?limit=2").get_json()
    second = vera("GET", f"/alerts?limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["host"] for each in first["alerts"] + second["alerts"]] == ["web2", "web1", "web0"]
    assert second["next_cursor"] is None
    over = vera("GET", "/alerts?state=over").get_json()["alerts"]
    assert [(each["host"], each["ended_why"]) for each in over] == [("web0", "back to normal")]
    assert len(vera("GET", "/alerts?state=active&level=alert").get_json()["alerts"]) == 2
    assert vera("GET", "/alerts?host=web9").get_json()["alerts"] == []
    assert vera("GET", "/alerts?state=strange").status_code == 422
