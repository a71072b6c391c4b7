"""Reading alerts, active and past, as they are kept; also without a running master."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from quarterdeck.access.permissions import Within
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.hosts.reading import Listed
from quarterdeck.metrics.alerts import store
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rules import NO_FIGURES_SECONDS, AlertLevel
from quarterdeck.metrics.alerts.store import AlertQuery

SAVE_SECONDS: Final = 60.0
"""How often the values of active alerts are written."""

IsSilenced = Callable[[str], bool]
"""Tells whether a host is silenced, by its id; asked in threads."""


class RollOf(Protocol):
    """Gives the hosts that there are, of what somebody gets at."""

    def __call__(self, within: Within = None, /) -> dict[str, Listed]: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """How many active alerts there are by level; those of silenced hosts are counted apart."""

    warn: int = 0
    alert: int = 0
    silenced: int = 0


class AlertLog:
    """What rang and what still does, as the tables have it."""

    def __init__(self, db: Database, clock: Clock, roll: RollOf, is_silenced: IsSilenced) -> None:
        self._db, self._clock, self._roll, self._is_silenced = db, clock, roll, is_silenced

    def list_alerts(self, query: AlertQuery, within: Within = None) -> list[AlertRecord]:
        """Return the alerts of a query, newest first; of hosts beyond ``within`` there are none."""
        query = self._narrowed(query, within)
        with self._db.read() as session:
            found = store.alerts(session, query)
        now = self._clock.now().timestamp()
        return [self._standing(record, now) for record in found]

    def count_alerts(self, query: AlertQuery, within: Within = None) -> int:
        """Return how many alerts match, whatever the limit."""
        with self._db.read() as session:
            return store.count_alerts(session, self._narrowed(query, within))

    def _narrowed(self, query: AlertQuery, within: Within) -> AlertQuery:
        return query if within is None else replace(query, host_ids=frozenset(self._roll(within)))

    def _standing(self, record: AlertRecord, now: float) -> AlertRecord:
        """Return an active alert with what is to be said of it now; the kept value may be a minute old."""
        if not record.is_active:
            return record
        is_old = now - record.value_at.timestamp() > NO_FIGURES_SECONDS + SAVE_SECONDS
        return replace(record, is_silenced=self._is_silenced(record.host_id), has_no_figures=is_old)


def tally(alerts: list[AlertRecord]) -> Tally:
    """Count active alerts by level."""
    loud = [each.level for each in alerts if not each.is_silenced]
    return Tally(loud.count(AlertLevel.WARN), loud.count(AlertLevel.ALERT), len(alerts) - len(loud))
