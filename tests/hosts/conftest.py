from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apiflask import APIFlask

from tests.hosts.factories import Api, Browser, Node, make_app, open_node
from tests.worker_node import WorkerNode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with open_node(tmp_path / "home") as node:
        yield node


@pytest.fixture
def app(node: Node) -> APIFlask:
    return make_app(node)


@pytest.fixture
def as_(app: APIFlask) -> Callable[[str], Browser]:
    return lambda name: Browser(app, name)


@pytest.fixture
def api_as(app: APIFlask) -> Callable[[str], Api]:
    return lambda name: Api(app, name)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerNode]:
    worker = WorkerNode(tmp_path / "worker").start()
    yield worker
    worker.kill()
