"""The flow of a change in a local repository: begun, edited, committed, merged; looked at by the real git."""

import pytest

from quarterdeck.core.errors import Conflict, Forbidden, Invalid, NotFound
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.store import ChangeQuery
from quarterdeck.files.models import ChangeState, DraftAction
from quarterdeck.files.places.place import Exists, Missing, Unchanged, Unsupported
from tests.files.change_world import World
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world


def test_update_makes_a_branch_of_the_person_from_the_tip_shown(world: World) -> None:
    tip = world.repository.tip()
    change = world.begin(base=tip)
    assert change.branch.startswith("quarterdeck/oskar/app.yml-")
    assert world.repository.tip(change.branch) == tip == change.tip
    assert (change.state, change.target, change.person) == (ChangeState.OPEN, "main", "oskar")
    told = world.records("file.branch")[0]
    assert (told["result"], told["after"], told["branch"]) == ("ok", tip, change.branch)


def test_commit_is_by_the_person_on_the_branch_alone(world: World) -> None:
    before = world.repository.tip()
    change = world.commit(world.changed("port: 81\nhost: a\nname: x\n"), message="Move\r\n\r\nto 81")
    assert change.state is ChangeState.COMMITTED
    assert world.blob(change) == b"port: 81\nhost: a\nname: x\n"
    assert world.repository.tip() == before
    log = world.repository.git("log", "-1", "--format=%an|%ae|%B", change.branch)
    assert log == "oskar|oskar@127.0.0.1|Move\n\nto 81"
    assert change.tip == world.repository.tip(change.branch)
    outcome = world.records("file.commit")[0]
    assert (outcome["result"], outcome["after"]) == ("ok", change.tip)
    intent = world.records("file.commit", "intent")[0]
    assert (intent["before"], intent["path"], intent["message"]) == (before, "conf/app.yml", "Move\n\nto 81")
    world.repository.check()


def test_line_ends_of_the_file_are_kept_through_a_text_area(world: World) -> None:
    change = world.changed("[a]\r\nx=2\r\n", path="conf/win.ini")
    world.commit(change)
    assert world.blob(change, "conf/win.ini") == b"[a]\r\nx=2\r\n"


def test_several_files_are_one_commit(world: World) -> None:
    oskar, change = world.actor("oskar"), world.changed("port: 1\n")
    add = world.changes.beginning.add_file
    add(oskar, change.id, Wanted("conf/new.yml", DraftAction.NEW))
    world.save(change, "new: yes", "conf/new.yml")
    add(oskar, change.id, Wanted("run.sh", DraftAction.RENAME, "bin/run"))
    add(oskar, change.id, Wanted("data.bin", DraftAction.DELETE))
    done = world.commit(change)
    assert world.commits(done.branch)[:2] == ["Why", "Begin"]
    listed = world.repository.git("ls-tree", "-r", "--format=%(objectmode) %(path)", done.branch)
    assert listed.splitlines() == [
        "100755 bin/run", "100644 conf/app.yml", "100644 conf/new.yml", "100644 conf/win.ini",
    ]  # fmt: skip
    assert world.blob(done, "conf/new.yml") == b"new: yes"
    assert not done.waiting


def test_commit_goes_on_after_a_commit(world: World) -> None:
    change = world.commit(world.changed("one\n"))
    world.save(change, "two\n")
    again = world.commit(change, message="More")
    assert world.blob(again) == b"two\n"
    assert world.commits(again.branch)[:2] == ["More", "Why"]


def test_what_was_committed_can_be_taken_back(world: World) -> None:
    change = world.commit(world.changed("one\n"))
    world.save(change, "port: 80\nhost: a\nname: x\n")
    assert world.blob(world.commit(change)) == b"port: 80\nhost: a\nname: x\n"


def test_renamed_file_is_edited_further_after_the_commit(world: World) -> None:
    change = world.begin(path="run.sh", action=DraftAction.RENAME, new_path="bin/run")
    world.commit(change)
    world.save(change, "#!/bin/sh\nfalse\n", "run.sh")
    done = world.commit(change)
    assert world.blob(done, "bin/run") == b"#!/bin/sh\nfalse\n"
    assert "run.sh" not in world.repository.git("ls-tree", "-r", "--name-only", done.branch).splitlines()


def test_binary_file_is_replaced_by_an_upload(world: World) -> None:
    oskar, change = world.actor("oskar"), world.begin(path="data.bin")
    world.changes.drafts.save_bytes(oskar, change.id, "data.bin", b"\xff\x00\r\n\x00")
    assert world.blob(world.commit(change), "data.bin") == b"\xff\x00\r\n\x00"


def test_merge_brings_the_branch_into_its_target(world: World) -> None:
    change = world.commit(world.changed("port: 1\n"))
    merged = world.changes.merge(world.actor("oskar"), change.id)
    assert merged.state is ChangeState.MERGED
    assert world.repository.blob("conf/app.yml") == b"port: 1\n"
    assert world.records("file.merge")[0]["after"] == world.repository.tip()
    assert world.changes.merge(world.actor("oskar"), change.id).state is ChangeState.MERGED
    world.repository.check()


def test_local_repository_has_no_pull_requests(world: World) -> None:
    change = world.commit(world.changed("port: 1\n"))
    with pytest.raises(Unsupported):
        world.changes.propose(world.actor("oskar"), change.id, ProposalWish("Title"))
    assert world.get(change).state is ChangeState.COMMITTED


def test_file_that_is_open_already_is_gone_on_with(world: World) -> None:
    change = world.changed("mine\n")
    begun = world.changes.begin(world.actor("oskar"), world.place, Wanted("conf/app.yml"))
    assert (begun.change.id, begun.is_new) == (change.id, False)
    assert world.begin("ada").id != change.id


def test_untouched_draft_of_an_older_commit_is_not_gone_on_with(world: World) -> None:
    change = world.begin()
    world.repository.commit({"conf/app.yml": b"newer\n"})
    assert world.begin().id != change.id


@pytest.mark.parametrize(
    ("path", "new_path", "action", "field"),
    [
        ("../x", "", DraftAction.NEW, "path"),
        ("-x", "", DraftAction.NEW, "path"),
        (".git/config", "", DraftAction.NEW, "path"),
        ("a\u202eb", "", DraftAction.NEW, "path"),
        ("run.sh", "a//b", DraftAction.RENAME, "new_path"),
        ("run.sh", "run.sh", DraftAction.RENAME, "new_path"),
        ("run.sh", "x", DraftAction.UPDATE, "new_path"),
    ],
)
def test_bad_paths_are_refused_before_anything_is_done(
    world: World, path: str, new_path: str, action: DraftAction, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        world.begin(path=path, new_path=new_path, action=action)
    assert field in refused.value.fields
    assert world.branches() == ["main"]
    assert world.records("file.branch", "intent") == []


def test_what_is_not_as_the_action_needs_it_leaves_nothing_behind(world: World) -> None:
    with pytest.raises(Exists):
        world.begin(path="run.sh", action=DraftAction.NEW)
    with pytest.raises(Exists):
        world.begin(path="run.sh", new_path="data.bin", action=DraftAction.RENAME)
    with pytest.raises(Missing):
        world.begin(path="absent")
    with pytest.raises(Missing):
        world.begin(target="absent")
    assert world.branches() == ["main"]
    assert not world.changes.list(world.actor("oskar"), ChangeQuery(place=world.place)).changes


def test_commit_without_a_change_or_a_message_is_refused(world: World) -> None:
    change = world.begin()
    with pytest.raises(Unchanged):
        world.commit(change)
    world.save(change, "port: 80\nhost: a\nname: x\n")
    with pytest.raises(Unchanged):
        world.commit(change)
    with pytest.raises(Invalid):
        world.commit(change, message=" \n ")
    with pytest.raises(Invalid):
        world.commit(change, message="a\x1b[2J")
    assert world.repository.tip(change.branch) == world.repository.tip()


def test_only_the_person_goes_on_with_a_change(world: World) -> None:
    change = world.changed("mine\n")
    world.parts.access.add_person(world.actor("ada"), "olga", role=world.actor("oskar").role)
    for name in ("ada", "vera"):
        with pytest.raises(Forbidden):
            world.commit(change, name)
        with pytest.raises(Forbidden):
            world.save(change, "theirs\n", name=name)
    assert world.get(change, "vera").id == change.id
    with pytest.raises(NotFound):
        world.get(change, "nils")
    with pytest.raises(Forbidden):
        world.begin("vera")


def test_administrator_discards_the_change_of_another_on_the_record(world: World) -> None:
    change = world.changed("mine\n")
    with pytest.raises(Forbidden):
        world.changes.discard(world.actor("vera"), change.id)
    ended = world.changes.discard(world.actor("ada"), change.id)
    assert (ended.state, ended.has_branch) == (ChangeState.DISCARDED, False)
    assert world.branches() == ["main"]
    assert world.records("file.discard")[0]["result"] == "ok"
    with pytest.raises(Conflict):
        world.commit(change)


def test_discarded_text_is_kept_and_taken_up_again(world: World) -> None:
    oskar, change = world.actor("oskar"), world.changed("mine\n")
    world.changes.discard(oskar, change.id)
    world.save(change, "typed meanwhile\n")
    again = world.changes.beginning.resume(oskar, change.id)
    assert again.id != change.id
    assert world.blob(world.commit(again)) == b"typed meanwhile\n"


def test_file_is_taken_out_until_it_is_committed(world: World) -> None:
    oskar, change = world.actor("oskar"), world.changed("mine\n")
    world.changes.beginning.add_file(oskar, change.id, Wanted("run.sh"))
    world.changes.drafts.drop(oskar, change.id, "run.sh")
    assert world.get(change).paths == ("conf/app.yml",)
    world.commit(change)
    with pytest.raises(Conflict):
        world.changes.drafts.drop(oskar, change.id, "conf/app.yml")


def test_who_else_edits_the_file_is_told(world: World) -> None:
    change = world.changed("mine\n", "ada")
    others = world.changes.editors_of(world.actor("oskar"), change.place_id, "conf/app.yml")
    assert [(each.person, each.change_id) for each in others] == [("ada", change.id)]
    assert not world.changes.editors_of(world.actor("ada"), change.place_id, "conf/app.yml")


def test_place_that_is_removed_leaves_the_text(world: World) -> None:
    oskar, change = world.actor("oskar"), world.changed("mine\n")
    world.parts.files.places.remove(world.actor("ada"), world.place)
    assert world.changes.download(oskar, change.id, "conf/app.yml")[1] == b"mine\n"
    with pytest.raises(NotFound):
        world.get(change, "vera")
    with pytest.raises(Conflict):
        world.commit(change)
    assert world.changes.discard(oskar, change.id).state is ChangeState.DISCARDED
