"""A run before it is one: what was asked for, and the rows and the job that it becomes."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import insert
from sqlalchemy.orm import Session

from quarterdeck.core.actors import Actor
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.protocol.orders import Order, sealed
from quarterdeck.protocol.tasks import CallTask, CommandTask, Task
from quarterdeck.tasks.dispatch.jobs import Job, JobHost
from quarterdeck.tasks.fingerprint import fingerprint, is_secret
from quarterdeck.tasks.idempotency import Once
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.records import title_of
from quarterdeck.tasks.states import RunState

HIDDEN: Final = "[secret]"
_ORDER_LEEWAY: Final = timedelta(hours=1)
"""How much longer than its own limit an order may wait for a free slot before a worker refuses it."""
_LONGEST_ORDER_SECONDS: Final = 30 * 86_400
_SHOWN_NAMES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """What somebody asks for. ``force`` starts it although the same is under way, and says why."""

    task: Task
    hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    timeout_seconds: int | None = None
    options: RunOptions = RunOptions()
    force: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A checked request with its hosts; ``id`` becomes the run's."""

    id: str
    actor: Actor
    task: Task
    hosts: Sequence[HostRecord]
    timeout_seconds: int
    created_at: datetime
    request_id: str
    options: RunOptions = RunOptions()
    forced_reason: str | None = None
    handed: str | None = None
    once: Once | None = None
    """The key that a program sent, so that this starts one run however often it is asked."""
    intent_id: str = ""
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    """What the marks of its kept commands are made of."""

    @property
    def title(self) -> str:
        return title_of(self.task)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.task)

    @property
    def kind(self) -> str:
        return str(self.task.__struct_config__.tag)

    def kept_mark(self, host: HostRecord) -> str:
        """Return by what an SSH host will know a command that keeps running; empty when it does not."""
        is_kept = self.options.keep_running and isinstance(self.task, CommandTask)
        if not is_kept or host.kind is not HostKind.SSH:
            return ""
        return hmac.digest(self.secret.encode(), host.id.encode(), "sha256").hex()[:32]

    def detail(self) -> dict[str, Any]:  # Any: JSON
        """Return what the history keeps of the intent: exactly what is run, and where."""
        detail = {
            "run": self.id,
            "title": self.title,
            "task": as_stored(self.task),
            "hosts": [host.name for host in self.hosts],
            "timeout_seconds": self.timeout_seconds,
        }
        if options := msgspec.to_builtins(self.options):
            detail["options"] = options
        return detail | ({"forced": self.forced_reason} if self.forced_reason else {})


def as_stored(task: Task) -> dict[str, Any]:  # Any: JSON
    """Return the wire form of a task without what looks like a secret; that is never stored."""
    if isinstance(task, CallTask):
        headers = {name: HIDDEN if is_secret(name) else value for name, value in task.headers.items()}
        task = msgspec.structs.replace(task, headers=headers)
    stored: dict[str, Any] = msgspec.to_builtins(task)
    return stored


def store(session: Session, draft: Draft, orders: dict[str, Order], duplicate_of: str | None) -> None:
    """Insert the rows of a run that waits to begin."""
    session.add(_run_row(draft, duplicate_of))
    session.flush()
    rows = [_host_row(draft, number, host, orders.get(host.id)) for number, host in enumerate(draft.hosts)]
    session.execute(insert(RunHost), rows)


def _run_row(draft: Draft, duplicate_of: str | None) -> Run:
    names = ", ".join(host.name for host in draft.hosts[:20])
    return Run(
        id=draft.id,
        kind=draft.kind,
        title=draft.title,
        task=as_stored(draft.task),
        fingerprint=draft.fingerprint,
        state=str(RunState.QUEUED),
        is_active=True,
        is_recorded=False,
        tally={str(RunState.QUEUED): len(draft.hosts)},
        targets=names if len(names) <= _SHOWN_NAMES else f"{names[: _SHOWN_NAMES - 1]}…",
        host_count=len(draft.hosts),
        actor=draft.actor.label,
        person_id=draft.actor.person_id,
        created_at=draft.created_at,
        timeout_seconds=draft.timeout_seconds,
        options=msgspec.to_builtins(draft.options),
        forced_reason=draft.forced_reason,
        duplicate_of=duplicate_of,
        request_id=draft.request_id,
        intent_id=draft.intent_id,
        handed=draft.handed,
    )


def _host_row(draft: Draft, number: int, host: HostRecord, order: Order | None) -> dict[str, Any]:
    """Return the columns of one host: with 1,000 of them, an entity each would cost thrice as much."""
    return {
        "run_id": draft.id,
        "host_id": host.id,
        "name": host.name,
        "kind": str(host.kind),
        "position": number,
        "fingerprint": draft.fingerprint,
        "state": str(RunState.QUEUED),
        "message": "",
        "out_bytes": 0,
        "err_bytes": 0,
        "details": {},
        "out_hash": "",
        "err_hash": "",
        "order": msgspec.to_builtins(order) if order else None,
        "remote": remote_of(draft.kept_mark(host)),
    }


def remote_of(mark: str) -> dict[str, str] | None:
    """Return what is stored of a kept command before its line is sent, so that any master finds it."""
    return {"mark": mark, "folder": f"quarterdeck/{mark}"} if mark else None


def orders_of(draft: Draft, witness: tuple[str, int]) -> dict[str, Order]:
    """Return the order for each worker, by host id. A call is made by the master and needs none.

    ``witness`` is the end of the master's history: its hash and number.
    """
    if isinstance(draft.task, CallTask):
        return {}
    deadline = draft.created_at + timedelta(seconds=_longest_wait(draft)) + _ORDER_LEEWAY
    return {
        host.id: sealed(
            Order(
                id=new_id(),
                run=draft.id,
                host=host.name,
                task=draft.task,
                deadline=deadline,
                nonce=new_token(),
                actor=draft.actor.label,
                timeout_seconds=draft.timeout_seconds,
                output_bytes=draft.options.output_bytes,
                on_output_limit=str(draft.options.on_output_limit),
                audience=host.id,
                master_head=witness[0],
                master_seq=witness[1],
            )
        )
        for host in draft.hosts
        if host.kind is HostKind.WORKER
    }


def _longest_wait(draft: Draft) -> int:
    """Return after how many seconds the last host has surely begun, or its order is of no use any more."""
    options, hosts = draft.options, len(draft.hosts)
    turns = -(-hosts // options.at_once) if options.at_once else 1
    turns += 1 if options.canary else 0
    return min(draft.timeout_seconds * turns + (options.expires_seconds or 0), _LONGEST_ORDER_SECONDS)


def job_of(draft: Draft, orders: dict[str, Order]) -> Job:
    """Return what the dispatcher needs; the task here still has its secrets."""
    return Job(
        run_id=draft.id,
        title=draft.title,
        task=draft.task,
        fingerprint=draft.fingerprint,
        hosts=tuple(JobHost(host, orders.get(host.id), draft.kept_mark(host)) for host in draft.hosts),
        actor=draft.actor.label,
        person_id=draft.actor.person_id,
        request_id=draft.request_id,
        intent_id=draft.intent_id,
        timeout_seconds=draft.timeout_seconds,
        created_at=draft.created_at,
        options=draft.options,
    )


def with_intent(draft: Draft, intent_id: str) -> Draft:
    return replace(draft, intent_id=intent_id)
