"""What the dispatcher is given: one run, ready to go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quarterdeck.hosts.models import HostRecord
from quarterdeck.protocol.orders import Order
from quarterdeck.protocol.tasks import Task
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.states import RunState


@dataclass(frozen=True, slots=True)
class JobHost:
    """A host of a run, and where its part stands: queued, or further when it is taken up again."""

    host: HostRecord
    order: Order | None = None
    """What its worker is told; None for hosts without one."""
    kept_mark: str = ""
    """By which an SSH host knows a command that keeps running; empty for all others."""
    is_taken_up: bool = False
    """Whether an earlier master may have begun it."""
    state: RunState = RunState.QUEUED
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A run whose intent is in the history and whose rows are stored."""

    run_id: str
    title: str
    task: Task
    fingerprint: str
    hosts: tuple[JobHost, ...]
    actor: str
    person_id: str | None
    request_id: str
    intent_id: str
    timeout_seconds: int
    created_at: datetime
    options: RunOptions = RunOptions()
    started_at: datetime | None = None
    ended: Mapping[RunState, int] = field(default_factory=dict)
    """How many more hosts of the run had ended before it was taken up again."""
    canaries: tuple[tuple[str, RunState], ...] = ()
    """Those of the canary that had ended by then, and how."""
