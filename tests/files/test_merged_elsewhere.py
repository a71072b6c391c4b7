"""Branches that others merge, without a pull request that was opened here: the change ends by itself."""

import pytest

from quarterdeck.core.errors import Conflict
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.models import ChangeState
from tests.files.bitbucket_world import BitbucketWorld
from tests.files.bitbucket_world import cloud as cloud
from tests.files.bitbucket_world import data_center_world as data_center_world
from tests.files.bitbucket_world import master as master
from tests.files.change_world import World
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world


def looked(world: World, change: ChangeRecord) -> ChangeRecord:
    """Look at the page of a change, a while after the last time."""
    world.clock.forward(seconds=31)
    found, unknown = world.changes.refreshed(world.actor("oskar"), change.id)
    assert unknown == ""
    return found


def merge(world: World, change: ChangeRecord) -> str:
    """Merge a branch into a target that has gone on, as anybody would with git."""
    world.repository.commit({"run.sh": b"other\n"})
    tree = world.repository.git("merge-tree", "--write-tree", "main", change.branch)
    parents = ("-p", "main", "-p", change.branch)
    made = world.repository.git("commit-tree", tree, *parents, "-m", "Merged by hand")
    world.repository.git("update-ref", "refs/heads/main", made)
    return made


def test_merge_by_git_is_noticed_when_the_page_is_looked_at(world: World) -> None:
    change = world.commit(world.changed("mine\n"))
    assert looked(world, change).state is ChangeState.COMMITTED
    made = merge(world, change)
    assert looked(world, change).state is ChangeState.MERGED
    (told,) = world.records("file.merge", "event")
    assert (told["before"], told["after"], told["by"]) == (change.tip, made, "others")
    with pytest.raises(Conflict):
        world.commit(change)
    done = world.changes.cleaning.remove_branch(world.actor("oskar"), change.id)
    assert (done.has_branch, world.branches()) == (False, ["main"])


def test_merge_by_git_is_noticed_in_the_background(world: World) -> None:
    change = world.commit(world.changed("mine\n"))
    merge(world, change)
    world.clock.forward(seconds=31)
    for _ in range(10):
        world.changes.tidy()
    assert world.get(change).state is ChangeState.MERGED


def test_target_that_moved_without_the_branch_ends_nothing(world: World) -> None:
    change = world.commit(world.changed("mine\n"))
    world.repository.commit({"conf/app.yml": b"mine\n"})
    assert looked(world, change).state is ChangeState.COMMITTED


def test_change_that_goes_on_is_not_ended(world: World) -> None:
    change = world.commit(world.changed("mine\n"))
    world.save(change, "mine, further\n")
    merge(world, change)
    assert looked(world, change).state is ChangeState.COMMITTED
    assert world.commit(change, despite_target=True).state is ChangeState.COMMITTED
    assert looked(world, change).state is ChangeState.COMMITTED


def test_change_without_a_commit_is_not_ended(world: World) -> None:
    change = world.changed("mine\n")
    world.repository.commit({"run.sh": b"other\n"})
    assert looked(world, change).state is ChangeState.OPEN


@pytest.mark.parametrize("kind", ["cloud", "data_center_world"])
def test_merge_at_bitbucket_is_noticed(kind: str, request: pytest.FixtureRequest) -> None:
    world: BitbucketWorld = request.getfixturevalue(kind)
    change = world.commit(world.changed("mine\n"))
    world.server.git.commit("main", {"run.sh": b"other\n"})
    assert looked(world, change).state is ChangeState.COMMITTED
    world.server.git.point("main", change.tip)
    assert looked(world, change).state is ChangeState.MERGED


def test_looking_costs_few_calls(cloud: BitbucketWorld) -> None:
    first, second = (
        cloud.commit(cloud.changed("x\n", path=path)) for path in ("conf/app.yml", "conf/win.ini")
    )
    looked(cloud, first)
    cloud.server.asked.clear()
    for change in (first, second, first, second):
        cloud.changes.refreshed(cloud.actor("oskar"), change.id)
    assert cloud.server.lines == []
    cloud.server.git.commit("main", {"run.sh": b"other\n"})
    looked(cloud, first)
    for change in (second, first, second):
        cloud.changes.refreshed(cloud.actor("oskar"), change.id)
    kinds = [line.partition("?")[0].partition("/config")[2] for line in cloud.server.lines]
    assert sorted(kinds) == ["/commits", "/commits", "/refs/branches/main"]
    cloud.server.asked.clear()
    looked(cloud, first)
    assert len(cloud.server.lines) == 1


def test_target_that_is_not_told_is_asked_for_as_seldom(cloud: BitbucketWorld) -> None:
    change = cloud.commit(cloud.changed("mine\n"))
    cloud.clock.forward(seconds=31)
    cloud.fail(r"^GET .*/refs/branches/main", status=403, times=9)
    assert cloud.changes.refreshed(cloud.actor("oskar"), change.id)[1] != ""
    asked = len(cloud.server.lines)
    for _ in range(3):
        cloud.changes.refreshed(cloud.actor("oskar"), change.id)
    assert len(cloud.server.lines) == asked


def test_place_that_does_not_answer_ends_nothing(cloud: BitbucketWorld) -> None:
    change = cloud.commit(cloud.changed("mine\n"))
    cloud.server.git.point("main", change.tip)
    cloud.clock.forward(seconds=31)
    cloud.fail(r"^GET .*/commits", body=b'{"values": {}}', status=200)
    found, unknown = cloud.changes.refreshed(cloud.actor("oskar"), change.id)
    assert (found.state, "not known here" in unknown) == (ChangeState.COMMITTED, True)
    assert looked(cloud, change).state is ChangeState.MERGED
