"""The adapter for Bitbucket Cloud against a strict server of our own that keeps real git objects.

How requests are proven: the server holds each against a table of operations (``cloud_requests.py``) and notes
what doesn't fit; every test ends with no fault noted. The table was compared by hand with Bitbucket's OpenAPI
document. When ``BITBUCKET_OPENAPI`` names a copy of that document, the last tests hold the table and the
requests of a whole edit against it too: path, method, parameters, JSON bodies by their schemas, form fields
and scopes.
"""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.errors import Invalid, TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.place import (
    Action,
    Author,
    EntryKind,
    Exists,
    FileChange,
    Missing,
    Place,
    PlaceError,
    ProposalDraft,
    ProposalState,
    Refused,
    Stale,
    Throttled,
    Unanswered,
    Unchanged,
    Unsupported,
)
from tests.clocks import SetClock
from tests.files.cloud_factories import (
    ACCESS_TOKEN,
    OSKAR,
    QUICK,
    place_at,
    written,
)
from tests.files.cloud_requests import CLASSIC, OPERATIONS, READ, SEE_PULLS, WRITE, Operation
from tests.files.cloud_server import CloudServer, Token
from tests.files.git_repository import EXECUTABLE, LINK, SUBMODULE

BRANCH = "quarterdeck/oskar/app.yml-1a2b"
REVIEWER = "{504c3b62-8120-4f0c-a7bc-87800b9d6f70}"
ODD_NAMES = [
    "message", "branch", "author", "parents", "files", "docs/message", "a b/c d.txt", "100%.txt", "50%25.txt",
    "#1.md", "what?.md", "c++/x+y.cc", "Grüße/übung.txt", "a&b=c;d.txt", "-rf", "日本語.txt", "a:b@c",
]  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CloudServer]:
    server = CloudServer(tmp_path / "acme.git")
    server.git.commit(
        "main",
        {"app.yml": b"port: 1\n", "bin/run.sh": b"#!/bin/sh\n", "docs/a.md": b"# A\n", "pic.bin": b"\0\1"},
        "First",
        modes={"bin/run.sh": EXECUTABLE},
    )
    yield server
    server.close()
    assert server.faults == []


Opener = Callable[..., CloudPlace]


@pytest.fixture
def open_place(server: CloudServer, loop: Loop) -> Iterator[Opener]:
    """Open places of the server, and close them at the end."""
    opened: list[CloudPlace] = []

    def open_(**how: Any) -> CloudPlace:
        opened.append(place_at(server, loop, **how))
        return opened[-1]

    yield open_
    for place in opened:
        place.close()


@pytest.fixture
def place(open_place: Opener) -> CloudPlace:
    return open_place()


def draft(**more: Any) -> ProposalDraft:
    return ProposalDraft(**{"title": "Port", "source": BRANCH, "target": "main", **more})


def begun(place: CloudPlace) -> str:
    """Begin an edit: the branch at the tip, which is returned."""
    tip = place.tip("main")
    place.create_branch(BRANCH, tip)
    return tip


def content_of(server: CloudServer, path: str, branch: str = BRANCH) -> bytes | None:
    tip = server.git.tip(branch)
    assert tip
    return server.git.content(tip, path)


def test_it_is_a_place(place: CloudPlace) -> None:
    as_place: Place = place
    assert as_place.default_branch() == "main"


def test_a_whole_edit_costs_five_calls_after_the_view(server: CloudServer, place: CloudPlace) -> None:
    tip = place.tip("main")
    assert place.read(tip, "app.yml", most_bytes=1000) == b"port: 1\n"
    before = len(server.asked)
    base = begun(place)
    commit = place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port 2", OSKAR)
    proposal = place.open_proposal(draft())
    assert len(server.asked) - before == 5
    assert content_of(server, "app.yml") == b"port: 2\n"
    assert server.git.tip(BRANCH) == commit
    assert proposal.url == ""
    assert server.git.git("fsck", "--strict").returncode == 0
    log = server.git.git("log", "-1", "--format=%an <%ae>|%B", BRANCH).stdout.decode()
    assert log.strip() == "Oskar <oskar@example.org>|Port 2"


def test_an_edit_that_was_not_read_before_costs_six_calls(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port 2", OSKAR)
    place.open_proposal(draft())
    assert len(server.asked) == 6


def test_a_new_file_costs_six_calls(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"new.yml": b"a: 1\n"}, is_new=True), "New", OSKAR)
    place.open_proposal(draft())
    assert len(server.asked) == 6


def test_an_access_token_works_too(server: CloudServer, open_place: Opener) -> None:
    place = open_place(token=ACCESS_TOKEN, username="")
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 3\n"}), "Port 3", OSKAR)
    assert place.open_proposal(draft()).state is ProposalState.OPEN


def test_it_works_on_the_command_line_where_no_loop_runs(server: CloudServer) -> None:
    place = place_at(server, Loop())
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 4\n"}), "Port 4", OSKAR)
    assert content_of(server, "app.yml") == b"port: 4\n"


def test_the_default_branch_is_the_repositorys_own_or_the_one_set(
    server: CloudServer, open_place: Opener
) -> None:
    assert open_place(default_branch="release").default_branch() == "release"
    assert server.asked == []
    clock = SetClock()
    place = open_place(clock=clock)
    assert place.default_branch() == place.default_branch() == "main"
    assert len(server.asked) == 1
    clock.forward(301)
    place.default_branch()
    assert len(server.asked) == 2


def test_an_empty_repository_has_no_default_branch(server: CloudServer, place: CloudPlace) -> None:
    server.git.point("main", None)
    with pytest.raises(Missing, match="empty"):
        place.default_branch()


def test_branches_come_before_tags_and_the_latest_first(server: CloudServer, place: CloudPlace) -> None:
    first = server.git.tip("main")
    server.git.point("feature/Old", first)
    newest = server.git.commit("feature/new", {"x": b"1"})
    server.git.point("v1", first, kind="tags")
    assert [(ref.name, ref.is_tag) for ref in place.refs()] == [
        ("feature/new", False), ("main", False), ("feature/Old", False), ("v1", True),
    ]  # fmt: skip
    found = place.refs("OLD")
    assert [ref.name for ref in found] == ["feature/Old"]
    assert found[0].commit == first
    assert found[0].changed_at == datetime.fromtimestamp(1_700_000_001, UTC)
    assert place.refs("feature/new")[0].commit == newest


def test_text_that_is_looked_for_is_no_query(server: CloudServer, place: CloudPlace) -> None:
    for text in ('" OR name ~ "', "\\", 'a"b\\', "x+y & z", "ü"):
        assert place.refs(text) == []


def test_branches_are_read_page_by_page_up_to_the_limit(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.tip("main")
    for number in range(130):
        server.git.point(f"topic/{number:03}", tip)
    assert len(place.refs("topic", limit=125)) == 125
    assert len(place.refs(limit=3)) == 3
    assert len(server.asked) == 3


def test_a_branch_a_tag_and_a_hash_are_resolved(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.tip("main")
    assert tip
    server.git.point("feature/a", tip)
    server.git.point("v1.0", tip, kind="tags")
    assert place.resolve("feature/a") == place.resolve("v1.0") == place.resolve(tip) == tip
    assert place.tip("feature/a") == tip


@pytest.mark.parametrize("ref", ["nowhere", "no/where", "0" * 40, "", "../../user", "a//b", "."])
def test_what_is_not_there_is_missing(place: CloudPlace, ref: str) -> None:
    with pytest.raises(Missing):
        place.resolve(ref)


def test_every_file_is_listed_with_its_kind(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.commit(
        "main",
        {"link": b"app.yml", "sub": b"1" * 40, "deep/er/est/x": b"1"},
        modes={"link": LINK, "sub": SUBMODULE},
    )
    found = {entry.path: entry for entry in place.list_files(tip)}
    assert list(found) == sorted(
        ["app.yml", "bin/run.sh", "deep/er/est/x", "docs/a.md", "link", "pic.bin", "sub"]
    )
    assert found["link"].kind is EntryKind.LINK
    assert found["sub"].kind is EntryKind.SUBMODULE
    assert found["app.yml"].size == 8
    assert len(server.asked) == 1


def test_a_large_repository_is_listed_by_a_call_for_each_hundred(
    server: CloudServer, place: CloudPlace
) -> None:
    tip = server.git.commit("main", {f"d{number % 40}/f{number}": b"x" for number in range(10_200)})
    found = place.list_files(tip)
    assert len(found) == 10_204
    assert len({entry.path for entry in found}) == 10_204
    assert len(server.asked) == 103, "files and folders, a hundred at a time"


def test_a_repository_too_deep_for_one_listing_is_walked(server: CloudServer, place: CloudPlace) -> None:
    deep = {f"{'/'.join(f'l{level}' for level in range(depth))}/f": b"x" for depth in range(1, 30)}
    tip = server.git.commit("main", deep)
    everything = {entry.path for entry in place.list_files(tip)}
    assert set(deep) <= everything
    server.most_depth = 6
    assert {entry.path for entry in place.list_files(tip)} == everything
    server.most_depth = 1
    assert {entry.path for entry in place.list_files(tip)} == everything


def test_a_folder_that_can_not_be_listed_at_all_is_said(server: CloudServer, place: CloudPlace) -> None:
    server.most_depth = 0
    with pytest.raises(Unanswered, match="too many files"):
        place.list_files(place.tip("main"))


def test_a_listing_that_broke_off_goes_on_where_it_was(server: CloudServer, open_place: Opener) -> None:
    tip = server.git.commit("main", {f"f{number:04}": b"x" for number in range(1000)})
    clock = SetClock()
    place = open_place(limit=8, clock=clock)
    with pytest.raises(Throttled):
        place.list_files(tip)
    assert len(server.asked) == 8
    clock.forward(3600)
    assert len(place.list_files(tip)) == 1004
    assert len(server.asked) == 11, "no page is asked for twice"


def test_a_listing_with_a_hostile_next_is_not_followed(server: CloudServer, place: CloudPlace) -> None:
    tip = place.tip("main")
    page = {"values": [], "next": "https://evil.example.net/2.0/repositories/acme/config/src"}
    server.plan("/src/", 200, json.dumps(page).encode())
    with pytest.raises(Unanswered, match="not followed"):
        place.list_files(tip)


def test_a_listing_that_leads_back_to_itself_ends(server: CloudServer, place: CloudPlace) -> None:
    tip = place.tip("main")
    page = {"values": [], "next": f"{server.base}/src/{tip}/?page=1"}
    server.plan("/src/", 200, json.dumps(page).encode(), times=9)
    with pytest.raises(Unanswered, match="back to themselves"):
        place.list_files(tip)


def test_names_of_a_hostile_listing_do_no_harm(server: CloudServer, place: CloudPlace) -> None:
    hostile: list[Any] = ["../x", "/etc/passwd", "a/../b", "a//b", "nul\0", "", 7, None, {"a": 1}, "x" * 5000]
    odd = ["-rf", "a\nb", "\u202egnp.exe", "con", ".git/config"]
    server.extra_entries = [{"type": "commit_file", "path": path, "size": -3} for path in hostile + odd]
    server.extra_entries += [{"type": "commit_directory", "path": "../up"}, {"type": "surprise", "path": "y"}]
    found = {entry.path: entry.size for entry in place.list_files(place.tip("main"))}
    assert set(odd) <= set(found), "names that git takes are shown to the judge of paths"
    assert len(found) == 4 + len(odd)
    assert found["-rf"] is None


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"values": 3}', b"<html>", b'{"values": [1, null]}'])
def test_a_page_of_another_form_is_no_crash(server: CloudServer, place: CloudPlace, body: bytes) -> None:
    tip = place.tip("main")
    server.plan("/src/", 200, body)
    try:
        assert place.list_files(tip) == []
    except Unanswered:
        assert b"[1" not in body


def test_what_a_file_is(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.commit("main", {"link": b"app.yml"}, modes={"link": LINK})
    assert place.stat(tip, "bin/run.sh").is_executable
    assert place.stat(tip, "bin/run.sh").size == 10
    assert not place.stat(tip, "app.yml").is_executable
    assert place.stat(tip, "link").kind is EntryKind.LINK
    for path in ("docs", "nowhere", "app.yml/x"):
        with pytest.raises(Missing):
            place.stat(tip, path)


def test_attributes_may_be_one_text_as_the_published_schema_says(
    server: CloudServer, place: CloudPlace
) -> None:
    answer = {"type": "commit_file", "path": "x", "size": 1, "attributes": "executable"}
    server.plan("format=meta", 200, json.dumps(answer).encode())
    assert place.stat(place.tip("main"), "x").is_executable


@pytest.mark.parametrize("path", ODD_NAMES)
def test_odd_names_are_read_and_written(server: CloudServer, place: CloudPlace, path: str) -> None:
    server.git.commit("main", {path: b"one"})
    base = begun(place)
    assert place.read(base, path, most_bytes=10) == b"one"
    assert place.stat(base, path).size == 3
    assert path in {entry.path for entry in place.list_files(base)}
    assert place.last_change(base, path)
    place.commit(BRANCH, base, written({path: b"two"}), "Two", OSKAR)
    assert content_of(server, path) == b"two"


@pytest.mark.parametrize("path", ['say "hi".txt', "back\\slash.txt", "new\nline"])
def test_a_name_that_no_form_can_carry_is_refused(server: CloudServer, place: CloudPlace, path: str) -> None:
    base = begun(place)
    with pytest.raises(Unsupported):
        place.commit(BRANCH, base, written({path: b"x"}), "Odd", OSKAR)
    assert server.git.tip(BRANCH) == base


def test_bytes_come_as_they_are_stored(server: CloudServer, place: CloudPlace) -> None:
    content = bytes(range(256)) + b"\r\n\xff\xfe no end"
    tip = server.git.commit("main", {"raw": content})
    assert place.read(tip, "raw", most_bytes=1000) == content
    place.create_branch(BRANCH, tip)
    place.commit(BRANCH, tip, written({"raw": content[::-1]}), "Reverse", OSKAR)
    assert content_of(server, "raw") == content[::-1]


def test_a_file_over_the_limit_is_not_read(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.commit("main", {"big": b"x" * 5_000_000})
    with pytest.raises(TooLarge):
        place.read(tip, "big", most_bytes=1_000_000)
    assert len(place.read(tip, "big", most_bytes=5_000_000)) == 5_000_000


def test_a_file_is_fetched_once_for_a_commit(server: CloudServer, place: CloudPlace) -> None:
    tip = place.tip("main")
    place.read(tip, "app.yml", most_bytes=100)
    place.read(tip, "app.yml", most_bytes=100)
    assert len(server.asked) == 2
    with pytest.raises(TooLarge):
        place.read(tip, "app.yml", most_bytes=2)


def test_a_folder_is_not_read_as_its_listing(server: CloudServer, place: CloudPlace) -> None:
    with pytest.raises(Missing, match="folder"):
        place.read(place.tip("main"), "docs", most_bytes=1000)


def test_a_json_file_is_no_listing(server: CloudServer, place: CloudPlace) -> None:
    tip = server.git.commit("main", {"x.json": b'{"values": []}'})
    assert place.read(tip, "x.json", most_bytes=100) == b'{"values": []}'


def test_a_file_in_lfs_is_not_fetched_from_elsewhere(server: CloudServer, place: CloudPlace) -> None:
    server.lfs.add("pic.bin")
    with pytest.raises(Unsupported, match="LFS"):
        place.read(place.tip("main"), "pic.bin", most_bytes=1000)


def test_a_body_that_was_cut_is_never_taken_for_the_file(server: CloudServer, place: CloudPlace) -> None:
    tip = place.tip("main")
    server.plan("/src/", 200, b"port:", kind="cut", times=9, headers={"Content-Disposition": "attachment"})
    with pytest.raises(Unanswered):
        place.read(tip, "app.yml", most_bytes=1000)


def test_who_changed_a_file_last(server: CloudServer, place: CloudPlace) -> None:
    changed = server.git.commit("main", {"app.yml": b"port: 9\n"}, "Nine\n\nWhy", author="Pia Ü <pia@x.org>")
    tip = server.git.commit("main", {"other": b"x"})
    found = place.last_change(tip, "app.yml")
    assert found is not None
    assert (found.id, found.author, found.message) == (changed, "Pia Ü", "Nine\n\nWhy")
    assert found.at == datetime.fromtimestamp(1_700_000_002, UTC)
    assert place.last_change(tip, "nowhere") is None


def test_a_branch_that_is_there_exists(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    with pytest.raises(Exists):
        place.create_branch(BRANCH, tip)
    server.has_keys = False
    with pytest.raises(Exists):
        place.create_branch(BRANCH, tip)


def test_a_branch_below_another_is_refused_with_bitbuckets_reason(
    server: CloudServer, place: CloudPlace
) -> None:
    tip = begun(place)
    with pytest.raises(PlaceError, match="clashes") as caught:
        place.create_branch(f"{BRANCH}/x", tip)
    assert type(caught.value) is PlaceError


def test_a_branch_made_without_an_answer_is_found(server: CloudServer, place: CloudPlace) -> None:
    server.plan("POST .*/refs/branches", kind="lost")
    begun(place)
    assert server.git.tip(BRANCH)


def test_a_branch_is_removed_when_it_is_where_it_was_left(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    place.delete_branch(BRANCH, tip=tip)
    assert server.git.tip(BRANCH) is None
    place.delete_branch(BRANCH, tip=tip)
    place.delete_branch(BRANCH)


def test_a_branch_that_moved_is_not_removed(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    server.git.commit(BRANCH, {"x": b"1"})
    with pytest.raises(Stale):
        place.delete_branch(BRANCH, tip=tip)
    assert server.git.tip(BRANCH)


def test_the_main_branch_is_not_removed(server: CloudServer, place: CloudPlace) -> None:
    with pytest.raises(PlaceError, match="can't be deleted"):
        place.delete_branch("main")


def test_the_executable_bit_is_kept_and_may_be_set(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    changes = written({"bin/run.sh": b"#!/bin/sh\ntrue\n", "app.yml": b"port: 1\n"}, is_executable=True)
    tip = place.commit(BRANCH, base, changes, "Run", OSKAR)
    assert place.stat(tip, "bin/run.sh").is_executable
    assert place.stat(tip, "app.yml").is_executable
    assert len(server.git.git("diff", "--name-only", "main", BRANCH).stdout.split()) == 2


def test_several_files_are_written_renamed_and_removed_in_one_commit(
    server: CloudServer, place: CloudPlace
) -> None:
    base = begun(place)
    changes = [
        FileChange("docs/b.md", Action.WRITE, b"# A\n", is_new=True),
        FileChange("docs/a.md", Action.DELETE),
        FileChange("pic.bin", Action.DELETE),
        FileChange("app.yml", Action.WRITE, b"port: 2\n"),
    ]
    tip = place.commit(BRANCH, base, changes, "Many", OSKAR)
    assert sorted(server.git.files(tip)) == ["app.yml", "bin/run.sh", "docs/b.md"]
    assert server.git.git("rev-list", "--count", f"main..{BRANCH}").stdout.strip() == b"1"


def test_removing_alone_is_a_commit_too(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    tip = place.commit(BRANCH, base, [FileChange("pic.bin", Action.DELETE)], "Gone", OSKAR)
    assert "pic.bin" not in server.git.files(tip)


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [FileChange("app.yml", Action.WRITE, b"port: 1\n")],
        [FileChange("nowhere", Action.DELETE)],
        [FileChange("bin/run.sh", Action.WRITE, b"#!/bin/sh\n", is_executable=True)],
    ],
)
def test_nothing_changed_is_no_commit(
    server: CloudServer, place: CloudPlace, changes: list[FileChange]
) -> None:
    base = begun(place)
    with pytest.raises(Unchanged):
        place.commit(BRANCH, base, changes, "Nothing", OSKAR)
    assert not [line for line in server.lines if line.startswith("POST") and line.endswith("/src")]


@pytest.mark.parametrize("path", ["app.yml", "docs"])
def test_a_new_file_does_not_replace_what_is_there(server: CloudServer, place: CloudPlace, path: str) -> None:
    base = begun(place)
    with pytest.raises(Exists):
        place.commit(BRANCH, base, written({path: b"x"}, is_new=True), "New", OSKAR)


def test_a_push_in_between_on_another_file_is_built_upon(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    server.before.append(("POST .*/src", lambda: server.git.commit(BRANCH, {"docs/a.md": b"# B\n"})))
    server.before.append(("POST .*/src", lambda: server.git.commit(BRANCH, {"docs/a.md": b"# C\n"})))
    tip = place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    assert server.git.content(tip, "docs/a.md") == b"# C\n"
    assert server.git.content(tip, "app.yml") == b"port: 2\n"


@pytest.mark.parametrize(
    "pushed",
    [{"app.yml": b"port: 7\n"}, {"app.yml": None}],
)
def test_a_push_in_between_on_the_same_file_is_a_conflict(
    server: CloudServer, place: CloudPlace, pushed: Mapping[str, bytes | None]
) -> None:
    base = begun(place)
    server.before.append(("POST .*/src", lambda: server.git.commit(BRANCH, pushed)))
    with pytest.raises(Stale, match="“app"):
        place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    assert content_of(server, "app.yml") == pushed["app.yml"]


def test_a_mode_changed_in_between_is_a_conflict(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    push = lambda: server.git.commit(BRANCH, {"app.yml": b"port: 1\n"}, modes={"app.yml": EXECUTABLE})  # noqa: E731
    server.before.append(("POST .*/src", push))
    with pytest.raises(Stale):
        place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)


def test_a_new_file_that_somebody_else_made_first_is_a_conflict(
    server: CloudServer, place: CloudPlace
) -> None:
    base = begun(place)
    server.before.append(("POST .*/src", lambda: server.git.commit(BRANCH, {"new": b"theirs"})))
    with pytest.raises(Stale):
        place.commit(BRANCH, base, written({"new": b"mine"}, is_new=True), "New", OSKAR)
    assert content_of(server, "new") == b"theirs"


def test_a_branch_that_never_rests_is_given_up(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    for number in range(9):
        server.before.append(
            ("POST .*/src", lambda number=number: server.git.commit(BRANCH, {"n": b"%d" % number}))  # type: ignore[misc]
        )
    with pytest.raises(Stale, match="all the time"):
        place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    assert sum(line.endswith("/src") for line in server.lines) == 4


def test_two_people_commit_at_once_and_one_is_told(server: CloudServer, open_place: Opener) -> None:
    base = begun(open_place())
    start = threading.Barrier(2)
    outcomes: list[object] = []

    def commit(content: bytes) -> None:
        place = open_place()
        start.wait(5)
        try:
            outcomes.append(place.commit(BRANCH, base, written({"app.yml": content}), "Both", OSKAR))
        except Stale as error:
            outcomes.append(error)

    threads = [threading.Thread(target=commit, args=(content,)) for content in (b"a\n", b"b\n")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Stale", "str"]
    assert server.git.git("rev-list", "--count", f"main..{BRANCH}").stdout.strip() == b"1"


def test_a_commit_without_an_answer_is_found_and_not_made_twice(
    server: CloudServer, place: CloudPlace
) -> None:
    base = begun(place)
    server.plan("POST .*/src$", kind="lost")
    tip = place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    assert tip == server.git.tip(BRANCH)
    assert server.git.git("rev-list", "--count", f"main..{BRANCH}").stdout.strip() == b"1"


def test_a_commit_that_did_not_happen_says_so(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    server.plan("POST .*/src$", 503)
    with pytest.raises(Unanswered, match="may have been done"):
        place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    assert server.git.tip(BRANCH) == base


def test_somebody_elses_commit_is_not_taken_for_ours(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    server.before.append(("POST .*/src", lambda: server.git.commit(BRANCH, {"x": b"1"}, "Theirs")))
    server.plan("POST .*/src$", 504)
    with pytest.raises(Unanswered):
        place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)


@pytest.mark.parametrize("location", ["", "https://evil.example.net/x", "/2.0/commit/short"])
def test_a_commit_without_a_usable_address_is_the_branchs_tip(
    server: CloudServer, place: CloudPlace, location: str
) -> None:
    base = begun(place)
    server.plan("POST .*/src$", 201, headers={"Location": location} if location else {})
    assert place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR) == base


def test_an_authors_name_can_not_break_out(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    author = Author("Eve <root@x.org>\nparent 1", "eve@x.org>\r\nX: 1")
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", author)
    log = server.git.git("log", "-1", "--format=%an", BRANCH).stdout.decode().strip()
    assert log == "Eve root@x.org parent 1"


def test_a_message_is_kept_as_it_is(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    message = 'Grüße\n\n--boundary\r\nContent-Disposition: form-data; name="branch"\n\nmain'
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), message, OSKAR)
    log = server.git.git("log", "-1", "--format=%B", BRANCH).stdout.decode()
    assert log.strip() == message.strip()


def test_only_a_pull_request_merges(server: CloudServer, place: CloudPlace) -> None:
    tip = begun(place)
    with pytest.raises(Unsupported, match="pull request"):
        place.merge(BRANCH, "main", tip=tip, target_tip=tip, author=OSKAR, message="Merge")


def test_a_pull_request_carries_what_was_written(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    made = place.open_proposal(draft(description="Why", reviewers=(REVIEWER,), close_source=False))
    sent = server.pulls[0]
    assert (sent["description"], sent["close_source_branch"]) == ("Why", False)
    assert sent["reviewers"] == [{"uuid": REVIEWER}]
    assert (made.id, made.title, made.state) == ("1", "Port", ProposalState.OPEN)


def test_the_open_pull_request_of_a_pair_is_returned(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    first = place.open_proposal(draft())
    assert place.open_proposal(draft(title="Other words")).title == "Port"
    assert len(server.pulls) == 1
    server.pulls[0]["state"] = "DECLINED"
    assert place.open_proposal(draft()).id != first.id


def test_a_pull_request_made_without_an_answer_is_found(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    server.plan("POST .*/pullrequests", kind="lost")
    assert place.open_proposal(draft()).id == "1"
    assert len(server.pulls) == 1


def test_a_pull_request_of_nothing_is_unchanged(server: CloudServer, place: CloudPlace) -> None:
    begun(place)
    with pytest.raises(Unchanged):
        place.open_proposal(draft())
    with pytest.raises(Missing, match="nowhere"):
        place.open_proposal(draft(target="nowhere"))


def test_reviewers_are_accounts(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    with pytest.raises(Invalid, match="UUID"):
        place.open_proposal(draft(reviewers=("ada",)))
    with pytest.raises(PlaceError, match="unknown account"):
        place.open_proposal(draft(reviewers=("{00000000-0000-0000-0000-000000000000}",)))


def test_where_a_pull_request_stands(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    id_ = place.open_proposal(draft()).id
    assert place.proposal(id_).is_conflicted is False
    server.conflicts = [{"path": "app.yml", "scenario": "content"}]
    assert place.proposal(id_).is_conflicted is True
    server.conflicts = None
    assert place.proposal(id_).is_conflicted is None, "a call that is not known says nothing"
    for state, shown in (("MERGED", "merged"), ("DECLINED", "declined"), ("SUPERSEDED", "declined")):
        server.pulls[0]["state"] = state
        assert place.proposal(id_).state == shown


@pytest.mark.parametrize("status", [410, 403, 500])
def test_conflicts_that_can_not_be_told_are_unknown(
    server: CloudServer, place: CloudPlace, status: int
) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    id_ = place.open_proposal(draft()).id
    server.plan("/conflicts", status)
    assert place.proposal(id_).is_conflicted is None


def test_conflicts_are_not_asked_for_at_another_host(server: CloudServer, place: CloudPlace) -> None:
    base = begun(place)
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    id_ = place.open_proposal(draft()).id
    server.plan("/conflicts", 302, headers={"Location": "https://evil.example.net/2.0/x"})
    assert place.proposal(id_).is_conflicted is None


@pytest.mark.parametrize("id_", ["99", "x", "../1", "", "1/decline", "²"])
def test_a_pull_request_that_is_not_there(place: CloudPlace, id_: str) -> None:
    with pytest.raises(Missing):
        place.proposal(id_)


def test_links_lead_to_bitbuckets_pages(loop: Loop, server: CloudServer) -> None:
    place = place_at(server, loop, url="https://api.bitbucket.org/2.0", workspace="acme", repository="config")
    assert place.link_to_branch(BRANCH) == f"https://bitbucket.org/acme/config/branch/{BRANCH}"
    assert (
        place.link_to_file("feature/a", "a b/ü?.md")
        == "https://bitbucket.org/acme/config/src/feature%2Fa/a%20b/%C3%BC%3F.md"
    )


def test_a_pull_requests_link_is_shown_only_when_it_is_bitbuckets(
    server: CloudServer, open_place: Opener
) -> None:
    place = open_place()
    place._proposals._web_base = "https://bitbucket.org/acme/config"
    for href, shown in (
        ("https://bitbucket.org/acme/config/pull-requests/1", True),
        ("javascript:alert(1)", False),
        ("https://evil.example.net/acme/config/", False),
        ("https://bitbucket.org/acme/config.evil/", False),
        (7, False),
    ):
        body = {"id": 1, "state": "MERGED", "title": "x", "links": {"html": {"href": href}}}
        server.plan("/pullrequests/1", 200, json.dumps(body).encode())
        assert place.proposal("1").url == (href if shown else "")


def test_the_budget_counts_our_own_calls(server: CloudServer, place: CloudPlace) -> None:
    begun(place)
    budget = place.budget()
    assert budget is not None
    assert (budget.used, budget.limit, budget.is_near_limit) == (2, 1000, False)
    server.limit_headers = {"X-RateLimit-Limit": "2000", "X-RateLimit-NearLimit": "true"}
    place.tip("main")
    budget = place.budget()
    assert budget is not None
    assert (budget.used, budget.limit, budget.is_near_limit) == (3, 2000, True)


def test_a_429_in_plain_text_tells_how_long_to_wait(server: CloudServer, place: CloudPlace) -> None:
    server.plan(
        "/refs/branches", 429, b"Rate limit for this resource has been exceeded", media_type="text/plain"
    )
    with pytest.raises(Throttled) as caught:
        place.tip("main")
    assert caught.value.retry_after == 30


STEPS: list[tuple[str, Callable[[CloudPlace, str], object]]] = [
    ("GET .*/refs/branches/main", lambda place, base: place.tip("main")),
    ("GET .*/src/", lambda place, base: place.list_files(base)),
    ("GET .*/src/", lambda place, base: place.read(base, "app.yml", most_bytes=100)),
    ("GET .*format=meta", lambda place, base: place.stat(base, "app.yml")),
    ("GET .*/filehistory/", lambda place, base: place.last_change(base, "app.yml")),
    ("POST .*/refs/branches", lambda place, base: place.create_branch("other", base)),
    ("DELETE ", lambda place, base: place.delete_branch(BRANCH)),
    ("POST .*/src$", lambda place, base: place.commit(BRANCH, base, written({"app.yml": b"2"}), "m", OSKAR)),
    ("GET .*/pullrequests", lambda place, base: place.open_proposal(draft())),
    ("POST .*/pullrequests", lambda place, base: place.open_proposal(draft())),
    ("GET .*/pullrequests/1", lambda place, base: place.proposal("1")),
    ("GET .*/refs/branches", lambda place, base: place.refs()),
]
HTML = b"<!doctype html><title>Bad gateway</title><script>alert(1)</script>"


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_every_call_that_fails_says_why_and_leaks_nothing(
    server: CloudServer, place: CloudPlace, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    fits, step = STEPS[number]
    base = begun(place)
    for status, error in (
        (401, Refused),
        (403, Refused),
        (429, Throttled),
        (500, Unanswered),
        (302, Unanswered),
    ):
        headers = {"Location": "https://evil.example.net/"} if status == 302 else {}
        server.plan(fits, status, HTML, media_type="text/html", headers=headers)
        expected: tuple[type[PlaceError], ...] = (error,)
        if status == 302 and "app.yml" not in fits:
            expected = (Unanswered, Unsupported)
        with pytest.raises(expected) as caught:
            step(place, base)
        place._client.allowance.accepted()
        assert "<" not in caught.value.message
        assert status != 403 or "It needs the scope" in caught.value.message
        assert "persons-token" not in f"{caught.value.message} {caught.value.extra} {caplog.text}"
        server.planned.clear()


def test_a_place_shows_no_token(place: CloudPlace) -> None:
    assert "persons-token" not in f"{place!r} {place.__dict__!r}"


def names(place: CloudPlace, *, for_writing: bool = True) -> list[tuple[str, bool]]:
    return [(check.name, check.is_ok) for check in place.check(for_writing=for_writing)]


GOOD = [("address", True), ("credential", True), ("repository", True), ("branch", True), ("read", True)]


def test_the_test_of_a_good_place_is_good_and_changes_nothing(server: CloudServer, place: CloudPlace) -> None:
    assert names(place) == [*GOOD, ("write", True)]
    assert names(place, for_writing=False) == GOOD
    assert list(server.git.refs("heads")) == ["main"]


def test_the_test_tells_a_bad_token(open_place: Opener) -> None:
    place = open_place(token="ATATTwrong")
    assert names(place) == [("address", True), ("credential", False)]
    assert "expired" in place.check(for_writing=True)[-1].detail


@pytest.mark.parametrize(
    ("scopes", "failed", "named"),
    [
        (frozenset({WRITE}), "repository", "read:repository:bitbucket"),
        (frozenset({READ}), "write", "write:repository:bitbucket"),
        (frozenset({READ, WRITE}), "write", "write:pullrequest:bitbucket"),
        (frozenset({SEE_PULLS}), "repository", "read:repository:bitbucket"),
    ],
)
def test_the_test_names_the_scope_that_is_missing(
    server: CloudServer, place: CloudPlace, scopes: frozenset[str], failed: str, named: str
) -> None:
    server.tokens["ATATTpersons-token"] = Token("oskar@example.org", scopes)
    last = place.check(for_writing=True)[-1]
    assert (last.name, last.is_ok) == (failed, False)
    assert named in last.detail


def test_the_test_names_an_access_tokens_scopes_as_its_page_does(
    server: CloudServer, open_place: Opener
) -> None:
    server.tokens[ACCESS_TOKEN] = Token("", CLASSIC["repository"])
    last = open_place(token=ACCESS_TOKEN, username="").check(for_writing=True)[-1]
    assert (last.name, last.is_ok) == ("write", False)
    assert "repository:write" in last.detail
    assert ":bitbucket" not in last.detail


def test_the_test_tells_a_token_that_may_not_write(server: CloudServer, place: CloudPlace) -> None:
    server.tokens["ATATTpersons-token"] = Token("oskar@example.org", can_write=False)
    assert names(place) == [*GOOD, ("write", False)]
    assert names(place, for_writing=False) == GOOD


def test_the_test_tells_a_repository_that_is_not_there(open_place: Opener) -> None:
    place = open_place(repository="other")
    assert names(place) == [("address", True), ("credential", True), ("repository", False)]
    assert "acme/other" in place.check(for_writing=False)[-1].detail


def test_the_test_tells_a_branch_that_is_not_there(server: CloudServer, open_place: Opener) -> None:
    place = open_place(default_branch="release/9")
    assert names(place) == [*GOOD[:3], ("branch", False)]
    assert "release/9" in place.check(for_writing=False)[-1].detail


def test_the_test_tells_an_empty_repository(server: CloudServer, place: CloudPlace) -> None:
    server.git.point("main", None)
    assert place.check(for_writing=True)[-1].detail.startswith("The repository is empty")


def test_the_test_tells_when_nothing_answers(loop: Loop, tmp_path: Path) -> None:
    server = CloudServer(tmp_path / "gone.git")
    place = place_at(server, loop)
    server.close()
    assert names(place) == [("address", False)]
    assert "refused" in place.check(for_writing=True)[0].detail


def test_the_test_tells_an_address_that_is_no_api(server: CloudServer, open_place: Opener) -> None:
    assert names(open_place(url=f"{server.root}/wiki"))[-1] == ("repository", False)
    server.plan("GET /2.0/", 200, HTML, media_type="text/html", times=9)
    assert names(open_place()) == [("address", False)]


def test_the_test_tells_a_silent_server(server: CloudServer, open_place: Opener) -> None:
    server.plan("GET ", kind="hang", times=9)
    place = open_place(timing=replace(QUICK, read=0.1))
    assert names(place) == [("address", False)]


def document() -> dict[str, Any]:
    name = os.environ.get("BITBUCKET_OPENAPI")
    if not name:
        pytest.skip("BITBUCKET_OPENAPI does not name a copy of Bitbucket's OpenAPI document")
    found = json.loads(Path(name).read_text())
    assert isinstance(found, dict)
    return found


GENERAL = {"fields", "pagelen", "page", "q", "sort"}
"""Described once for all calls, in the document's prose."""
YOUNG = {"/pullrequests/{pull_request_id}/conflicts", "/file-conflicts/{spec}"}
"""Not in copies from before 2026."""


def described(found: Mapping[str, Any], operation: Operation) -> dict[str, Any] | None:
    """Return an operation as the document has it."""
    if operation.path not in found["paths"] and operation.path.endswith(tuple(YOUNG)):
        return None
    entry = found["paths"][operation.path][operation.method.lower()]
    assert isinstance(entry, dict)
    return entry


def test_the_requests_of_an_edit_fit_bitbuckets_own_description(
    server: CloudServer, place: CloudPlace
) -> None:
    found = document()
    base = begun(place)
    place.refs("x")
    place.list_files(base)
    place.stat(base, "app.yml")
    place.last_change(base, "app.yml")
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    place.proposal(place.open_proposal(draft(description="Why", reviewers=(REVIEWER,))).id)
    place.delete_branch(BRANCH)
    for asked in server.asked:
        path = asked.path.removeprefix("/2.0")
        operation = next(
            each for each in OPERATIONS if each.method == asked.method and each.parts(path) is not None
        )
        entry = described(found, operation)
        if entry is None:
            continue
        known = {each["name"] for each in entry.get("parameters", ()) if each["in"] == "query"}
        names = {pair.partition("=")[0] for pair in asked.query.split("&") if pair}
        assert names <= known | GENERAL, asked.line
        if operation.json is not None and "requestBody" in entry:
            schema = entry["requestBody"]["content"]["application/json"]["schema"]
            hold_against(json.loads(asked.body), schema, found)
        if operation.is_form:
            fields = set(re.findall(rb'form-data; name="([a-z]+)"\r\n\r\n', asked.body))
            assert {field.decode() for field in fields} <= known


def test_the_table_of_operations_fits_bitbuckets_own_description() -> None:
    found = document()
    for operation in OPERATIONS:
        entry = described(found, operation)
        if entry is None:
            continue
        known = {each["name"] for each in entry.get("parameters", ()) if each["in"] == "query"}
        assert set(operation.query) <= known | GENERAL, operation.path
        scopes = {scope for each in entry.get("x-atlassian-oauth2-scopes", ()) for scope in each["scopes"]}
        assert not scopes or scopes == operation.scopes, operation.path


def hold_against(value: object, schema: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Validate JSON by a schema of the document; its references are within itself."""
    from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # of openapi-spec-validator

    whole = {**schema, "components": found["components"]}
    errors = [error.message for error in Draft4Validator(whole).iter_errors(value)]
    assert errors == []
