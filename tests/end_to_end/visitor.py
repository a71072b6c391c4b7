"""A browser without scripts: it keeps cookies, and sends what the forms of a page would send."""

import re
from types import TracebackType
from typing import Any, Self

import httpx

from tests.deck import PASSWORD, Deck

SESSION = "quarterdeck_session"
_TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]+)"')


class Visitor:
    """Visits one installation from an address of its own on the loopback."""

    def __init__(self, deck: Deck, address: str = "127.0.0.1") -> None:
        self.deck = deck
        self.http = httpx.Client(
            base_url=deck.url, timeout=60, transport=httpx.HTTPTransport(local_address=address)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.http.close()

    @property
    def cookie(self) -> str:
        return self.http.cookies.get(SESSION) or ""

    def get(self, path: str, **more: Any) -> httpx.Response:  # Any: handed on to httpx
        return self.http.get(path, **more)

    def token(self) -> str:
        """Return the token that this visit's forms carry."""
        page = self.http.get("/account" if self.cookie else "/sign-in")
        found = _TOKEN.search(page.text)
        assert found, page.text
        return found[1]

    def submit(
        self, path: str, fields: dict[str, Any] | None = None, **more: Any
    ) -> httpx.Response:  # Any: texts or lists of them; handed on to httpx
        """Send a form as its own page does."""
        headers = {"Origin": self.deck.url} | more.pop("headers", {})
        form = {"csrf_token": self.token()} | (fields or {})
        return self.http.post(path, data=form, headers=headers, **more)

    def sign_in(self, name: str, password: str = PASSWORD, target: str = "") -> httpx.Response:
        return self.submit("/sign-in", {"name": name, "password": password, "next": target})


def signed_in(deck: Deck, name: str, address: str = "127.0.0.1", password: str = PASSWORD) -> Visitor:
    """Return a visitor who has just signed in."""
    visitor = Visitor(deck, address)
    answer = visitor.sign_in(name, password)
    assert answer.status_code == 303, answer.text
    return visitor


def add_cast(deck: Deck) -> None:
    """Add those whom the tests know besides Ada: Oskar operates, Vera views, Nils has no role."""
    for name, role in (("oskar", "operator"), ("vera", "viewer"), ("nils", None)):
        add_person(deck, name, role)


def add_person(deck: Deck, name: str, role: str | None, password: str = PASSWORD) -> None:
    added = deck.api("POST", "/api/v1/people", json={"name": name, "role": role, "password": password})
    assert added.status_code == 201, added.text
