"""Choosing a file: its page and its JSON, with real repositories."""

import re

import pytest

from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from tests.files.place_world import World
from tests.files.repositories import Files

FILES: Files = {
    "README.md": b"# Deck\n",
    "conf/app.yaml": b"a: 1\n",
    "conf/prod/app.yaml": b"a: 2\n",
    "120000:latest": b"conf/app.yaml",
}
ROUTES = (
    "/files/deck",
    "/files/deck?q=app",
    "/files/deck/view?path=README.md",
    "/files/deck/raw?path=README.md",
)
CALLS = ("/places/deck", "/places/deck/files", "/places/deck/refs", "/places/deck/file?path=README.md")


@pytest.mark.parametrize(
    ("who", "page", "call"),
    [("ada", 200, 200), ("oskar", 200, 200), ("vera", 200, 200), ("nils", 403, 403), ("", 303, 401)],
)
def test_who_gets_to_the_files_of_a_place_for_viewers(world: World, who: str, page: int, call: int) -> None:
    world.add("deck", FILES)
    visitor = world.as_(who)
    assert [visitor.get(path).status_code for path in ("/files", *ROUTES)] == [page] * 5
    assert [visitor.client.get(f"/api/v1{path}").status_code for path in CALLS] == [call] * 4


@pytest.mark.parametrize(("who", "status"), [("ada", 200), ("oskar", 404), ("vera", 404), ("nils", 403)])
def test_a_place_for_administrators_is_hidden_from_the_others(world: World, who: str, status: int) -> None:
    world.add("deck", FILES, read_role=Role.ADMINISTRATOR, write_role=Role.ADMINISTRATOR)
    visitor = world.as_(who)
    assert [visitor.get(path).status_code for path in ROUTES] == [status] * 4
    assert [visitor.client.get(f"/api/v1{path}").status_code for path in CALLS] == [status] * 4
    if status == 404:
        assert 'href="/files/deck"' not in visitor.get("/files").text
        assert visitor.client.get("/api/v1/places").get_json() == {"places": []}
        assert "/files/deck" not in visitor.get("/search?q=deck").text


def test_a_grant_opens_the_pages_to_somebody_without_a_role(world: World) -> None:
    world.add("deck", FILES)
    world.add("other", FILES)
    world.parts.grants.give(SYSTEM, "place:deck", "read", person="nils")
    nils = world.as_("nils")
    assert [nils.get(path).status_code for path in ("/files", *ROUTES)] == [200] * 5
    assert "other" not in nils.get("/files").text.partition("<main")[2]
    assert nils.get("/files/other").status_code == 404
    assert "Update" not in nils.get(ROUTES[2]).text


def test_the_page_steps_through_folders(world: World) -> None:
    world.add("deck", FILES)
    vera = world.as_("vera")
    top = vera.get("/files/deck").text
    assert 'href="/files/deck?ref=main&amp;path=conf"' in top
    assert "symbolic link" in top
    assert "conf/prod" not in top
    conf = vera.get("/files/deck?ref=main&path=conf").text
    assert 'href="/files/deck/view?ref=main&amp;path=conf%2Fapp.yaml"' in conf
    assert 'aria-current="page"' in conf
    assert "There is no such folder" in vera.get("/files/deck?path=absent").text


def test_the_search_works_as_a_form_with_a_list(world: World) -> None:
    world.add("deck", FILES)
    vera = world.as_("vera")
    page = vera.get("/files/deck?ref=main&q=prod+yaml").text
    assert "1 file found" in page
    assert "conf%2Fprod%2Fapp.yaml" in page.partition('id="found"')[2]
    assert "No file fits" in vera.get("/files/deck?q=zzz").text


def test_programs_find_files(world: World) -> None:
    world.add("deck", FILES)
    answer = world.as_("vera").api("GET", "/places/deck/files?q=app&limit=1").get_json()
    assert [entry["path"] for entry in answer["files"]] == ["conf/app.yaml"]
    assert (answer["ref"], answer["total"], answer["trouble"], answer["budget"]) == ("main", 4, "", None)
    assert len(answer["commit"]) == 40


def test_branches_and_tags_are_offered_and_found(world: World) -> None:
    repository = world.add("deck", FILES)
    repository.commit({"new.md": b"x\n"}, "feature/new")
    repository.git("tag", "v1", "main")
    vera = world.as_("vera")
    page = vera.get("/files/deck?refs=feature").text
    assert 'href="/files/deck?ref=feature%2Fnew"' in page
    assert "ref=v1" not in page
    assert "new.md" in vera.get("/files/deck?ref=feature/new").text
    assert "new.md" not in vera.get("/files/deck?ref=v1").text
    refs = vera.api("GET", "/places/deck/refs?q=v1").get_json()["refs"]
    assert [(ref["name"], ref["is_tag"]) for ref in refs] == [("v1", True)]
    assert "No branch or tag holds" in vera.get("/files/deck?refs=zzz").text


def test_only_allowed_paths_are_there(world: World) -> None:
    world.add("deck", FILES, allowed_paths=("conf/",))
    vera = world.as_("vera")
    assert "README" not in vera.get("/files/deck?q=README").text.partition("<main")[2].replace(
        "“README”", ""
    ).replace('"README"', "")
    for path in ("view", "raw"):
        assert vera.get(f"/files/deck/{path}?path=README.md").status_code == 404
    assert vera.api("GET", "/places/deck/file?path=README.md").status_code == 404
    assert vera.get("/files/deck/view?path=conf/app.yaml").status_code == 200


def test_an_empty_repository_and_a_branch_that_is_gone_are_said_so(world: World) -> None:
    world.add("empty")
    world.add("deck", FILES)
    vera = world.as_("vera")
    empty = vera.get("/files/empty")
    assert (empty.status_code, "This repository is empty" in empty.text) == (200, True)
    assert "/files/empty/first" not in empty.text
    assert 'href="/files/empty/first"' in world.as_("oskar").get("/files/empty").text
    assert vera.api("GET", "/places/empty/files").status_code == 404
    gone = vera.get("/files/deck?ref=gone")
    assert gone.status_code == 404
    assert 'href="/files/deck?ref=main"' in gone.text
    assert vera.api("GET", "/places/deck/files?ref=gone").status_code == 404


def test_a_place_that_is_not_there_is_explained(world: World) -> None:
    world.places.add(SYSTEM, PlaceDraft(name="absent", kind=PlaceKind.LOCAL, url="/srv/absent.git"))
    answer = world.as_("vera").get("/files/absent")
    assert answer.status_code >= 400
    assert "notice-warning" in answer.text


@pytest.mark.parametrize("ref", ["--upload-pack=x", "a..b", "refs/heads/main", "a b", "x" * 300])
def test_what_can_be_no_branch_is_refused(world: World, ref: str) -> None:
    world.add("deck", FILES)
    vera = world.as_("vera")
    assert vera.client.get("/files/deck", query_string={"ref": ref}).status_code == 422
    assert vera.client.get("/api/v1/places/deck/files", query_string={"ref": ref}).status_code == 422


def test_recent_files_are_ones_own_and_come_first(world: World) -> None:
    world.add("deck", FILES)
    oskar = world.as_("oskar")
    oskar.get("/files/deck/view?path=README.md")
    oskar.get("/files/deck/view?path=conf/app.yaml")
    own = oskar.api("GET", "/places/deck/files").get_json()["recent"]
    assert [entry["path"] for entry in own] == ["conf/app.yaml", "README.md"]
    assert "Recent" in oskar.get("/files/deck").text
    assert world.as_("vera").api("GET", "/places/deck/files").get_json()["recent"] == []


def test_own_drafts_lead_to_their_editor(world: World) -> None:
    world.add("deck", FILES)
    wanted = Wanted("README.md", target="main", base=world.repository_of("deck").tip())
    change = world.parts.changes.begin(world.actor("oskar"), "deck", wanted).change
    assert f"/files/changes/{change.id}/edit?path=README.md" in world.as_("oskar").get("/files/deck").text
    assert change.id not in world.as_("vera").get("/files/deck").text
    world.parts.changes.save_draft(world.actor("oskar"), change.id, "README.md", "new\n")
    world.parts.changes.commit(world.actor("oskar"), change.id, CommitWish("Renew"))
    assert "Your drafts" not in world.as_("oskar").get("/files/deck").text


def test_hostile_names_stay_text(world: World) -> None:
    names = [
        "<img src=x onerror=alert(1)>.md",
        "\"quoted\" 'name'.md",
        "a\u202egnp.exe",
        "{{7*7}}",
        "a&amp;b",
        "tab\there",
    ]
    world.add("deck", {name.encode(): b"x\n" for name in names} | {"ok.md": b"x\n"})
    ada = world.as_("ada")
    for path in ("/files/deck", "/files/deck?q=md"):
        page = ada.get(path).text
        assert "<img src=x" not in page
        assert "\u202e" not in page
    for name in names:
        seen = ada.client.get("/files/deck/view", query_string={"path": name})
        assert seen.status_code == 200, name
        assert "<img src=x" not in seen.text
        assert "\u202e" not in re.sub(r'type="hidden" name="path" value="[^"]*"', "", seen.text)
        raw = ada.client.get("/files/deck/raw", query_string={"path": name})
        assert "\n" not in raw.headers["Content-Disposition"]
        assert raw.headers["Content-Disposition"].startswith("attachment; filename=")
        assert "\u202e" not in raw.headers["Content-Disposition"]
