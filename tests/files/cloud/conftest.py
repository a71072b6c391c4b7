"""A place at a Bitbucket Cloud of our own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.loop import Loop
from quarterdeck.files.places.cloud import CloudPlace
from tests.files.cloud.factories import Opener, place_at
from tests.files.cloud.server import CloudServer
from tests.files.git_repository import EXECUTABLE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CloudServer]:
    server = CloudServer(tmp_path / "acme.git")
    server.git.commit(
        "main",
        {"app.yml": b"port: 1\n", "bin/run.sh": b"#!/bin/sh\n", "docs/a.md": b"# A\n", "pic.bin": b"\0\1"},
        "First",
        modes={"bin/run.sh": EXECUTABLE},
    )
    yield server
    server.close()
    assert server.faults == []


@pytest.fixture
def open_place(server: CloudServer, loop: Loop) -> Iterator[Opener]:
    """Open places of the server, and close them at the end."""
    opened: list[CloudPlace] = []

    def open_(**how: Any) -> CloudPlace:
        opened.append(place_at(server, loop, **how))
        return opened[-1]

    yield open_
    for place in opened:
        place.close()


@pytest.fixture
def place(open_place: Opener) -> CloudPlace:
    return open_place()
