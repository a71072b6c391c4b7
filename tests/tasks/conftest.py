"""A master's running parts without its web server: a real database, history and loop."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from flask import Flask

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.service import Access
from quarterdeck.access.store import new_person
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Level, Role
from quarterdeck.core.config import Settings
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.master import create_app
from quarterdeck.protocol.tasks import CommandTask
from quarterdeck.tasks.records import RunRecord
from quarterdeck.tasks.service import StartRun
from tests.cheap_parts import CheapParts
from tests.worker_node import WorkerNode

Part = TypeVar("Part")
Answer = Any
"""A response of the test client; its own type says that JSON may be missing."""

PASSWORD: Final = "correct horse battery"
ROLES: Final = {"ada": Role.ADMINISTRATOR, "oskar": Role.OPERATOR, "vera": Role.VIEWER, "nils": None}
ADA = Actor(ActorKind.PERSON, "ada", "192.0.2.7", Role.ADMINISTRATOR, person_id="p" * 26)
OSKAR = Actor(ActorKind.PERSON, "oskar", "192.0.2.8", Role.OPERATOR, person_id="q" * 26)


class News:
    """What was published, to be read by tests."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any], str]] = []

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        self.events.append((event, data, room))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [data for name, data, _ in self.events if name == event]


class _NodeParts(CheapParts):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.news = News()

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        self.news.publish(event, data, room=room)

    def is_watched(self, room: str) -> bool:
        return True


@dataclass
class Node:
    """A started master, as a test drives it from its own thread."""

    parts: _NodeParts
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    @property
    def news(self) -> News:
        return self.parts.news

    def start(self, command: str, *hosts: str, actor: Actor = OSKAR, **more: Any) -> RunRecord:
        wanted = StartRun(task=CommandTask(command), hosts=hosts or ("master",), **more)
        return self.parts.runs.start_run(actor, wanted)

    def run(self, command: str, *hosts: str, actor: Actor = OSKAR, **more: Any) -> RunRecord:
        """Start a command and wait for its end."""
        return self.end_of(self.start(command, *hosts, actor=actor, **more).id)

    def end_of(self, run_id: str) -> RunRecord:
        run = self.parts.runs.wait(run_id, 60)
        assert run.is_over, run
        return run

    def output(self, run_id: str, host: str = "master", stream: str = "out") -> bytes:
        from quarterdeck.tasks.executor import Stream

        return self.parts.runs.output.read(run_id, host, Stream(stream))

    def stop(self) -> None:
        for ending in (self.parts.runs.stop(), self.parts.pool.close(), self.parts.hosts.calls.close()):
            asyncio.run_coroutine_threadsafe(ending, self.loop).result(10)
        self.end_loop()
        self.parts.history.close()
        self.parts.db.close()

    def end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.run_until_complete(_cancel_rest())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


async def _cancel_rest() -> None:
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def start_node(home: Path, *, is_recovering: bool = True, **settings: Any) -> Node:
    parts = _NodeParts(Settings(home=home, **settings))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    parts.loop.bind(loop)
    known = {host.name for host in parts.hosts.list_hosts()}
    if "master" not in known:
        _add_starters(parts)
        parts.hosts.add_host(ADA, HostDraft("master", HostKind.MASTER, tags=("own",)))
    if is_recovering:
        asyncio.run_coroutine_threadsafe(parts.runs.recover(), loop).result(20)
    return Node(parts, loop, thread)


def _add_starters(parts: CheapParts) -> None:
    """Give ADA and OSKAR accounts: who has none may not go on with what she started."""
    with parts.db.write() as session:
        for actor in (ADA, OSKAR):
            person = new_person(f"starter-{actor.name}", actor.role, None, parts.clock.now())
            person.id = str(actor.person_id)
            session.add(person)


StartNode = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartNode]:
    """Start masters in one home, one after the other; each is stopped at the end."""
    nodes: list[Node] = []

    def make(**settings: Any) -> Node:
        node = start_node(tmp_path / "home", **settings)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        if not node.loop.is_closed():
            node.stop()


@pytest.fixture
def node(start: StartNode) -> Node:
    return start()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerNode]:
    worker = WorkerNode(tmp_path / "worker").start()
    yield worker
    worker.end()


def add_worker(node: Node, worker: WorkerNode) -> None:
    draft = HostDraft("worker", HostKind.WORKER, worker.url, secrets={"token": worker.token})
    node.parts.hosts.add_host(ADA, draft)


@pytest.fixture
def app(node: Node) -> Flask:
    app: Flask = create_app(node.parts)
    return app


class Browser:
    """A person at the pages: signed in, with the token of the visit in every form."""

    def __init__(self, app: Flask, name: str) -> None:
        self.client = app.test_client()
        if name:
            cookie = web_part(app, Access).sign_in(name, PASSWORD)
            self.client.set_cookie(SESSION_COOKIE, cookie)

    def get(self, path: str, **more: Any) -> Answer:
        return self.client.get(path, **more)

    def post(self, path: str, **fields: Any) -> Answer:
        page = self.client.get("/account").text
        token = found(r'name="csrf-token" content="([^"]+)"', page) if "csrf-token" in page else ""
        return self.client.post(path, data=fields | {"csrf_token": token})


def found(pattern: str, text: str) -> str:
    """Return the first group of a pattern that must be there."""
    match = re.search(pattern, text)
    assert match, f"{pattern} is not there"
    return match[1]


def web_part(app: Flask, kind: type[Part]) -> Part:
    with app.app_context():
        return web.part(kind)


@pytest.fixture
def as_(node: Node, app: Flask) -> Callable[[str], Browser]:
    """Sign one of the cast in; an empty name gives a browser of nobody."""
    for name, role in ROLES.items():
        node.parts.access.add_person(SYSTEM, name, role=role, password=PASSWORD)
    return lambda name: Browser(app, name)


class Api:
    """A program with a token of one of the cast."""

    def __init__(self, app: Flask, token: str) -> None:
        self.client, self.headers = app.test_client(), {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, **more: Any) -> Answer:
        headers = self.headers | more.pop("headers", {})
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **more)


@pytest.fixture
def api_as(node: Node, app: Flask, as_: object) -> Callable[[str], Api]:
    access = node.parts.access

    def make(name: str) -> Api:
        scope = {"ada": Level.ADMIN, "oskar": Level.RUN, "vera": Level.READ}[name]
        return Api(app, access.create_token(SYSTEM, name, "test", scope).secret)

    return make
