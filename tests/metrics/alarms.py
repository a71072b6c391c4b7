"""A node with hosts, a real Fleet and Alerts over it; time goes by only when it is told to."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apiflask import APIFlask

from quarterdeck.core import web
from quarterdeck.metrics.alerts import api, routes
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rulebook import Rulebook
from quarterdeck.metrics.alerts.rules import AlertLevel, Rule
from quarterdeck.metrics.alerts.service import Alerts
from quarterdeck.metrics.alerts.store import AlertQuery
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.protocol.samples import Facts, Frame
from tests.hosts.factories import ADA, Node, draft, make_app, open_node

HOT = Rule(
    id="", name="Hot memory", level=AlertLevel.ALERT, figure="memory", threshold=90, duration_seconds=30
)
WELL = {"cpu": 5.0, "load": 0.5, "memory": 40.0, "disk": 30.0}


@dataclass
class AlarmWorld:
    """The parts under test, and what operators were told."""

    node: Node
    fleet: Fleet
    rules: Rulebook
    alerts: Alerts
    told: list[tuple[str, str, str]]
    silenced: set[str] = field(default_factory=set)

    def add_host(self, name: str = "web1", *tags: str) -> str:
        """Add a host, with the figures of one that is well, and return its id."""
        host_id = self.node.hosts.add_host(ADA, draft(name, tags=tags)).id
        self.fleet.take_facts(host_id, Facts(processors=4))
        return host_id

    def only(self, *rules: Rule) -> list[Rule]:
        """Have these rules and no others."""
        self.tick()
        for rule in self.rules.list_rules():
            self.rules.remove(ADA, rule.id)
        made = [self.rules.add(ADA, rule) for rule in rules]
        self.tick()
        return made

    def tick(self) -> None:
        asyncio.run(self.alerts.tick())

    def samples(self, host_id: str, count: int = 1, **values: float) -> None:
        """Let samples arrive, 15 s apart, and the alerts look at them."""
        for _ in range(count):
            self.node.clock.forward(15)
            at = self.node.clock.now().timestamp()
            self.fleet.take(host_id, Frame(at=at, is_full=True, values=WELL | values), at=at)
        self.tick()

    def active(self) -> list[AlertRecord]:
        return self.alerts.list_alerts(AlertQuery(active=True))

    def past(self) -> list[AlertRecord]:
        return self.alerts.list_alerts(AlertQuery(active=False))

    def events(self) -> list[str]:
        """Return the verbs and rules that the history has of alerts."""
        return [
            f"{line['action']} {line['detail']['rule']}"
            for line in self.node.records()
            if line["action"].startswith("alert.")
        ]

    def restarted(self, **more: Any) -> "AlarmWorld":  # Any: parts of Alerts
        """Return the world after the master has ended and begun again."""
        return make_world(self.node, **more)

    def app(self) -> APIFlask:
        app = make_app(self.node)
        web.provide(app, self.alerts, self.rules)
        app.register_blueprint(routes.blueprint)
        app.register_blueprint(api.blueprint)
        return app


def make_world(node: Node, **more: Any) -> AlarmWorld:  # Any: parts of Alerts
    fleet, told, silenced = Fleet(), list[tuple[str, str, str]](), set[str]()
    rules = Rulebook(node.db, node.history, node.clock)
    alerts = Alerts(
        node.db,
        node.history,
        node.clock,
        fleet,
        rules=rules,
        roll=node.hosts.list.roll,
        publish=lambda event, data, room: node.news.append((event, data, room)),
        announce=lambda text, level, link: told.append((text, level, link)),
        is_silenced=silenced.__contains__,
        **more,
    )
    return AlarmWorld(node, fleet, rules, alerts, told, silenced)


@contextlib.contextmanager
def alarm_world(home: Path) -> Iterator[AlarmWorld]:
    with open_node(home) as node:
        yield make_world(node)
