"""The results of a run on all its hosts: folded, compared with the run before, filtered and sorted."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from quarterdeck.access.permissions import Within
from quarterdeck.core.db import Database
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.records import RunHostRecord, RunRecord, RunRecords
from quarterdeck.tasks.results.before import Before, parts_before
from quarterdeck.tasks.results.digests import new_digest
from quarterdeck.tasks.results.folding import (
    Folding,
    Ignored,
    Keys,
    by_group,
    fold,
    normalised,
    own_names,
    stored_keys,
)
from quarterdeck.tasks.results.query import ResultQuery
from quarterdeck.tasks.states import RunState

KeysOf = Callable[[str, RunHostRecord], Keys | None]
"""What stands for the output of a run (by its id) on a host."""
Addresses = Callable[[], Mapping[str, str]]
"""The address of each host by its id, as far as it has one."""

STATE_ORDER: Final = (
    RunState.FAILED,
    RunState.TIMED_OUT,
    RunState.LOST,
    RunState.CANCELLED,
    RunState.CANCELLING,
    RunState.RUNNING,
    RunState.CONNECTING,
    RunState.QUEUED,
    RunState.SUCCEEDED,
)
"""In which order states are shown and sorted: what needs a look comes first."""
_READ_IN_ALL: Final = 64 << 20
_READ_OF_ONE: Final = (4096, 256 << 10)
"""At least and at most so much of each stream is read where something is to be ignored."""
_KEPT_KEYS: Final = 10_000
_KEPT_PASTS: Final = 8
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a page or an export shows of a run's hosts."""

    hosts: tuple[RunHostRecord, ...]
    total: int
    """How many hosts the run has, whatever the filters."""
    folding: Folding
    read_bytes: int
    """Longer streams are compared as they are although something is to be ignored; 0: nothing is."""
    before: Mapping[str, Before]
    changed: frozenset[str]
    """The ids of hosts whose result or output is not what it was the run before."""


class Results:
    """Reads results. Safe to use from many threads; keeps what can't change any more for a while."""

    def __init__(self, db: Database, output: OutputStore, addresses: Addresses) -> None:
        self._records, self._output, self._addresses = RunRecords(db), output, addresses
        self._normal_keys = lru_cache(_KEPT_KEYS)(self._read_normal_keys)
        self._parts_before = lru_cache(_KEPT_PASTS)(lambda run, within: parts_before(db, run.get(), within))

    def select(self, run: RunRecord, query: ResultQuery) -> Selection:
        """Return the hosts that fit, with what their results have in common."""
        hosts = self._records.hosts(run.id)
        keys = self._keys_for(run, query.ignored)
        folding = fold(hosts, lambda host: keys(run.id, host))
        before = self.before(run, query.within) if run.is_over or query.changed else {}
        changed = _changed(run.id, hosts, before, keys)
        return Selection(
            hosts=tuple(_sorted(_fitting(hosts, query, folding, changed), query.sort)),
            total=len(hosts),
            folding=folding,
            read_bytes=_read_bytes(run) if query.ignored else 0,
            before=before,
            changed=changed,
        )

    def before(self, run: RunRecord, within: Within) -> Mapping[str, Before]:
        """Return each host's part of the run before that lies within, by host id."""
        return self._parts_before(_ById(run), within)

    def _keys_for(self, run: RunRecord, ignored: Ignored) -> KeysOf:
        """Return what tells outputs apart when some of them does not count."""
        if not ignored:
            return lambda _, host: stored_keys(host)
        addresses = self._addresses() if ignored.names else {}
        limit = _read_bytes(run)
        return lambda run_id, host: self._keys(run_id, host, addresses, ignored, limit)

    def _keys(
        self, run_id: str, host: RunHostRecord, addresses: Mapping[str, str], ignored: Ignored, limit: int
    ) -> Keys | None:
        exact = stored_keys(host)
        if exact is None or not any(exact) or max(host.out_bytes, host.err_bytes) > limit:
            return exact
        own = own_names(host.name, addresses.get(host.host_id, ""))
        return self._normal_keys(run_id, host.name, own, ignored, limit)

    def _read_normal_keys(
        self, run_id: str, name: str, own: tuple[str, ...], ignored: Ignored, limit: int
    ) -> Keys:
        def key(stream: Stream) -> str:
            digest = new_digest()
            digest.update(normalised(self._output.read(run_id, name, stream, 0, limit), ignored, own))
            return digest.hexdigest()

        return key(Stream.OUT), key(Stream.ERR)


class _ById:
    """A run as a key of what is kept: its task, hosts and start never change."""

    __slots__ = ("_run",)

    def __init__(self, run: RunRecord) -> None:
        self._run = run

    def get(self) -> RunRecord:
        return self._run

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other._run.id == self._run.id

    def __hash__(self) -> int:
        return hash(self._run.id)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which ``web-2`` comes before ``web-10``."""
    parts = _DIGITS.split(name.casefold())
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def seconds_of(host: RunHostRecord) -> float | None:
    """Return how long a part took; None while it runs, and when it never began."""
    if host.started_at is None or host.finished_at is None:
        return None
    return (host.finished_at - host.started_at).total_seconds()


def _read_bytes(run: RunRecord) -> int:
    """Return how much of each stream is read at most: the less, the more hosts the run has."""
    least, most = _READ_OF_ONE
    return max(least, min(most, _READ_IN_ALL // (2 * max(1, run.host_count))))


def _changed(
    run_id: str, hosts: Iterable[RunHostRecord], before: Mapping[str, Before], keys: KeysOf
) -> frozenset[str]:
    """Return the ids of the hosts on which it ended differently from the time before."""
    return frozenset(
        host.host_id
        for host in hosts
        if host.is_over
        and (earlier := before.get(host.host_id))
        and _differ(host, keys(run_id, host), earlier.host, keys(earlier.run_id, earlier.host))
    )


def _differ(now: RunHostRecord, key: Keys | None, then: RunHostRecord, key_then: Keys | None) -> bool:
    """Tell whether a result differs from an earlier one; an output that was never hashed says nothing."""
    if (now.state, now.exit_status) != (then.state, then.exit_status):
        return True
    return key is not None and key_then is not None and key != key_then


def _fitting(
    hosts: Iterable[RunHostRecord], query: ResultQuery, folding: Folding, changed: frozenset[str]
) -> Iterable[RunHostRecord]:
    words = query.q.casefold().split()
    groups = by_group(folding) if query.group else {}
    return (
        host
        for host in hosts
        if (not query.state or host.state == query.state)
        and (not query.group or groups.get(host.host_id) == query.group)
        and (not query.changed or host.host_id in changed)
        and all(word in host.name.casefold() for word in words)
    )


def _sorted(hosts: Iterable[RunHostRecord], sort: str) -> list[RunHostRecord]:
    """Sort by a column, a dash before it for descending; what has no value comes last either way.

    Without a wish it is the order of the start.
    """
    if not sort:
        return list(hosts)
    value, hosts = _VALUES[sort.removeprefix("-")], list(hosts)
    known = [host for host in hosts if value(host) is not None]
    unknown = [host for host in hosts if value(host) is None]
    return sorted(known, key=value, reverse=sort.startswith("-")) + unknown


_VALUES: Final[Mapping[str, Callable[[RunHostRecord], Any]]] = {  # Any: what can be compared with its like
    "name": lambda host: natural(host.name),
    "state": lambda host: STATE_ORDER.index(host.state),
    "exit": lambda host: host.exit_status,
    "took": seconds_of,
    "output": lambda host: host.bytes,
}
