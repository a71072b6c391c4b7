"""The stored shapes of runs. While a run is under way only ``dispatch/recorder.py`` writes what changes."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.db import Base


class Run(Base):
    """One execution of a task on one host or many."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    title: Mapped[str] = mapped_column(String(200))
    task: Mapped[dict[str, Any]] = mapped_column(JSON)  # Any: the wire form of a task, without secrets
    fingerprint: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    is_active: Mapped[bool]
    """Kept beside the state so that the few runs under way are found by index among many."""
    is_recorded: Mapped[bool]
    """The outcome is in the history; a finished run without it is caught up at the next start."""
    tally: Mapped[dict[str, int]] = mapped_column(JSON)
    """How many hosts are in each state: lists show it without touching the hosts."""
    targets: Mapped[str] = mapped_column(String(200))
    host_count: Mapped[int]
    actor: Mapped[str] = mapped_column(String(160))
    person_id: Mapped[str | None] = mapped_column(String(26))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    timeout_seconds: Mapped[int]
    options: Mapped[dict[str, Any]] = mapped_column(JSON, server_default="{}")  # Any: RunOptions as stored
    forced_reason: Mapped[str | None] = mapped_column(String(500))
    duplicate_of: Mapped[str | None] = mapped_column(String(26))
    request_id: Mapped[str] = mapped_column(String(64))
    intent_id: Mapped[str] = mapped_column(String(64))
    handed: Mapped[str | None] = mapped_column(String(200), unique=True)
    """Of a task that a worker handed over: who and the worker's own id of it, so that it runs once."""

    __table_args__ = (
        Index("ix_runs_fingerprint_created_at", "fingerprint", "created_at"),
        Index("ix_runs_is_active_fingerprint", "is_active", "fingerprint"),
        Index("ix_runs_is_recorded", "is_recorded"),
        Index("ix_runs_created_at_state", "created_at", "state"),
        Index("ix_runs_state_id", "state", "id"),
        Index("ix_runs_actor_id", "actor", "id"),
        Index("ix_runs_kind_id", "kind", "id"),
        Index("ix_runs_id_title", "id", "title"),  # a search reads it alone, newest first
    )


class RunHost(Base):
    """What a run did on one host; name and kind are copies, so that a removed host keeps its past."""

    __tablename__ = "run_hosts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    host_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    position: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64))
    """The run's, once more: the past of a task on a host is read by one index."""
    state: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(String(500))
    exit_status: Mapped[int | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    out_bytes: Mapped[int]
    err_bytes: Mapped[int]
    gone: Mapped[bool | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)  # Any: facts of one kind of task
    order: Mapped[dict[str, Any] | None] = mapped_column("worker_order", JSON)  # Any: an order as sent
    remote: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # Any: where a kept command lies on its host
    out_hash: Mapped[str] = mapped_column(String(64), server_default="")
    err_hash: Mapped[str] = mapped_column(String(64), server_default="")
    """Of each stream once it has ended: equal output of many hosts is shown once."""

    __table_args__ = (
        Index("ix_run_hosts_name_run_id", "name", "run_id"),
        Index("ix_run_hosts_fingerprint_host_id_run_id", "fingerprint", "host_id", "run_id"),
        Index("ix_run_hosts_fingerprint_state_run_id", "fingerprint", "state", "run_id"),
    )


class IdempotencyKey(Base):
    """A key that a program sent with the start of a run; sent again, it is answered with that run."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(String(160), primary_key=True)
    """Who sent it: another one's equal key is another key."""
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)
