"""A master for the tests of places and pages of files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.loop import Loop
from tests.files.place_world import World, open_world
from tests.loops import running_loop


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    """The loop by which places of a file's tests call."""
    with running_loop() as loop:
        yield loop


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The master of all tests of a file: making one costs more than most of them."""
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def world(one_world: World, tmp_path: Path) -> World:
    one_world.begin(tmp_path)
    return one_world
