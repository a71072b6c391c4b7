"""The real master's web app on a home of its own, with nothing running."""

import logging
import os
from collections.abc import Iterator

import pytest
from apiflask import APIFlask

from quarterdeck.core.config import load_settings
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from tests.cheap_parts import CheapParts
from tests.contracts.matrix_world import World, make_world


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MasterParts]:
    parts = CheapParts(load_settings({"QUARTERDECK_HOME": str(tmp_path_factory.mktemp("home"))}))
    yield parts
    parts.history.close()
    parts.db.close()


@pytest.fixture(scope="session")
def app(parts: MasterParts) -> APIFlask:
    return create_app(parts)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        # Each refusal is on record and synced; whether it outlives a power cut is not the question here.
        patch.setattr(os, "fsync", lambda _fd: None)
        patch.setattr(os, "fdatasync", lambda _fd: None)
        logging.disable()  # a third of the time of so many requests
        with make_world(tmp_path_factory.mktemp("matrix") / "home") as world:
            yield world
        logging.disable(logging.NOTSET)
