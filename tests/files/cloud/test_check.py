"""The test of a place at Bitbucket Cloud: what it says is wrong, and what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from quarterdeck.core.loop import Loop
from quarterdeck.files.places.cloud import CloudPlace
from tests.files.cloud.answering import Token
from tests.files.cloud.factories import ACCESS_TOKEN, HTML, Opener, place_at
from tests.files.cloud.requests import CLASSIC, READ, SEE_PULLS, WRITE
from tests.files.cloud.server import CloudServer
from tests.files.loopback import QUICK

GOOD = [("address", True), ("credential", True), ("repository", True), ("branch", True), ("read", True)]


def names(place: CloudPlace, *, for_writing: bool = True) -> list[tuple[str, bool]]:
    return [(check.name, check.is_ok) for check in place.check(for_writing=for_writing)]


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
