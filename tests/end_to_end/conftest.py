"""One installation for the tests that leave it as it was; others start their own."""

from collections.abc import Iterator

import pytest

from tests.deck import Deck, running_deck
from tests.end_to_end.visitor import add_cast
from tests.sshd import SshServer


@pytest.fixture(scope="session")
def deck(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        deck.add_ssh_host(ssh_server, "web1", tags=["web"])
        add_cast(deck)
        yield deck


@pytest.fixture
def own_base(deck: Deck) -> Iterator[str]:
    """The master as an API base of itself, for as long as a test; its address."""
    base = {"name": "self", "url": deck.url, "bearer": deck.token}
    assert deck.api("POST", "/api/v1/bases", json=base).status_code == 201
    yield deck.url
    assert deck.api("DELETE", "/api/v1/bases/self").status_code == 204
