"""Pull requests at Bitbucket Cloud."""

import json

import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.cloud import CloudPlace
from quarterdeck.files.places.place import Missing, PlaceError, ProposalState, Unchanged, Unsupported
from tests.files.cloud.factories import BRANCH, OSKAR, REVIEWER, Opener, begun, draft, place_at, written
from tests.files.cloud.server import CloudServer


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
