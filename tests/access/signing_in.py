"""A deck with identity providers whose loop runs, and a browser that goes through a sign-in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from quarterdeck.core.identity_settings import ProviderSettings
from tests.access.factories import Deck, add_cast, make_deck
from tests.access.hostile_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider
from tests.loops import running_loop

REFUSED = (400, 403)


def company(provider: HostileProvider, name: str = "company", **more: Any) -> ProviderSettings:
    """Return settings of a provider: Any of its fields may be given."""
    values: dict[str, Any] = {
        "label": "Company",
        "issuer": provider.url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": ("openid", "profile"),
    }
    return ProviderSettings(name=name, **values | more)


@contextlib.contextmanager
def deck_with(home: Path, *providers: ProviderSettings, **settings: Any) -> Iterator[Deck]:
    """Open a home with the cast in it and these providers in its settings."""
    deck = add_cast(make_deck(home, identity=providers, **settings))
    with running_loop(deck.loop):
        yield deck
    deck.close()


def begin(client: FlaskClient, name: str = "company", query: str = "") -> str:
    """Press the button; returns the address at the provider."""
    answer = client.get(f"/sign-in/with/{name}{query}")
    assert answer.status_code == 303, answer.text
    location: str = answer.headers["Location"]
    assert not location.startswith("/"), location
    return location


def come_back(client: FlaskClient, query: str, name: str = "company") -> TestResponse:
    return client.get(f"/sign-in/with/{name}/callback?{query}")


def sign_in_at(
    client: FlaskClient, provider: HostileProvider, name: str = "company", query: str = ""
) -> TestResponse:
    """Go all the way; returns the answer to the callback."""
    return come_back(client, provider.authorize(begin(client, name, query)), name)


def assert_refused(client: FlaskClient, answer: TestResponse, deck: Deck, reason: str) -> None:
    """It is an error page with an incident id, without a session, and the history knows the reason."""
    assert answer.status_code in REFUSED, answer.status_code
    assert "Incident id" in answer.text
    assert "quarterdeck_session=" not in str(answer.headers.getlist("Set-Cookie"))
    assert not is_signed_in(client)
    last = deck.records("login.refused")[-1]
    assert reason in last["detail"]["reason"], last["detail"]
    assert last["request"] in answer.text
    assert deck.records("login") == []


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/api/v1/me").status_code == 200
