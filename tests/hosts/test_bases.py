"""API bases: which addresses a call may go to, and with which bearer."""

import pytest

from quarterdeck.core.errors import Busy, Conflict, Invalid, NotFound
from quarterdeck.core.vault import Vault
from quarterdeck.hosts.bases import Bases
from tests.hosts.factories import ADA, Node


@pytest.fixture
def bases(node: Node) -> Bases:
    return node.hosts.bases


def test_base_keeps_its_bearer_sealed(node: Node, bases: Bases) -> None:
    base = bases.add_base(ADA, "tickets", "https://api.example.org/v2/", "marker-of-a-bearer")
    assert (base.url, base.has_bearer) == ("https://api.example.org/v2", True)
    assert bases.bearer_of(base) == "marker-of-a-bearer"
    assert b"marker-of-a-bearer" not in node.everything_stored()


UNDER: list[tuple[str, str | None]] = [
    ("https://api.example.org/v2", "tickets"),
    ("https://api.example.org/v2/issues?q=1", "tickets"),
    ("https://API.example.org:443/v2/", "tickets"),
    ("https://api.example.org/v2/admin/x", "admin"),
    ("https://api.example.org/v20", None),
    ("https://api.example.org/", None),
    ("http://api.example.org/v2", None),
    ("https://api.example.org:8443/v2", None),
    ("https://api.example.org.evil.example/v2", None),
    ("https://ada@api.example.org/v2", None),
    ("https://api.example.org/v2/../admin", None),
    ("https://api.example.org/v2/%2e%2E/admin", None),
    ("https://api.example.org/v2/..%2fadmin", None),
    ("https://api.example.org/v2\\..\\x", None),
    ("https://api.example.org:port/v2", None),
    ("file:///etc/passwd", None),
    ("", None),
]


def test_only_what_lies_under_a_base_is_found(bases: Bases) -> None:
    bases.add_base(ADA, "tickets", "https://api.example.org/v2")
    bases.add_base(ADA, "admin", "https://api.example.org/v2/admin")
    for url, name in UNDER:
        found = bases.base_for(url)
        assert (found.name if found else None) == name, url


BAD_URLS = [
    ("", ""),
    ("api.example.org", ""),
    ("ftp://api.example.org", ""),
    ("file:///etc", ""),
    ("https://", ""),
    ("https://a b", ""),
    ("https://api.example.org/?q=1", ""),
    ("https://api.example.org/#x", ""),
    ("https://api.example.org/../x", ""),
    ("https://ada:pw@api.example.org", ""),
    ("https://api.example.org/\n", ""),
    ("http://api.example.org", "a-bearer"),
    (f"https://api.example.org/{'x' * 500}", ""),
]


def test_bad_addresses_are_refused(bases: Bases) -> None:
    for url, bearer in BAD_URLS:
        with pytest.raises(Invalid) as refusal:
            bases.add_base(ADA, "tickets", url, bearer)
        assert list(refusal.value.fields) == ["url"], url


@pytest.mark.parametrize("bearer", ["two words", "line\nbreak", "ünïcode", "x" * 5000])
def test_bad_bearers_are_refused(bases: Bases, bearer: str) -> None:
    with pytest.raises(Invalid) as refusal:
        bases.add_base(ADA, "tickets", "https://api.example.org", bearer)
    assert list(refusal.value.fields) == ["bearer"]


def test_plain_http_is_fine_without_a_bearer_and_on_loopback(bases: Bases) -> None:
    bases.add_base(ADA, "open", "http://api.example.org")
    assert bases.add_base(ADA, "own", "http://127.0.0.1:9000", "a-bearer").has_bearer


def test_name_in_use_is_a_conflict(bases: Bases) -> None:
    bases.add_base(ADA, "tickets", "https://a.example.org")
    with pytest.raises(Conflict, match="already an API base"):
        bases.add_base(ADA, "Tickets", "https://b.example.org")


def test_removed_base_is_gone_and_on_record(node: Node, bases: Bases) -> None:
    bases.add_base(ADA, "tickets", "https://api.example.org", "a-bearer")
    bases.remove_base(ADA, "tickets")
    assert bases.base_for("https://api.example.org/x") is None
    assert node.records("base.remove")[0]["detail"] == {"url": "https://api.example.org"}
    with pytest.raises(NotFound):
        bases.remove_base(ADA, "tickets")


def test_bearer_of_one_base_opens_no_other(node: Node, bases: Bases) -> None:
    first = bases.add_base(ADA, "a", "https://a.example.org", "a-bearer")
    sealed = Vault(b"v" * 32).seal("a-bearer", f"base:{first.id}:bearer")
    with pytest.raises(Busy):
        Vault(b"v" * 32).open(sealed, "base:other:bearer")
