from dataclasses import replace

import pytest

from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.hosts.models import HostState
from quarterdeck.metrics.alerts.drafts import DEFAULTS
from quarterdeck.metrics.alerts.log import Tally
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rules import AlertLevel, Comparison, Rule
from quarterdeck.metrics.alerts.service import BARE_ROOM, ROOM
from quarterdeck.protocol.samples import Frame
from tests.hosts.factories import ADA
from tests.metrics.alarms import HOT, AlarmWorld

LOST = Rule(id="", name="Gone", level=AlertLevel.ALERT, figure="lost")
BUSY = Rule(id="", name="Busy", level=AlertLevel.WARN, figure="load-per-processor", threshold=2)
FILLING = Rule(
    id="", name="Filling", level=AlertLevel.WARN, figure="disk-full-by-trend",
    comparison=Comparison.BELOW, threshold=24,
)  # fmt: skip


def test_a_host_that_is_well_rings_nothing(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.tick()
    world.samples(host_id, 100)
    assert (world.active(), world.past(), world.events(), world.told) == ([], [], [], [])


def test_an_alert_begins_is_told_and_ends(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT)
    world.samples(host_id, 2, memory=95)
    assert world.active() == []
    world.samples(host_id, 1, memory=96)
    (alert,) = world.active()
    assert (alert.host, alert.rule, alert.level, alert.value) == ("web1", "Hot memory", "alert", 96)
    assert (alert.began_at - alert.since).total_seconds() == 30
    world.samples(host_id, 1, memory=97.5)
    assert world.active()[0].value == 97.5
    world.samples(host_id, 5)
    assert world.active() == []
    (over,) = world.past()
    assert (over.id, over.ended_why, over.value) == (alert.id, "back to normal", 40)
    assert world.events() == ["alert.began Hot memory", "alert.ended Hot memory"]
    assert world.told == [
        ("web1: Hot memory (96.0 %).", "error", "/fleet/alerts?host=web1"),
        ("web1: Hot memory is over.", "success", "/fleet/alerts?host=web1"),
    ]


def test_the_history_names_host_rule_level_and_value(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT)
    world.samples(host_id, 3, memory=95)
    (line,) = (line for line in world.node.records() if line["action"] == "alert.began")
    assert line["object"] == "host:web1"
    wanted = {"host": "web1", "rule": "Hot memory", "level": "alert", "figure": "memory", "value": 95.0}
    assert line["detail"].items() >= wanted.items()


def test_open_pages_hear_of_it_by_ids_or_bare(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT)
    world.samples(host_id, 3, memory=95)
    news = [each for each in world.node.news if each[0] == "alert:changed"]
    assert news == [("alert:changed", {"hosts": [host_id]}, ROOM), ("alert:changed", {}, BARE_ROOM)]


def test_many_at_once_are_one_message(world: AlarmWorld) -> None:
    hosts = [world.add_host(f"web{number}") for number in range(5)]
    world.only(replace(HOT, duration_seconds=0))
    for host_id in hosts:
        at = world.node.clock.now().timestamp() + 15
        world.fleet.take(host_id, Frame(at=at, is_full=True, values={"memory": 95.0}), at=at)
    world.tick()
    assert world.told == [("5 alerts on 5 hosts: Hot memory.", "error", "/fleet/alerts")]
    assert len(world.active()) == 5


def test_a_silenced_host_rings_no_toast_but_is_on_record(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT)
    world.silenced.add(host_id)
    world.samples(host_id, 3, memory=95)
    assert world.told == []
    assert world.active()[0].is_silenced
    assert world.events() == ["alert.began Hot memory"]
    assert world.alerts.tallies() == {host_id: Tally(silenced=1)}


def test_no_figures_leave_the_alert_and_mark_it(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT)
    world.samples(host_id, 3, memory=95)
    world.node.clock.forward(3_600)
    world.tick()
    (alert,) = world.active()
    assert alert.has_no_figures
    world.samples(host_id, 1, memory=95)
    assert not world.active()[0].has_no_figures


def test_an_alert_survives_a_restart_without_a_second_event(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT)
    world.samples(host_id, 3, memory=95)
    (before,) = world.active()
    again = world.restarted()
    again.tick()
    again.samples(host_id, 20, memory=95)
    assert [each.id for each in again.active()] == [before.id]
    assert again.events() == ["alert.began Hot memory"]
    again.samples(host_id, 5)
    assert again.events() == ["alert.began Hot memory", "alert.ended Hot memory"]


def test_a_removed_host_ends_its_alerts_also_while_the_master_was_away(world: AlarmWorld) -> None:
    first, second = world.add_host("web1"), world.add_host("web2")
    world.only(HOT)
    world.samples(first, 3, memory=95)
    world.samples(second, 3, memory=95)
    world.node.hosts.remove_host(ADA, "web1")
    world.tick()
    assert [each.host for each in world.active()] == ["web2"]
    world.node.hosts.remove_host(ADA, "web2")
    again = world.restarted()
    again.tick()
    assert again.active() == []
    assert {each.ended_why for each in again.past()} == {"the host was removed"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"enabled": False}, "the rule was switched off"),
        ({"tag": "db"}, "the rule is not for this host any more"),
        ({"figure": "cpu"}, "the rule was changed"),
        (None, "the rule was removed"),
    ],
)
def test_a_rule_that_is_changed_ends_what_it_no_longer_says(
    world: AlarmWorld, change: dict[str, object] | None, why: str
) -> None:
    host_id = world.add_host()
    (rule,) = world.only(HOT)
    world.samples(host_id, 3, memory=95)
    if change is None:
        world.rules.remove(ADA, rule.id)
    else:
        world.rules.change(ADA, rule.id, replace(rule, **change))  # type: ignore[arg-type]  # fields of it
    world.tick()
    assert [each.ended_why for each in world.past()] == [why]
    assert len(world.told) == 1  # that the rule was changed is known to whoever did it


def test_a_rule_with_a_tag_is_for_hosts_with_it(world: AlarmWorld) -> None:
    web, db = world.add_host("web1", "web"), world.add_host("db1", "db")
    world.only(replace(HOT, tag="db"))
    world.samples(web, 5, memory=95)
    world.samples(db, 5, memory=95)
    assert [each.host for each in world.active()] == ["db1"]


def test_load_is_divided_by_the_processors(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(BUSY)
    world.samples(host_id, 1, load=7.9)
    assert world.active() == []
    world.samples(host_id, 1, load=9)
    assert world.active()[0].value == 2.25


def test_a_lost_host_rings_without_a_toast_of_its_own(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(LOST)
    world.node.hosts.contacts.note(host_id, HostState.LOST, "no answer")
    world.tick()
    assert [each.rule for each in world.active()] == ["Gone"]
    assert world.told == []  # the watch over the hosts tells it
    world.node.hosts.contacts.note(host_id, HostState.WELL)
    for _ in range(14):
        world.node.clock.forward(5)
        world.tick()
    assert world.active() == []


def test_a_disk_that_fills_steadily_rings_by_its_trend(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(FILLING)
    for minute in range(20):
        world.samples(host_id, 4, disk=80 + minute * 0.05)
    assert [each.rule for each in world.active()] == ["Filling"]
    assert world.active()[0].value == pytest.approx(6.4, abs=0.5)


def test_a_trend_stands_on_older_points_where_they_are_given(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(FILLING)
    began = world.node.clock.now().timestamp()
    older = [(began - 3_600 + 300 * place, 80 + place * 0.2) for place in range(12)]
    again = world.restarted(older_points=lambda _host_id: older)
    again.tick()
    again.samples(host_id, 1, disk=82.4)
    world.node.clock.forward(60)
    again.samples(host_id, 1, disk=82.4)
    assert [each.rule for each in again.active()] == ["Filling"]


def test_listeners_hear_of_each_beginning_and_end_even_when_one_fails(world: AlarmWorld) -> None:
    heard: list[AlertRecord] = []

    def fail(_alert: AlertRecord) -> None:
        raise RuntimeError("broken listener")

    world.alerts.listen(fail)
    world.alerts.listen(heard.append)
    host_id = world.add_host()
    world.only(HOT)
    world.samples(host_id, 3, memory=95)
    world.samples(host_id, 5)
    assert [each.is_active for each in heard] == [True, False]


def test_of_host_and_tallies_say_what_is_active(world: AlarmWorld) -> None:
    host_id = world.add_host()
    world.only(HOT, replace(HOT, name="Warm memory", level=AlertLevel.WARN, threshold=80))
    world.samples(host_id, 3, memory=95)
    assert [each.level for each in world.alerts.of_host(host_id)] == ["alert", "warn"]
    assert world.alerts.tallies() == {host_id: Tally(warn=1, alert=1)}
    assert world.alerts.of_host("another") == []


def test_the_first_rules_are_made_once(world: AlarmWorld) -> None:
    world.tick()
    assert sorted(rule.name for rule in world.rules.list_rules()) == sorted(rule.name for rule in DEFAULTS)
    removed = world.rules.list_rules()[0]
    world.rules.remove(ADA, removed.id)
    world.restarted().tick()
    assert removed.name not in {rule.name for rule in world.rules.list_rules()}
    assert len(world.rules.list_rules()) == len(DEFAULTS) - 1


def test_each_change_of_a_rule_is_on_record_with_before_and_after(world: AlarmWorld) -> None:
    rule = world.rules.add(ADA, HOT)
    world.rules.change(ADA, rule.id, replace(rule, threshold=80))
    world.rules.remove(ADA, rule.id)
    details = [
        (line["action"], line["detail"]["before"].get("threshold"), line["detail"]["after"].get("threshold"))
        for line in world.node.records()
        if line["action"].startswith("rule.") and line["kind"] == "intent"
    ]
    assert details == [("rule.add", None, 90), ("rule.change", 90, 80), ("rule.remove", 80, None)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"figure": "colour"}, "figure"),
        ({"threshold": 101}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"figure": "disk-full-by-trend", "threshold": 0}, "threshold"),
        ({"duration_seconds": -1}, "duration_seconds"),
        ({"duration_seconds": 86_401}, "duration_seconds"),
        ({"tag": "a tag"}, "tag"),
    ],
)
def test_bad_fields_are_refused(world: AlarmWorld, change: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        world.rules.add(ADA, replace(HOT, **change))  # type: ignore[arg-type]  # fields of it
    assert list(refused.value.fields) == [field]


def test_names_are_taken_once_and_what_is_gone_is_not_found(world: AlarmWorld) -> None:
    rule = world.rules.add(ADA, HOT)
    with pytest.raises(Conflict):
        world.rules.add(ADA, replace(HOT, name="HOT memory"))
    world.rules.remove(ADA, rule.id)
    with pytest.raises(NotFound):
        world.rules.remove(ADA, rule.id)
