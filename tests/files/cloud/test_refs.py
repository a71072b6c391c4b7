"""Branches and tags at Bitbucket Cloud."""

from datetime import UTC, datetime

import pytest

from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.place import Exists, Missing, PlaceError, Stale
from tests.clocks import SetClock
from tests.files.cloud.factories import BRANCH, Opener, begun
from tests.files.cloud.server import CloudServer


def test_the_default_branch_is_the_repositorys_own_or_the_one_set(
    server: CloudServer, open_place: Opener
) -> None:
    assert open_place(default_branch="release").default_branch() == "release"
    assert server.asked == []
    clock = SetClock()
    place = open_place(clock=clock)
    assert place.default_branch() == place.default_branch() == "main"
    assert len(server.asked) == 1
    clock.forward(301)
    place.default_branch()
    assert len(server.asked) == 2


def test_an_empty_repository_has_no_default_branch(server: CloudServer, place: CloudPlace) -> None:
    server.git.point("main", None)
    with pytest.raises(Missing, match="empty"):
        place.default_branch()


def test_branches_come_before_tags_and_the_latest_first(server: CloudServer, place: CloudPlace) -> None:
    first = server.git.tip("main")
    server.git.point("feature/Old", first)
    newest = server.git.commit("feature/new", {"x": b"1"})
    server.git.point("v1", first, kind="tags")
    assert [(ref.name, ref.is_tag) for ref in place.refs()] == [
        ("feature/new", False), ("main", False), ("feature/Old", False), ("v1", True),
    ]  # fmt: skip
    found = place.refs("OLD")
    assert [ref.name for ref in found] == ["feature/Old"]
    assert found[0].commit == first
    assert found[0].changed_at == datetime.fromtimestamp(1_700_000_001, UTC)
    assert place.refs("feature/new")[0].commit == newest


def test_text_that_is_looked_for_is_no_query(server: CloudServer, place: CloudPlace) -> None:
    for text in ('" OR name ~ "', "\\", 'a"b\\', "x+y & z", "ü"):
        assert place.refs(text) == []


def test_branches_are_read_page_by_page_up_to_the_limit(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.tip("main")
    for number in range(130):
        server.git.point(f"topic/{number:03}", tip)
    assert len(place.refs("topic", limit=125)) == 125
    assert len(place.refs(limit=3)) == 3
    assert len(server.asked) == 3


def test_a_branch_a_tag_and_a_hash_are_resolved(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.tip("main")
    assert tip
    server.git.point("feature/a", tip)
    server.git.point("v1.0", tip, kind="tags")
    assert place.resolve("feature/a") == place.resolve("v1.0") == place.resolve(tip) == tip
    assert place.tip("feature/a") == tip


@pytest.mark.parametrize("ref", ["nowhere", "no/where", "0" * 40, "", "../../user", "a//b", "."])
def test_what_is_not_there_is_missing(place: CloudPlace, ref: str) -> None:
    with pytest.raises(Missing):
        place.resolve(ref)


def test_a_branch_that_is_there_exists(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    with pytest.raises(Exists):
        place.create_branch(BRANCH, tip)
    server.has_keys = False
    with pytest.raises(Exists):
        place.create_branch(BRANCH, tip)


def test_a_branch_below_another_is_refused_with_bitbuckets_reason(
    server: CloudServer, place: CloudPlace
) -> None:
    tip = begun(place)
    with pytest.raises(PlaceError, match="clashes") as caught:
        place.create_branch(f"{BRANCH}/x", tip)
    assert type(caught.value) is PlaceError


def test_a_branch_made_without_an_answer_is_found(server: CloudServer, place: CloudPlace) -> None:
    server.plan("POST .*/refs/branches", kind="lost")
    begun(place)
    assert server.git.tip(BRANCH)


def test_a_branch_is_removed_when_it_is_where_it_was_left(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    place.delete_branch(BRANCH, tip=tip)
    assert server.git.tip(BRANCH) is None
    place.delete_branch(BRANCH, tip=tip)
    place.delete_branch(BRANCH)


def test_a_branch_that_moved_is_not_removed(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    server.git.commit(BRANCH, {"x": b"1"})
    with pytest.raises(Stale):
        place.delete_branch(BRANCH, tip=tip)
    assert server.git.tip(BRANCH)


def test_the_main_branch_is_not_removed(server: CloudServer, place: CloudPlace) -> None:
    with pytest.raises(PlaceError, match="can't be deleted"):
        place.delete_branch("main")
