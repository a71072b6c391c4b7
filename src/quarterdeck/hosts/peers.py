"""The workers' histories, asked for by calling the workers: the master's side of ``history.peers``."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from quarterdeck.core.errors import NotFound
from quarterdeck.history.peers import SeenHead
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.reader import Found, HistoryPage
from quarterdeck.history.service import History
from quarterdeck.history.verify import Verification
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.worker_calls import decoded

T = TypeVar("T")

_SECONDS: Final = 30
_VERIFY_SECONDS: Final = 900
"""Proving 10 million lines takes a worker some minutes."""


class WorkerPeers:
    """Implements ``history.peers.Peers``. Its calls block: use it in threads."""

    def __init__(self, hosts: Hosts, history: History) -> None:
        self._hosts, self._history = hosts, history

    def names(self) -> list[str]:
        workers = self._hosts.list_hosts(kinds=(HostKind.WORKER,))
        return [host.name for host in workers if host.state is not HostState.REVOKED]

    def page(self, name: str, query: HistoryQuery) -> HistoryPage:
        asked = {**query.filters(), "limit": str(query.limit), "cursor": query.cursor}
        params = {key: value for key, value in asked.items() if value}
        return self._ask(name, "/history", HistoryPage, params=params)

    def get(self, name: str, id_: str) -> Found:
        try:
            return self._ask(name, f"/history/{quote(id_, safe='')}", Found)
        except NotFound as error:
            raise NotFound(f"There is no such entry in the history of {name}.") from error

    def verify(self, name: str) -> Verification:
        return self._ask(name, "/history/verify", Verification, seconds=_VERIFY_SECONDS)

    def heads(self, name: str, seqs: Sequence[int]) -> dict[int, str]:
        params = {"seqs": ",".join(map(str, seqs))}
        return self._ask(name, "/history/heads", dict[int, str], params=params)

    def witnessed(self, name: str) -> list[SeenHead]:
        return self._ask(name, "/history/witnessed", list[SeenHead])

    def _ask(
        self,
        name: str,
        path: str,
        kind: type[T],
        *,
        params: dict[str, str] | None = None,
        seconds: float = _SECONDS,
    ) -> T:
        link = self._hosts.worker_link(self._hosts.get(name))
        timeout = httpx.Timeout(seconds, connect=4)
        call = self._hosts.calls.call(link, "GET", path, params=params or {}, timeout=timeout)
        return decoded(self._wait(call, seconds), kind, link)

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Wait for the node's loop, or on the command line, where none runs, for one of its own."""
        if self._hosts.loop.is_running:
            return self._hosts.loop.run(work, timeout_seconds=seconds + 5)
        return asyncio.run(self._once(work))

    async def _once(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            await self._hosts.calls.close()
