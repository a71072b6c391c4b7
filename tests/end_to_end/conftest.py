"""One installation for the tests that leave it as it was; others start their own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

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
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a small file system of its own; undone afterwards. Needs root, which CI is."""
    mounted: list[Path] = []

    def mount_(path: Path, *options: str) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", ",".join(("mode=0700", *options)), "none", str(path)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
            if os.environ.get("CI") == "true":
                pytest.fail("mounting a tmpfs was refused")
            pytest.skip("mounting a tmpfs needs root")
        mounted.append(path)
        return path

    yield mount_
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)
