from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metrics.alarms import AlarmWorld, alarm_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AlarmWorld]:
    with alarm_world(tmp_path / "home") as world:
        yield world
