"""The pages, the JSON and the commands by which places are looked after."""

import pytest
from click.testing import CliRunner

from quarterdeck.cli import main
from quarterdeck.core.actors import SYSTEM
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from tests.files.place_world import World

PAGES = ("/files/places", "/files/places/add", "/files/places/deck/edit", "/files/places/deck/test")
FORM = {"kind": "cloud", "name": "wiki", "project": "acme", "repository": "wiki", "token": "a-good-token-123"}


@pytest.mark.parametrize(("who", "status"), [("oskar", 403), ("vera", 403), ("nils", 403), ("", 303)])
def test_only_an_administrator_looks_after_places(world: World, who: str, status: int) -> None:
    world.add("deck", {"a": b"1\n"})
    visitor = world.as_(who)
    assert [visitor.get(page).status_code for page in PAGES] == [status] * len(PAGES)
    if who:
        assert visitor.post("/files/places/add", **FORM).status_code == 403
        assert visitor.api("DELETE", "/places/deck").status_code == 403
    assert len(world.places.all()) == 1


def test_a_place_is_added_tested_changed_and_removed_by_forms(world: World) -> None:
    ada = world.as_("ada")
    repository = world.repository("deck", {"a": b"1\n"})
    form = {"kind": "local", "name": "deck", "url": str(repository.folder), "allowed_paths": "conf/\n\n*.md"}
    added = ada.post("/files/places/add", **form)
    assert (added.status_code, added.location) == (303, "/files/places/deck/test")
    assert world.record("deck").allowed_paths == ("conf/", "*.md")
    assert "All is well" in ada.post("/files/places/deck/test").text
    assert ada.post("/files/places/deck/edit", **form | {"name": "bridge"}).status_code == 303
    assert "Remove bridge?" in ada.get("/files/places/bridge/remove").text
    assert ada.post("/files/places/bridge/remove").location == "/files/places"
    assert world.places.all() == []


def test_a_mistake_keeps_the_values_and_says_what_is_wrong_beside_the_field(world: World) -> None:
    answer = world.as_("ada").post("/files/places/add", **FORM | {"project": "a b", "allowed_paths": "/etc"})
    assert answer.status_code == 422
    assert 'id="field-project-error"' in answer.text
    assert 'id="field-allowed_paths-error"' in answer.text
    assert 'value="wiki"' in answer.text
    assert "a-good-token-123" not in answer.text


def test_a_name_in_use_is_said_beside_the_name(world: World) -> None:
    world.places.add(SYSTEM, PlaceDraft(name="wiki", kind=PlaceKind.LOCAL, url="/srv/x"))
    answer = world.as_("ada").post("/files/places/add", **FORM)
    assert answer.status_code == 409
    assert 'id="field-name-error"' in answer.text


def test_an_empty_token_field_keeps_the_token_and_a_tick_takes_it_away(world: World) -> None:
    ada = world.as_("ada")
    ada.post("/files/places/add", **FORM)
    kept = FORM | {"token": "", "url": "https://api.bitbucket.org/2.0"}
    ada.post("/files/places/wiki/edit", **kept)
    assert world.record("wiki").has_token
    ada.post("/files/places/wiki/edit", **kept | {"forget_token": "true"})
    assert not world.record("wiki").has_token


def test_the_test_shows_each_check_and_ends_at_the_first_fault(world: World) -> None:
    world.places.add(SYSTEM, PlaceDraft(name="gone", kind=PlaceKind.LOCAL, url="/srv/absent.git"))
    page = world.as_("ada").post("/files/places/gone/test").text
    assert "the test ended at" in page
    assert "/srv/absent.git" in page
    told = world.as_("ada").api("POST", "/places/gone/test").get_json()
    assert told["passed"] is False
    assert [check["is_ok"] for check in told["checks"]][-1:] == [False]


def test_programs_add_change_and_remove_places(world: World) -> None:
    ada = world.as_("ada")
    body = {
        "name": "wiki",
        "kind": "cloud",
        "project": "acme",
        "repository": "wiki",
        "token": "a-good-token-123",
    }
    added = ada.api("POST", "/places", body)
    assert (added.status_code, added.location) == (201, "/api/v1/places/wiki")
    assert added.get_json()["has_token"] is True
    changed = ada.api("PATCH", "/places/wiki", {"default_branch": "release/1", "write_role": "administrator"})
    assert changed.get_json()["default_branch"] == "release/1"
    assert changed.get_json()["has_token"] is True
    assert ada.api("PATCH", "/places/wiki", {"token": ""}).get_json()["has_token"] is False
    assert ada.api("POST", "/places", body).status_code == 409
    assert ada.api("DELETE", "/places/wiki").status_code == 204
    assert ada.api("GET", "/places/wiki").status_code == 404


def test_readers_are_told_neither_the_account_nor_the_folder(world: World) -> None:
    world.add("deck", {"a": b"1\n"})
    draft = PlaceDraft(
        name="wiki", kind=PlaceKind.CLOUD, project="acme", repository="wiki", username="bot@example.org"
    )
    world.places.add(SYSTEM, draft)
    for name, tells in (("ada", True), ("oskar", False), ("vera", False)):
        text = world.as_(name).api("GET", "/places").text
        assert ("bot@example.org" in text) is tells
        assert (str(world.folder) in text) is tells


def test_commands_add_test_list_and_remove_places(world: World) -> None:
    repository = world.repository("deck", {"conf/app.yaml": b"a: 1\n"})
    run = CliRunner()

    def call(*words: str) -> tuple[int, str]:
        done = run.invoke(main, ["--home", str(world.home), *words])
        return done.exit_code, done.output

    assert call("place", "add", "deck", "--kind", "local", "--url", str(repository.folder))[0] == 0
    assert call("place", "test", "deck")[0] == 0
    assert call("place", "list")[1] == f"deck\tlocal\t{repository.folder}\tviewer\toperator\n"
    assert call("file", "find", "deck", "app", "conf") == (0, "conf/app.yaml\n")
    assert call("file", "show", "deck", "conf/app.yaml") == (0, "a: 1\n")
    assert call("file", "show", "deck", "absent")[0] == 1
    assert call("place", "remove", "deck")[0] == 0
    assert call("place", "test", "deck")[0] == 1
