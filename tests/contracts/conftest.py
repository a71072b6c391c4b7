"""The real master's web app on a home of its own, with nothing running."""

from collections.abc import Iterator

import pytest
from apiflask import APIFlask

from quarterdeck.core.config import load_settings
from quarterdeck.master import MasterParts, create_app


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MasterParts]:
    parts = MasterParts(load_settings({"QUARTERDECK_HOME": str(tmp_path_factory.mktemp("home"))}))
    yield parts
    parts.history.close()
    parts.db.close()


@pytest.fixture(scope="session")
def app(parts: MasterParts) -> APIFlask:
    return create_app(parts)
