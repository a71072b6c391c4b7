"""The alerts of a running master: rules weighed against each sample, told, kept and put on record."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.history.service import History
from quarterdeck.hosts.changes import Publish
from quarterdeck.hosts.reading import Listed
from quarterdeck.metrics.alerts import store
from quarterdeck.metrics.alerts.engine import Engine
from quarterdeck.metrics.alerts.log import SAVE_SECONDS, AlertLog, IsSilenced, RollOf, Tally, tally
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rulebook import Rulebook
from quarterdeck.metrics.alerts.rules import Rule
from quarterdeck.metrics.alerts.store import AlertQuery
from quarterdeck.metrics.alerts.toasts import messages
from quarterdeck.metrics.alerts.use import DiskUse, OlderPoints
from quarterdeck.metrics.fleet import Fleet

logger = logging.getLogger(__name__)

ROOM: Final = "alerts"
"""Whose news name hosts: for those who may read all of them."""
BARE_ROOM: Final = "some-alerts"
"""The same news without a name."""
TICK_SECONDS: Final = 5.0

Announce = Callable[[str, str, str], None]
"""Tells operators a text, with its level and a link."""
OnAlert = Callable[[AlertRecord], None]
"""Is told of each alert that begins and that ends, in a thread, after it was put on record."""


class Alerts:
    """Runs on the master's loop; pages read from any thread."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        fleet: Fleet,
        *,
        rules: Rulebook,
        roll: RollOf,
        publish: Publish,
        announce: Announce,
        is_silenced: IsSilenced = lambda _host_id: False,
        older_points: OlderPoints = lambda _host_id: (),
    ) -> None:
        """``older_points`` gives a disk's use before what the fleet has of a host; it is asked in threads."""
        self._db, self._history, self._clock, self._fleet = db, history, clock, fleet
        self._rules, self._roll = rules, roll
        self._publish, self._announce, self._is_silenced = publish, announce, is_silenced
        self._log = AlertLog(db, clock, roll, is_silenced)
        self._engine = Engine()
        self._use = DiskUse(fleet, older_points)
        self._listeners: list[OnAlert] = []
        self._unrecorded: deque[AlertRecord] = deque()
        self._unstored: list[AlertRecord] = []
        self._is_restored = False
        self._save_at = 0.0

    def listen(self, listener: OnAlert) -> None:
        """Have each beginning and end told; what it raises is logged."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Watch until cancelled; a tick that fails is logged, and what it had to keep is kept by the next."""
        while True:
            try:
                await self.tick()
            except Exception:  # the top of a loop that must go on
                logger.exception("weighing the rules of alerts failed; it is tried again")
            await asyncio.sleep(TICK_SECONDS)

    async def tick(self) -> None:
        """Take in rules and hosts, weigh trends and lost hosts, and tell what began and ended."""
        if not self._is_restored:
            self._engine.restore(await asyncio.to_thread(self._prepare))
            self._fleet.listen(self._engine.sample)
            self._is_restored = True
        rules, roll = await asyncio.to_thread(self._read)
        now = self._now()
        self._engine.know(rules, roll, now)
        self._use.keep(roll)
        self._engine.weigh_states(now)
        if due := self._engine.due_for_trends(now):
            self._engine.weigh_trends(await asyncio.to_thread(self._use.trends, due, now), now)
        await self._tell(now)

    def list_alerts(self, query: AlertQuery, within: Within = None) -> list[AlertRecord]:
        """Return the alerts of a query, newest first, with their values now."""
        current = {each.id: each for each in self._engine.active()}
        found = self._log.list_alerts(query, within)
        return [self._standing(record, current.get(record.id)) for record in found]

    def count_alerts(self, query: AlertQuery, within: Within = None) -> int:
        """Return how many alerts match, whatever the limit."""
        return self._log.count_alerts(query, within)

    def of_host(self, host_id: str) -> list[AlertRecord]:
        """Return the active alerts of a host, the worst first; from memory, so it costs little."""
        active = [self._standing(each, each) for each in self._engine.of_host(host_id)]
        return sorted(active, key=lambda each: (each.level, each.since))

    def tallies(self) -> Mapping[str, Tally]:
        """Return the active alerts of all hosts that have any, counted by level; from memory."""
        by_host: dict[str, list[AlertRecord]] = {}
        for each in self._engine.active():
            by_host.setdefault(each.host_id, []).append(each)
        return {
            host_id: tally([replace(each, is_silenced=self._is_silenced(host_id)) for each in found])
            for host_id, found in by_host.items()
        }

    def _prepare(self) -> list[AlertRecord]:
        self._rules.make_first()
        with self._db.read() as session:
            return store.alerts(session, AlertQuery(active=True))

    def _read(self) -> tuple[tuple[Rule, ...], dict[str, Listed]]:
        return tuple(self._rules.list_rules()), self._roll()

    async def _tell(self, now: float) -> None:
        news = self._engine.take_news()
        self._unrecorded.extend(news)
        self._unstored += news
        if self._unrecorded or self._unstored or now >= self._save_at:
            await asyncio.to_thread(self._keep, now)

    def _keep(self, now: float) -> None:
        """Put what is new on record, then into the tables, then tell of it.

        What fails stays for the next tick; what is on record is not recorded twice.
        """
        while self._unrecorded:
            self._record(self._unrecorded[0])
            self._unrecorded.popleft()
        news = self._unstored
        with self._db.write() as session:
            store.add_alerts(session, [each for each in news if each.is_active])
            session.flush()
            store.put_values(session, [each for each in news if not each.is_active])
            if now >= self._save_at:
                store.put_values(session, self._engine_values({each.id for each in news}))
                self._save_at = now + SAVE_SECONDS
        self._unstored = []
        self._spread(news)

    def _engine_values(self, but: set[str]) -> list[AlertRecord]:
        """Return the active alerts that the tables have, to write their values.

        One that has begun since the news were taken is not there yet: it is left out by its id.
        """
        begun = {each.id for each in self._engine.waiting()}
        return [each for each in self._engine.active() if each.id not in begun | but]

    def _record(self, alert: AlertRecord) -> None:
        detail: dict[str, Any] = {  # Any: JSON
            "host": alert.host,
            "rule": alert.rule,
            "level": alert.level.value,
            "figure": alert.figure,
            "condition": alert.condition,
            "value": None if alert.value is None else round(alert.value, 3),
            "alert": alert.id,
        }
        if not alert.is_active:
            detail["why"] = alert.ended_why
        verb = "alert.began" if alert.is_active else "alert.ended"
        self._history.event(SYSTEM, verb, f"host:{alert.host}", detail=detail)

    def _spread(self, news: Iterable[AlertRecord]) -> None:
        news = list(news)
        if not news:
            return
        for text, level, link in messages([each for each in news if not self._is_silenced(each.host_id)]):
            self._announce(text, level, link)
        self._publish("alert:changed", {"hosts": sorted({each.host_id for each in news})}, room=ROOM)
        self._publish("alert:changed", {}, room=BARE_ROOM)
        for listener in self._listeners:
            for alert in news:
                try:
                    listener(alert)
                except Exception:  # one that fails must not keep the others from being told
                    logger.exception("a listener failed on the alert %s", alert.id)

    def _standing(self, kept: AlertRecord, current: AlertRecord | None) -> AlertRecord:
        """Return an alert with its value and standing now; one that is over as it was kept."""
        if not kept.is_active or current is None:
            return kept
        return replace(
            current,
            is_silenced=self._is_silenced(current.host_id),
            has_no_figures=self._engine.lacks_figures(current, self._now()),
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()
