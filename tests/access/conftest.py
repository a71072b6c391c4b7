from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from tests.access.factories import Deck, add_cast, make_app, make_deck, sign_in


@pytest.fixture
def deck(tmp_path: Path) -> Iterator[Deck]:
    deck = add_cast(make_deck(tmp_path / "home"))
    yield deck
    deck.close()


@pytest.fixture
def app(deck: Deck) -> APIFlask:
    return make_app(deck)


@pytest.fixture
def as_(app: APIFlask) -> Callable[[str], FlaskClient]:
    """Sign one of the cast in; an empty name gives a browser of nobody."""

    def open_browser(name: str) -> FlaskClient:
        client = app.test_client()
        if name:
            assert sign_in(client, name).status_code == 303
        return client

    return open_browser


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    """A browser of nobody."""
    return app.test_client()
