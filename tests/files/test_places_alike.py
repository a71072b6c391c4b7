"""What every kind of place does alike: the same steps at a local repository, at Cloud and at Data Center."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from quarterdeck.core.clock import SystemClock
from quarterdeck.core.errors import TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.local import LocalPlace
from quarterdeck.files.places.place import (
    Action,
    Author,
    EntryKind,
    Exists,
    FileChange,
    Missing,
    Place,
    PlaceError,
    Stale,
    Unchanged,
)
from tests.files.cloud.factories import place_at
from tests.files.cloud.server import CloudServer
from tests.files.datacenter.server import data_center
from tests.files.git_repository import LINK
from tests.files.loopback import QUICK
from tests.files.repositories import make_repository

ADA = Author("Ada Lovelace", "ada@example.org")
BRANCH = "quarterdeck/ada/app.yml-01"
ODD = (
    "conf/mit leer/a b.yml",
    "100%.txt",
    "a%20b.txt",
    "#1.txt",
    "what?.txt",
    "1+1&x=2.txt",
    "größe/ä€ß.yml",
    "message",
    "branch",
    "files",
    "[a]*~^.txt",
    "a;b:c@d,e'f.txt",
    ".hidden/.yml",
)
FILES: dict[str, bytes] = {"README.md": b"# Config\n", "conf/app.yml": b"a: 1\r\nb: 2"} | {
    path: path.encode() for path in ODD
}
BYTES = {
    "nothing": b"",
    "crlf": b"a\r\nb\r\n",
    "lone returns": b"a\rb\r",
    "like a boundary": b"\r\n--x\r\nContent-Disposition: form-data\r\n\r\n--x--\r\n",
    "no newline": b"a\nb",
    "all": bytes(range(256)) * 40,
    "latin": "größe".encode("latin-1"),
    "bom": b"\xef\xbb\xbfa\n",
}


@dataclass(frozen=True)
class Side:
    """A place, and a way round it: ``push`` is somebody else with git."""

    place: Place
    push: Callable[[str, Mapping[str, bytes | None]], str]
    content: Callable[[str, str], bytes | None]
    makes_branches: bool = False
    """A commit on a branch that is not there makes it, at the commit's base."""

    def begin(self) -> str:
        """Make the branch at the tip of main and return that commit."""
        base = self.place.tip("main")
        self.place.create_branch(BRANCH, base)
        return base

    def commit(self, base: str, path: str, content: bytes, *, is_new: bool = False) -> str:
        change = FileChange(path, Action.WRITE, content, is_new=is_new)
        return self.place.commit(BRANCH, base, [change], "Change it", ADA)


def local(folder: Path, loop: Loop) -> Iterator[Side]:
    files: dict[str | bytes, bytes | None] = dict(FILES.items())
    repository = make_repository(folder / "local.git", files | {"120000:link": b"README.md"})
    yield Side(
        LocalPlace(repository.folder),
        lambda branch, files: repository.commit({path: files[path] for path in files}, branch),
        lambda commit, path: repository.blob(path, commit),
    )
    repository.check()


def at_cloud(folder: Path, loop: Loop) -> Iterator[Side]:
    server = CloudServer(folder / "cloud.git")
    server.git.commit("main", {**FILES, "link": b"README.md"}, modes={"link": LINK})
    place = place_at(server, loop)
    try:
        yield Side(place, server.git.commit, server.git.content, makes_branches=True)
    finally:
        place.close()
        server.close()
    assert server.faults == []


def at_data_center(folder: Path, loop: Loop) -> Iterator[Side]:
    with data_center(folder / "center.git") as server:
        server.git.commit("main", {**FILES, "link": b"README.md"}, modes={"link": LINK})
        client = Client(Endpoint(server.url, token="oskars-token"), loop, SystemClock(), timing=QUICK)
        place = DataCenterPlace(client, project="OPS", repository="config")
        yield Side(place, server.git.commit, server.git.content)
        place.close()


@pytest.fixture(params=[local, at_cloud, at_data_center], ids=lambda make: make.__name__)
def side(request: pytest.FixtureRequest, tmp_path: Path, loop: Loop) -> Iterator[Side]:
    yield from request.param(tmp_path, loop)


def test_all_is_well_with_each(side: Side) -> None:
    assert [check for check in side.place.check(for_writing=True) if not check.is_ok] == []
    assert side.place.default_branch() == "main"


def test_every_path_is_listed_sorted(side: Side) -> None:
    listed = side.place.list_files(side.place.tip("main"))
    assert [entry.path for entry in listed] == sorted([*FILES, "link"])


def test_every_file_is_read_and_measured_whatever_its_name(side: Side) -> None:
    tip = side.place.tip("main")
    for path, content in FILES.items():
        stat = side.place.stat(tip, path)
        assert (stat.path, stat.kind, stat.size) == (path, EntryKind.FILE, len(content))
        assert side.place.read(tip, path, most_bytes=100) == content


def test_a_link_is_a_link_and_a_folder_or_nothing_is_missing(side: Side) -> None:
    tip = side.place.tip("main")
    assert side.place.stat(tip, "link").kind is EntryKind.LINK
    for path in ("conf", "nowhere", "README.md/below", "link/below"):
        with pytest.raises(Missing):
            side.place.stat(tip, path)


def test_what_is_over_the_limit_is_not_read(side: Side) -> None:
    tip = side.place.tip("main")
    assert len(side.place.read(tip, "README.md", most_bytes=9)) == 9
    with pytest.raises(TooLarge):
        side.place.read(tip, "README.md", most_bytes=8)


def test_refs_are_resolved_and_found(side: Side) -> None:
    tip = side.begin()
    later = side.push(BRANCH, {"README.md": b"2"})
    assert (side.place.resolve("main"), side.place.resolve(BRANCH), side.place.resolve(tip)) == (
        tip,
        later,
        tip,
    )
    assert [(ref.name, ref.commit) for ref in side.place.refs("ADA")] == [(BRANCH, later)]
    assert [ref.name for ref in side.place.refs()] == [BRANCH, "main"]
    for ref in ("nowhere", "f" * 40, tip[:12], "main~0", "refs/heads/main"):
        with pytest.raises(Missing):
            side.place.resolve(ref)


def test_a_branch_is_made_once_from_a_commit_that_is_there(side: Side) -> None:
    base = side.begin()
    assert side.place.tip(BRANCH) == base
    with pytest.raises(Exists):
        side.place.create_branch(BRANCH, base)
    with pytest.raises(PlaceError):
        side.place.create_branch("other", "f" * 40)


def test_a_branch_is_removed_at_its_tip_only_and_twice_is_no_error(side: Side) -> None:
    base = side.begin()
    tip = side.push(BRANCH, {"README.md": b"2"})
    with pytest.raises(Stale):
        side.place.delete_branch(BRANCH, tip=base)
    side.place.delete_branch(BRANCH, tip=tip)
    side.place.delete_branch(BRANCH, tip=tip)
    with pytest.raises(Missing):
        side.place.tip(BRANCH)


@pytest.mark.parametrize("name", BYTES)
def test_bytes_come_back_as_they_were_sent(side: Side, name: str) -> None:
    tip = side.commit(side.begin(), "conf/app.yml", BYTES[name])
    assert side.place.tip(BRANCH) == tip
    assert side.content(tip, "conf/app.yml") == BYTES[name]
    assert side.place.read(tip, "conf/app.yml", most_bytes=100_000) == BYTES[name]


def test_files_with_odd_names_are_changed_each_by_its_own_name(side: Side) -> None:
    tip = side.begin()
    for path in ODD:
        tip = side.commit(tip, path, b"changed")
    assert [side.content(tip, path) for path in ODD] == [b"changed"] * len(ODD)
    assert [entry.path for entry in side.place.list_files(tip)] == sorted([*FILES, "link"])


def test_a_new_file_may_lie_in_new_folders_and_must_not_be_there(side: Side) -> None:
    base = side.begin()
    tip = side.commit(base, "new/ä b/c.txt", b"1", is_new=True)
    assert side.content(tip, "new/ä b/c.txt") == b"1"
    with pytest.raises(Exists):
        side.commit(tip, "README.md", b"1", is_new=True)
    assert side.place.tip(BRANCH) == tip


def test_the_latest_change_is_told(side: Side) -> None:
    tip = side.commit(side.begin(), "conf/app.yml", b"2")
    found = side.place.last_change(tip, "conf/app.yml")
    assert found is not None
    assert (found.id, found.message.splitlines()[0]) == (tip, "Change it")
    before = side.place.last_change(tip, "README.md")
    assert before is not None
    assert before.id == side.place.tip("main")


def test_the_same_contents_are_not_committed(side: Side) -> None:
    base = side.begin()
    with pytest.raises(Unchanged):
        side.commit(base, "README.md", FILES["README.md"])
    assert side.place.tip(BRANCH) == base


def test_a_push_to_the_same_file_makes_it_stale(side: Side) -> None:
    base = side.begin()
    pushed = side.push(BRANCH, {"README.md": b"3"})
    with pytest.raises(Stale):
        side.commit(base, "README.md", b"2")
    assert side.place.tip(BRANCH) == pushed
    assert side.commit(pushed, "README.md", b"2") == side.place.tip(BRANCH)


def test_a_file_that_somebody_removed_is_stale(side: Side) -> None:
    base = side.begin()
    side.push(BRANCH, {"README.md": None})
    with pytest.raises(Stale):
        side.commit(base, "README.md", b"2")


def test_a_push_to_another_file_is_kept(side: Side) -> None:
    base = side.begin()
    side.push(BRANCH, {"conf/app.yml": b"3"})
    tip = side.commit(base, "README.md", b"2")
    assert (side.content(tip, "README.md"), side.content(tip, "conf/app.yml")) == (b"2", b"3")


def test_a_branch_that_is_gone_is_missing_or_made_anew_from_the_base(side: Side) -> None:
    base = side.place.tip("main")
    if side.makes_branches:
        tip = side.commit(base, "README.md", b"2")
        assert (side.place.tip(BRANCH), side.place.tip("main")) == (tip, base)
        return
    with pytest.raises(Missing):
        side.commit(base, "README.md", b"2")


def test_what_a_commit_holds(side: Side) -> None:
    base = side.begin()
    mine = side.commit(base, "README.md", b"mine\n")
    theirs = side.push("main", {"conf/app.yml": b"theirs\n"})
    held = [side.place.holds(*pair) for pair in ((mine, base), (mine, mine), (base, mine), (theirs, mine))]
    assert held == [True, True, False, False]
    with pytest.raises(Missing):
        side.place.holds(theirs, "0" * 39 + "1")
