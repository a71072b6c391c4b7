"""The place down, full or forbidding at each step: the draft survives, and nothing is done twice."""

import re

import pytest

from quarterdeck.core.errors import Conflict
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.store import ChangeQuery
from quarterdeck.files.models import ChangeState
from quarterdeck.files.places.place import Missing, PlaceError, Refused, Throttled, Unanswered
from tests.files.bitbucket_world import BitbucketWorld
from tests.files.bitbucket_world import cloud as cloud
from tests.files.bitbucket_world import master as master
from tests.files.cloud.factories import PERSONS_TOKEN
from tests.files.cloud.server import CloudServer

APP = "conf/app.yml"
COMMIT = r"^POST .*/src$"
BRANCH = r"^POST .*/refs/branches$"
TARGET = r"^GET .*/refs/branches/main"


def draft(cloud: BitbucketWorld, change_id: str) -> bytes | None:
    return cloud.changes.drafts.get(cloud.actor("oskar"), change_id, APP).content


def test_whole_edit_takes_few_calls(cloud: BitbucketWorld) -> None:
    looked = cloud.parts.files.looking.look(cloud.actor("oskar"), cloud.place, "main", APP)
    cloud.server.asked.clear()
    change = cloud.begin(base=looked.commit)
    cloud.save(change, "port: 81\n")
    cloud.changes.differences(cloud.actor("oskar"), change.id)
    cloud.commit(change)
    proposed = cloud.changes.propose(cloud.actor("oskar"), change.id, ProposalWish("To 81"))
    assert proposed.state is ChangeState.PROPOSED
    asked = [line.partition("?")[0].partition("/config")[2] for line in cloud.server.lines]
    assert len(asked) <= 6, asked
    assert cloud.blob(proposed) == b"port: 81\n"


def test_place_that_is_down_at_the_begin_leaves_nothing(cloud: BitbucketWorld) -> None:
    cloud.fail(".", times=20)
    with pytest.raises(Unanswered):
        cloud.begin()
    assert not cloud.changes.list(cloud.actor("oskar"), ChangeQuery(place=cloud.place)).changes
    assert cloud.branches() == ["main"]


@pytest.mark.parametrize(
    ("status", "error"), [(401, Refused), (403, Refused), (404, Missing), (429, Throttled)]
)
def test_branch_that_is_refused_leaves_nothing(
    cloud: BitbucketWorld, status: int, error: type[PlaceError]
) -> None:
    cloud.fail(BRANCH, status, times=5)
    with pytest.raises(error):
        cloud.begin()
    assert not cloud.changes.list(cloud.actor("oskar"), ChangeQuery(place=cloud.place)).changes
    assert cloud.records("file.branch")[0]["result"] == "failed"


@pytest.mark.parametrize("kind", ["lost", "answer"])
def test_branch_of_which_nothing_is_known_is_found_or_made_with_the_commit(
    cloud: BitbucketWorld, kind: str
) -> None:
    cloud.fail(BRANCH, kind=kind)
    cloud.fail(r"^GET .*/refs/branches/quarterdeck", times=5)
    change = cloud.begin()
    assert (change.tip, change.is_unsure) == ("", True)
    cloud.save(change, "typed meanwhile\n")
    cloud.server.planned.clear()
    done = cloud.commit(change)
    assert cloud.blob(done) == b"typed meanwhile\n"
    assert len(cloud.branches()) == 2


def test_branch_whose_answer_is_lost_is_found_at_once(cloud: BitbucketWorld) -> None:
    cloud.fail(BRANCH, kind="lost")
    change = cloud.begin()
    assert change.tip == change.base


@pytest.mark.parametrize(
    ("status", "error"), [(401, Refused), (403, Refused), (429, Throttled), (500, Unanswered)]
)
def test_draft_survives_a_commit_that_fails(
    cloud: BitbucketWorld, status: int, error: type[PlaceError]
) -> None:
    change = cloud.changed("mine\n")
    cloud.fail(COMMIT, status, times=5)
    with pytest.raises(error):
        cloud.commit(change)
    assert draft(cloud, change.id) == b"mine\n"
    assert cloud.get(change).waiting
    cloud.server.planned.clear()
    assert cloud.blob(cloud.commit(change)) == b"mine\n"
    assert cloud.commits(change.branch) == ["Why", "Begin"]


def test_commit_whose_answer_is_lost_is_not_done_twice(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.lose_the_commit(change)
    assert cloud.get(change).is_unsure
    assert cloud.records("file.commit") == []
    done = cloud.commit(change)
    assert (done.state, done.is_unsure) == (ChangeState.COMMITTED, False)
    assert cloud.commits(change.branch) == ["Why", "Begin"]
    (outcome,) = cloud.records("file.commit")
    assert (outcome["result"], outcome["after"]) == ("ok", cloud.tip(change.branch))


def test_text_typed_after_a_lost_answer_is_the_next_commit(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.lose_the_commit(change)
    cloud.save(change, "mine, further\n")
    done = cloud.commit(change, message="Further")
    assert cloud.commits(change.branch) == ["Further", "Why", "Begin"]
    assert cloud.blob(done) == b"mine, further\n"


def test_end_of_a_lost_commit_is_found_by_looking_at_the_page(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.lose_the_commit(change)
    seen, unknown = cloud.changes.refreshed(cloud.actor("vera"), change.id)
    assert (seen.state, unknown, bool(seen.waiting)) == (ChangeState.COMMITTED, "", False)


def test_commit_that_did_not_arrive_is_told_so(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.fail(COMMIT, times=5)
    with pytest.raises(Unanswered):
        cloud.commit(change)
    cloud.server.planned.clear()
    cloud.changes.tidy()
    assert not cloud.get(change).is_unsure
    assert cloud.records("file.commit")[0]["result"] == "failed"
    assert cloud.get(change).waiting


def test_target_that_does_not_answer_stops_the_commit(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.fail(TARGET, times=5)
    with pytest.raises(Unanswered):
        cloud.commit(change)
    assert cloud.tip(change.branch) == change.base
    assert not cloud.get(change).pending


def test_draft_is_saved_while_the_place_is_down(cloud: BitbucketWorld) -> None:
    change = cloud.begin()
    cloud.server.close()
    cloud.save(change, "typed\n")
    oskar = cloud.actor("oskar")
    assert cloud.changes.differences(oskar, change.id)[0].difference
    assert cloud.changes.download(oskar, change.id, APP)[1] == b"typed\n"


def test_failed_page_keeps_message_and_text(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.fail(COMMIT, kind="lost")
    cloud.fail(r"^GET .*/refs/branches/quarterdeck", times=20)
    browser = cloud.browser("oskar")
    page = browser.post(f"/files/changes/{change.id}/commit", message="My words")
    assert page.status_code == 502
    for words in ("My words", "Your text is kept", "nothing is committed twice"):
        assert words in page.text
    assert PERSONS_TOKEN not in page.text
    assert "Nothing was committed" not in page.text
    cloud.server.planned.clear()
    again = browser.post(f"/files/changes/{change.id}/commit", message="My words")
    assert again.status_code == 303
    assert cloud.commits(change.branch) == ["My words", "Begin"]


def test_page_says_that_nothing_was_committed_when_that_is_known(cloud: BitbucketWorld) -> None:
    change = cloud.changed("mine\n")
    cloud.fail(TARGET, times=5)
    page = cloud.browser("oskar").post(f"/files/changes/{change.id}/commit", message="My words")
    assert page.status_code == 502
    assert "Nothing was committed. Commit again when it answers." in page.text


def test_pull_request_is_opened_once_and_followed(cloud: BitbucketWorld) -> None:
    oskar, change = cloud.actor("oskar"), cloud.commit(cloud.changed("mine\n"))
    cloud.fail(r"^POST .*/pullrequests$", kind="lost")
    cloud.fail(r"^GET .*/pullrequests", times=20)
    with pytest.raises(Unanswered):
        cloud.changes.propose(oskar, change.id, ProposalWish("Title"))
    cloud.server.planned.clear()
    assert cloud.get(change).state is ChangeState.COMMITTED
    assert isinstance(cloud.server, CloudServer)
    pulls = cloud.server.pulls
    first = cloud.changes.propose(oskar, change.id, ProposalWish("Title"))
    assert cloud.changes.propose(oskar, change.id, ProposalWish("Title")) == first
    assert len(pulls) == 1
    pulls[0]["state"] = "MERGED"
    cloud.clock.forward(seconds=31)
    assert cloud.changes.refreshed(oskar, change.id)[0].state is ChangeState.MERGED
    with pytest.raises(Conflict):
        cloud.commit(change)


def test_pull_request_is_asked_for_every_thirty_seconds_at_most(cloud: BitbucketWorld) -> None:
    oskar, change = cloud.actor("oskar"), cloud.commit(cloud.changed("mine\n"))
    cloud.changes.propose(oskar, change.id, ProposalWish("Title"))
    cloud.server.asked.clear()
    for _ in range(3):
        cloud.changes.refreshed(oskar, change.id)
    asked = [line for line in cloud.server.lines if re.search(r"^GET .*/pullrequests/\d+$", line)]
    assert len(asked) <= 1
    cloud.clock.forward(seconds=31)
    cloud.fail(r"^GET .*/pullrequests", times=5)
    seen, unknown = cloud.changes.refreshed(oskar, change.id)
    assert (seen.state, bool(unknown)) == (ChangeState.PROPOSED, True)


def test_commit_joins_an_open_pull_request(cloud: BitbucketWorld) -> None:
    oskar, change = cloud.actor("oskar"), cloud.commit(cloud.changed("mine\n"))
    cloud.changes.propose(oskar, change.id, ProposalWish("Title"))
    cloud.save(change, "mine, further\n")
    done = cloud.commit(change, message="Further")
    assert (done.state, cloud.commits(done.branch)[0]) == (ChangeState.PROPOSED, "Further")
    with pytest.raises(Conflict):
        cloud.changes.discard(oskar, change.id)


def test_discard_that_is_not_answered_changes_nothing(cloud: BitbucketWorld) -> None:
    oskar, change = cloud.actor("oskar"), cloud.changed("mine\n")
    cloud.fail(r"^DELETE ", times=5)
    with pytest.raises(Unanswered):
        cloud.changes.discard(oskar, change.id)
    assert cloud.get(change).state is ChangeState.OPEN
    cloud.server.planned.clear()
    assert cloud.changes.discard(oskar, change.id).state is ChangeState.DISCARDED
    assert cloud.branches() == ["main"]


def test_branch_somebody_removed_is_made_again_with_the_commit(cloud: BitbucketWorld) -> None:
    change = cloud.commit(cloud.changed("one\n"))
    cloud.server.git.point(change.branch, None)
    cloud.save(change, "two\n")
    assert cloud.blob(cloud.commit(change)) == b"two\n"


def test_pull_requests_are_followed_in_the_background(cloud: BitbucketWorld) -> None:
    oskar, change = cloud.actor("oskar"), cloud.commit(cloud.changed("mine\n"))
    cloud.changes.propose(oskar, change.id, ProposalWish("Title"))
    assert isinstance(cloud.server, CloudServer)
    cloud.server.pulls[0]["state"] = "DECLINED"
    cloud.clock.forward(seconds=31)
    for _ in range(10):
        cloud.changes.tidy()
    declined = cloud.get(change)
    assert (declined.state, declined.has_branch) == (ChangeState.DECLINED, True)
    removed = cloud.changes.cleaning.remove_branch(oskar, change.id)
    assert (removed.has_branch, cloud.branches()) == (False, ["main"])
