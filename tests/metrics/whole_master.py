"""The real master's web app with two hosts whose samples are handed in, and a clock that is set."""

from pathlib import Path

from apiflask import APIFlask
from werkzeug.test import TestResponse

from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.config import load_settings
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.master import create_app
from quarterdeck.protocol.samples import Facts, Frame, Interface, Mount, Temperature
from tests.cheap_parts import CheapParts
from tests.metrics.factories import SetClock


class Master:
    """A master with the host h1, a clock that is set, and the tokens of some of the cast."""

    def __init__(self, home: Path) -> None:
        self.clock = SetClock()
        self.parts = CheapParts(load_settings({"QUARTERDECK_HOME": str(home)}), self.clock)
        self.app: APIFlask = create_app(self.parts)
        for name, tags in (("h1", ()), ("h2", ("web",))):
            draft = HostDraft(name, HostKind.SSH, address="10.0.0.1", username="root", tags=tags)
            self.parts.hosts.register(SYSTEM, draft)
        access = self.parts.access
        access.add_person(SYSTEM, "vera", role=Role.VIEWER)
        access.add_person(SYSTEM, "oskar", role=Role.OPERATOR)
        self.tokens = {
            "vera": access.create_token(SYSTEM, "vera", "test", Level.READ).secret,
            "oskar": access.create_token(SYSTEM, "oskar", "test", Level.RUN).secret,
            "narrow": access.create_token(SYSTEM, "vera", "narrow", Level.READ, host_tags=("web",)).secret,
        }

    def sample(self, cpu: float, host: str = "h1") -> None:
        frame = Frame(
            at=0,
            is_full=True,
            values={"cpu": cpu, "memory": 40.0},
            cores=[cpu, cpu],
            mounts=[Mount("/", 100, 40)],
            interfaces=[Interface("eth0", 10, 20, 1.5, 2.5)],
            temperatures=[Temperature("cpu", 51.0)],
        )
        host_id = self.parts.hosts.get(host).id
        self.parts.fleet.take_facts(host_id, Facts(hostname="h1", kernel="6.1"))
        self.parts.fleet.take(host_id, frame, at=self.clock.at)

    def live(self, seconds: int, cpu: float = 5.0) -> None:
        for _ in range(seconds // 15):
            self.clock.forward(15)
            self.sample(cpu)

    def get(self, path: str, name: str = "vera") -> TestResponse:
        headers = {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}
        return self.app.test_client().get(path, headers=headers)

    def api(self, path: str, name: str = "vera") -> TestResponse:
        return self.get(f"/api/v1/hosts/{path}", name)

    def close(self) -> None:
        self.parts.history.close()
        self.parts.db.close()
