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
