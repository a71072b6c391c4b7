"""Where every rule stands on every host, in memory, on the master's loop; it reads and writes nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf, isfinite, nan
from typing import Final

from quarterdeck.core.ids import new_id
from quarterdeck.hosts.models import HostState
from quarterdeck.hosts.reading import Listed
from quarterdeck.metrics.alerts.models import AlertRecord, EndReason
from quarterdeck.metrics.alerts.rules import (
    DISK_FULL,
    LOAD_PER_PROCESSOR,
    LOST,
    QUIET,
    Comparison,
    Phase,
    Rule,
    Standing,
    condition_text,
    has_no_figures,
    step,
)
from quarterdeck.metrics.figures import KEYS, Row
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.protocol.samples import Facts

TREND_SECONDS: Final = 60.0
_PLACES: Final = {key: place for place, key in enumerate(KEYS)}
_LOAD: Final = _PLACES["load"]
_STATES: Final = {HostState.LOST: 1.0, HostState.WELL: 0.0, HostState.REVOKED: 0.0}
"""Whether a host is lost; of other states neither is known."""

Check = tuple[int, float, float]
"""The place of a figure, 1 or -1, and what the figure times that must not be above."""


@dataclass(slots=True)
class Weighed:
    """One host with the rules that cover it; ``standings`` holds only what is not quiet."""

    listed: Listed
    rules: tuple[Rule, ...] = ()
    facts: Facts | None = None
    checks: tuple[Check, ...] = ()
    standings: dict[str, Standing] = field(default_factory=dict)
    alerts: dict[str, AlertRecord] = field(default_factory=dict)
    """Those that are active, by the rule's id."""
    trend_at: float = 0.0


class Engine:
    """Steps the rules; what began and ended is handed out by ``take_news``."""

    def __init__(self) -> None:
        self._rules: tuple[Rule, ...] = ()
        self._hosts: dict[str, Weighed] = {}
        self._restored: dict[str, list[AlertRecord]] = {}
        self._news: list[AlertRecord] = []

    def restore(self, active: Iterable[AlertRecord]) -> None:
        """Take in what was firing when the master ended; ``know`` then tells what it is about."""
        for record in active:
            self._restored.setdefault(record.host_id, []).append(record)

    def know(self, rules: tuple[Rule, ...], roll: Mapping[str, Listed], now: float) -> None:
        """Take in the rules and hosts as they are; what is gone ends its alerts."""
        is_changed = rules != self._rules
        self._rules = rules
        for host_id in [each for each in self._hosts if each not in roll]:
            self._end_all(self._hosts.pop(host_id), EndReason.HOST_REMOVED, now)
        for host_id, listed in roll.items():
            host = self._hosts.get(host_id)
            if host is None:
                host = self._hosts[host_id] = Weighed(listed)
                self._give_back(host, self._restored.pop(host_id, ()))
            elif not is_changed and host.listed == listed:
                continue
            self._cover(host, listed, now)
        for left in self._restored.values():
            self._news += [_ended(record, EndReason.HOST_REMOVED, now) for record in left]
        self._restored.clear()

    def sample(self, now: HostNow, row: Row) -> None:
        """Weigh a sample; a host with nothing pending or wrong costs a few comparisons."""
        host = self._hosts.get(now.host_id)
        if host is None:
            return
        if host.facts is not now.facts:
            host.facts = now.facts
            host.checks = _checks(host)
        if not host.standings:
            for place, sign, bound in host.checks:
                if row[place] * sign > bound:
                    break
            else:
                return
        for rule in host.rules:
            if rule.figure not in (LOST, DISK_FULL):
                self._step(now.host_id, host, rule, _value(rule.figure, row, host.facts), now.at)

    def weigh_states(self, now: float) -> None:
        """Weigh which hosts are lost."""
        for host_id, host in self._hosts.items():
            for rule in host.rules:
                if rule.figure == LOST and (rule.id in host.standings or host.listed.state in _STATES):
                    self._step(host_id, host, rule, _STATES.get(host.listed.state), now)

    def due_for_trends(self, now: float) -> list[str]:
        """Return the hosts whose trend is to be looked at now: each at most once a minute."""
        due = []
        for host_id, host in self._hosts.items():
            if host.trend_at <= now and any(rule.figure == DISK_FULL for rule in host.rules):
                host.trend_at = now + TREND_SECONDS
                due.append(host_id)
        return due

    def weigh_trends(self, hours: Mapping[str, float | None], now: float) -> None:
        """Weigh in how many hours disks will be full: infinity for never, None where nobody knows."""
        for host_id, value in hours.items():
            if host := self._hosts.get(host_id):
                for rule in host.rules:
                    if rule.figure == DISK_FULL:
                        self._step(host_id, host, rule, value, now)

    def take_news(self) -> list[AlertRecord]:
        """Return what began and ended since the last call, oldest first."""
        news, self._news = self._news, []
        return news

    def waiting(self) -> list[AlertRecord]:
        """Return the news that were not taken yet; from any thread."""
        return list(self._news)

    def of_host(self, host_id: str) -> list[AlertRecord]:
        """Return the active alerts of a host, with their values now; from any thread."""
        host = self._hosts.get(host_id)
        return [_now(record, host.standings) for record in list(host.alerts.values())] if host else []

    def active(self) -> list[AlertRecord]:
        """Return all active alerts with their values now; from any thread."""
        return [
            _now(record, host.standings)
            for host in list(self._hosts.values())
            for record in list(host.alerts.values())
        ]

    def lacks_figures(self, record: AlertRecord, now: float) -> bool:
        """Tell whether an alert rests on a value that is too old."""
        host = self._hosts.get(record.host_id)
        standing = host.standings.get(record.rule_id) if host else None
        return standing is not None and has_no_figures(standing, now)

    def _cover(self, host: Weighed, listed: Listed, now: float) -> None:
        """Let a host have the rules that are for it now; what a changed rule had begun is weighed anew."""
        host.listed = listed
        known = {rule.id: rule for rule in self._rules}
        before = {rule.id: rule for rule in host.rules}
        for rule_id in list(host.standings):
            rule = known.get(rule_id)
            if rule_id in host.alerts:
                if why := _why_over(rule, host.alerts[rule_id], listed):
                    self._end(host, rule_id, why, now)
            elif rule is None or rule != before.get(rule_id):
                del host.standings[rule_id]
        host.rules = tuple(rule for rule in self._rules if _is_for(rule, listed))
        host.checks = _checks(host)

    def _give_back(self, host: Weighed, records: Iterable[AlertRecord]) -> None:
        for record in records:
            host.alerts[record.rule_id] = record
            host.standings[record.rule_id] = Standing(
                Phase.FIRING,
                record.since.timestamp(),
                record.value if record.value is not None else inf,
                record.value_at.timestamp(),
            )

    def _step(self, host_id: str, host: Weighed, rule: Rule, value: float | None, at: float) -> None:
        before = host.standings.get(rule.id, QUIET)
        after = step(before, rule, value, at)
        if after is before:
            return
        if after.phase is Phase.QUIET:
            if before.phase is Phase.FIRING:
                host.standings[rule.id] = after
                self._end(host, rule.id, EndReason.BACK, at)
            host.standings.pop(rule.id, None)
            return
        host.standings[rule.id] = after
        if after.phase is Phase.FIRING and before.phase is not Phase.FIRING:
            record = _begun(host_id, host.listed.name, rule, after)
            host.alerts[rule.id] = record
            self._news.append(record)

    def _end(self, host: Weighed, rule_id: str, why: EndReason, now: float) -> None:
        record = _now(host.alerts.pop(rule_id), host.standings)
        host.standings.pop(rule_id, None)
        self._news.append(_ended(record, why, now))

    def _end_all(self, host: Weighed, why: EndReason, now: float) -> None:
        for rule_id in list(host.alerts):
            self._end(host, rule_id, why, now)


def _checks(host: Weighed) -> tuple[Check, ...]:
    """Return what a sample is compared with; a load per processor becomes a load."""
    checks = []
    for rule in host.rules:
        sign = 1.0 if rule.comparison is Comparison.ABOVE else -1.0
        if rule.figure in _PLACES:
            checks.append((_PLACES[rule.figure], sign, rule.threshold * sign))
        elif rule.figure == LOAD_PER_PROCESSOR and host.facts and host.facts.processors:
            checks.append((_LOAD, sign, rule.threshold * host.facts.processors * sign))
    return tuple(checks)


def _value(figure: str, row: Row, facts: Facts | None) -> float:
    if figure != LOAD_PER_PROCESSOR:
        return row[_PLACES[figure]]
    return row[_LOAD] / facts.processors if facts and facts.processors else nan


def _is_for(rule: Rule, listed: Listed) -> bool:
    return rule.enabled and (not rule.tag or rule.tag in listed.tags)


def _why_over(rule: Rule | None, alert: AlertRecord, listed: Listed) -> EndReason | None:
    """Return why an alert can't go on under the rules and tags of now; None when it can."""
    if rule is None:
        return EndReason.RULE_REMOVED
    if not rule.enabled:
        return EndReason.RULE_OFF
    if rule.figure != alert.figure:
        return EndReason.RULE_CHANGED
    return None if _is_for(rule, listed) else EndReason.NOT_COVERED


def _begun(host_id: str, host: str, rule: Rule, standing: Standing) -> AlertRecord:
    at = _moment(standing.at)
    return AlertRecord(
        id=new_id(),
        host_id=host_id,
        host=host,
        rule_id=rule.id,
        rule=rule.name,
        level=rule.level,
        figure=rule.figure,
        condition=condition_text(rule),
        since=_moment(standing.since),
        began_at=at,
        value=standing.value if isfinite(standing.value) else None,
        value_at=at,
    )


def _ended(record: AlertRecord, why: EndReason, now: float) -> AlertRecord:
    return replace(record, ended_at=_moment(now), ended_why=why.value)


def _now(record: AlertRecord, standings: Mapping[str, Standing]) -> AlertRecord:
    """Return an alert with the last value of its rule."""
    standing = standings.get(record.rule_id)
    if standing is None:
        return record
    value = standing.value if isfinite(standing.value) else None
    return replace(record, value=value, value_at=_moment(standing.at))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
