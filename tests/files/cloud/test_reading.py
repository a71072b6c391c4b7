"""Listings and contents at Bitbucket Cloud, also hostile ones."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from quarterdeck.core.errors import TooLarge
from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.place import EntryKind, Missing, Throttled, Unanswered, Unsupported
from tests.clocks import SetClock
from tests.files.cloud.factories import BRANCH, OSKAR, Opener, begun, content_of, written
from tests.files.cloud.server import CloudServer
from tests.files.git_repository import LINK, SUBMODULE

ODD_NAMES = [
    "message", "branch", "author", "parents", "files", "docs/message", "a b/c d.txt", "100%.txt", "50%25.txt",
    "#1.md", "what?.md", "c++/x+y.cc", "Grüße/übung.txt", "a&b=c;d.txt", "-rf", "日本語.txt", "a:b@c",
]  # fmt: skip


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
