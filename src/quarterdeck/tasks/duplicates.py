"""The same operation twice: what makes two tasks the same, and which run a new one would repeat."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from quarterdeck.protocol.tasks import BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.states import RunState


@dataclass(frozen=True, slots=True)
class Overlap:
    """A run that does, or just did, the same on some of the same hosts."""

    run_id: str
    started_by: str
    started_at: datetime
    is_active: bool
    hosts: tuple[str, ...]
    """The names of the hosts in common."""


def fingerprint(task: Task) -> str:
    """Return what is equal for two tasks exactly when they do the same."""
    return hashlib.sha256(msgspec.json.encode(_normal_form(task))).hexdigest()


def _normal_form(task: Task) -> list[str]:
    match task:
        case CommandTask():
            return ["command", task.command.strip()]
        case CallTask():
            body = hashlib.sha256(task.body.encode()).hexdigest()
            return ["call", task.method.upper(), task.url, body]
        case BuiltinTask():
            arguments = [f"{name}={value}" for name, value in sorted(task.arguments.items())]
            return ["builtin", task.name, *arguments]


def find_overlap(
    session: Session, print_: str, host_ids: Iterable[str], *, started_after: datetime
) -> Overlap | None:
    """Return the newest run of the same task that is at work on a common host, or was just started there.

    Call it in the transaction that inserts the new run: two who press at once then see each other.
    """
    wanted = set(host_ids)
    candidates = session.scalars(
        select(Run)
        .where(Run.fingerprint == print_)
        .where(or_(Run.is_active, Run.created_at >= started_after))
        .order_by(Run.id.desc())
    )
    for run in candidates:
        is_young = run.created_at >= started_after
        if shared := tuple(name for name in _busy_hosts(session, run.id, wanted, even_ended=is_young)):
            return Overlap(run.id, run.actor, run.created_at, run.is_active, shared)
    return None


def _busy_hosts(session: Session, run_id: str, wanted: set[str], *, even_ended: bool) -> Iterable[str]:
    rows = session.execute(
        select(RunHost.host_id, RunHost.name, RunHost.state)
        .where(RunHost.run_id == run_id)
        .order_by(RunHost.position)
    )
    return (
        name
        for host_id, name, state in rows
        if host_id in wanted and (even_ended or not RunState(state).is_terminal)
    )
