"""Listings, contents and refs at a Bitbucket Data Center."""

import pytest

from quarterdeck.core.actors import Role
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.errors import TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.places.datacenter import DataCenterPlace, data_center_place
from quarterdeck.files.places.place import EntryKind, Missing, Place, Unanswered, Unsupported
from tests.files.datacenter.factories import ADA, FILES, ODD
from tests.files.datacenter.server import DataCenter


def test_place_has_all_that_a_place_has(place: DataCenterPlace) -> None:
    as_place: Place = place
    assert as_place.budget() is None
    with pytest.raises(Unsupported, match="pull request"):
        as_place.merge("x", "main", tip="", target_tip="", author=ADA, message="m")


def test_all_files_are_listed_in_one_call_with_their_names_as_they_are(
    server: DataCenter, place: DataCenterPlace
) -> None:
    tip = place.tip("main")
    calls = len(server.lines)
    assert [entry.path for entry in place.list_files(tip)] == sorted(FILES)
    assert len(server.lines) == calls + 1


def test_50000_files_come_in_one_call(server: DataCenter, place: DataCenterPlace) -> None:
    many: dict[str, bytes | None] = {f"d{each % 100}/f{each}.yml": b"same" for each in range(50_000)}
    tip = server.git.commit("main", many)
    calls = len(server.lines)
    assert len(place.list_files(tip)) == 50_000 + len(FILES)
    assert len(server.lines) == calls + 1


def test_pages_that_the_server_cuts_are_followed_to_the_end(
    server: DataCenter, place: DataCenterPlace
) -> None:
    server.file_cap = 3
    assert [entry.path for entry in place.list_files(place.tip("main"))] == sorted(FILES)
    assert sum("/files?" in line for line in server.lines) == 3


def test_a_list_that_goes_round_in_circles_is_given_up(server: DataCenter, place: DataCenterPlace) -> None:
    tip = place.tip("main")
    body = b'{"values": ["a"], "isLastPage": false, "nextPageStart": 0}'
    server.plan("/files", status=200, body=body)
    with pytest.raises(Unanswered, match="circles"):
        place.list_files(tip)


def test_hostile_names_in_a_listing_are_left_out(server: DataCenter, place: DataCenterPlace) -> None:
    server.extra_paths = ["../etc/passwd", ".git/config", "a/\x00b", 7, None, {}, "", "/etc/passwd"]
    assert [entry.path for entry in place.list_files(place.tip("main"))] == sorted(FILES)


@pytest.mark.parametrize("path", [path for path in FILES if path != "vendored"])
def test_bytes_are_read_as_they_are(place: DataCenterPlace, path: str) -> None:
    assert place.read(place.tip("main"), path, most_bytes=1000) == FILES[path]


def test_a_file_over_the_limit_is_not_read(place: DataCenterPlace) -> None:
    with pytest.raises(TooLarge):
        place.read(place.tip("main"), "conf/binary.bin", most_bytes=255)


def test_a_page_in_html_from_bitbucket_itself_is_no_wrong_address(
    server: DataCenter, place: DataCenterPlace
) -> None:
    server.plan("raw", 404, b"<html>", media_type="text/html", headers={"X-AUSERNAME": "oskar"})
    with pytest.raises(Missing, match="nowhere"):
        place.read(place.tip("main"), "nowhere", most_bytes=1000)


def test_a_sign_in_page_is_not_taken_for_a_file(server: DataCenter, place: DataCenterPlace) -> None:
    tip = place.tip("main")
    server.signs_in_by_page = True
    with pytest.raises(Unanswered, match="sign-in"):
        place.read(tip, "README.md", most_bytes=1000)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("README.md", EntryKind.FILE),
        (ODD, EntryKind.FILE),
        ("link.yml", EntryKind.LINK),
        ("vendored", EntryKind.SUBMODULE),
    ],
)
def test_what_a_path_is(place: DataCenterPlace, path: str, kind: EntryKind) -> None:
    stat = place.stat(place.tip("main"), path)
    content = FILES[path] or b""
    assert (stat.kind, stat.size) == (kind, 0 if kind is EntryKind.SUBMODULE else len(content))


@pytest.mark.parametrize("path", ["conf", "nowhere.txt", "conf/app.yml/below"])
def test_a_folder_and_nothing_are_missing(place: DataCenterPlace, path: str) -> None:
    with pytest.raises(Missing):
        place.stat(place.tip("main"), path)


def test_a_ref_is_a_full_hash_a_branch_or_a_tag(server: DataCenter, place: DataCenterPlace) -> None:
    first = place.tip("main")
    server.git.point("v1", first, kind="tags")
    second = server.git.commit("main", {"README.md": b"2"})
    server.git.point("main", first, kind="tags")
    server.git.point(first, second)
    assert place.resolve("main") == second
    assert place.resolve("v1") == first
    assert place.resolve(first) == first


def test_branches_with_hostile_names_are_left_out(server: DataCenter, place: DataCenterPlace) -> None:
    for name in ("-x", "a\u202eb", "HEAD"):
        server.git.point(name, place.tip("main"))
    assert [ref.name for ref in place.refs()] == ["main"]


def test_a_registered_place_is_opened_with_all_that_is_stored_of_it(server: DataCenter, loop: Loop) -> None:
    now = SystemClock().now()
    server.git.point("stable", server.git.tip("main"))
    record = PlaceRecord(
        "01", "config", PlaceKind.DATACENTER, f"{server.url}/rest/api/1.0", "OPS", "config", "stable", (),
        "oskar", True, "", Role.VIEWER, Role.OPERATOR, False, now, now,
    )  # fmt: skip
    place = data_center_place(record, "oskars-token", loop=loop, clock=SystemClock())
    assert place.default_branch() == "stable"
    assert all(check.is_ok for check in place.check(for_writing=True))
    place.close()


@pytest.mark.parametrize("ref", ["nowhere", "f" * 40, "deadbee", "main~1"])
def test_a_ref_that_is_not_there_is_missing(place: DataCenterPlace, ref: str) -> None:
    with pytest.raises(Missing):
        place.resolve(ref)


def test_refs_are_found_by_a_part_of_their_name_the_latest_first(
    server: DataCenter, place: DataCenterPlace
) -> None:
    server.git.point("release/Äpfel", place.tip("main"))
    server.git.point("release-1", place.tip("main"), kind="tags")
    server.git.commit("release/new", {"x": b"x"})
    assert [ref.name for ref in place.refs("RELEASE")] == ["release/new", "release/Äpfel", "release-1"]
    assert [ref.is_tag for ref in place.refs("release")] == [False, False, True]
    assert len(place.refs("release", limit=2)) == 2


def test_the_latest_change_of_a_file_is_not_that_of_others(
    server: DataCenter, place: DataCenterPlace
) -> None:
    changed = server.git.commit("main", {ODD: b"2\n"}, "Change\n\nin two paragraphs")
    tip = server.git.commit("main", {"README.md": b"2"})
    found = place.last_change(tip, ODD)
    assert found is not None
    assert (found.id, found.author, found.message) == (changed, "Pia Push", "Change\n\nin two paragraphs")
    assert found.at.timestamp() == server.git.seconds - 1
