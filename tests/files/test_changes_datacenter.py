"""Changes in a Bitbucket Data Center, where a commit has one file and none can be removed."""

import re

import pytest

from quarterdeck.files.changes.committing import FilesMoved
from quarterdeck.files.changes.conflicts import Decision, Keep
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.models import ChangeState, DraftAction
from quarterdeck.files.places.place import PartlyCommitted, PlaceError, Unsupported
from tests.files.bitbucket_world import BitbucketWorld
from tests.files.bitbucket_world import data_center_world as data_center_world
from tests.files.bitbucket_world import master as master

APP = "conf/app.yml"
WRITE = r"^PUT .*/browse/"


def plain(page: str) -> str:
    """Return a page without its icons."""
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


@pytest.fixture
def center(data_center_world: BitbucketWorld) -> BitbucketWorld:
    return data_center_world


def test_whole_flow_to_a_pull_request(center: BitbucketWorld) -> None:
    change = center.commit(center.changed("port: 81\n"))
    assert center.blob(change) == b"port: 81\n"
    proposed = center.changes.propose(center.actor("oskar"), change.id, ProposalWish("To 81"))
    assert proposed.state is ChangeState.PROPOSED


def test_several_files_are_several_commits(center: BitbucketWorld) -> None:
    oskar, change = center.actor("oskar"), center.changed("port: 81\n")
    center.changes.beginning.add_file(oskar, change.id, Wanted("conf/new.yml", DraftAction.NEW))
    center.save(change, "new\n", "conf/new.yml")
    done = center.commit(change)
    assert (center.blob(done), center.blob(done, "conf/new.yml")) == (b"port: 81\n", b"new\n")
    assert len(center.commits(done.branch)) == 3
    assert not done.waiting


def test_half_of_a_commit_is_gone_on_with(center: BitbucketWorld) -> None:
    oskar, change = center.actor("oskar"), center.changed("port: 81\n")
    center.changes.beginning.add_file(oskar, change.id, Wanted("run.sh"))
    center.save(change, "echo\n", "run.sh")
    center.fail(WRITE, 403, after=1, times=1)
    with pytest.raises((PartlyCommitted, PlaceError)):
        center.commit(change)
    half = center.get(change)
    assert [file.path for file in half.waiting] == ["run.sh"]
    center.server.planned.clear()
    done = center.commit(half)
    assert (center.blob(done), center.blob(done, "run.sh")) == (b"port: 81\n", b"echo\n")
    assert len(center.commits(done.branch)) == 3


def test_lost_answer_is_not_done_twice(center: BitbucketWorld) -> None:
    change = center.changed("port: 81\n")
    center.fail(WRITE, kind="lost")
    center.fail(r"^GET ", times=30)
    with pytest.raises(PlaceError):
        center.commit(change)
    center.server.planned.clear()
    done = center.commit(change)
    assert (done.state, len(center.commits(change.branch))) == (ChangeState.COMMITTED, 2)


def test_what_can_not_be_done_there_is_said_before_anything_is(center: BitbucketWorld) -> None:
    for wanted in ({"action": DraftAction.DELETE}, {"action": DraftAction.RENAME, "new_path": "x"}):
        with pytest.raises(Unsupported):
            center.begin(path="run.sh", **wanted)
    assert center.branches() == ["main"]


def test_pages_offer_only_what_can_be_done_there(center: BitbucketWorld) -> None:
    browser, path = center.browser("oskar"), f"/files/{center.place}"
    view = browser.get(f"{path}/view?path={APP}").text
    offered = [f">{word}<" in plain(view) for word in ("Update", "Rename", "Delete")]
    assert offered == [True, False, False]
    assert "Renaming and deleting are not offered" in view
    change = browser.get(f"/files/changes/{center.begin().id}").text
    assert ('value="rename"' in change, 'value="delete"' in change, "New path" in change) == (False,) * 3
    assert "Renaming and deleting are not offered" in change
    assert browser.call("GET", f"/places/{center.place}").get_json()["can_remove"] is False


def test_programs_are_told_before_a_branch_is_made(center: BitbucketWorld) -> None:
    browser = center.browser("oskar")
    for wanted in ({"action": "delete"}, {"action": "rename", "new_path": "x"}):
        answer = browser.call("POST", "/changes", place=center.place, path="run.sh", **wanted)
        assert (answer.status_code, answer.get_json()["cause"]) == (422, "unsupported")
        form = browser.post(f"/files/{center.place}/new", path="run.sh", **wanted)
        assert (form.status_code, "no call that removes" in form.text) == (422, True)
    asked = browser.post(f"/files/{center.place}/new", path="run.sh", action="rename")
    assert (asked.status_code, "no call that removes" in asked.text) == (422, True)
    assert center.branches() == ["main"]


def test_others_on_the_target_are_taken_in(center: BitbucketWorld) -> None:
    oskar, change = center.actor("oskar"), center.changed("mine\n")
    center.server.git.commit("main", {APP: b"theirs\n"})
    with pytest.raises(FilesMoved):
        center.commit(change)
    conflict = center.changes.conflicts.get(oskar, change.id, APP)
    decision = Decision(conflict.commit, conflict.side, keep=Keep.MINE)
    center.changes.conflicts.resolve(oskar, change.id, APP, decision)
    done = center.commit(change)
    assert (center.blob(done), center.branches()) == (b"mine\n", ["main", done.branch])
