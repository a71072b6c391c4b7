from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.service import History
from tests.history.apps import WorkerClient, make_app
from tests.history.factories import make_history

As = Callable[[str], FlaskClient]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = make_history(tmp_path / "history")
    yield history
    history.close()


@pytest.fixture
def worker_history(tmp_path: Path) -> Iterator[History]:
    history = make_history(tmp_path / "worker", node="worker", key=b"w" * 32)
    yield history
    history.close()


@pytest.fixture
def workers(worker_history: History) -> WorkerClient:
    return WorkerClient(web1=worker_history)


@pytest.fixture
def as_(history: History, workers: WorkerClient) -> As:
    app = make_app(history, PeerBook(workers))

    def client(name: str) -> FlaskClient:
        client = app.test_client()
        if name != "nobody":
            client.set_cookie(SESSION_COOKIE, name)
        return client

    return client
