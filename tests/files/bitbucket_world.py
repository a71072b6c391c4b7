"""A master with a place of a Bitbucket of our own, which goes wrong when it is told to."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.config import Settings
from quarterdeck.core.loop import Loop
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.cloud import HOURLY_LIMIT, CloudPlace
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.opening import Opener
from quarterdeck.files.places.place import Place, Unanswered
from quarterdeck.files.register import Places
from quarterdeck.files.service import Files
from tests.cheap_parts import CheapParts
from tests.clocks import SetClock
from tests.files.change_world import FILES, World, add_cast
from tests.files.cloud.factories import PERSONS_TOKEN
from tests.files.cloud.server import CloudServer
from tests.files.datacenter.server import DataCenter, data_center
from tests.files.loopback import QUICK
from tests.files.repositories import Repository
from tests.loops import running_loop


@dataclass
class BitbucketWorld(World):
    """``server`` stands in for Bitbucket; the real git looks at what it keeps."""

    server: CloudServer | DataCenter = field(kw_only=True)

    def lose_the_commit(self, change: ChangeRecord, **wish: Any) -> None:
        """Commit, and let neither the answer through nor what is asked about it."""
        self.fail(r"^POST .*/src$", kind="lost")
        self.fail(r"^GET .*/refs/branches/quarterdeck", times=20)
        with pytest.raises(Unanswered):
            self.commit(change, **wish)
        self.server.planned.clear()

    def tip(self, branch: str = "main") -> str | None:
        return self.server.git.tip(branch)

    def blob(self, change: ChangeRecord, path: str = "conf/app.yml") -> bytes:
        tip = self.tip(change.branch)
        content = self.server.git.content(tip, path) if tip else None
        assert content is not None
        return content

    def commits(self, branch: str) -> list[str]:
        """Return the messages of a branch, the latest first."""
        found, id_ = [], self.tip(branch)
        while id_:
            commit = self.server.git.commit_object(id_)
            assert commit is not None
            found.append(commit.message.decode())
            id_ = commit.parents[0].decode() if commit.parents else ""
        return found

    def branches(self) -> list[str]:
        return sorted(self.server.git.refs("heads"))

    def fail(self, fits: str, status: int = 500, body: bytes = b"{}", **how: Any) -> None:
        """Let the next call that fits go wrong; see ``loopback.Fault``."""
        self.server.plan(fits, status, body, **how)


class QuickOpener(Opener):
    """Opens places of Cloud that do not wait before they ask again."""

    def __init__(self, loop: Loop, clock: SetClock) -> None:
        super().__init__(loop, clock)
        self._parts = loop, clock

    def open(self, record: PlaceRecord, token: str) -> Place:
        loop, clock = self._parts
        endpoint = Endpoint(record.url, record.username, token)
        if record.kind is PlaceKind.DATACENTER:
            client = Client(endpoint, loop, clock, timing=QUICK)
            return DataCenterPlace(client, project=record.project, repository=record.repository)
        client = Client(endpoint, loop, clock, allowance=Allowance(clock, HOURLY_LIMIT), timing=QUICK)
        return CloudPlace(
            client,
            clock,
            workspace=record.project,
            repository=record.repository,
            default_branch=record.default_branch,
            scopes=Scopes.of(record.username),
        )


class QuickParts(CheapParts):
    """A master with such places."""

    @cached_property
    def files(self) -> Files:
        opener = QuickOpener(self.loop, self.set_clock)
        places = Places(self.db, self.history, self.vault, self.clock, self.loop, opener=opener)
        return Files(self.db, self.history, self.clock, places)

    @cached_property
    def set_clock(self) -> SetClock:
        assert isinstance(self.clock, SetClock)
        return self.clock


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CheapParts, SetClock]]:
    clock = SetClock()
    with running_loop() as loop:
        parts = QuickParts(Settings(home=tmp_path_factory.mktemp("master") / "home"), clock)
        parts.loop = loop
        add_cast(parts)
        yield parts, clock
        parts.close()


@pytest.fixture
def cloud(master: tuple[CheapParts, SetClock], tmp_path: Path) -> Iterator[BitbucketWorld]:
    with contextlib.closing(CloudServer(tmp_path / "acme.git")) as server:
        server.git.commit("main", _files(), "Begin")
        yield _world(master, server)
        assert server.faults == []


@pytest.fixture
def data_center_world(master: tuple[CheapParts, SetClock], tmp_path: Path) -> Iterator[BitbucketWorld]:
    with data_center(tmp_path / "ops.git") as server:
        server.git.commit("main", _files(), "Begin")
        yield _world(master, server)


@pytest.fixture
def empty_cloud(master: tuple[CheapParts, SetClock], tmp_path: Path) -> Iterator[BitbucketWorld]:
    with contextlib.closing(CloudServer(tmp_path / "acme.git")) as server:
        yield _world(master, server)
        assert server.faults == []


@pytest.fixture
def empty_center(master: tuple[CheapParts, SetClock], tmp_path: Path) -> Iterator[BitbucketWorld]:
    with data_center(tmp_path / "ops.git") as server:
        yield _world(master, server)


def _files() -> dict[str, bytes | None]:
    return {str(path).rpartition(":")[2]: content for path, content in FILES.items()}


def _world(master: tuple[CheapParts, SetClock], server: CloudServer | DataCenter) -> BitbucketWorld:
    parts, clock = master
    name = f"place-{server.root.rpartition(':')[2]}"
    is_cloud = isinstance(server, CloudServer)
    draft = PlaceDraft(
        name=name,
        kind=PlaceKind.CLOUD if is_cloud else PlaceKind.DATACENTER,
        url=server.url,
        project=server.workspace if isinstance(server, CloudServer) else server.project,
        repository=server.slug,
        default_branch="main",
        username="oskar@example.org" if is_cloud else "",
        token=PERSONS_TOKEN if is_cloud else "oskars-token",
    )
    parts.files.places.add(SYSTEM, draft)
    return BitbucketWorld(
        parts.settings.home, Repository(server.git.folder), clock, parts, name, server=server
    )
