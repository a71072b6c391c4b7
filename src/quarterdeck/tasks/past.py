"""What a task usually takes on a host, from its own past."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from sqlalchemy import select

from quarterdeck.core.db import Database
from quarterdeck.core.ui.words import duration_text
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.states import RunState

_LOOK_BACK: Final = 2_000
_PER_HOST: Final = 50
_ALIKE: Final = 1.25
"""Hosts that differ by less than this factor are told by one figure."""
_ENOUGH: Final = 3
"""Fewer durations than this say nothing about what is usual."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual duration of a task, in seconds."""

    typical_seconds: float
    p95_seconds: float
    runs: int


def usual_durations(db: Database, fingerprint: str, host_ids: Iterable[str]) -> Mapping[str, Usual]:
    """Return what is usual per host id; hosts that have run the task too seldom are left out."""
    taken: dict[str, list[float]] = {host_id: [] for host_id in host_ids}
    query = (
        select(RunHost.host_id, RunHost.started_at, RunHost.finished_at)
        .where(RunHost.fingerprint == fingerprint, RunHost.state == RunState.SUCCEEDED)
        .order_by(RunHost.run_id.desc())
        .limit(_LOOK_BACK)
    )
    if len(taken) == 1:
        query = query.where(RunHost.host_id.in_(taken)).limit(_PER_HOST)
    with db.read() as session:
        for host_id, started_at, finished_at in session.execute(query):
            if host_id in taken and started_at and finished_at and len(taken[host_id]) < _PER_HOST:
                taken[host_id].append(_seconds(started_at, finished_at))
    return {host_id: _usual(durations) for host_id, durations in taken.items() if len(durations) >= _ENOUGH}


def usual_words(usual: Iterable[Usual]) -> str:
    """Return what is usual in words, over all hosts it is known of; empty when it is of none."""
    known = list(usual)
    if not known:
        return ""
    shortest, longest = (pick(each.typical_seconds for each in known) for pick in (min, max))
    is_alike = longest < shortest * _ALIKE
    typical = duration_text(longest)
    if not is_alike:
        typical = f"{duration_text(shortest)} to {typical}"
    return f"usually {typical} (p95 {duration_text(max(each.p95_seconds for each in known))})"


def _seconds(started_at: datetime, finished_at: datetime) -> float:
    return (finished_at - started_at).total_seconds()


def _usual(durations: list[float]) -> Usual:
    ordered = sorted(durations)
    return Usual(median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], len(ordered))
