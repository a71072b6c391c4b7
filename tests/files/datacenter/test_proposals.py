"""Pull requests and links at a Bitbucket Data Center."""

from pathlib import Path

import pytest

from quarterdeck.files.places.datacenter import DataCenterPlace, server_address
from quarterdeck.files.places.place import Missing, ProposalState, Unchanged
from tests.files.datacenter.factories import ADA, FILES, MODES, Open, begin, propose, written
from tests.files.datacenter.server import DataCenter, data_center


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
