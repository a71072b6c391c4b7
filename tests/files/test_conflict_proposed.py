"""Others change the target while a pull request is open: taken in on its branch, and it stays open."""

import pytest

from quarterdeck.core.errors import Conflict
from quarterdeck.files.changes.committing import FilesMoved
from quarterdeck.files.changes.conflicts import Decision, FileConflict, Keep, Side
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.models import ChangeState, DraftAction
from quarterdeck.files.places.place import Unchanged, Unsupported
from tests.files.bitbucket_world import BitbucketWorld
from tests.files.bitbucket_world import cloud as cloud
from tests.files.bitbucket_world import data_center_world as data_center_world
from tests.files.bitbucket_world import master as master

APP = "conf/app.yml"
MINE, THEIRS = "port: 81\nhost: a\nname: x\n", b"port: 80\nhost: a\nname: y\n"
BOTH = b"port: 81\nhost: a\nname: y\n"


@pytest.fixture(params=["cloud", "data_center_world"])
def bitbucket(request: pytest.FixtureRequest) -> BitbucketWorld:
    found: BitbucketWorld = request.getfixturevalue(request.param)
    return found


def propose(world: BitbucketWorld, change: ChangeRecord) -> ChangeRecord:
    """Commit what waits and open the pull request."""
    world.commit(change)
    return world.changes.propose(world.actor("oskar"), change.id, ProposalWish("To 81"))


def conflict_of(world: BitbucketWorld, change: ChangeRecord, path: str = APP) -> FileConflict:
    return world.changes.conflicts.get(world.actor("oskar"), change.id, path)


def resolve(world: BitbucketWorld, change: ChangeRecord, path: str = APP, keep: Keep | None = None) -> None:
    conflict = conflict_of(world, change, path)
    assert conflict.side is Side.TARGET
    decision = Decision(conflict.commit, conflict.side, conflict.draft.version, keep)
    world.changes.conflicts.resolve(world.actor("oskar"), change.id, path, decision)


def merges(world: BitbucketWorld, change: ChangeRecord) -> bool:
    """Tell whether git can merge the branch into the target as they are."""
    return world.server.git.git("merge-tree", "--write-tree", "main", change.branch).returncode == 0


def assert_still_open(world: BitbucketWorld, change: ChangeRecord) -> None:
    world.clock.forward(seconds=31)
    seen, unknown = world.changes.refreshed(world.actor("oskar"), change.id)
    assert (seen.state, seen.branch, unknown) == (ChangeState.PROPOSED, change.branch, "")
    assert world.branches() == ["main", change.branch]
    assert len(world.server.pulls) == 1


def test_moved_target_is_told_and_taken_in_on_the_same_branch(bitbucket: BitbucketWorld) -> None:
    change = propose(bitbucket, bitbucket.changed(MINE))
    bitbucket.server.git.commit("main", {APP: THEIRS})
    bitbucket.save(change, "top: 1\n" + MINE)
    with pytest.raises(FilesMoved) as moved:
        bitbucket.commit(change)
    assert (moved.value.paths, moved.value.is_target) == ((APP,), True)
    resolve(bitbucket, change)
    done = bitbucket.commit(change, message="Further")
    assert bitbucket.blob(done) == b"top: 1\n" + BOTH
    assert len(bitbucket.commits(change.branch)) == 3
    assert merges(bitbucket, change)
    assert_still_open(bitbucket, change)


def test_target_is_taken_in_without_a_further_change(bitbucket: BitbucketWorld) -> None:
    change = propose(bitbucket, bitbucket.changed(MINE))
    bitbucket.server.git.commit("main", {APP: THEIRS})
    assert bitbucket.changes.conflicts.find(bitbucket.actor("oskar"), change.id) == [APP]
    resolve(bitbucket, change)
    assert bitbucket.blob(bitbucket.commit(change)) == BOTH
    assert bitbucket.changes.conflicts.find(bitbucket.actor("oskar"), change.id) == []
    assert_still_open(bitbucket, change)


def test_theirs_goes_onto_the_branch_and_mine_stays_there(bitbucket: BitbucketWorld) -> None:
    change = propose(bitbucket, bitbucket.changed(MINE))
    bitbucket.server.git.commit("main", {APP: THEIRS})
    resolve(bitbucket, change, keep=Keep.THEIRS)
    assert bitbucket.blob(bitbucket.commit(change)) == THEIRS
    bitbucket.server.git.commit("main", {APP: b"again\n"})
    resolve(bitbucket, change, keep=Keep.MINE)
    with pytest.raises(Unchanged):
        bitbucket.commit(change)
    assert bitbucket.blob(change) == THEIRS
    assert_still_open(bitbucket, change)


def test_it_may_be_left_to_whoever_merges(bitbucket: BitbucketWorld) -> None:
    change = propose(bitbucket, bitbucket.changed(MINE))
    bitbucket.server.git.commit("main", {APP: THEIRS})
    bitbucket.save(change, "mine\n")
    assert bitbucket.blob(bitbucket.commit(change, despite_target=True)) == b"mine\n"
    assert_still_open(bitbucket, change)


def test_new_file_that_others_made_too(bitbucket: BitbucketWorld) -> None:
    oskar, change = bitbucket.actor("oskar"), propose(bitbucket, bitbucket.changed(MINE))
    bitbucket.changes.beginning.add_file(oskar, change.id, Wanted("new.txt", DraftAction.NEW))
    bitbucket.save(change, "mine\n", "new.txt")
    bitbucket.server.git.commit("main", {"new.txt": b"theirs\n"})
    with pytest.raises(FilesMoved):
        bitbucket.commit(change)
    resolve(bitbucket, change, "new.txt", Keep.MINE)
    assert bitbucket.blob(bitbucket.commit(change), "new.txt") == b"mine\n"
    bitbucket.server.git.commit("main", {"run.sh": b"other\n"})
    assert bitbucket.changes.conflicts.find(oskar, change.id) == []
    assert_still_open(bitbucket, change)


def test_file_that_others_removed_goes_where_that_can_be_done(cloud: BitbucketWorld) -> None:
    change = propose(cloud, cloud.changed(MINE))
    cloud.server.git.commit("main", {APP: None})
    resolve(cloud, change, keep=Keep.MINE)
    assert not cloud.get(change).waiting
    cloud.server.git.commit("main", {APP: THEIRS})
    cloud.server.git.commit("main", {APP: None, "run.sh": b"other\n"})
    assert cloud.changes.conflicts.find(cloud.actor("oskar"), change.id) == []


def test_letting_it_go_removes_it_from_the_branch(cloud: BitbucketWorld) -> None:
    change = propose(cloud, cloud.changed(MINE))
    cloud.server.git.commit("main", {APP: None})
    resolve(cloud, change, keep=Keep.THEIRS)
    done = cloud.commit(change)
    assert cloud.server.git.content(done.tip, APP) is None
    assert_still_open(cloud, change)


def test_letting_it_go_is_refused_where_nothing_can_be_removed(data_center_world: BitbucketWorld) -> None:
    center = data_center_world
    change = propose(center, center.changed(MINE))
    center.server.git.commit("main", {APP: None})
    with pytest.raises(Unsupported):
        resolve(center, change, keep=Keep.THEIRS)
    assert center.blob(change) == MINE.encode()


def test_deletion_is_taken_back(cloud: BitbucketWorld) -> None:
    change = propose(cloud, cloud.begin(action=DraftAction.DELETE))
    cloud.server.git.commit("main", {APP: THEIRS})
    resolve(cloud, change, keep=Keep.THEIRS)
    assert cloud.blob(cloud.commit(change)) == THEIRS
    assert_still_open(cloud, change)


def test_deletion_stays(cloud: BitbucketWorld) -> None:
    change = propose(cloud, cloud.begin(action=DraftAction.DELETE))
    cloud.server.git.commit("main", {APP: THEIRS})
    resolve(cloud, change, keep=Keep.MINE)
    assert cloud.changes.conflicts.find(cloud.actor("oskar"), change.id) == []
    assert not cloud.get(change).waiting


def test_rename_takes_their_text_and_is_not_taken_back(cloud: BitbucketWorld) -> None:
    change = propose(cloud, cloud.begin(action=DraftAction.RENAME, new_path="conf/b.yml"))
    cloud.server.git.commit("main", {APP: THEIRS})
    resolve(cloud, change)
    done = cloud.commit(change)
    assert (cloud.blob(done, "conf/b.yml"), cloud.server.git.content(done.tip, APP)) == (THEIRS, None)
    cloud.server.git.commit("main", {APP: None})
    with pytest.raises(Conflict):
        resolve(cloud, change, keep=Keep.THEIRS)
    assert_still_open(cloud, change)


def test_page_says_what_becomes_of_the_pull_request(cloud: BitbucketWorld) -> None:
    change, browser = propose(cloud, cloud.changed(MINE)), cloud.browser("oskar")
    cloud.server.git.commit("main", {APP: THEIRS})
    cloud.save(change, "mine\n")
    refused = browser.post(f"/files/changes/{change.id}/commit", message="Further")
    assert (refused.status_code, "whoever merges decides" in refused.text) == (409, True)
    page = browser.get(f"/files/changes/{change.id}/conflict?path={APP}")
    assert "The pull request stays open" in page.text
