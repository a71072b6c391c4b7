"""What the commands need of alerts and rules, on a home or over the API of a master."""

from typing import Protocol

from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rules import Rule
from quarterdeck.metrics.alerts.store import AlertQuery


class AlertBook(Protocol):
    """The log itself, or ``remote.RemoteAlerts``."""

    def list_alerts(self, query: AlertQuery, /) -> list[AlertRecord]: ...


class RuleBook(Protocol):
    """The rulebook itself, or ``remote.RemoteRules``."""

    def list_rules(self) -> list[Rule]: ...
