"""Two people on one file, and pushes by the real git in between: one's own text is kept."""

from pathlib import Path

import pytest

from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.files.changes.committing import FilesMoved
from quarterdeck.files.changes.conflicts import Decision, FileConflict, Keep, Side
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.models import ChangeState, DraftAction
from quarterdeck.files.places.place import Stale
from tests.files.change_world import World
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world
from tests.files.repositories import clone

APP = "conf/app.yml"


def conflict_of(world: World, change: ChangeRecord, path: str = APP) -> FileConflict:
    return world.changes.conflicts.get(world.actor("oskar"), change.id, path)


def resolve(world: World, change: ChangeRecord, conflict: FileConflict, **decided: object) -> None:
    decision = Decision(conflict.commit, conflict.side, conflict.draft.version, **decided)  # type: ignore[arg-type]  # fields of the decision
    world.changes.conflicts.resolve(world.actor("oskar"), change.id, conflict.path, decision)


def push(world: World, tmp_path: Path, branch: str, content: bytes) -> str:
    """Push as anybody with the real git would."""
    work = clone(world.repository, tmp_path / "work")
    work.git("checkout", "--quiet", branch)
    (work.folder / APP).write_bytes(content)
    work.git("-c", "user.name=G", "-c", "user.email=g@example.org", "commit", "--quiet", "-am", "Pushed")
    work.git("push", "--quiet", "origin", branch)
    return world.repository.tip(branch)


def test_target_that_moved_is_told_before_anything_is_sent(world: World, tmp_path: Path) -> None:
    change = world.changed("port: 81\nhost: a\nname: x\n")
    push(world, tmp_path, "main", b"port: 80\nhost: a\nname: y\n")
    with pytest.raises(FilesMoved) as moved:
        world.commit(change)
    assert (moved.value.paths, moved.value.is_target) == ((APP,), True)
    assert world.repository.tip(change.branch) == change.base
    assert world.records("file.commit", "intent") == []


def test_clean_changes_go_together_on_a_new_branch(world: World, tmp_path: Path) -> None:
    change = world.changed("port: 81\nhost: a\nname: x\n")
    pushed = push(world, tmp_path, "main", b"port: 80\nhost: a\nname: y\n")
    conflict = conflict_of(world, change)
    assert conflict.merge is not None
    assert (conflict.side, conflict.commit, conflict.merge.is_clean) == (Side.TARGET, pushed, True)
    resolve(world, change, conflict)
    done = world.commit(change)
    assert world.blob(done) == b"port: 81\nhost: a\nname: y\n"
    assert (done.base, done.former_branch) == (pushed, "")
    assert sorted(world.branches()) == sorted(["main", done.branch])
    assert done.branch != change.branch
    assert world.changes.merge(world.actor("oskar"), done.id).state is ChangeState.MERGED
    world.repository.check()


@pytest.mark.parametrize(
    ("choice", "own", "result"),
    [
        ("mine", "", b"port: 81\nhost: a\nname: x\n"),
        ("theirs", "", b"port: 90\nhost: a\nname: x\n"),
        ("both", "", b"port: 81\nport: 90\nhost: a\nname: x\n"),
        ("own", "port: 99\n", b"port: 99\nhost: a\nname: x\n"),
    ],
)
def test_each_part_is_decided(world: World, choice: str, own: str, result: bytes) -> None:
    change = world.changed("port: 81\nhost: a\nname: x\n")
    world.repository.commit({APP: b"port: 90\nhost: a\nname: x\n"})
    conflict = conflict_of(world, change)
    assert conflict.merge is not None
    (number,) = conflict.merge.conflicts
    with pytest.raises(Invalid):
        resolve(world, change, conflict)
    resolve(world, change, conflict, choices={number: choice}, own={number: own})
    assert world.changes.download(world.actor("oskar"), change.id, APP)[1] == result
    with pytest.raises(NotFound):
        conflict_of(world, change)


def test_own_text_is_intact_until_it_is_decided(world: World) -> None:
    change = world.changed("mine\n")
    world.repository.commit({APP: b"theirs\n"})
    with pytest.raises(FilesMoved):
        world.commit(change)
    assert world.changes.drafts.get(world.actor("oskar"), change.id, APP).content == b"mine\n"
    assert conflict_of(world, change).mine == b"mine\n"


def test_moved_target_may_be_left_to_whoever_merges(world: World) -> None:
    change = world.changed("mine\n")
    world.repository.commit({APP: b"theirs\n"})
    done = world.commit(change, despite_target=True)
    assert (world.blob(done), done.branch) == (b"mine\n", change.branch)
    with pytest.raises(Stale):
        world.changes.merge(world.actor("oskar"), done.id)
    assert world.get(done).state is ChangeState.COMMITTED


def test_merge_that_conflicts_is_solved_by_taking_in(world: World) -> None:
    change = world.commit(world.changed("mine\n"))
    world.repository.commit({APP: b"theirs\n"})
    with pytest.raises(Stale):
        world.changes.merge(world.actor("oskar"), change.id)
    resolve(world, change, conflict_of(world, change), keep=Keep.MINE)
    done = world.commit(change)
    world.changes.merge(world.actor("oskar"), done.id)
    assert world.repository.blob(APP) == b"mine\n"
    assert world.branches().count(change.branch) == 0


def test_target_that_moved_elsewhere_is_no_conflict(world: World) -> None:
    change = world.changed("mine\n")
    world.repository.commit({"run.sh": b"other\n"})
    done = world.commit(change)
    assert done.branch == change.branch
    assert world.changes.merge(world.actor("oskar"), done.id).state is ChangeState.MERGED
    assert world.repository.blob("run.sh") == b"other\n"


def test_push_to_the_branch_itself_is_a_conflict_on_the_branch(world: World, tmp_path: Path) -> None:
    change = world.changed("port: 81\nhost: a\nname: x\n")
    push(world, tmp_path, change.branch, b"port: 80\nhost: a\nname: z\n")
    with pytest.raises(FilesMoved) as moved:
        world.commit(change)
    assert not moved.value.is_target
    conflict = conflict_of(world, change)
    assert conflict.side is Side.BRANCH
    resolve(world, change, conflict)
    done = world.commit(change)
    assert world.blob(done) == b"port: 81\nhost: a\nname: z\n"
    assert world.commits(done.branch)[:2] == ["Why", "Pushed"]
    assert done.branch == change.branch


def test_push_of_another_file_to_the_branch_is_built_on(world: World) -> None:
    change = world.changed("mine\n")
    world.repository.commit({"run.sh": b"theirs\n"}, change.branch, "Theirs")
    done = world.commit(change)
    assert world.commits(done.branch)[:2] == ["Why", "Theirs"]
    assert world.blob(done, "run.sh") == b"theirs\n"


def test_file_that_others_removed_is_kept_or_let_go(world: World) -> None:
    kept, dropped = world.changed("mine\n"), world.changed("hers\n", "ada")
    world.repository.commit({APP: None})
    conflict = conflict_of(world, kept)
    assert (conflict.theirs, conflict.merge) == (None, None)
    with pytest.raises(Invalid):
        resolve(world, kept, conflict)
    resolve(world, kept, conflict, keep=Keep.MINE)
    assert world.blob(world.commit(kept)) == b"mine\n"
    ada = world.actor("ada")
    hers = world.changes.conflicts.get(ada, dropped.id, APP)
    world.changes.conflicts.resolve(ada, dropped.id, APP, Decision(hers.commit, hers.side, keep=Keep.THEIRS))
    assert not world.get(dropped, "ada").waiting


def test_new_file_that_others_made_too_is_merged(world: World) -> None:
    change = world.begin(path="new.txt", action=DraftAction.NEW)
    world.save(change, "mine\n", "new.txt")
    world.repository.commit({"new.txt": b"theirs\n"})
    with pytest.raises(FilesMoved):
        world.commit(change)
    conflict = conflict_of(world, change, "new.txt")
    assert conflict.merge is not None
    resolve(world, change, conflict, choices=dict.fromkeys(conflict.merge.conflicts, "both"))
    assert world.blob(world.commit(change), "new.txt") == b"mine\ntheirs\n"


def test_deletion_of_what_others_changed_is_decided(world: World) -> None:
    change = world.begin(path=APP, action=DraftAction.DELETE)
    world.repository.commit({APP: b"theirs\n"})
    with pytest.raises(FilesMoved):
        world.commit(change)
    resolve(world, change, conflict_of(world, change), keep=Keep.MINE)
    done = world.commit(change)
    assert APP not in world.repository.git("ls-tree", "-r", "--name-only", done.branch)


def test_rename_to_where_others_put_a_file_wants_another_path(world: World) -> None:
    oskar = world.actor("oskar")
    change = world.begin(path="run.sh", action=DraftAction.RENAME, new_path="go")
    world.repository.commit({"go": b"theirs\n"})
    conflict = conflict_of(world, change, "run.sh")
    assert conflict.is_taken
    with pytest.raises(Conflict):
        resolve(world, change, conflict, keep=Keep.MINE)
    world.changes.drafts.rename(oskar, change.id, "run.sh", "go2")
    assert world.blob(world.commit(change), "go2") == b"#!/bin/sh\ntrue\n"


def test_line_ends_of_others_are_kept_by_a_merge(world: World) -> None:
    change = world.changed("[a]\nx=1\ny=2\n", path="conf/win.ini")
    world.repository.commit({"conf/win.ini": b"; top\r\n[a]\r\nx=1\r\n"})
    conflict = conflict_of(world, change, "conf/win.ini")
    assert conflict.merge is not None
    resolve(world, change, conflict)
    assert world.blob(world.commit(change), "conf/win.ini") == b"; top\r\n[a]\r\nx=1\r\ny=2\r\n"


def test_target_that_moves_again_is_looked_at_again(world: World) -> None:
    change = world.changed("port: 81\nhost: a\nname: x\n")
    world.repository.commit({APP: b"port: 80\nhost: a\nname: y\n"})
    resolve(world, change, conflict_of(world, change))
    world.repository.commit({APP: b"port: 80\nhost: a\nname: z\n"})
    with pytest.raises(FilesMoved):
        world.commit(change)
    resolve(world, change, conflict_of(world, change))
    assert world.blob(world.commit(change)) == b"port: 81\nhost: a\nname: z\n"


def test_all_files_of_a_change_move_with_the_one_taken_in(world: World) -> None:
    oskar, change = world.actor("oskar"), world.changed("mine\n")
    world.commit(change)
    world.changes.beginning.add_file(oskar, change.id, Wanted("run.sh"))
    world.save(change, "echo\n", "run.sh")
    world.repository.commit({APP: b"theirs\n", "data.bin": b"new"})
    assert world.changes.conflicts.find(oskar, change.id) == [APP]
    resolve(world, change, conflict_of(world, change), keep=Keep.MINE)
    done = world.commit(change)
    assert (world.blob(done), world.blob(done, "run.sh")) == (b"mine\n", b"echo\n")
    assert world.blob(done, "data.bin") == b"new"
    assert len(world.commits(done.branch)) == 3


def test_draft_saved_meanwhile_is_not_written_over_by_a_merge(world: World) -> None:
    change = world.changed("mine\n")
    world.repository.commit({APP: b"theirs\n"})
    conflict = conflict_of(world, change)
    world.save(change, "mine, further\n")
    with pytest.raises(Conflict):
        resolve(world, change, conflict, keep=Keep.THEIRS)
    assert conflict_of(world, change).mine == b"mine, further\n"
