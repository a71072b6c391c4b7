"""What a task usually takes on a host, from its own past."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from sqlalchemy import select

from quarterdeck.core.db import Database
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.states import RunState

_LOOK_BACK: Final = 2_000
_PER_HOST: Final = 50
_FEW_HOSTS: Final = 50
"""Up to so many are looked for by themselves, and not among all on which the task was run."""
_ENOUGH: Final = 3
"""Fewer durations than this say nothing about what is usual."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual duration of a task, in seconds."""

    typical_seconds: float
    p95_seconds: float
    runs: int


def usual_durations(
    db: Database, fingerprint: str, host_ids: Iterable[str], *, before: str = ""
) -> Mapping[str, Usual]:
    """Return what is usual per host id; hosts that have run the task too seldom are left out.

    ``before`` is the id of a run: neither it nor a later one counts.
    """
    taken: dict[str, list[float]] = {host_id: [] for host_id in host_ids}
    query = (
        select(RunHost.host_id, RunHost.started_at, RunHost.finished_at)
        .where(RunHost.fingerprint == fingerprint, RunHost.state == RunState.SUCCEEDED)
        .order_by(RunHost.run_id.desc())
        .limit(_LOOK_BACK)
    )
    if len(taken) <= _FEW_HOSTS:
        query = query.where(RunHost.host_id.in_(taken)).limit(min(_LOOK_BACK, len(taken) * _PER_HOST))
    if before:
        query = query.where(RunHost.run_id < before)
    with db.read() as session:
        for host_id, started_at, finished_at in session.execute(query):
            if host_id in taken and started_at and finished_at and len(taken[host_id]) < _PER_HOST:
                taken[host_id].append(_seconds(started_at, finished_at))
    return {host_id: _usual(durations) for host_id, durations in taken.items() if len(durations) >= _ENOUGH}


def _seconds(started_at: datetime, finished_at: datetime) -> float:
    return (finished_at - started_at).total_seconds()


def _usual(durations: list[float]) -> Usual:
    ordered = sorted(durations)
    return Usual(median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], len(ordered))
