"""What an edit at Bitbucket Cloud costs, and what each call says when it fails."""

from collections.abc import Callable

import pytest

from quarterdeck.core.loop import Loop
from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.place import (
    Place,
    PlaceError,
    ProposalState,
    Refused,
    Throttled,
    Unanswered,
    Unsupported,
)
from tests.files.cloud.factories import (
    ACCESS_TOKEN,
    BRANCH,
    HTML,
    OSKAR,
    Opener,
    begun,
    content_of,
    draft,
    place_at,
    written,
)
from tests.files.cloud.server import CloudServer


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
