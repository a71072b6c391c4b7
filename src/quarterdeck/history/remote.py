"""A master's history over its API, for the commands."""

from collections.abc import Callable, Iterator
from typing import Final

from quarterdeck.core.api_client import ApiClient
from quarterdeck.history.lines import Entry
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.witness import Verdict

_VERIFY_SECONDS: Final = 900.0


class RemoteHistory:
    """A ``HistoryBook``. What it proves, the master proves of itself: on its home one takes nobody's word."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def entries(self, node: str, query: HistoryQuery) -> Iterator[Entry]:
        asked = self._asked(node, query)
        for answer in self._client.pages("/api/v1/history", **asked, limit=query.limit):
            yield from self._client.read(list[Entry], self._client.part(answer, "entries"))

    def export(self, node: str, query: HistoryQuery, form: str) -> Iterator[bytes]:
        return self._client.stream("/api/v1/history/export", **self._asked(node, query), format=form)

    def verify(self, *, with_workers: bool, progress: Callable[[int], None]) -> Iterator[Verdict]:
        del progress  # the answer comes in one piece
        body = {"with_workers": with_workers}
        answer = self._client.send("POST", "/api/v1/history/verify", body, seconds=_VERIFY_SECONDS)
        return iter(self._client.read(list[Verdict], self._client.part(answer, "verdicts")))

    def _asked(self, node: str, query: HistoryQuery) -> dict[str, str]:
        return query.filters() | ({"node": node} if node else {})
