"""The test of a place at a Bitbucket Data Center: what it says is wrong, and what to do."""

from pathlib import Path

import pytest

from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.place import Check
from tests.certificates import make_certificate, tls_proxy
from tests.files.datacenter.factories import Open
from tests.files.datacenter.server import DataCenter, data_center


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
