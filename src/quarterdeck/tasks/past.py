"""What a task usually takes on a host, from its own past."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from quarterdeck.access.permissions import Within
from quarterdeck.core.db import Database
from quarterdeck.core.ui.words import duration_text
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.records import runs_inside
from quarterdeck.tasks.states import RunState

_FEW_HOSTS: Final = 20
"""For so many the index by host is asked for each; for more, the task's latest runs on all of them."""
_LOOK_BACK: Final = 100
_ROWS_IN_ALL: Final = 5_000
_LEAST_RUNS: Final = 5
_PER_HOST: Final = 50
_ALIKE: Final = 1.25
"""Hosts that differ by less than this factor are told by one figure."""
_ENOUGH: Final = 3
"""Fewer durations than this say nothing about what is usual."""

_PAST: Final = select(RunHost.host_id, RunHost.state, RunHost.started_at, RunHost.finished_at)
Past = tuple[str, str, datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual duration of a task, in seconds."""

    typical_seconds: float
    p95_seconds: float
    runs: int


def usual_durations(
    db: Database, fingerprint: str, host_ids: Iterable[str], *, before: str = "", within: Within = None
) -> Mapping[str, Usual]:
    """Return what is usual per host id; hosts that have run the task too seldom are left out.

    ``before`` is the id of a run: neither it nor a later one counts. Nor do runs with a host that is not
    ``within`` what the one who asks gets at.
    """
    taken: dict[str, list[float]] = {host_id: [] for host_id in host_ids}
    with db.read() as session:
        find = _latest_of_each if len(taken) <= _FEW_HOSTS else _of_latest_runs
        past = find(session, fingerprint, list(taken), before, within)
        for host_id, state, started_at, finished_at in past:
            durations = taken[host_id]
            if state == RunState.SUCCEEDED and started_at and finished_at and len(durations) < _PER_HOST:
                durations.append(_seconds(started_at, finished_at))
    return {host_id: _usual(durations) for host_id, durations in taken.items() if len(durations) >= _ENOUGH}


def _latest_of_each(
    session: Session, fingerprint: str, host_ids: list[str], before: str, within: Within
) -> Iterator[Past]:
    past = _PAST.where(*runs_inside(RunHost.run_id, within))
    past = past.where(RunHost.run_id < before) if before else past
    for host_id in host_ids:
        yield from session.execute(
            past.where(RunHost.fingerprint == fingerprint, RunHost.host_id == host_id)
            .order_by(RunHost.run_id.desc())
            .limit(_LOOK_BACK)
        )


def _of_latest_runs(
    session: Session, fingerprint: str, host_ids: list[str], before: str, within: Within
) -> Iterator[Past]:
    same = select(Run.id).where(Run.fingerprint == fingerprint, *runs_inside(Run.id, within))
    runs = session.scalars(
        (same.where(Run.id < before) if before else same)
        .order_by(Run.created_at.desc())
        .limit(min(_PER_HOST, max(_LEAST_RUNS, _ROWS_IN_ALL // len(host_ids))))
    ).all()
    yield from session.execute(_PAST.where(RunHost.run_id.in_(runs), RunHost.host_id.in_(host_ids)))


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
