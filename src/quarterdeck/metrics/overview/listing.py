"""The fleet as a list: hosts with their figures now, filtered, sorted and cut to a page."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from quarterdeck import __version__
from quarterdeck.access.permissions import Within
from quarterdeck.core.clock import Clock
from quarterdeck.hosts.models import HostKind, HostRecord, HostState
from quarterdeck.hosts.reading import Hostlist
from quarterdeck.hosts.store import HostQuery
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.overview.trace import Trace

SIZES: Final = (50, 100, 250, 1000)
SORTS: Final = ("state", "name", "tags", "cpu", "memory", "disk", "load", "network", "busy", "heard")
FIGURE_SORTS: Final = frozenset({"cpu", "memory", "disk", "load", "network", "busy"})
_TABLE_SORTS: Final = frozenset({"name", "state"})
"""What the tables order by just as this list does: of these only the hosts of the page are read."""
WORST_FIRST: Final = (
    HostState.LOST,
    HostState.LATE,
    HostState.REVOKED,
    HostState.UNKNOWN,
    HostState.WELL,
)
_CPU: Final = KEYS.index("cpu")
_MOST_TRACES: Final = 20_000
_OLD_AFTER_BEATS: Final = 3
_LEAST_BEAT_SECONDS: Final = 15.0
_SILENT: Final = frozenset({HostState.LATE, HostState.LOST, HostState.REVOKED})

MarksOf = Callable[[HostRecord], tuple[str, ...]]
"""Words that stand beside the state of a host, as ``flapping`` and ``silenced``."""


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """Which hosts to show, and how; ``figures`` is ``yes``, ``no`` or empty for both."""

    q: str = ""
    state: str = ""
    tag: str = ""
    figures: str = ""
    sort: str = "name"
    size: int = 100
    page: int = 1
    within: Within = None
    """What the one who asks gets at; None is everything."""


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A host with its figures; ``at`` is 0 and ``values`` is empty while there are none."""

    host: HostRecord
    at: float = 0.0
    interval_seconds: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    is_old: bool = False
    """What is shown is not how the host is doing now."""
    trace: str = ""
    busy: float | None = None
    """The mean of CPU over ten minutes, in percent."""
    marks: tuple[str, ...] = ()

    @property
    def heard(self) -> datetime | None:
        """When anything came of the host last: a sample or an answer."""
        seen = self.host.last_seen
        if not self.at:
            return seen
        sampled = datetime.fromtimestamp(self.at, UTC)
        return max(seen, sampled) if seen else sampled

    def figure(self, key: str) -> float | None:
        """Return a figure, or what a column is sorted by; None where there is none."""
        if key == "busy":
            return self.busy
        if key == "network":
            rates = [self.values[each] for each in ("received", "sent") if each in self.values]
            return sum(rates) if rates else None
        return self.values.get(key)


@dataclass(frozen=True, slots=True)
class FleetPage:
    """One page of the fleet."""

    rows: list[FleetRow]
    total: int
    """How many fit the filter."""
    first: int
    known: int
    """How many there are at all."""
    states: dict[HostState, int]
    """Of all that fit the filter but for the state."""

    @property
    def is_last(self) -> bool:
        return self.first - 1 + len(self.rows) >= self.total


class FleetList:
    """Joins what the tables know of hosts to what memory knows of their figures; from any thread."""

    def __init__(self, hosts: Hostlist, fleet: Fleet, clock: Clock) -> None:
        self._hosts, self._fleet, self._clock = hosts, fleet, clock
        self._marks_of: MarksOf = lambda _host: ()
        self._traces: dict[str, Trace] = {}
        self._lock = threading.Lock()

    def mark_by(self, marks_of: MarksOf) -> None:
        """Have words stand beside the states of hosts."""
        self._marks_of = marks_of

    def select(self, query: FleetQuery) -> FleetPage:
        """Return a page of the hosts that fit, in order."""
        wanted = HostQuery(tags=(query.tag,) if query.tag else (), q=query.q, within=query.within)
        if query.figures or query.sort.removeprefix("-") not in _TABLE_SORTS:
            return self._page_of_all(query, wanted)
        states = self._hosts.count_states(wanted)
        chosen = replace(
            wanted,
            states=(query.state,) if query.state else (),
            sort=query.sort,
            limit=query.size,
            offset=(query.page - 1) * query.size,
        )
        rows = [self._row(host) for host in self._hosts.select(chosen)]
        return self._page(query, rows, states)

    def _page_of_all(self, query: FleetQuery, wanted: HostQuery) -> FleetPage:
        """Return a page in an order, or of a filter, that the tables know nothing of: all are read for it."""
        hosts = [host for host in self._hosts.select(wanted) if self._fits(host, query.figures)]
        states = Counter(host.state for host in hosts)
        if query.state:
            hosts = [host for host in hosts if host.state == query.state]
        first = (query.page - 1) * query.size
        if query.sort.removeprefix("-") in FIGURE_SORTS | {"heard"}:
            rows = _sorted([self._row(host) for host in hosts], query.sort)[first : first + query.size]
        else:
            rows = [self._row(each) for each in _ordered(hosts, query.sort)[first : first + query.size]]
        return self._page(query, rows, states)

    def _page(self, query: FleetQuery, rows: list[FleetRow], counted: Mapping[HostState, int]) -> FleetPage:
        states = {state: counted.get(state, 0) for state in HostState}
        every = sum(states.values())
        total = states[HostState(query.state)] if query.state else every
        is_narrowed = bool(query.q or query.tag or query.figures)
        known = self._hosts.count(HostQuery(within=query.within)) if is_narrowed else every
        return FleetPage(rows, total, (query.page - 1) * query.size + 1, known, states)

    def rows_of(self, ids: Sequence[str], within: Within) -> list[FleetRow]:
        """Return these hosts as far as they may be read, by name."""
        return [self._row(host) for host in self._hosts.by_ids(ids, within)]

    def by_name(self, query: HostQuery, figures: str, *, limit: int) -> list[FleetRow]:
        """Return the first hosts of a query of the list, for programs."""
        hosts = (host for host in self._hosts.select(query) if self._fits(host, figures))
        return [self._row(host) for host in itertools.islice(hosts, limit)]

    def tags(self, within: Within) -> dict[str, int]:
        """Return every tag with the number of its hosts."""
        return self._hosts.tags(within)

    def _fits(self, host: HostRecord, figures: str) -> bool:
        return not figures or (figures == "yes") is _has_figures(self._fleet.now(host.id))

    def _row(self, host: HostRecord) -> FleetRow:
        now, marks = self._fleet.now(host.id), self._marks_of(host)
        if now is None or not now.at:
            return FleetRow(host, marks=marks)
        passed = self._clock.now().timestamp() - now.at
        is_late = passed > _OLD_AFTER_BEATS * max(now.interval_seconds, _LEAST_BEAT_SECONDS)
        trace = self._trace(now)
        return FleetRow(
            host,
            now.at,
            now.interval_seconds,
            now.values,
            is_late or host.state in _SILENT,
            trace.path,
            trace.mean,
            marks,
        )

    def _trace(self, now: HostNow) -> Trace:
        """Return the line of a host's CPU as it stands."""
        trace = self._traces.get(now.host_id)
        if trace is None:
            if len(self._traces) >= _MOST_TRACES:  # of hosts that are gone, too
                self._traces.clear()
            trace = self._traces[now.host_id] = Trace(_CPU)
        with self._lock:
            trace.renew(now.ring, self._clock.now().timestamp())
        return trace


def why_no_figures(host: HostRecord) -> str:
    """Return why a host has no figures, and what to do about it."""
    match host.kind:
        case HostKind.SSH:
            return "Name a tag in QUARTERDECK_SSH_SAMPLE_TAG and give it to this host, or install a worker."
        case HostKind.WORKER if host.version and host.version != __version__:
            return (
                f"Its worker is of version {host.version} and may not send any; upgrade it to {__version__}."
            )
        case HostKind.WORKER if host.state is not HostState.WELL:
            return "Its worker has not reported since this master started; see that it runs."
        case _:
            return "The first ones come within a minute."


def _has_figures(now: HostNow | None) -> bool:
    return now is not None and now.at > 0


def _ordered(hosts: list[HostRecord], sort: str) -> list[HostRecord]:
    """Return hosts, which come by name, in the order of what the tables know of them."""
    keys: dict[str, Callable[[HostRecord], Any]] = {  # Any: whatever has an order
        "state": lambda host: WORST_FIRST.index(host.state),
        "tags": lambda host: (not host.tags, host.tags),
    }
    key = keys.get(sort.removeprefix("-"), lambda host: host.name)
    return sorted(hosts, key=key, reverse=sort.startswith("-"))


def _sorted(rows: list[FleetRow], sort: str) -> list[FleetRow]:
    """Return rows in the order of a figure or of when they were heard; those without come last."""
    name = sort.removeprefix("-")

    def value(row: FleetRow) -> float | None:
        if name == "heard":
            return row.heard.timestamp() if row.heard else None
        return row.figure(name)

    known = sorted(
        ((number, row) for row in rows if (number := value(row)) is not None),
        key=lambda pair: pair[0],
        reverse=sort.startswith("-"),
    )
    return [*(row for _, row in known), *(row for row in rows if value(row) is None)]
