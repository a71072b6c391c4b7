"""Writes what changes in runs, many changes in one transaction, and tells the pages.

A run on 1,000 hosts has 3,000 changes within seconds. One coroutine takes whatever has gathered
while the last commit was under way, keeps the newest value of each column, and commits it in a thread.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Table, and_, bindparam, update
from sqlalchemy.orm import Session

from quarterdeck.core.db import Database
from quarterdeck.tasks.models import Run, RunHost

logger = logging.getLogger(__name__)

Columns = dict[str, Any]  # Any: the new value of each column
Publish = Callable[..., None]
"""``publish(event, data, room=…)``."""

_GATHER_SECONDS: Final = 0.02
_RUN_SECONDS: Final = 0.4
"""How often a page hears of one run at most, its end apart."""
_LIST: Final = "runs"
_LIST_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 2.0


class Recorder:
    """The only writer of runs under way. Lives on the loop."""

    def __init__(self, db: Database, publish: Publish) -> None:
        self._db = db
        self._news = _News(publish)
        self._runs: dict[str, Columns] = {}
        self._hosts: dict[tuple[str, str], Columns] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None

    def note_run(self, run_id: str, **columns: Any) -> None:  # Any: values of columns
        """Remember a change of a run; it is committed shortly after."""
        self._runs.setdefault(run_id, {}).update(columns)
        self._wake()

    def note_host(self, run_id: str, host_id: str, **columns: Any) -> None:  # Any: values of columns
        """Remember a change of one host of a run; it is committed shortly after."""
        self._hosts.setdefault((run_id, host_id), {}).update(columns)
        self._wake()

    async def settle(self) -> None:
        """Wait until everything noted so far is committed."""
        if not self._runs and not self._hosts and self._writer is None:
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake()
        await done

    def _wake(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._runs or self._hosts or self._waiting:
            await asyncio.sleep(_GATHER_SECONDS)
            runs, hosts, waiting = self._runs, self._hosts, self._waiting
            self._runs, self._hosts, self._waiting = {}, {}, []
            try:
                await asyncio.to_thread(self._commit, runs, hosts)
            except Exception:  # the top of a loop that must go on: nothing else writes what happened
                logger.exception("changes of runs can't be stored; trying again in %g s", _RETRY_SECONDS)
                self._put_back(runs, hosts, waiting)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for done in waiting:
                if not done.done():
                    done.set_result(None)
            for run_id, columns in runs.items():
                self._news.tell(run_id, columns)
        self._writer = None

    def _put_back(
        self,
        runs: dict[str, Columns],
        hosts: dict[tuple[str, str], Columns],
        waiting: list[asyncio.Future[None]],
    ) -> None:
        """Merge what could not be stored under what was noted since."""
        self._runs = {key: runs.get(key, {}) | self._runs.get(key, {}) for key in runs | self._runs}
        self._hosts = {key: hosts.get(key, {}) | self._hosts.get(key, {}) for key in hosts | self._hosts}
        self._waiting = waiting + self._waiting

    def _commit(self, runs: dict[str, Columns], hosts: dict[tuple[str, str], Columns]) -> None:
        with self._db.write() as session:
            _update_all(session, Run, {(run_id,): columns for run_id, columns in runs.items()})
            _update_all(session, RunHost, {tuple(key): columns for key, columns in hosts.items()})


def _update_all(
    session: Session, model: type[Run | RunHost], changes: Mapping[tuple[str, ...], Columns]
) -> None:
    """Update the rows by primary key, one statement for all that change the same columns."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - narrows SQLAlchemy's wider type
    keys = list(table.primary_key)
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for key, columns in changes.items():
        named = {f"key_{number}": value for number, value in enumerate(key)}
        alike[tuple(sorted(columns))].append(columns | named)
    for names, rows in alike.items():
        condition = and_(*(column == bindparam(f"key_{number}") for number, column in enumerate(keys)))
        values: dict[str, Any] = {table.c[name]: bindparam(name) for name in names}
        session.connection().execute(update(table).where(condition).values(values), rows)


class _News:
    """Tells the rooms that a run changed: at once, then not again for a while, and never not at all."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._latest: dict[str, Columns] = {}

    def tell(self, run_id: str, columns: Columns) -> None:
        self._say(_LIST, {}, rest_seconds=_LIST_SECONDS)
        self._say(run_id, columns, rest_seconds=_RUN_SECONDS)

    def _say(self, key: str, columns: Columns, *, rest_seconds: float) -> None:
        news = self._latest.pop(key, {}) | columns
        if key in self._resting and news.get("is_active", True):
            self._latest[key] = news
            return
        self._send(key, news)
        if key not in self._resting:
            timer = asyncio.get_running_loop().call_later(rest_seconds, self._rested, key, rest_seconds)
            self._resting[key] = timer

    def _rested(self, key: str, rest_seconds: float) -> None:
        self._resting.pop(key, None)
        if key in self._latest:
            self._say(key, {}, rest_seconds=rest_seconds)

    def _send(self, key: str, news: Columns) -> None:
        if key == _LIST:
            self._publish("runs:changed", {}, room="runs")
            return
        ended = news.get("is_active") is False
        data = {"run": key, "state": news.get("state"), "tally": news.get("tally"), "ended": ended}
        self._publish("run:changed", data, room=f"run:{key}")
