"""Branches and commits at a Bitbucket Data Center."""

import threading
from collections.abc import Callable

import pytest

from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.place import (
    Action,
    Author,
    Exists,
    FileChange,
    Missing,
    PartlyCommitted,
    PlaceError,
    Refused,
    Stale,
    Unanswered,
    Unchanged,
    Unsupported,
)
from tests.files.datacenter.factories import ADA, IMPATIENT, ODD, Open, begin, propose, written
from tests.files.datacenter.server import DataCenter
from tests.files.git_repository import EXECUTABLE


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
