"""The listing of a next commit at Bitbucket Cloud: what a full one gives, for the calls of what differs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck.core.actors import Role
from quarterdeck.core.loop import Loop
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.local import LocalPlace
from quarterdeck.files.places.place import Entry, EntryKind, Throttled, Unanswered
from quarterdeck.files.tree.deriving import MOST_STEPS, derived, listing_of
from quarterdeck.files.tree.listing import Listing
from quarterdeck.files.tree.trees import Trees
from tests.clocks import SetClock
from tests.files.cloud.factories import place_at
from tests.files.cloud.server import CloudServer
from tests.files.git_repository import EXECUTABLE, FILE, LINK, SUBMODULE
from tests.files.repositories import Repository, make_repository

OTHER_REPOSITORY = b"5" * 40
MANY: dict[str, bytes] = {
    **{f"srv/g{n % 20:02}/f{n:03}.yml": b"a: 1\n" for n in range(600)},
    "conf/app.yml": b"port: 80\n",
    "conf/b/c.yml": b"c: 1\n",
    "bin/run.sh": b"#!/bin/sh\n",
    "conf/.git/config": b"[a]\n",
}
Tree = Mapping[str, tuple[int, bytes]]


@dataclass
class Deck:
    """A place at a server, and what is kept of it."""

    server: CloudServer
    loop: Loop
    record: PlaceRecord
    clock: SetClock = field(default_factory=SetClock)
    opened: list[CloudPlace] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trees = Trees(self.clock)
        self.place = self.open()

    def open(self, **how: Any) -> CloudPlace:  # Any: handed on
        self.opened.append(place_at(self.server, self.loop, clock=self.clock, **how))
        return self.opened[-1]

    def listing(self, commit: str, ref: str = "") -> Listing:
        return self.trees.listing(self.record, self.place, commit, ref=ref)

    def in_full(self, commit: str) -> Listing:
        with closing(place_at(self.server, self.loop)) as other:
            return listing_of(other.list_files(commit), self.record.allowed_paths)

    def push(self, files: Mapping[str, bytes | None], branch: str = "main", **modes: int) -> str:
        by_path = {name.replace("__", "/"): mode for name, mode in modes.items()}
        return self.server.git.commit(branch, files, modes=by_path)

    def asked_for(self, commit: str, ref: str = "") -> list[str]:
        """Compare a listing with the full one and return what was asked for: differences, file, list."""
        before = len(self.server.lines)
        listing = self.listing(commit, ref)
        lines = self.server.lines[before:]
        assert same(listing, self.in_full(commit))
        return [kind_of(line) for line in lines]


def kind_of(line: str) -> str:
    return "differences" if "/diffstat/" in line else "file" if "format=meta" in line else "list"


def same(one: Listing, other: Listing) -> bool:
    return (one.entries, one.hidden, one.left_out) == (other.entries, other.hidden, other.left_out)


def record_of(*allowed: str) -> PlaceRecord:
    return PlaceRecord(
        id="p1", name="acme", kind=PlaceKind.CLOUD, url="", project="acme", repository="config",
        default_branch="main", allowed_paths=allowed, username="", has_token=True, authorities="",
        read_role=Role.VIEWER, write_role=Role.OPERATOR, from_settings=False,
        created_at=SetClock().now(), updated_at=SetClock().now(),
    )  # fmt: skip


@pytest.fixture
def deck(tmp_path: Path, loop: Loop) -> Iterator[Deck]:
    """A repository of seven pages, the first commit of which has been listed."""
    with closing(CloudServer(tmp_path / "acme.git")) as server:
        deck = Deck(server, loop, record_of())
        deck.listing(deck.push(MANY, bin__run_sh=EXECUTABLE), "main")
        yield deck
        for place in deck.opened:
            place.close()
        assert server.faults == []


def test_one_changed_file_of_ten_thousand_costs_two_calls(tmp_path: Path, loop: Loop) -> None:
    files = {f"srv/g{n % 50:02}/f{n:05}.yml": b"a: 1\n" for n in range(10_000)}
    with closing(CloudServer(tmp_path / "many.git")) as server:
        deck = Deck(server, loop, record_of())
        deck.listing(deck.push(files))
        assert len(server.asked) == 101
        listing = deck.listing(deck.push({"srv/g07/f00007.yml": b"a: 12\n"}))
        assert [kind_of(line) for line in server.lines[101:]] == ["differences", "file"]
        deck.place.close()
        changed = listing.get("srv/g07/f00007.yml")
        assert changed is not None
        assert (len(listing), changed.size) == (10_000, 6)
        assert server.faults == []


CASES: dict[str, tuple[dict[str, bytes | None], dict[str, int], int]] = {
    "changed": ({"conf/app.yml": b"port: 8080\n"}, {}, 1),
    "added": ({"conf/new.yml": b"n: 1\n", "top.md": b"# Top\n"}, {}, 2),
    "removed": ({"conf/app.yml": None, "conf/b/c.yml": None}, {}, 0),
    "renamed": ({"conf/app.yml": None, "conf/z.yml": MANY["conf/app.yml"]}, {}, 1),
    "mode": ({"conf/app.yml": MANY["conf/app.yml"]}, {"conf/app.yml": EXECUTABLE}, 1),
    "link": ({"conf/app.yml": b"b/c.yml"}, {"conf/app.yml": LINK}, 1),
    "submodule": ({"conf/app.yml": OTHER_REPOSITORY}, {"conf/app.yml": SUBMODULE}, 1),
    "a file becomes a folder": ({"conf/app.yml": None, "conf/app.yml/a": b"1\n"}, {}, 1),
    "a folder becomes a file": ({"conf/b/c.yml": None, "conf/b": b"1\n"}, {}, 1),
    "hidden": ({"conf/.git/config": None, "conf/.git/x": b"1\n", "a/.GIT": b"1\n"}, {}, 2),
    "nothing": ({"conf/app.yml": MANY["conf/app.yml"]}, {}, 0),
    "odd names": ({"a b/100%.txt": b"1", "#1?.md": b"2", "c++/Grüße;&=.txt": b"3", "x..y": b"4"}, {}, 4),
}


@pytest.mark.parametrize("pairs_renames", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_derived_listing_is_the_full_one(deck: Deck, case: str, *, pairs_renames: bool) -> None:
    deck.server.differences.pairs_renames = pairs_renames
    files, modes, calls = CASES[case]
    commit = deck.server.git.commit("main", files, modes=modes)
    assert deck.asked_for(commit) == ["differences"] + ["file"] * calls


PATHS = [
    "a",
    "a/b",
    "a/b/c",
    "b",
    "conf",
    "conf/x",
    "conf/y",
    "conf/d/x",
    "conf/.git/x",
    "x",
    "Ü/x y",
    ".git",
]
leaves = st.one_of(
    st.tuples(st.sampled_from([FILE, EXECUTABLE, LINK]), st.sampled_from([b"1", b"22", b"\0\0\0"])),
    st.tuples(st.just(SUBMODULE), st.sampled_from([b"1" * 40, b"2" * 40])),
)


def grown(tree: Tree) -> Tree:
    """Return a tree in which no file stands where a folder is needed."""
    return {
        path: leaf for path, leaf in tree.items() if not any(other.startswith(f"{path}/") for other in tree)
    }


trees = st.dictionaries(st.sampled_from(PATHS), leaves).map(grown)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    with closing(CloudServer(tmp_path_factory.mktemp("small") / "small.git")) as server:
        server.git.commit("main", {"first": b"1"})
        yield server
        assert server.faults == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(trees, min_size=2, max_size=4),
    st.sampled_from([(), ("conf/",), ("**/x",), ("nothing/",)]),
    st.booleans(),
)
def test_any_commit_derives_what_a_full_listing_gives(
    small: CloudServer, loop: Loop, history: list[Tree], allowed: tuple[str, ...], pairs_renames: bool
) -> None:
    small.differences.pairs_renames = pairs_renames
    deck = Deck(small, loop, record_of(*allowed))
    commits = [grow(small, tree) for tree in history]
    deck.listing(commits[0])
    deck.place = deck.open()  # which does not know how few calls a listing takes
    for commit in commits[1:]:
        assert "list" not in deck.asked_for(commit)
    for place in deck.opened:
        place.close()


def grow(server: CloudServer, tree: Tree) -> str:
    """Commit a tree, whatever was there before."""
    tip = server.git.tip("main")
    assert tip is not None
    files: dict[str, bytes | None] = dict.fromkeys(server.git.files(tip))
    files |= {path: content for path, (_, content) in tree.items()}
    return server.git.commit("main", files, modes={path: mode for path, (mode, _) in tree.items()})


def test_only_what_the_place_allows_is_asked_for_and_all_pages_are_read(tmp_path: Path, loop: Loop) -> None:
    files = MANY | {f"log/{n:04}": b"1\n" for n in range(700)}
    with closing(CloudServer(tmp_path / "acme.git")) as server:
        deck = Deck(server, loop, record_of("conf/"))
        deck.listing(deck.push(files))
        changed = {f"log/{n:04}": b"2\n" for n in range(700)} | {"srv/new": b"1\n", "conf/z.yml": b"1\n"}
        assert deck.asked_for(deck.push(changed)) == ["differences", "differences", "file"]
        deck.place.close()
        assert server.faults == []


def test_more_than_fifty_changed_files_are_listed_in_full(deck: Deck) -> None:
    deck.place = deck.open()
    many = deck.push({f"srv/g{n % 20:02}/f{n:03}.yml": b"a: 2\n" for n in range(50)})
    assert deck.asked_for(many) == ["differences"] + ["file"] * 50
    deck.place = deck.open()
    more = deck.push({f"srv/g{n % 20:02}/f{n:03}.yml": b"a: 3\n" for n in range(51)})
    assert deck.asked_for(more) == ["differences"] + ["list"] * 7


def test_deriving_never_takes_as_many_calls_as_listing_all(deck: Deck) -> None:
    five = deck.push({f"srv/g{n:02}/f{n:03}.yml": b"a: 2\n" for n in range(5)})
    assert deck.asked_for(five) == ["differences"] + ["file"] * 5
    six = deck.push({f"srv/g{n:02}/f{n:03}.yml": b"a: 3\n" for n in range(6)})
    assert deck.asked_for(six) == ["differences"] + ["list"] * 7


def test_of_a_small_repository_differences_are_not_asked_for(tmp_path: Path, loop: Loop) -> None:
    with closing(CloudServer(tmp_path / "acme.git")) as server:
        deck = Deck(server, loop, record_of())
        deck.listing(deck.push({f"f{n:03}": b"1" for n in range(150)}))
        assert deck.asked_for(deck.push({"f000": None})) == ["list", "list"]
        deck.place.close()
        assert server.faults == []


def test_after_a_commit_that_is_gone_all_is_listed(deck: Deck) -> None:
    commit = deck.push({"top.md": b"# Top\n"})
    assert deck.place.changes_between("f" * 40, commit, wanted=lambda path: True) is None
    deck.server.plan("/diffstat/", 404, b'{"type": "error", "error": {"message": "Commit not found"}}')
    assert deck.asked_for(commit)[:2] == ["differences", "list"]


def test_differences_that_take_too_long_give_way_to_a_listing(deck: Deck) -> None:
    deck.server.differences.are_in_time = False
    assert deck.asked_for(deck.push({"top.md": b"# Top\n"})) == ["differences"] + ["list"] * 7


def told(*values: object, **more: object) -> bytes:
    return json.dumps({"values": values, **more}).encode()


def one(status: object, old: object = None, new: object = None) -> bytes:
    return told({"status": status, "old": old, "new": new})


BROKEN = {
    "refused": (400, b"Invalid pagelen"),
    "HTML": (200, b"<!doctype html>"),
    "no object": (200, b"[]"),
    "no values": (200, b"{}"),
    "values of another kind": (200, told("conf/app.yml")),
    "an unknown status": (200, one("merge conflict", {"path": "conf/app.yml"}, {"path": "conf/app.yml"})),
    "no status": (200, one(None, {"path": "conf/app.yml"}, {"path": "conf/app.yml"})),
    "no word for a status": (200, one(["added"], None, {"path": "top.md"})),
    "added without a path": (200, one("added", {"path": "top.md"})),
    "removed without a path": (200, one("removed", None, {"path": "top.md"})),
    "modified with one side": (200, one("modified", None, {"path": "conf/app.yml"})),
    "a path that leads out": (200, one("removed", {"path": "conf/../app.yml"})),
    "a path of another kind": (200, one("added", None, {"path": 7})),
    "a side of another kind": (200, one("added", None, "top.md")),
    "a next page of another kind": (200, told(next=7)),
    "removed, but never there": (200, one("removed", {"path": "conf/never.yml"})),
    "added, but not there": (200, one("added", None, {"path": "conf/never.yml"})),
    "added, but a folder": (200, one("added", None, {"path": "conf/b"})),
}


@pytest.mark.parametrize("name", BROKEN)
def test_after_an_unclear_answer_all_is_listed(deck: Deck, name: str) -> None:
    status, body = BROKEN[name]
    deck.server.plan("/diffstat/", status, body)
    asked = deck.asked_for(deck.push({"top.md": b"# Top\n"}))
    assert (asked[0], asked[-7:]) == ("differences", ["list"] * 7)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"type": "commit_file", "path": "another.md", "size": 6, "attributes": []}'),
        (200, b'{"type": "commit_file"}'),
        (200, b"<!doctype html>"),
        (404, b"{}"),
        (555, b"{}"),
    ],
)
def test_when_a_file_is_unclear_all_is_listed(deck: Deck, status: int, body: bytes) -> None:
    deck.server.plan("format=meta", status, body)
    assert deck.asked_for(deck.push({"top.md": b"# Top\n"})) == ["differences", "file"] + ["list"] * 7


def test_pages_that_lead_back_to_themselves_give_way_to_a_listing(deck: Deck) -> None:
    link = f"{deck.server.base}/diffstat/again"
    deck.server.plan("/diffstat/", 200, told(next=link), times=3)
    assert deck.asked_for(deck.push({"top.md": b"# Top\n"})) == ["differences"] * 2 + ["list"] * 7


def test_pages_without_end_take_no_more_calls_than_listing_all(deck: Deck) -> None:
    for number in range(10):
        deck.server.plan("/diffstat/", 200, told(next=f"{deck.server.base}/diffstat/{number}"))
    assert deck.asked_for(deck.push({"top.md": b"# Top\n"})) == ["differences"] * 6 + ["list"] * 7


def test_a_page_elsewhere_is_not_asked_for(deck: Deck) -> None:
    commit = deck.push({"top.md": b"# Top\n"})
    before = len(deck.server.asked)
    deck.server.plan("/diffstat/", 200, told(next="https://evil.example.net/2.0/"))
    with pytest.raises(Unanswered, match="another address"):
        deck.listing(commit)
    assert len(deck.server.asked) == before + 1
    assert deck.asked_for(commit) == ["list"] * 7


def test_the_limit_of_calls_is_not_for_listing_more(deck: Deck) -> None:
    commit = deck.push({"top.md": b"# Top\n"})
    deck.server.plan("/diffstat/", 429, b"Rate limit for this resource has been exceeded")
    before = len(deck.server.asked)
    for _ in range(2):  # the second time nobody is asked
        with pytest.raises(Throttled):
            deck.listing(commit)
    assert len(deck.server.asked) == before + 1
    deck.clock.forward(4000)
    assert deck.asked_for(commit) == ["differences", "file"]


@pytest.mark.parametrize("fits", ["/diffstat/", "format=meta"])
def test_what_had_no_answer_is_listed_in_full_the_next_time(deck: Deck, fits: str) -> None:
    commit = deck.push({"top.md": b"# Top\n"})
    deck.server.plan(fits, 500, b"{}")
    with pytest.raises(Unanswered):
        deck.listing(commit)
    assert deck.asked_for(commit) == ["list"] * 7
    assert deck.asked_for(deck.push({"top.md": b"# Up\n"})) == ["differences", "file"]


def test_a_listing_that_broke_off_goes_on_where_it_stopped(deck: Deck) -> None:
    commit = deck.push({"top.md": b"# Top\n"})
    deck.server.differences.are_in_time = False
    deck.server.plan("/src/", 500, after=3)
    with pytest.raises(Unanswered):
        deck.listing(commit)
    assert deck.asked_for(commit) == ["list"] * 4


def test_the_last_listing_of_the_same_branch_comes_before_the_latest_one(deck: Deck) -> None:
    first = deck.trees.latest(deck.record, deck.place, "main")[0].commit
    side = deck.push({f"conf/side{n}": b"1" for n in range(20)}, branch="side")
    second = deck.push({"top.md": b"# Top\n"})
    assert deck.asked_for(side) == ["differences", "list"]
    deck.clock.forward(10)
    before = len(deck.server.lines)
    assert deck.trees.latest(deck.record, deck.place, "main")[0].commit == second
    (line,) = [line for line in deck.server.lines[before:] if "/diffstat/" in line]
    assert f"/diffstat/{second}..{first}?" in line
    assert same(deck.listing(second), deck.in_full(second))


def test_a_place_that_was_changed_begins_anew(deck: Deck) -> None:
    deck.record = replace(deck.record, updated_at=deck.clock.now(), allowed_paths=("conf/",))
    assert deck.asked_for(deck.push({"top.md": b"# Top\n"})) == ["list"] * 7


def test_after_many_steps_all_is_listed_anew() -> None:
    class Place(LocalPlace):
        listed = 0

        def changes_between(self, before: str, after: str, **wanted: object) -> dict[str, Entry | None]:
            return {}

        def list_files(self, commit: str) -> list[Entry]:
            self.listed += 1
            return [Entry("a")]

    place, kept = Place(Path("nowhere")), Trees(SetClock())
    for number in range(MOST_STEPS + 1):
        kept.listing(record_of(), place, f"{number:040}")
    assert place.listed == 1
    kept.listing(record_of(), place, "f" * 40)
    assert place.listed == 2


def test_changes_that_do_not_fit_derive_nothing() -> None:
    before = Listing([Entry("a"), Entry("b", EntryKind.LINK)], hidden=["c/.git/x"])
    after = derived(before, {"a": None, "c/.git/x": None, "d": Entry("d"), "e/.git": Entry("e/.git")})
    assert after is not None
    assert (after.paths, after.left_out, after.steps) == (("b", "d"), 1, 1)
    assert derived(before, {"never": None}) is None


def test_where_a_listing_is_one_call_there_are_no_differences(tmp_path: Path) -> None:
    repository: Repository = make_repository(tmp_path / "deck.git", {"a": b"1\n"})
    first = repository.git("rev-parse", "main")
    second = repository.commit({"a": b"2\n"})
    assert LocalPlace(repository.folder).changes_between(first, second, wanted=lambda path: True) is None
