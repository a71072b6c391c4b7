"""Alerts and rules over the API of a master, for the commands."""

from typing import Final

from quarterdeck.core.api_client import ApiClient, Json
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rules import Rule
from quarterdeck.metrics.alerts.store import AlertQuery

_MOST_A_PAGE: Final = 1000


class RemoteAlerts:
    """An ``AlertBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list_alerts(self, query: AlertQuery) -> list[AlertRecord]:
        """Return the alerts of a query, newest first, page by page up to its limit."""
        state = {None: "", True: "active", False: "over"}[query.active]
        filters = {"state": state, "level": query.level, "host": query.host, "rule": query.rule}
        asked = {name: value for name, value in filters.items() if value}
        size = min(query.limit or _MOST_A_PAGE, _MOST_A_PAGE)
        found: list[AlertRecord] = []
        for page in self._client.pages("/api/v1/alerts", **asked, limit=size):
            found += self._client.read(list[AlertRecord], self._client.part(page, "alerts"))
            if query.limit and len(found) >= query.limit:
                return found[: query.limit]
        return found


class RemoteRules:
    """A ``RuleBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list_rules(self) -> list[Rule]:
        answer: Json = self._client.get("/api/v1/rules")
        return self._client.read(list[Rule], self._client.part(answer, "rules"))
