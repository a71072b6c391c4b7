"""A Bitbucket Data Center as a place, against a strict server of our own with real git objects."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.actors import Role
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.errors import TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.places.datacenter import DataCenterPlace, data_center_place, server_address
from quarterdeck.files.places.faults import Timing
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.place import (
    Action,
    Author,
    Check,
    EntryKind,
    Exists,
    FileChange,
    Missing,
    PartlyCommitted,
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
from tests.certificates import make_certificate, tls_proxy
from tests.files.cloud_factories import QUICK
from tests.files.datacenter_server import DataCenter, data_center
from tests.files.git_repository import EXECUTABLE, LINK, SUBMODULE

ADA = Author("Ada Lovelace", "ada@example.org")
ODD = "conf/mit leer/100% #1?+&=ä€/ünï[*]~.yml"
FILES: dict[str, bytes | None] = {
    "README.md": b"# Config\n",
    "conf/app.yml": b"a: 1\r\nb: 2",
    "conf/binary.bin": bytes(range(256)),
    ODD: "größe: 1\n".encode(),
    "run.sh": b"#!/bin/sh\n",
    "link.yml": b"conf/app.yml",
    "vendored": b"1" * 40,
}
MODES = {"run.sh": EXECUTABLE, "link.yml": LINK, "vendored": SUBMODULE}
IMPATIENT = replace(QUICK, read=0.05, pauses=())

Open = Callable[..., DataCenterPlace]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataCenter]:
    with data_center(tmp_path / "origin.git") as server:
        server.git.commit("main", FILES, "Begin", modes=MODES)
        yield server


@pytest.fixture
def opened(server: DataCenter, loop: Loop) -> Iterator[Open]:
    places: list[DataCenterPlace] = []

    def open_(
        token: str = "oskars-token",
        *,
        url: str = "",
        project: str = "OPS",
        timing: Timing = QUICK,
        **more: str,
    ) -> DataCenterPlace:
        client = Client(Endpoint(url or server.url, token=token, **more), loop, SystemClock(), timing=timing)
        places.append(DataCenterPlace(client, project=project, repository="config"))
        return places[-1]

    yield open_
    for place in places:
        place.close()


@pytest.fixture
def place(opened: Open) -> DataCenterPlace:
    return opened()


def written(path: str, content: bytes, *, is_new: bool = False) -> FileChange:
    return FileChange(path, Action.WRITE, content, is_new=is_new)


def begin(place: DataCenterPlace, name: str = "quarterdeck/ada/app-1") -> tuple[str, str]:
    """Make a branch from the tip of main and return its name and that commit."""
    base = place.tip("main")
    place.create_branch(name, base)
    return name, base


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


@pytest.mark.parametrize("content", [b"", b"\r\nx\r\n--\r\n", bytes(range(256)) * 50, b"a\r\rb\n"])
@pytest.mark.parametrize("path", ["conf/app.yml", ODD])
def test_bytes_are_committed_as_they_are(
    server: DataCenter, place: DataCenterPlace, path: str, content: bytes
) -> None:
    branch, base = begin(place)
    tip = place.commit(branch, base, [written(path, content)], "Set ä\n\nas asked", ADA)
    assert (place.tip(branch), place.tip("main")) == (tip, base)
    assert server.git.content(tip, path) == place.read(tip, path, most_bytes=100_000) == content
    assert server.git.git("fsck", "--strict").returncode == 0


def test_the_person_is_named_in_the_message_since_the_author_is_the_account(
    server: DataCenter, place: DataCenterPlace
) -> None:
    branch, base = begin(place)
    eve = Author("Eve\r\nX: <y>", "eve@example.org>\n")
    tip = place.commit(branch, base, [written("README.md", b"2")], "Say\r\nmore\r\n", eve)
    found = place.last_change(tip, "README.md")
    assert found is not None
    assert found.author == "Oskar"
    assert found.message == "Say\nmore\n\nChanged-by: Eve X: (y) <eve@example.org)>"


def test_one_file_is_committed_with_one_call_that_says_where_it_was_read(
    server: DataCenter, place: DataCenterPlace
) -> None:
    branch, base = begin(place)
    calls = len(server.lines)
    place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    assert len(server.lines) == calls + 1


def test_an_edit_keeps_the_executable_bit_of_a_file(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    change = FileChange("run.sh", Action.WRITE, b"#!/bin/sh\ntrue\n", is_executable=True)
    tip = place.commit(branch, base, [change], "m", ADA)
    assert server.git.files(tip)["run.sh"].mode == EXECUTABLE


@pytest.mark.parametrize(
    "change",
    [
        FileChange("README.md", Action.DELETE),
        FileChange("new.sh", Action.WRITE, b"x", is_executable=True, is_new=True),
    ],
)
def test_what_the_api_has_no_call_for_is_refused_before_anything_is_changed(
    server: DataCenter, place: DataCenterPlace, change: FileChange
) -> None:
    branch, base = begin(place)
    calls = len(server.lines)
    with pytest.raises(Unsupported, match="Nothing was changed"):
        place.commit(branch, base, [written("conf/app.yml", b"3"), change], "m", ADA)
    assert len(server.lines) == calls


def test_a_new_file_is_new(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    tip = place.commit(branch, base, [written("new/ä b.txt", b"1", is_new=True)], "m", ADA)
    assert server.git.content(tip, "new/ä b.txt") == b"1"
    with pytest.raises(Exists):
        place.commit(branch, tip, [written("README.md", b"1", is_new=True)], "m", ADA)


def test_a_file_that_is_to_be_changed_has_to_be_there(place: DataCenterPlace) -> None:
    branch, base = begin(place)
    for changes in ([], [written("README.md", b"2")]):
        with pytest.raises(Missing, match="other"):
            place.commit(branch, base, [*changes, written("other.txt", b"1")], "m", ADA)
    assert place.tip(branch) == base


def test_the_same_contents_are_no_commit(place: DataCenterPlace) -> None:
    branch, base = begin(place)
    with pytest.raises(Unchanged):
        place.commit(branch, base, [written("README.md", b"# Config\n")], "m", ADA)
    with pytest.raises(Unchanged):
        place.commit(branch, base, [], "m", ADA)
    assert place.tip(branch) == base


def test_a_push_in_between_to_the_same_file_is_stale(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    pushed = []
    server.before.append(("PUT", lambda: pushed.append(server.git.commit(branch, {"README.md": b"3"}))))
    with pytest.raises(Stale, match=r"README\.md"):
        place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    assert place.tip(branch) == pushed[0]


def test_a_push_in_between_to_another_file_is_kept_beside(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    server.before.append(("PUT", lambda: server.git.commit(branch, {"conf/app.yml": b"3"})))
    tip = place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    assert [server.git.content(tip, path) for path in ("README.md", "conf/app.yml")] == [b"2", b"3"]


def test_a_file_that_was_removed_in_between_is_stale(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    server.git.commit(branch, {"README.md": None})
    with pytest.raises(Stale):
        place.commit(branch, base, [written("README.md", b"2")], "m", ADA)


def test_several_files_are_several_commits_in_order(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    changes = [
        written("conf/app.yml", b"2"),
        written("README.md", b"# Config\n"),
        written(ODD, b"2"),
        written("new.txt", b"2", is_new=True),
    ]
    tip = place.commit(branch, base, changes, "Both", ADA)
    shown = server.git.git("log", "-z", "--format=%s", "--name-only", f"{base}..{tip}").stdout.decode()
    assert [each.strip() for each in shown.split("\0") if each.strip()] == [
        "Both", "new.txt", "Both", ODD, "Both", "conf/app.yml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("second", "error"),
    [(written("README.md", b"2", is_new=True), Exists), (written("README.md", b"2"), Stale)],
)
def test_several_files_are_checked_before_the_first_is_committed(
    server: DataCenter, place: DataCenterPlace, second: FileChange, error: type[PlaceError]
) -> None:
    branch, base = begin(place)
    tip = server.git.commit(branch, {"README.md": b"3"})
    with pytest.raises(error):
        place.commit(branch, base, [written("conf/app.yml", b"2"), second], "m", ADA)
    assert place.tip(branch) == tip


def test_what_fails_after_the_first_commit_says_what_is_done(
    server: DataCenter, place: DataCenterPlace
) -> None:
    branch, base = begin(place)
    server.plan("PUT", after=1, status=503)
    changes = [written(path, b"2") for path in ("conf/app.yml", ODD, "README.md")]
    with pytest.raises(
        PartlyCommitted, match=r"Committed: conf/app\.yml\. Not committed: conf/mit"
    ) as caught:
        place.commit(branch, base, changes, "m", ADA)
    assert caught.value.committed == ("conf/app.yml",)
    assert caught.value.tip == place.tip(branch) != base
    assert isinstance(caught.value.reason, Unanswered)
    place.commit(branch, caught.value.tip, changes[1:], "m", ADA)
    assert server.git.content(place.tip(branch), "README.md") == b"2"


def test_a_commit_whose_answer_was_lost_is_found(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    server.plan("PUT", kind="lost")
    tip = place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    assert tip == server.git.tip(branch) != base
    assert sum(line.startswith("PUT") for line in server.lines) == 1


def test_a_commit_without_an_answer_that_is_not_there_is_unanswered(
    opened: Open, server: DataCenter, place: DataCenterPlace
) -> None:
    branch, base = begin(place)
    server.plan("PUT", kind="hang")
    with pytest.raises(Unanswered, match="No answer") as caught:
        opened(timing=IMPATIENT).commit(branch, base, [written("README.md", b"2")], "m", ADA)
    assert caught.value.extra["is_unsure"]
    assert place.tip(branch) == base


def test_a_branch_that_is_not_there_is_missing(place: DataCenterPlace) -> None:
    with pytest.raises(Missing, match="gone"):
        place.commit("gone", place.tip("main"), [written("README.md", b"2")], "m", ADA)


@pytest.mark.parametrize("status", [400, 409])
def test_a_branch_that_is_there_exists(server: DataCenter, place: DataCenterPlace, status: int) -> None:
    server.duplicate_status = status
    branch, base = begin(place)
    for name in (branch, f"{branch}/below", "quarterdeck"):
        with pytest.raises(Exists):
            place.create_branch(name, base)


def test_a_branch_from_nowhere_is_missing_and_a_bad_name_an_error(place: DataCenterPlace) -> None:
    with pytest.raises(Missing):
        place.create_branch("x", "f" * 40)
    with pytest.raises(PlaceError, match="valid branch name"):
        place.create_branch("a..b", place.tip("main"))


def test_a_branch_is_removed_only_at_the_tip_that_is_meant(
    server: DataCenter, place: DataCenterPlace
) -> None:
    branch, base = begin(place)
    tip = server.git.commit(branch, {"README.md": b"3"})
    with pytest.raises(Stale):
        place.delete_branch(branch, tip=base)
    place.delete_branch(branch, tip=tip)
    assert server.git.tip(branch) is None
    place.delete_branch(branch)


def test_what_was_done_without_an_answer_is_found_done(server: DataCenter, place: DataCenterPlace) -> None:
    for fits in ("POST .*branches", "DELETE", "POST .*pull-requests"):
        server.plan(fits, kind="lost")
    branch, base = begin(place)
    place.create_branch("other", base)
    place.delete_branch("other")
    assert set(server.git.refs("heads")) == {"main", branch}
    place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    assert place.open_proposal(propose(place, branch)).id == "1"


def test_the_default_branch_is_not_removed(place: DataCenterPlace) -> None:
    with pytest.raises(PlaceError, match="default branch"):
        place.delete_branch("main")


def propose(place: DataCenterPlace, branch: str, *reviewers: str, title: str = "T") -> ProposalDraft:
    return ProposalDraft(title, branch, "main", "Why\n\nbecause", reviewers=reviewers)


def test_a_pull_request_is_opened_once(server: DataCenter, place: DataCenterPlace) -> None:
    branch, base = begin(place)
    place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    first = place.open_proposal(propose(place, branch, "vera"))
    assert first.url == f"{server.url}/projects/OPS/repos/config/pull-requests/1/overview"
    assert place.open_proposal(propose(place, branch)).id == first.id == "1"
    assert server.pulls[0]["description"] == "Why\n\nbecause"


@pytest.mark.parametrize(
    ("state", "conflict", "expected"),
    [
        ("OPEN", False, (ProposalState.OPEN, False)),
        ("OPEN", True, (ProposalState.OPEN, True)),
        ("OPEN", None, (ProposalState.OPEN, None)),
        ("OPEN", "broken", (ProposalState.OPEN, None)),
        ("MERGED", False, (ProposalState.MERGED, None)),
        ("DECLINED", False, (ProposalState.DECLINED, None)),
    ],
)
def test_where_a_pull_request_stands(
    server: DataCenter, place: DataCenterPlace, state: str, conflict: object, expected: object
) -> None:
    branch, base = begin(place)
    place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    id_ = place.open_proposal(propose(place, branch)).id
    server.pulls[0]["state"], server.conflict = state, conflict  # type: ignore[assignment]  # as parametrized
    found = place.proposal(id_)
    assert (found.state, found.is_conflicted) == expected


def test_a_pull_request_without_a_change_or_with_unknown_reviewers_is_not_opened(
    place: DataCenterPlace,
) -> None:
    branch, base = begin(place)
    with pytest.raises(Unchanged):
        place.open_proposal(propose(place, branch))
    place.commit(branch, base, [written("README.md", b"2")], "m", ADA)
    with pytest.raises(Missing, match="mallory"):
        place.open_proposal(propose(place, branch, "vera", "mallory"))


@pytest.mark.parametrize("id_", ["77", "../1", "", "1?x"])
def test_a_pull_request_that_is_not_there_is_missing(place: DataCenterPlace, id_: str) -> None:
    with pytest.raises(Missing):
        place.proposal(id_)


def test_links_lead_to_the_pages_of_the_server(opened: Open, server: DataCenter) -> None:
    start = f"{server.url}/projects/OPS/repos/config/browse"
    assert opened().link_to_file("release/1 #", "a b/ä?") == f"{start}/a%20b/%C3%A4%3F?at=release%2F1%20%23"
    assert opened().link_to_branch("x/y") == f"{start}?at=refs%2Fheads%2Fx%2Fy"
    assert "/users/oskar/repos/config/" in opened(project="~oskar").link_to_branch("x")


def test_a_persons_own_repository_is_asked_for_by_its_tilde(tmp_path: Path, opened: Open) -> None:
    with data_center(tmp_path / "own.git", project="~oskar", context="") as server:
        server.git.commit("main", FILES, modes=MODES)
        place = opened(url=server.url, project="~oskar")
        branch, base = begin(place)
        assert place.commit(branch, base, [written("README.md", b"2")], "m", ADA) == server.git.tip(branch)
        assert all(check.is_ok for check in place.check(for_writing=True))


@pytest.mark.parametrize("end", ["", "/", "/rest", "/rest/api/latest/", "/rest/api/1.0"])
def test_the_address_of_the_api_is_as_good_as_that_of_the_server(end: str) -> None:
    assert server_address(f" https://git.example.org/bitbucket{end}") == "https://git.example.org/bitbucket"


def failed(place: DataCenterPlace, *, for_writing: bool = True) -> Check:
    *good, last = place.check(for_writing=for_writing)
    assert all(check.is_ok for check in good)
    assert not last.is_ok, last
    return last


def test_a_good_place_passes_each_check_and_nothing_is_changed(
    server: DataCenter, place: DataCenterPlace
) -> None:
    names = ["address", "credential", "repository", "branch", "read", "write"]
    assert [(check.name, check.is_ok) for check in place.check(for_writing=True)] == [
        (each, True) for each in names
    ]
    assert [check.name for check in place.check(for_writing=False)] == names[:-1]
    assert all(line.startswith("GET") for line in server.lines)


def test_basic_with_a_persons_token_is_as_good_as_bearer(opened: Open) -> None:
    assert all(check.is_ok for check in opened(username="oskar").check(for_writing=True))


@pytest.mark.parametrize(
    ("token", "name", "words"),
    [
        ("wrong-token", "credential", "wrong, expired or revoked"),
        ("nils-token", "repository", "lacks the permission to read"),
        ("veras-token", "write", "lacks the permission to write"),
        ("project-token", "write", "a project's or a repository's token"),
        ("mailless-token", "write", "no e-mail address"),
    ],
)
def test_the_check_says_what_is_wrong_with_the_token(opened: Open, token: str, name: str, words: str) -> None:
    check = failed(opened(token))
    assert check.name == name
    assert words in check.detail


def test_a_token_that_only_reads_is_enough_to_read(opened: Open) -> None:
    for token in ("veras-token", "project-token"):
        assert all(check.is_ok for check in opened(token).check(for_writing=False))


def test_the_check_tells_an_address_without_the_context_path(opened: Open, server: DataCenter) -> None:
    check = failed(opened(url=server.root))
    assert check.name == "address"
    assert f"https://127.0.0.1:{server.port}/bitbucket" in check.detail


def test_the_check_tells_a_sign_in_page(opened: Open, server: DataCenter) -> None:
    server.signs_in_by_page = True
    assert failed(opened()).name == "address"


def test_the_check_tells_what_is_wrong_with_the_repository(
    opened: Open, server: DataCenter, tmp_path: Path
) -> None:
    assert "no repository OTHER/config" in failed(opened(project="OTHER")).detail
    server.is_archived = True
    assert (failed(opened()).name, "archived" in failed(opened()).detail) == ("write", True)
    with data_center(tmp_path / "empty.git") as empty:
        check = failed(opened(url=empty.url))
        assert check.name == "branch"
        assert "empty" in check.detail


def test_the_check_tells_that_nothing_listens(opened: Open) -> None:
    check = failed(opened(url="http://127.0.0.1:1"))
    assert check.name == "address"
    assert "refused" in check.detail


def test_an_own_authority_has_to_be_given(opened: Open, server: DataCenter, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "tls.pem")
    with tls_proxy(server.port, certificate) as proxy:
        url = proxy.url + server.context
        check = failed(opened(url=url))
        assert check.name == "address"
        assert "certificate is not trusted" in check.detail
        pem = certificate.path.read_text().partition("-----BEGIN PRIVATE")[0]
        assert all(check.is_ok for check in opened(url=url, authorities=pem).check(for_writing=True))


CALLS: dict[str, Callable[[DataCenterPlace], object]] = {
    "default-branch": lambda place: place.default_branch(),
    "branches": lambda place: place.refs(),
    "commits": lambda place: place.tip("main"),
    "files": lambda place: place.list_files("f" * 40),
    "browse": lambda place: place.stat("f" * 40, "README.md"),
    "raw": lambda place: place.read("f" * 40, "README.md", most_bytes=10_000),
    "POST .*branches": lambda place: place.create_branch("x", "f" * 40),
    "DELETE .*branches": lambda place: place.delete_branch("main"),
    "PUT": lambda place: place.commit("x", "f" * 40, [written("README.md", b"2")], "m", ADA),
    "POST .*pull-requests": lambda place: place.open_proposal(propose(place, "x")),
    "pull-requests/1": lambda place: place.proposal("1"),
}
DENIED = (
    b'{"errors":[{"context":null,"message":"No oskars-token","exceptionName":"x.AuthorisationException"}]}'
)
FAILURES: list[tuple[dict[str, Any], type[PlaceError]]] = [
    ({"status": 401}, Refused),
    ({"status": 401, "body": DENIED}, Refused),
    ({"status": 403, "body": DENIED}, Refused),
    ({"status": 429}, Throttled),
    ({"status": 429, "headers": {"Retry-After": "60"}}, Throttled),
    ({"status": 500, "body": DENIED}, Unanswered),
    ({"status": 503}, Unanswered),
    ({"status": 302, "headers": {"Location": "https://sso.example.org/login"}}, Unanswered),
    ({"kind": "cut", "body": b'{"values": ['}, Unanswered),
    ({"kind": "hang"}, Unanswered),
]


@pytest.mark.parametrize("fits", CALLS)
def test_each_failure_of_the_server_is_told_and_never_with_the_token(
    opened: Open, server: DataCenter, caplog: pytest.LogCaptureFixture, fits: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for how, error in FAILURES:
        server.planned.clear()
        server.plan(fits, times=5, **how)
        place = opened(timing=IMPATIENT if how.get("kind") == "hang" else QUICK)
        with pytest.raises(PlaceError) as caught:
            CALLS[fits](place)
        assert isinstance(caught.value, error), (how, caught.value)
        assert "oskars-token" not in f"{caught.value!r} {caught.value.extra} {caplog.text} {place!r}"


@pytest.mark.parametrize(
    "fits", ["default-branch", "branches", "commits", "files", "browse", "pull-requests/1"]
)
def test_answers_of_an_unknown_form_are_told(server: DataCenter, place: DataCenterPlace, fits: str) -> None:
    for body in (b"<html>", b"[]", b'{"values": 7}', b"[" * 5000, b""):
        server.planned.clear()
        server.plan(fits, times=5, status=200, body=body)
        with pytest.raises(PlaceError) as caught:
            CALLS[fits](place)
        assert isinstance(caught.value, Unanswered | Missing), (body, caught.value)


def test_a_huge_answer_is_not_read_to_its_end(server: DataCenter, place: DataCenterPlace) -> None:
    tip = place.tip("main")
    server.plan("raw", kind="endless")
    with pytest.raises(TooLarge):
        place.read(tip, "README.md", most_bytes=1000)
    server.plan("default-branch", kind="endless")
    with pytest.raises(PlaceError):
        place.default_branch()


def test_a_short_wait_that_the_server_asks_for_is_waited_out(
    server: DataCenter, place: DataCenterPlace
) -> None:
    server.plan("default-branch", status=429, headers={"Retry-After": "0"})
    assert place.default_branch() == "main"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda server: server.protected.add("main"), "can only be changed by a pull request"),
        (
            lambda server: server.vetoes.extend(["Name a ticket", "in the message"]),
            "Name a ticket in the message",
        ),
        (lambda server: setattr(server, "is_archived", True), "archived"),
    ],
)
def test_what_the_server_does_not_let_through_is_refused_in_its_words(
    server: DataCenter, place: DataCenterPlace, prepare: Callable[[DataCenter], None], words: str
) -> None:
    prepare(server)
    with pytest.raises(Refused, match=words):
        place.commit("main", place.tip("main"), [written("README.md", b"2")], "m", ADA)


@pytest.mark.parametrize("token", ["project-token", "mailless-token"])
def test_a_token_of_no_person_can_branch_but_not_commit(opened: Open, token: str) -> None:
    place = opened(token)
    branch, base = begin(place)
    with pytest.raises(Refused, match="a person's own token"):
        place.commit(branch, base, [written("README.md", b"2")], "m", ADA)


def test_two_at_once_on_one_file_are_one_commit_and_one_stale(
    server: DataCenter, place: DataCenterPlace
) -> None:
    branch, base = begin(place)
    outcomes: list[object] = []

    def one(text: bytes) -> None:
        try:
            outcomes.append(place.commit(branch, base, [written("README.md", text)], "m", ADA))
        except PlaceError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=one, args=(text,)) for text in (b"2", b"3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Stale in outcomes
    assert server.git.tip(branch) in outcomes
