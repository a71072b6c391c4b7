"""Commits at Bitbucket Cloud: several files at once, pushes in between, lost answers."""

import threading
from collections.abc import Mapping

import pytest

from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.place import Action, Author, Exists, FileChange, Stale, Unanswered, Unchanged
from tests.files.cloud.factories import BRANCH, OSKAR, Opener, begun, content_of, written
from tests.files.cloud.server import CloudServer
from tests.files.git_repository import EXECUTABLE


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
