"""A place at a Bitbucket Data Center of our own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.clock import SystemClock
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.faults import Timing
from quarterdeck.files.places.http import Client, Endpoint
from tests.files.datacenter.factories import FILES, MODES, Open
from tests.files.datacenter.server import DataCenter, data_center
from tests.files.loopback import QUICK


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataCenter]:
    with data_center(tmp_path / "origin.git") as server:
        server.git.commit("main", FILES, "Begin", modes=MODES)
        yield server


@pytest.fixture
def opened(server: DataCenter, loop: Loop) -> Iterator[Open]:
    places: list[DataCenterPlace] = []

    def open_(
        token: str = "oskars-token",
        *,
        url: str = "",
        project: str = "OPS",
        timing: Timing = QUICK,
        **more: str,
    ) -> DataCenterPlace:
        client = Client(Endpoint(url or server.url, token=token, **more), loop, SystemClock(), timing=timing)
        places.append(DataCenterPlace(client, project=project, repository="config"))
        return places[-1]

    yield open_
    for place in places:
        place.close()


@pytest.fixture
def place(opened: Open) -> DataCenterPlace:
    return opened()
