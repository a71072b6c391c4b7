"""Clean-up, and what a crash or a second process leaves: the branch tells how things stand."""

import threading

import pytest

from quarterdeck.core.errors import Busy, Conflict
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.conflicts import Decision, FileConflict
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.service import Changes
from quarterdeck.files.changes.store import ChangeQuery
from quarterdeck.files.models import ChangeState
from quarterdeck.files.places.place import Place
from tests.files.change_world import World, second_process
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world

APP = "conf/app.yml"


class Killed(BaseException):
    """The process ends here."""


def killed_after(place: Place, verb: str) -> None:
    """Let the process end when the place has just done something, before anybody hears of it."""
    act = getattr(place, verb)

    def act_and_die(*arguments: object, **named: object) -> object:
        act(*arguments, **named)
        delattr(place, verb)
        raise Killed

    setattr(place, verb, act_and_die)


def place_of(world: World) -> Place:
    record = world.parts.files.places.named(world.place)
    assert record is not None
    return world.parts.files.places.open(record)


def test_branch_without_a_commit_is_removed_after_its_time(world: World) -> None:
    change = world.changed("kept\n")
    world.clock.forward(hours=71)
    world.changes.tidy()
    assert world.get(change).state is ChangeState.OPEN
    world.clock.forward(hours=2)
    world.changes.tidy()
    ended = world.get(change)
    assert (ended.state, ended.has_branch, world.branches()) == (ChangeState.DISCARDED, False, ["main"])
    told = world.records("file.discard", "intent")[0]
    assert told["reason"] == "no commit for 72 hours"
    again = world.changes.beginning.resume(world.actor("oskar"), change.id)
    assert world.blob(world.commit(again)) == b"kept\n"


def test_whoever_goes_on_typing_keeps_the_branch(world: World) -> None:
    change = world.changed("one\n")
    for _ in range(3):
        world.clock.forward(hours=48)
        world.save(change, f"at {world.clock.now()}\n")
        world.changes.tidy()
    assert world.get(change).state is ChangeState.OPEN


def test_committed_branch_is_not_removed_by_time(world: World) -> None:
    change = world.commit(world.changed("one\n"))
    world.clock.forward(hours=1000)
    world.changes.tidy()
    assert world.get(change).state is ChangeState.COMMITTED
    assert change.branch in world.branches()


def test_branch_that_somebody_pushed_to_is_left(world: World) -> None:
    change = world.changed("mine\n")
    other = world.changed("hers\n", "ada")
    world.repository.commit({"run.sh": b"pushed\n"}, change.branch)
    world.repository.commit({"run.sh": b"pushed\n"}, other.branch)
    world.clock.forward(hours=73)
    world.changes.tidy()
    assert world.get(change).state is ChangeState.OPEN
    ended = world.changes.discard(world.actor("ada"), other.id)
    assert (ended.state, ended.has_branch) == (ChangeState.DISCARDED, True)
    assert other.branch in world.branches()


def test_one_place_that_fails_keeps_nothing_else_from_its_turn(world: World) -> None:
    change = world.changed("one\n")
    world.repository.folder.rename(world.repository.folder.with_name("moved"))
    world.clock.forward(hours=73)
    world.changes.tidy()
    assert world.get(change).state is ChangeState.OPEN
    world.repository.folder.with_name("moved").rename(world.repository.folder)
    world.changes.tidy()
    assert world.get(change).state is ChangeState.DISCARDED


def test_merged_branch_is_removed_when_asked(world: World) -> None:
    oskar, change = world.actor("oskar"), world.commit(world.changed("one\n"))
    with pytest.raises(Conflict):
        world.changes.cleaning.remove_branch(oskar, change.id)
    world.changes.merge(oskar, change.id)
    done = world.changes.cleaning.remove_branch(oskar, change.id)
    assert (done.has_branch, world.branches()) == (False, ["main"])
    assert world.changes.cleaning.remove_branch(oskar, change.id) == done


def test_killed_between_branch_and_record(world: World) -> None:
    killed_after(place_of(world), "create_branch")
    with pytest.raises(Killed):
        world.begin()
    with second_process(world) as after:
        (change,) = after.changes.list(after.actor("oskar"), query(world)).changes
        assert (change.tip, change.is_unsure) == ("", True)
        after.save(change, "typed\n")
        assert after.blob(after.commit(change)) == b"typed\n"
    assert len(world.branches()) == 2


def test_killed_between_commit_and_record(world: World) -> None:
    change = world.changed("mine\n")
    killed_after(place_of(world), "commit")
    with pytest.raises(Killed):
        world.commit(change)
    assert world.commits(change.branch) == ["Why", "Begin"]
    with second_process(world) as after:
        after.changes.tidy()
        found = after.get(change)
        assert (found.state, found.is_unsure, found.waiting) == (ChangeState.COMMITTED, False, ())
        assert found.tip == world.repository.tip(change.branch)
    (outcome,) = world.records("file.commit")
    assert (outcome["result"], outcome["after"]) == ("ok", found.tip)


def test_killed_before_the_commit_was_sent(world: World) -> None:
    change = world.changed("mine\n")
    place = place_of(world)

    def die(*_: object) -> str:
        delattr(place, "commit")
        raise Killed

    setattr(place, "commit", die)  # noqa: B010 - a method is not assigned to, says mypy
    with pytest.raises(Killed):
        world.commit(change)
    with second_process(world) as after:
        after.changes.refreshed(after.actor("oskar"), change.id)
        assert after.get(change).waiting
        assert after.commit(change).state is ChangeState.COMMITTED
    assert world.commits(change.branch) == ["Why", "Begin"]
    assert [each["result"] for each in world.records("file.commit")] == ["failed", "ok"]


def test_killed_between_merge_and_record(world: World) -> None:
    oskar, change = world.actor("oskar"), world.commit(world.changed("mine\n"))
    killed_after(place_of(world), "merge")
    with pytest.raises(Killed):
        world.changes.merge(oskar, change.id)
    with second_process(world) as after:
        assert after.changes.merge(oskar, change.id).state is ChangeState.MERGED


@pytest.mark.parametrize("verb", ["create_branch", "commit"])
def test_killed_while_it_moves_to_a_later_target(world: World, verb: str) -> None:
    oskar, change = world.actor("oskar"), world.changed("port: 81\nhost: a\nname: x\n")
    world.repository.commit({APP: b"port: 80\nhost: a\nname: y\n"})
    conflict = world.changes.conflicts.get(oskar, change.id, APP)
    world.changes.conflicts.resolve(oskar, change.id, APP, decision_of(conflict))
    killed_after(place_of(world), verb)
    with pytest.raises(Killed):
        world.commit(change)
    with second_process(world) as after:
        if verb == "commit":
            after.changes.tidy()
            after.changes.tidy()
        done = after.get(change) if verb == "commit" else after.commit(change)
        assert after.blob(done) == b"port: 81\nhost: a\nname: y\n"
        assert sorted(after.branches()) == sorted(["main", done.branch])


def test_two_processes_commit_once(world: World) -> None:
    change = world.changed("mine\n")
    with second_process(world) as other:
        done = both_commit(world, world.changes, other.changes, change)
    assert world.commits(change.branch) == ["Why", "Begin"]
    assert {each.state for each in done} == {ChangeState.COMMITTED}
    assert not world.get(change).waiting


def test_double_click_commits_once(world: World) -> None:
    change = world.changed("mine\n")
    done = both_commit(world, world.changes, world.changes, change)
    assert world.commits(change.branch) == ["Why", "Begin"]
    assert len(done) == 2


def test_double_click_on_update_makes_one_branch(world: World) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(world.begin().id)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(set(made)), len(world.branches())) == (4, 1, 2)


def test_nothing_is_done_that_can_not_be_recorded(world: World) -> None:
    change = world.changed("mine\n")
    with second_process(world) as full:
        full.parts.history.close()
        with pytest.raises(Busy):
            full.commit(change)
        with pytest.raises(Busy):
            full.begin(path="run.sh")
    assert world.commits(change.branch) == ["Begin"]
    assert len(world.branches()) == 2


def query(world: World) -> ChangeQuery:
    return ChangeQuery(place=world.place)


def decision_of(conflict: FileConflict) -> Decision:
    return Decision(conflict.commit, conflict.side)


def both_commit(world: World, one: Changes, two: Changes, change: ChangeRecord) -> list[ChangeRecord]:
    oskar, done = world.actor("oskar"), list[ChangeRecord]()
    wish = CommitWish("Why", tip=change.tip)
    threads = [
        threading.Thread(target=lambda each=each: done.append(each.commit(oskar, change.id, wish)))
        for each in (one, two)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done
