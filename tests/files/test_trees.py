"""What is kept of a place, for how long, and that one call serves all who ask at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from quarterdeck.core.errors import Busy
from quarterdeck.files.places.local import LocalPlace
from quarterdeck.files.places.place import Entry, Missing, PlaceError, Ref, Throttled, Unanswered
from quarterdeck.files.tree.flights import Flights
from quarterdeck.files.tree.kept import Kept
from quarterdeck.files.tree.trees import Trees
from tests.clocks import SetClock
from tests.files.place_world import World


@dataclass
class Counted(LocalPlace):
    """A real place that counts what it is asked, waits at a gate, and fails when it is told to."""

    folder: Path
    clock: SetClock
    calls: list[str] = field(default_factory=list)
    fault: PlaceError | None = None
    gate: threading.Event | None = None

    def __post_init__(self) -> None:
        super().__init__(self.folder, self.clock)

    def resolve(self, ref: str) -> str:
        self._count(f"resolve {ref}")
        return super().resolve(ref)

    def list_files(self, commit: str) -> list[Entry]:
        self._count("list")
        return super().list_files(commit)

    def refs(self, text: str = "", *, limit: int = 100) -> list[Ref]:
        self._count("refs")
        return super().refs(text, limit=limit)

    def _count(self, what: str) -> None:
        self.calls.append(what)
        if self.gate is not None:
            self.gate.wait(30)
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def place(world: World) -> Counted:
    repository = world.add("deck", {"a": b"1\n", "conf/b": b"2\n"})
    return Counted(repository.folder, world.clock)


@pytest.fixture
def trees(world: World) -> Trees:
    return Trees(world.clock)


def test_a_listing_is_fetched_once_for_a_commit(world: World, trees: Trees, place: Counted) -> None:
    record = world.record("deck")
    commit = place.resolve("main")
    for _ in range(3):
        assert [entry.path for entry in trees.entries(record, place, commit)] == ["a", "conf/b"]
    assert place.calls.count("list") == 1


def test_twenty_who_ask_at_once_cause_one_listing(world: World, trees: Trees, place: Counted) -> None:
    record, commit = world.record("deck"), place.resolve("main")
    place.gate = threading.Event()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(trees.listing, record, place, commit) for _ in range(20)]
        while not place.calls.count("list"):
            pass
        place.gate.set()
        assert len({id(each.result()) for each in asked}) == 1
    assert place.calls.count("list") == 1


def test_only_what_the_place_allows_is_listed(world: World, trees: Trees, place: Counted) -> None:
    record = replace(world.record("deck"), allowed_paths=("conf/",))
    assert [entry.path for entry in trees.entries(record, place, place.resolve("main"))] == ["conf/b"]


def test_the_tip_of_a_branch_is_asked_for_every_few_seconds(
    world: World, trees: Trees, place: Counted
) -> None:
    record = world.record("deck")
    for _ in range(5):
        trees.standing(record, place, "main")
    assert place.calls == ["resolve main"]
    world.clock.forward(seconds=4)
    trees.standing(record, place, "main")
    trees.forget(record, "main")
    trees.standing(record, place, "main")
    assert place.calls == ["resolve main"] * 3


@pytest.mark.parametrize("fault", [Throttled("Wait.", retry_after=30), Unanswered("Nobody is there.")])
def test_while_the_place_is_away_what_was_known_is_shown_as_old(
    world: World, trees: Trees, place: Counted, fault: PlaceError
) -> None:
    record = world.record("deck")
    before, listing = trees.latest(record, place, "main")
    world.clock.forward(minutes=10)
    place.fault = fault
    standing, kept = trees.latest(record, place, "main")
    assert (standing.commit, standing.asked_at, standing.trouble) == (before.commit, before.asked_at, fault)
    assert kept is listing


def test_a_listing_that_can_not_be_had_gives_way_to_the_last_one(
    world: World, trees: Trees, place: Counted
) -> None:
    record = world.record("deck")
    before, listing = trees.latest(record, place, "main")
    with ThreadPoolExecutor(1) as pool:  # a push from elsewhere
        pool.submit(world.repository_of("deck").commit, {"new": b"3\n"}).result()
    world.clock.forward(seconds=10)
    trees.standing(record, place, "main")
    place.fault = Unanswered("Nobody is there.")
    standing, kept = trees.latest(record, place, "main")
    assert (standing.commit, standing.trouble) == (before.commit, place.fault)
    assert kept is listing


def test_a_branch_that_is_gone_is_not_shown_from_memory(world: World, trees: Trees, place: Counted) -> None:
    record = world.record("deck")
    trees.latest(record, place, "main")
    world.clock.forward(seconds=10)
    place.fault = Missing("No such branch.")
    with pytest.raises(Missing):
        trees.latest(record, place, "main")
    place.fault = Unanswered("Nobody is there.")
    with pytest.raises(Unanswered):
        trees.latest(record, place, "main")


def test_refs_are_asked_for_every_few_seconds_and_tags_are_known_for_what_they_are(
    world: World, trees: Trees, place: Counted
) -> None:
    record = world.record("deck")
    world.repository_of("deck").git("tag", "v1", "main")
    commit = place.resolve("main")
    assert not trees.is_fixed(record, "v1", commit)
    for _ in range(3):
        assert [ref.name for ref in trees.refs(record, place)] == ["main", "v1"]
    assert place.calls.count("refs") == 1
    assert trees.is_fixed(record, "v1", commit)
    assert trees.is_fixed(record, commit, commit)
    assert not trees.is_fixed(record, "main", commit)


def test_what_was_not_asked_for_the_longest_goes_first_and_the_newest_stays() -> None:
    kept: Kept[str] = Kept(10)
    for name in ("a", "b"):
        kept.put(name, name, 5)
    kept.get("a")
    kept.put("c", "c", 5)
    assert [kept.get(name) for name in "abc"] == ["a", None, "c"]
    kept.put("d", "d", 50)
    assert [kept.get(name) for name in "acd"] == [None, None, "d"]
    assert kept.weight == 50


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    flights: Flights[int] = Flights()
    with pytest.raises(Unanswered):
        flights.call("x", lambda: raise_(Unanswered("Nobody is there.")))
    assert flights.call("x", lambda: 7) == 7


def test_a_fault_reaches_whoever_called_and_lets_the_others_go() -> None:
    flights: Flights[int] = Flights()
    gate, begun = threading.Event(), threading.Event()

    def break_down() -> int:
        begun.set()
        gate.wait(30)
        raise KeyError("a fault")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(flights.call, "x", break_down)
        begun.wait(30)
        second = pool.submit(flights.call, "x", break_down)
        while second.running() is False:
            pass
        gate.set()
        assert isinstance(first.exception(), KeyError)
        assert isinstance(second.exception(), Busy | KeyError)  # or it came a moment too late


def raise_(error: Exception) -> int:
    raise error
