"""The fleet on a page and on the wall: what it says of whom, in which order, and to whom."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.hosts.models import HostState
from tests.metrics.fleet_world import FleetWorld, fleet_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FleetWorld]:
    with fleet_world(tmp_path / "home") as world:
        world.sample(world.add("alpha"), cpu=10, memory=40, disk=91.5, load=0.5, received=1.2e6, sent=3e5)
        since = world.parts.clock.now() - timedelta(minutes=3)
        late = world.add("beta", "db", state="late", state_reason="Asked twice.", state_since=since)
        world.sample(late, 100, cpu=80, memory=20)
        world.add("gamma", "db", kind="ssh", state="lost", state_reason="Gone <b>for good</b>.")
        world.sample(world.add("delta"), cpu=30, memory=95)
        yield world


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return re.findall(r'<th scope="row"><a href="/fleet/([\w.-]+)">', answer.text)


def row(answer: TestResponse, name: str) -> str:
    found = re.search(rf'<tr data-id="\w+"[^>]*>(?:(?!</tr>).)*/fleet/{name}".*?</tr>', answer.text, re.S)
    assert found, answer.text
    return found[0]


def test_a_row_says_how_a_host_is_doing(world: FleetWorld) -> None:
    alpha = row(world.as_("vera").get("/fleet"), "alpha")
    for text in (
        "10.0 %",
        "40.0 %",
        "91.5 %",
        "0.50",
        "1.2 MB / 300 kB",
        'class="b18 high"',
        ">web</a>",
        "just now",
    ):
        assert text in alpha
    assert 'class="old"' not in alpha
    assert re.search(r'<path d="M\d+ 14h.5"/>', alpha)
    assert "well" in alpha


def test_old_figures_stay_and_are_marked(world: FleetWorld) -> None:
    page = world.as_("vera").get("/fleet")
    assert 'class="old"' in row(page, "beta")
    assert "80.0 %" in row(page, "beta")
    assert "Asked twice. Since 3 min ago." in row(page, "beta")


def test_figures_whose_samples_have_stopped_are_old_though_the_host_is_well(world: FleetWorld) -> None:
    world.sample(world.add("quiet"), 46, cpu=1)
    assert 'class="old"' in row(world.as_("vera").get("/fleet"), "quiet")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"kind": "ssh"}, "Name a tag in QUARTERDECK_SSH_SAMPLE_TAG"),
        ({"version": "0.0.1"}, "Its worker is of version 0.0.1"),
        ({"state": "unknown"}, "Its worker has not reported since this master started"),
        ({}, "The first ones come within a minute."),
    ],
)
def test_a_host_without_figures_says_why(world: FleetWorld, columns: dict[str, str], why: str) -> None:
    world.add("plain", **columns)
    assert f"No figures. {why}" in row(world.as_("vera").get("/fleet"), "plain")


def test_a_reason_is_text(world: FleetWorld) -> None:
    assert "Gone &lt;b&gt;for good&lt;/b&gt;." in row(world.as_("vera").get("/fleet"), "gamma")


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", ["alpha", "beta", "delta", "gamma"]),
        ("-name", ["gamma", "delta", "beta", "alpha"]),
        ("cpu", ["alpha", "delta", "beta", "gamma"]),
        ("-cpu", ["beta", "delta", "alpha", "gamma"]),
        ("-memory", ["delta", "alpha", "beta", "gamma"]),
        ("-network", ["alpha", "beta", "delta", "gamma"]),
        ("state", ["gamma", "beta", "alpha", "delta"]),
        ("tags", ["beta", "gamma", "alpha", "delta"]),
        ("-busy", ["beta", "delta", "alpha", "gamma"]),
        ("sideways", ["alpha", "beta", "delta", "gamma"]),
    ],
)
def test_rows_stand_in_the_order_of_the_address(world: FleetWorld, sort: str, order: list[str]) -> None:
    assert names(world.as_("vera").get(f"/fleet?sort={sort}")) == order


def test_the_head_says_the_order_and_turns_it(world: FleetWorld) -> None:
    page = world.as_("vera").get("/fleet?sort=-cpu&tag=web").text
    assert re.search(r'aria-sort="descending"><a class="sort" href="/fleet\?tag=web&amp;sort=cpu', page)
    assert page.count("aria-sort") == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=alp", ["alpha"]),
        ("q=for+good", ["gamma"]),
        ("state=late", ["beta"]),
        ("tag=db", ["beta", "gamma"]),
        ("figures=yes", ["alpha", "beta", "delta"]),
        ("figures=no", ["gamma"]),
        ("tag=web&q=e", ["delta", "alpha"]),
        ("state=nonsense&size=7&page=x", ["alpha", "beta", "delta", "gamma"]),
    ],
)
def test_filters_choose(world: FleetWorld, query: str, found: list[str]) -> None:
    assert sorted(names(world.as_("vera").get(f"/fleet?{query}"))) == sorted(found)


def test_the_states_count_all_but_their_own_filter(world: FleetWorld) -> None:
    page = world.as_("vera").get("/fleet?state=late&tag=db").text
    assert re.findall(r"<strong>(\d+)</strong>", page) == ["2", "0", "1", "1"]


def test_pages_go_on(world: FleetWorld) -> None:
    for number in range(60):
        world.add(f"more-{number:02}")
    ada = world.as_("ada")
    first, second = ada.get("/fleet?size=50"), ada.get("/fleet?size=50&page=2")
    assert (len(names(first)), len(names(second))) == (50, 14)
    assert 'href="/fleet?size=50&amp;page=2" rel="next"' in first.text
    assert "51 to 64 of 64 hosts" in second.text
    assert names(ada.get("/fleet?page=99999")) == []


@pytest.mark.parametrize("name", ["ada", "oskar", "vera"])
def test_readers_see_all(world: FleetWorld, name: str) -> None:
    assert len(names(world.as_(name).get("/fleet"))) == 4


@pytest.mark.parametrize("path", ["/fleet", "/fleet/rows", "/fleet/wall", "/fleet.csv", "/fleet.json"])
def test_others_see_theirs_or_nothing(world: FleetWorld, path: str) -> None:
    ids = "&".join(f"id={host_id}" for host_id in world.parts.fleet.all())
    gerda = world.as_("gerda").get(f"{path}?{ids}").text
    assert "alpha" in gerda
    assert not {"beta", "gamma"} & set(re.findall(r"\w+", gerda))
    assert ">db<" not in gerda
    assert world.as_("nils").get(path).status_code == 403
    assert world.as_("").get(path).status_code in (303, 401)


def test_rows_are_answered_by_their_ids(world: FleetWorld) -> None:
    host_id = next(each for each in world.parts.fleet.all())
    answer = world.as_("vera").get(f"/fleet/rows?id={host_id}&id=absent&sort=-cpu")
    assert len(re.findall("<tr", answer.text)) == 1
    assert "<html" not in answer.text
    assert 'class="tallies"' in answer.text


def test_the_page_loads_again_only_when_asked_to(world: FleetWorld) -> None:
    vera = world.as_("vera")
    assert "http-equiv" not in vera.get("/fleet").text
    assert '<meta http-equiv="refresh" content="10">' in vera.get("/fleet?refresh=10&sort=-cpu").text
    assert "http-equiv" not in vera.get("/fleet?refresh=1").text


@pytest.mark.parametrize("sort", ["state", "-name"])
def test_a_page_of_one_state_is_cut_from_the_whole(world: FleetWorld, sort: str) -> None:
    for number in range(60):
        world.add(f"lost-{number:02}", state="lost")
    seen = [
        name
        for page in (1, 2)
        for name in names(world.as_("vera").get(f"/fleet?state=lost&size=50&sort={sort}&page={page}"))
    ]
    every = sorted(["gamma", *(f"lost-{number:02}" for number in range(60))], reverse=sort == "-name")
    assert seen == every


def test_an_empty_fleet_says_what_to_do(tmp_path: Path) -> None:
    with fleet_world(tmp_path / "home") as world:
        assert "No hosts yet" in world.as_("vera").get("/fleet").text
        assert "/hosts/new" in world.as_("ada").get("/fleet").text
        assert "No hosts yet" in world.as_("vera").get("/fleet/wall").text


def test_nothing_fits(world: FleetWorld) -> None:
    page = world.as_("vera").get("/fleet?q=zzz").text
    assert "No host fits" in page
    assert "<table" not in page


def test_csv_has_what_the_filter_has(world: FleetWorld) -> None:
    answer = world.as_("vera").get("/fleet.csv?sort=-cpu&state=late&size=50&page=3")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [each["name"] for each in rows] == ["beta"]
    assert (rows[0]["cpu"], rows[0]["swap"], rows[0]["tags"]) == ("80", "", "db")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="fleet.csv"'


def test_json_has_what_the_filter_has(world: FleetWorld) -> None:
    rows = json.loads(world.as_("vera").get("/fleet.json?sort=-cpu&figures=yes").data)
    assert [each["name"] for each in rows] == ["beta", "delta", "alpha"]
    assert (rows[0]["cpu"], rows[0]["swap"]) == (80, None)


def test_a_formula_in_a_reason_stays_text(world: FleetWorld) -> None:
    world.add("evil", state_reason="=1+1")
    assert "'=1+1" in world.as_("vera").get("/fleet.csv?q=evil").text


def test_the_wall_has_the_worst_first(world: FleetWorld) -> None:
    wall = world.as_("vera").get("/fleet/wall").text
    places = [wall.index(f'id="wall-{state}"') for state in ("lost", "late", "well")]
    assert places == sorted(places)
    assert 'data-theme="dark"' in wall
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in wall
    assert "masthead" not in wall
    assert names_on(wall) == ["gamma", "beta", "alpha", "delta"]
    assert names_on(world.as_("vera").get("/fleet/wall?tag=db").text) == ["gamma", "beta"]


def names_on(wall: str) -> list[str]:
    return re.findall(r'class="wall-name">(\w+)<', wall)


def test_the_wall_makes_tiles_smaller_the_more_there_are(world: FleetWorld) -> None:
    for number in range(20):
        world.add(f"more-{number:02}")
    assert 'class="wall-group wall-middle tone-success"' in world.as_("vera").get("/fleet/wall").text
    for number in range(80):
        world.add(f"even-more-{number:02}")
    wall = world.as_("vera").get("/fleet/wall").text
    assert 'class="wall-group wall-dense tone-success"' in wall
    assert 'class="wall-group wall-large tone-error"' in wall


def test_the_wall_follows_the_chosen_theme(world: FleetWorld) -> None:
    person = next(each for each in world.parts.access.list_people() if each.name == "vera")
    world.parts.profiles.choose_theme(Actor(ActorKind.PERSON, "vera", person_id=person.id), "light")
    assert 'data-theme="light"' in world.as_("vera").get("/fleet/wall").text
    assert 'data-theme="dark"' in world.as_("ada").get("/fleet/wall").text


def test_marks_stand_beside_the_state(world: FleetWorld) -> None:
    world.parts.fleet_list.mark_by(lambda host: ("flapping",) if host.state is HostState.LATE else ())
    page = world.as_("vera").get("/fleet")
    assert '<span class="chip">flapping</span>' in row(page, "beta")
    assert "flapping" not in row(page, "alpha")
