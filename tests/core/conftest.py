import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """Let new files be open to all unless the code says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)
