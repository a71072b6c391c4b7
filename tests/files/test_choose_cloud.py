"""Choosing and looking at a place of Bitbucket Cloud: what it costs, and what is said while it is away."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.files.register import Places
from tests.files.bitbucket_world import QuickOpener
from tests.files.cloud.factories import PERSONS_TOKEN
from tests.files.cloud.server import CloudServer
from tests.files.place_world import World

FILES = {"README.md": b"# Acme\n", "conf/app.yml": b"port: 80\n"}


@pytest.fixture
def server(world: World, tmp_path: Path) -> Iterator[CloudServer]:
    """A repository of a Cloud of our own, as the place ``acme``."""
    with contextlib.closing(CloudServer(tmp_path / "acme.git")) as server:
        server.git.commit("main", FILES, "Begin")
        parts = world.parts
        parts.files.places._opener = QuickOpener(parts.loop, world.clock)
        draft = PlaceDraft(
            name="acme",
            kind=PlaceKind.CLOUD,
            url=server.url,
            project=server.workspace,
            repository=server.slug,
            username="oskar@example.org",
            token=PERSONS_TOKEN,
        )
        parts.files.places.add(SYSTEM, draft)
        yield server
        assert server.faults == []


def used(world: World) -> int:
    budget = places(world).open(world.record("acme")).budget()
    assert budget is not None
    return budget.used


def places(world: World) -> Places:
    return world.parts.files.places


def test_the_page_shows_how_much_of_the_hours_calls_is_left(world: World, server: CloudServer) -> None:
    page = world.as_("vera").get("/files/acme").text
    assert f"{used(world)} API calls in the last hour" in page
    assert f"{1000 - used(world)} calls of 1,000 left" in page
    told = world.as_("vera").api("GET", "/places/acme/files").get_json()["budget"]
    assert told == {"used": used(world), "limit": 1000, "is_near_limit": False}


def test_searching_costs_no_call_and_looking_again_none(world: World, server: CloudServer) -> None:
    vera = world.as_("vera")
    vera.get("/files/acme")
    before = used(world)
    for words in ("app", "readme", "yml"):
        assert vera.api("GET", f"/places/acme/files?q={words}").status_code == 200
    assert used(world) == before
    vera.get("/files/acme/view?path=conf/app.yml")
    assert used(world) - before <= 3
    before = used(world)
    world.as_("oskar").get("/files/acme/view?path=conf/app.yml")
    assert used(world) == before


def test_after_a_push_the_page_has_the_new_file_for_few_calls(world: World, server: CloudServer) -> None:
    server.git.commit("main", {f"srv/{n:03}.yml": b"a: 1\n" for n in range(500)}, "Grow")
    vera = world.as_("vera")
    vera.get("/files/acme")
    server.git.commit("main", {"conf/new.yml": b"n: 1\n", "conf/app.yml": None}, "Move")
    world.clock.forward(minutes=1)
    before = len(server.lines)
    found = [entry["path"] for entry in vera.api("GET", "/places/acme/files?q=conf").get_json()["files"]]
    assert found == ["conf/new.yml"]
    listing = [line for line in server.lines[before:] if "/src/" in line or "/diffstat/" in line]
    assert ["diffstat" in line for line in listing] == [True, False]
    assert "/src/" in listing[1]
    assert "conf/new.yml?format=meta" in listing[1]


def test_the_limit_is_explained_with_the_time_to_come_back(world: World, server: CloudServer) -> None:
    vera = world.as_("vera")
    server.plan(r"^GET ", 429, b"Rate limit for this resource has been exceeded", times=50)
    first = vera.get("/files/acme")
    assert (first.status_code, "Come back in" in first.text) == (503, True)
    assert int(first.headers["Retry-After"]) >= 30
    answer = vera.api("GET", "/places/acme/files")
    assert (answer.status_code, answer.get_json()["cause"]) == (503, "throttled")


@pytest.mark.parametrize("status", [429, 500])
def test_while_it_is_away_the_last_listing_is_shown_as_old(
    world: World, server: CloudServer, status: int
) -> None:
    vera = world.as_("vera")
    assert vera.get("/files/acme").status_code == 200
    world.clock.forward(minutes=5)
    server.plan(r"^GET ", status, b"Try later", times=50)
    page = vera.get("/files/acme?q=app")
    assert page.status_code == 200
    assert "it may be old by now" in page.text
    assert "conf%2Fapp.yml" in page.text
    answer = vera.api("GET", "/places/acme/files?q=app").get_json()
    assert [entry["path"] for entry in answer["files"]] == ["conf/app.yml"]
    assert answer["trouble"]
    server.planned.clear()


def test_a_bad_token_is_said_to_be_one_and_stays_secret(world: World, server: CloudServer) -> None:
    server.tokens.clear()
    answer = world.as_("vera").get("/files/acme")
    assert answer.status_code >= 400
    assert "token" in answer.text.partition("notice-warning")[2]
    checks = places(world).test(world.actor("ada"), "acme")
    assert [check.name for check in checks if not check.is_ok] == ["credential"]
    assert PERSONS_TOKEN not in answer.text + str(checks)


def test_hostile_words_of_the_place_stay_text(world: World, server: CloudServer) -> None:
    server.plan(r"^GET ", 403, b'{"error": {"message": "<script>alert(1)</script>"}}', times=9)
    assert "<script>alert" not in world.as_("vera").get("/files/acme").text
    server.planned.clear()
