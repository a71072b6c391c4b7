"""The stored shapes of hosts and API bases, and the values that others get to see of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from quarterdeck.core.actors import Target
from quarterdeck.core.db import Base

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport

SSH_PORT: Final = 22
WORKER_PORT: Final = 5001
LINE: Final = "line"
"""The scheme of a worker that dials in."""


class HostKind(StrEnum):
    """How Quarterdeck reaches a host."""

    SSH = "ssh"
    WORKER = "worker"
    MASTER = "master"


class HostState(StrEnum):
    """Whether a host answers: an SSH host is unknown until its first contact, a revoked worker not asked."""

    WELL = "well"
    LATE = "late"
    LOST = "lost"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


class KeyState(StrEnum):
    """What is known of an SSH host's key."""

    NONE = "none"
    UNCONFIRMED = "unconfirmed"
    PINNED = "pinned"
    CHANGED = "changed"


class SilencePhase(StrEnum):
    """Where a silence stands."""

    ACTIVE = "active"
    PLANNED = "planned"
    OVER = "over"


class Host(Base):
    """A machine. Secrets are sealed for ``host:<id>:<column>``; the id is never used again."""

    __tablename__ = "hosts"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    kind: Mapped[str] = mapped_column(String(10), index=True)
    scheme: Mapped[str] = mapped_column(String(5), default="")
    address: Mapped[str] = mapped_column(String(253), default="")
    port: Mapped[int] = mapped_column(default=0)
    username: Mapped[str] = mapped_column(String(64), default="")
    jump_id: Mapped[str | None] = mapped_column(ForeignKey("hosts.id"), index=True)
    use_agent: Mapped[bool] = mapped_column(default=False)
    private_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    passphrase: Mapped[bytes | None] = mapped_column(LargeBinary)
    certificate: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the private key, signed by an authority; no secret, but kept and forgotten as those are."""
    password: Mapped[bytes | None] = mapped_column(LargeBinary)
    token: Mapped[bytes | None] = mapped_column(LargeBinary)
    token_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Of what the worker shows to this master; the token itself is kept by the worker only."""
    joined: Mapped[bool] = mapped_column(default=False)
    host_key: Mapped[str] = mapped_column(Text, default="")
    seen_key: Mapped[str] = mapped_column(Text, default="")
    """The key that waits for confirmation: the first one seen, or one that differs from the pinned."""
    pin_first: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(10), default=HostState.UNKNOWN)
    state_reason: Mapped[str] = mapped_column(String(500), default="")
    version: Mapped[str] = mapped_column(String(40), default="")
    state_since: Mapped[datetime | None]
    """Since when it has this state; unknown for what an older version wrote."""
    flapping_since: Mapped[datetime | None]
    clock_skew_seconds: Mapped[float | None]
    """By how much its clock is ahead of the master's, where that is worth telling (standing.py)."""
    last_seen: Mapped[datetime | None]
    created_at: Mapped[datetime]

    tags: Mapped[list["HostTag"]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="HostTag.tag"
    )
    jump: Mapped["Host | None"] = relationship(remote_side=[id], lazy="joined", join_depth=1)


class HostTag(Base):
    """One tag of one host."""

    __tablename__ = "host_tags"

    host_id: Mapped[str] = mapped_column(ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True, index=True)


class Silence(Base):
    """A while in which a host, or all hosts with a tag, ring nobody; ended early, ``ends_at`` is then."""

    __tablename__ = "silences"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    host_id: Mapped[str | None] = mapped_column(ForeignKey("hosts.id", ondelete="CASCADE"), index=True)
    tag: Mapped[str] = mapped_column(String(40), default="")
    reason: Mapped[str] = mapped_column(String(500))
    begins_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(160))
    ended_by: Mapped[str] = mapped_column(String(160), default="")


class Invitation(Base):
    """A one-time code by which a worker may join under a name; only the code's digest is kept."""

    __tablename__ = "host_invitations"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(63))
    tags: Mapped[list[str]] = mapped_column(JSON)
    invited_by: Mapped[str] = mapped_column(String(160))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    host_id: Mapped[str | None] = mapped_column(String(26))
    """The worker that joined by it."""


class ApiBase(Base):
    """A remote API that runs may call; its bearer is sealed for ``base:<id>:bearer``."""

    __tablename__ = "api_bases"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    url: Mapped[str] = mapped_column(String(500))
    bearer: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


def key_state_of(pinned: str, seen: str) -> KeyState:
    """Return what is known of a host's key from the pinned one and the one that waits for confirmation."""
    if pinned:
        return KeyState.CHANGED if seen else KeyState.PINNED
    return KeyState.UNCONFIRMED if seen else KeyState.NONE


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host as pages, runs and programs see it; it holds no secret."""

    id: str
    name: str
    kind: HostKind
    scheme: str
    address: str
    port: int
    username: str
    tags: tuple[str, ...]
    state: HostState
    state_reason: str
    last_seen: datetime | None
    version: str
    key_state: KeyState
    host_key: str
    seen_key: str
    jump: str
    use_agent: bool
    stored: frozenset[str]
    """Which secrets are kept for it: private_key, passphrase, certificate, password, token."""
    joined: bool
    pin_first: bool
    created_at: datetime
    state_since: datetime | None = None
    is_flapping: bool = False
    clock_skew_seconds: float | None = None
    """By how much its clock is ahead of the master's; None while it is close enough."""
    silenced_until: datetime | None = None

    @property
    def target(self) -> Target:
        """The host as the judge sees it."""
        return Target(f"host:{self.name}", frozenset(self.tags))

    @property
    def dials_in(self) -> bool:
        """Tell whether it is a worker that keeps a line open to this master, and has no address."""
        return self.scheme == LINE

    @property
    def url(self) -> str:
        """The base address of a worker; empty for other kinds, and for one that dials in."""
        if self.kind is not HostKind.WORKER or self.dials_in:
            return ""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{address}:{self.port}"

    @property
    def awaits_key(self) -> bool:
        """Tell whether nobody has seen this SSH host's key yet."""
        return self.kind is HostKind.SSH and self.key_state is KeyState.NONE

    @property
    def marks(self) -> tuple[str, ...]:
        """The words that stand beside its state."""
        marks = {"flapping": self.is_flapping, "silenced": self.silenced_until is not None}
        return tuple(word for word, is_so in marks.items() if is_so)

    @property
    def place(self) -> str:
        """Where it is, in a few words: ``deploy@10.0.0.5:2222``, a worker's URL, or that it dials in."""
        if self.kind is HostKind.MASTER:
            return "this node"
        if self.dials_in:
            return "dials in"
        if self.kind is HostKind.WORKER:
            return self.url
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.username}@{address}" + (f":{self.port}" if self.port != SSH_PORT else "")


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """How to call a worker; ``transport`` is the way to one that dials in, None is plain HTTP."""

    name: str
    url: str
    bearer: str
    transport: "AsyncBaseTransport | None" = None


@dataclass(frozen=True, slots=True)
class InvitationRecord:
    """An invitation without its code."""

    id: str
    name: str
    tags: tuple[str, ...]
    invited_by: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SilenceRecord:
    """A silence as pages and programs see it: of a host, by its name, or of a tag."""

    id: str
    host: str
    tag: str
    reason: str
    begins_at: datetime
    ends_at: datetime
    created_at: datetime
    created_by: str
    ended_by: str = ""
    """Who ended it early, if anybody did."""

    @property
    def of(self) -> str:
        """What is silenced, as the history names it."""
        return f"host:{self.host}" if self.host else f"tag:{self.tag}"

    def phase(self, now: datetime) -> SilencePhase:
        """Return whether it is still to come, goes on or is over."""
        if self.ends_at <= now:
            return SilencePhase.OVER
        return SilencePhase.ACTIVE if self.begins_at <= now else SilencePhase.PLANNED


@dataclass(frozen=True, slots=True)
class BaseRecord:
    """An API base without its bearer."""

    id: str
    name: str
    url: str
    has_bearer: bool
    created_at: datetime


SECRETS: Final = ("private_key", "passphrase", "certificate", "password", "token")


def base_record(base: ApiBase) -> BaseRecord:
    """Return what may be shown of a stored API base."""
    return BaseRecord(base.id, base.name, base.url, base.bearer is not None, base.created_at)
