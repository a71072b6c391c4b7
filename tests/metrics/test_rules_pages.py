import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from apiflask import APIFlask
from werkzeug.test import TestResponse

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core.actors import Actor, ActorKind, Grant, Level
from quarterdeck.metrics.alerts.store import AlertQuery
from tests.hosts.factories import ADA, Browser
from tests.metrics.alarms import HOT, AlarmWorld

FIELDS = {
    "name": "Hot", "level": "alert", "figure": "cpu", "comparison": "above", "threshold": "90",
    "minutes": "2.5", "tag": "web", "enabled": "true",
}  # fmt: skip
EVERYBODY = ["", "nils", "vera", "oskar", "ada"]


class RuleBrowser(Browser):
    def post(self, path: str, **values: Any) -> TestResponse:  # Any: texts of fields
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get("/fleet/rules/new").text)
        return self.client.post(path, data={"csrf_token": found[1] if found else "", **values})


@pytest.fixture
def app(world: AlarmWorld) -> APIFlask:
    return world.app()


@pytest.fixture
def as_(app: APIFlask) -> Callable[[str], RuleBrowser]:
    return lambda name: RuleBrowser(app, name)


@pytest.fixture
def ringing(world: AlarmWorld) -> AlarmWorld:
    """Two hosts that ring, one of which is silenced, and an alert that is over."""
    web1, web2, web3 = (world.add_host(f"web{number}", "web") for number in (1, 2, 3))
    world.only(replace(HOT, duration_seconds=0))
    world.samples(web3, 1, memory=95)
    world.samples(web3, 5)
    world.samples(web1, 1, memory=95)
    world.samples(web2, 1, memory=91)
    world.silenced.add(web2)
    return world


def statuses(as_: Callable[[str], RuleBrowser], path: str) -> list[int]:
    return [as_(name).get(path).status_code for name in EVERYBODY]


def test_the_list_shows_active_silenced_and_past_alerts_apart(
    ringing: AlarmWorld, as_: Callable[[str], RuleBrowser]
) -> None:
    page = as_("vera").get("/fleet/alerts").text
    active, rest = page.split("of silenced hosts", 1)
    silenced, past = rest.split("Past alerts", 1)
    assert "1 active alert" in active
    assert "web1" in active
    assert "95.0 %" in active
    assert 'data-state="alert"' in active
    assert "web2" in silenced
    assert "web3" in past
    assert "back to normal" in past


def test_a_fleet_that_is_well_says_so(world: AlarmWorld, as_: Callable[[str], RuleBrowser]) -> None:
    assert "Nothing is wrong" in as_("vera").get("/fleet/alerts").text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("host=web1", {"web1"}),
        ("level=warn", set()),
        ("rule=Hot memory", {"web1", "web2", "web3"}),
        ("host=nowhere", set()),
        ("level=nonsense", {"web1", "web2", "web3"}),
    ],
)
def test_filters_narrow_the_lists(
    ringing: AlarmWorld, as_: Callable[[str], RuleBrowser], query: str, shown: set[str]
) -> None:
    part = as_("vera").get(f"/fleet/alerts/rows?{query}").text
    assert set(re.findall(r"web\d", part.partition("<table>")[1] + part.partition("<table>")[2])) == shown


def test_alerts_without_figures_are_marked(ringing: AlarmWorld, as_: Callable[[str], RuleBrowser]) -> None:
    ringing.node.clock.forward(3_600)
    assert "no figures since" in as_("vera").get("/fleet/alerts").text


def test_past_alerts_come_in_pages(world: AlarmWorld, as_: Callable[[str], RuleBrowser]) -> None:
    host_id = world.add_host()
    world.only(replace(HOT, duration_seconds=0))
    for _ in range(51):
        world.samples(host_id, 1, memory=95)
        world.samples(host_id, 5)
    page = as_("vera").get("/fleet/alerts").text
    assert page.count("back to normal") == 50
    older = re.search(r'href="(/fleet/alerts\?before=[^"]+)"', page)
    assert older
    assert as_("vera").get(older[1]).text.count("back to normal") == 1


def test_who_may_see_alerts_and_rules(world: AlarmWorld, as_: Callable[[str], RuleBrowser]) -> None:
    assert statuses(as_, "/fleet/alerts") == [303, 403, 200, 200, 200]
    assert statuses(as_, "/fleet/rules") == [303, 403, 200, 200, 200]
    assert statuses(as_, "/fleet/rules/new") == [303, 403, 403, 403, 200]


def test_a_narrowed_reader_sees_nothing_of_foreign_hosts(ringing: AlarmWorld) -> None:
    db1 = ringing.add_host("db1", "db")
    ringing.tick()
    ringing.samples(db1, 1, memory=95)
    gerda = Actor(ActorKind.PERSON, "gerda", grants=(Grant(Level.READ, "tag:db"),), person_id="gerda")
    within = bounds_of(gerda, "host.read")
    assert [each.host for each in ringing.alerts.list_alerts(AlertQuery(), within)] == ["db1"]
    assert ringing.alerts.list_alerts(AlertQuery(host="web1"), within) == []
    assert ringing.alerts.count_alerts(AlertQuery(), within) == 1


def test_an_administrator_adds_changes_switches_and_removes_a_rule(
    world: AlarmWorld, as_: Callable[[str], RuleBrowser]
) -> None:
    ada = as_("ada")
    assert ada.post("/fleet/rules/new", **FIELDS).status_code == 303
    (rule,) = world.rules.list_rules()
    assert (rule.name, rule.threshold, rule.duration_seconds, rule.tag) == ("Hot", 90, 150, "web")
    assert 'value="2.5"' in ada.get(f"/fleet/rules/{rule.id}/edit").text
    ada.post(f"/fleet/rules/{rule.id}/edit", **FIELDS | {"threshold": "80,5"})
    assert world.rules.get(rule.id).threshold == 80.5
    ada.post(f"/fleet/rules/{rule.id}/switch", enabled="false")
    assert not world.rules.get(rule.id).enabled
    assert "disabled" in ada.get("/fleet/rules").text
    assert "Remove Hot?" in ada.get(f"/fleet/rules/{rule.id}/remove").text
    ada.post(f"/fleet/rules/{rule.id}/remove")
    assert "No rules" in ada.get("/fleet/rules").text


@pytest.mark.parametrize("name", ["", "nils", "vera", "oskar"])
def test_nobody_else_changes_rules(world: AlarmWorld, as_: Callable[[str], RuleBrowser], name: str) -> None:
    rule = world.rules.add(ADA, HOT)
    for path in ("new", f"{rule.id}/edit", f"{rule.id}/switch", f"{rule.id}/remove"):
        assert as_(name).post(f"/fleet/rules/{path}", **FIELDS).status_code in (303, 401, 403)
    assert world.rules.list_rules() == [rule]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"figure": ""}, "figure"),
        ({"threshold": "much"}, "threshold"),
        ({"threshold": "900"}, "threshold"),
        ({"threshold": "nan"}, "threshold"),
        ({"minutes": "-1"}, "minutes"),
        ({"minutes": "inf"}, "minutes"),
        ({"tag": "two words"}, "tag"),
        ({"level": "awful"}, "level"),
    ],
)
def test_a_mistake_is_told_beside_its_field_and_values_are_kept(
    world: AlarmWorld, as_: Callable[[str], RuleBrowser], change: dict[str, str], field: str
) -> None:
    answer = as_("ada").post("/fleet/rules/new", **FIELDS | {"name": "Kept name"} | change)
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert field == "name" or 'value="Kept name"' in answer.text
    assert world.rules.list_rules() == []


def test_a_name_in_use_is_told_beside_it(world: AlarmWorld, as_: Callable[[str], RuleBrowser]) -> None:
    world.rules.add(ADA, replace(HOT, name="Hot"))
    answer = as_("ada").post("/fleet/rules/new", **FIELDS)
    assert answer.status_code == 409
    assert "There is already a rule named" in answer.text


def test_what_is_gone_is_not_found(world: AlarmWorld, as_: Callable[[str], RuleBrowser]) -> None:
    for path in ("edit", "remove"):
        assert as_("ada").get(f"/fleet/rules/none/{path}").status_code == 404
