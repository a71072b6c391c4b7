"""The first file of an empty repository: at each kind of place, by form and by the API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.errors import Forbidden, Invalid
from quarterdeck.core.ids import new_id
from quarterdeck.files.changes.first import FirstFile
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.files.places.place import Exists, PlaceError, Refused
from tests.files.bitbucket_world import BitbucketWorld
from tests.files.bitbucket_world import empty_center as empty_center
from tests.files.bitbucket_world import empty_cloud as empty_cloud
from tests.files.bitbucket_world import master as master
from tests.files.change_world import World
from tests.files.change_world import shared as shared
from tests.files.repositories import Repository, make_repository

FILE = FirstFile("conf/app.yml", "port: 80\r\nname: ä\r\n", "Begin it")
CONTENT = "port: 80\nname: ä\n".encode()
KINDS = ["empty_local", "empty_cloud", "empty_center"]


def at(shared: World, repository: Repository, *, branch: str = "") -> World:
    """Return a world with a local place of its own."""
    name = f"conf-{new_id()}"
    draft = PlaceDraft(name=name, kind=PlaceKind.LOCAL, url=str(repository.folder), default_branch=branch)
    shared.parts.files.places.add(SYSTEM, draft)
    world = World(shared.home, repository, shared.clock, shared.parts, name, shared.cookies)
    world.__dict__["app"] = shared.app
    return world


@pytest.fixture
def empty_local(shared: World, tmp_path: Path) -> Iterator[World]:
    world = at(shared, make_repository(tmp_path / "empty"))
    yield world
    world.repository.check()


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


def content(world: World, path: str) -> bytes | None:
    if not isinstance(world, BitbucketWorld):
        return world.repository.blob(path)
    tip = world.tip()
    return world.server.git.content(tip, path) if tip else None


def test_repository_begins_with_a_file_and_goes_on_with_changes(empty: World) -> None:
    made = empty.changes.first.make(empty.actor("oskar"), empty.place, FILE)
    assert (made.branch, made.path, content(empty, FILE.path)) == ("main", FILE.path, CONTENT)
    assert len(empty.commits("main")) == 1
    (told,) = empty.records("file.commit")
    assert (told["result"], told["after"]) == ("ok", made.commit)
    change = empty.begin()
    empty.save(change, "port: 81\n")
    assert empty.blob(empty.commit(change)) == b"port: 81\n"
    with pytest.raises(Exists):
        empty.changes.first.make(empty.actor("oskar"), empty.place, FILE)


def test_form_leads_from_the_empty_page_to_the_file(empty: World) -> None:
    browser, base = empty.browser("oskar"), f"/files/{empty.place}"
    page = browser.get(base)
    assert (page.status_code, f'href="{base}/first"' in page.text) == (200, True)
    assert 'value="README.md"' in browser.get(f"{base}/first").text
    bad = browser.post(f"{base}/first", path="../x", text="kept text", message="")
    assert (bad.status_code, "kept text" in bad.text) == (422, True)
    done = browser.post(f"{base}/first", path="README.md", text="# Hello", message="Begin")
    assert done.status_code == 303, done.text
    assert "Hello" in browser.get(done.headers["Location"]).text
    listed = browser.get(base).text
    assert ("README.md" in listed, "This repository is empty" in listed) == (True, False)
    again = browser.post(f"{base}/first", path="b", text="kept text", message="Begin")
    assert (again.status_code, "kept text" in again.text) == (409, True)


def test_programs_begin_a_repository(empty: World) -> None:
    body = {"path": "README.md", "text": "# Hello\n", "message": "Begin"}
    url = f"/places/{empty.place}/first-commit"
    assert empty.browser("vera").call("POST", url, **body).status_code == 403
    made = empty.browser("oskar").call("POST", url, **body)
    assert (made.status_code, made.get_json()["branch"]) == (201, "main")
    assert empty.browser("oskar").call("POST", url, **body).status_code == 409


def test_who_may_not_and_what_is_refused_makes_nothing(empty_local: World) -> None:
    first = empty_local.changes.first
    with pytest.raises(Forbidden):
        first.make(empty_local.actor("vera"), empty_local.place, FILE)
    for file in (FirstFile("a", "b", " "), FirstFile("a", "x\0", "m"), FirstFile("a", "\ud800", "m")):
        with pytest.raises(Invalid):
            first.make(empty_local.actor("oskar"), empty_local.place, file)
    assert empty_local.branches() == []


def test_branch_is_the_places_or_heads(shared: World, tmp_path: Path) -> None:
    set_, own = make_repository(tmp_path / "set"), make_repository(tmp_path / "own")
    own.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    for repository, default, branch in ((set_, "live", "live"), (own, "", "trunk")):
        world = at(shared, repository, branch=default)
        assert world.changes.first.make(world.actor("oskar"), world.place, FILE).branch == branch
        assert repository.blob(FILE.path, f"refs/heads/{branch}") == CONTENT


def test_working_tree_is_left_alone(shared: World, tmp_path: Path) -> None:
    world = at(shared, make_repository(tmp_path / "tree", bare=False))
    with pytest.raises(Refused):
        world.changes.first.make(world.actor("oskar"), world.place, FILE)
    assert world.branches() == []


@pytest.mark.parametrize("kind", KINDS[1:])
def test_first_commit_whose_answer_is_lost_is_found(kind: str, request: pytest.FixtureRequest) -> None:
    world: BitbucketWorld = request.getfixturevalue(kind)
    world.fail(r"^(POST .*/src|PUT .*/browse/.*)$", kind="lost")
    made = world.changes.first.make(world.actor("oskar"), world.place, FILE)
    assert (made.commit, len(world.commits("main"))) == (world.tip(), 1)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_place_that_is_down_makes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    world: BitbucketWorld = request.getfixturevalue(kind)
    world.fail(".", times=20)
    with pytest.raises(PlaceError):
        world.changes.first.make(world.actor("oskar"), world.place, FILE)
    assert world.branches() == []
