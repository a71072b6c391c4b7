"""The stored shapes of people, sessions, tokens and links, and the values that the service returns.

Secrets are kept as digests; no value made for others carries even those.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.actors import Grant, Level, Role
from quarterdeck.core.db import Base

NAME_LENGTH = 64
AGENT_LENGTH = 200
ADDRESS_LENGTH = 64
LABEL_LENGTH = 64
SCOPE_LENGTH = 400
GROUP_LENGTH = 64
DISPLAY_NAME_LENGTH = 80
ZONE_LENGTH = 64
OBJECT_LENGTH = 200


class EndReason(StrEnum):
    """Why a session or token is dead before its time."""

    SIGNED_OUT = "signed out"
    ENDED = "ended by hand"
    PASSWORD = "password changed"  # noqa: S105 - a reason, not a secret
    ROLE = "role changed"
    DISABLED = "person disabled"
    CROWDED_OUT = "too many sessions"
    REUSED = "refresh token reused"
    ROTATED = "rotated"


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person as pages and programs may see one."""

    id: str
    name: str
    role: Role | None
    is_disabled: bool
    has_password: bool
    created_at: datetime
    last_sign_in_at: datetime | None
    last_sign_in_address: str
    locked_until: datetime | None
    groups: tuple[str, ...] = ()
    is_service: bool = False
    display_name: str = ""
    theme: str = ""
    time_zone: str = ""
    language: str = ""
    is_connected: bool = False
    """They can sign in by an identity provider."""

    def state(self, now: datetime) -> str:
        """Return the word for whether somebody can sign in: active, invited, locked, disabled or service."""
        if self.is_disabled:
            return "disabled"
        if self.locked_until is not None and now < self.locked_until:
            return "locked"
        if self.is_service:
            return "service"
        return "active" if self.has_password or self.is_connected else "invited"

    @property
    def object(self) -> str:
        """The person's name as an object of the history."""
        return f"person:{self.name}"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One sign-in that still counts."""

    id: str
    person_id: str
    created_at: datetime
    last_seen_at: datetime
    address: str
    user_agent: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its secret; ``prefix`` is enough to recognise it."""

    id: str
    person_id: str
    person: str
    label: str
    prefix: str
    scope: str
    host_tags: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str
    revoked_at: datetime | None


class Person(Base):
    """Somebody who may sign in; never removed, so that the history's names keep their meaning."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    name_key: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    """The name folded to one case: ``Ada`` and ``ada`` are one person."""
    password_hash: Mapped[str | None] = mapped_column(String(256))
    role: Mapped[str | None] = mapped_column(String(16))
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_sign_in_at: Mapped[datetime | None]
    last_sign_in_address: Mapped[str] = mapped_column(String(ADDRESS_LENGTH), default="")
    failed_count: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    groups: Mapped[list[str]] = mapped_column(JSON, default=list)
    """As the rules made them of an identity provider's claims at the last sign-in."""
    is_service: Mapped[bool] = mapped_column(default=False)
    """A service account: it owns tokens and never signs in."""
    display_name: Mapped[str] = mapped_column(String(128), default="")
    theme: Mapped[str] = mapped_column(String(8), default="")
    """``light``, ``dark``, or empty for what the system prefers."""
    time_zone: Mapped[str] = mapped_column(String(ZONE_LENGTH), default="")
    """An IANA name, or empty for the one in the settings."""
    language: Mapped[str] = mapped_column(String(16), default="")

    def record(self, *, is_connected: bool = False) -> PersonRecord:
        return PersonRecord(
            self.id,
            self.name,
            self.role_or_none,
            self.disabled_at is not None,
            self.password_hash is not None,
            self.created_at,
            self.last_sign_in_at,
            self.last_sign_in_address,
            self.locked_until,
            tuple(self.groups),
            self.is_service,
            self.display_name,
            self.theme,
            self.time_zone,
            self.language,
            is_connected,
        )

    @property
    def role_or_none(self) -> Role | None:
        return Role(self.role) if self.role else None

    def is_locked(self, now: datetime) -> bool:
        return self.locked_until is not None and now < self.locked_until


class SignInSession(Base):
    """A browser's sign-in, known by the digest of its cookie."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(ADDRESS_LENGTH))
    user_agent: Mapped[str] = mapped_column(String(AGENT_LENGTH))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    ended_reason: Mapped[str] = mapped_column(String(24), default="")
    provider: Mapped[str] = mapped_column(String(32), default="")
    """The name in the settings of the identity provider that was used; empty for a local sign-in."""
    sealed_id_token: Mapped[str] = mapped_column(Text, default="")
    """What the provider wants to see at sign-out, sealed."""

    def record(self) -> SessionRecord:
        return SessionRecord(
            self.id,
            self.person_id,
            self.created_at,
            self.last_seen_at,
            self.address,
            self.user_agent,
            self.expires_at,
        )


class Token(Base):
    """A credential of a program that acts for a person."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    prefix: Mapped[str] = mapped_column(String(16))
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    label: Mapped[str] = mapped_column(String(LABEL_LENGTH))
    scope: Mapped[str] = mapped_column(String(SCOPE_LENGTH))
    host_tags: Mapped[list[str] | None] = mapped_column(JSON)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]
    last_used_address: Mapped[str] = mapped_column(String(ADDRESS_LENGTH), default="")
    revoked_at: Mapped[datetime | None] = mapped_column(index=True)
    revoked_reason: Mapped[str] = mapped_column(String(24), default="")

    __table_args__ = (Index("ix_tokens_person_id_label", "person_id", "label"),)

    def record(self, person: str) -> TokenRecord:
        return TokenRecord(
            self.id,
            self.person_id,
            person,
            self.label,
            self.prefix,
            self.scope,
            None if self.host_tags is None else tuple(self.host_tags),
            self.created_at,
            self.expires_at,
            self.last_used_at,
            self.last_used_address,
            self.revoked_at,
        )


class SignInLink(Base):
    """A link that signs in once; without a person it sets up the first administrator."""

    __tablename__ = "sign_in_links"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("people.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Identity(Base):
    """Who a person is at an identity provider: the only key by which a sign-in there finds the account."""

    __tablename__ = "identities"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    provider: Mapped[str] = mapped_column(String(32))
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("issuer", "subject", name="uq_identities_issuer_subject"),)


class GivenGrant(Base):
    """A right on one object or on a tag, given to a person or a group."""

    __tablename__ = "grants"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("people.id"), index=True)
    group_name: Mapped[str] = mapped_column(String(GROUP_LENGTH), default="", index=True)
    level: Mapped[str] = mapped_column(String(8))
    object: Mapped[str] = mapped_column(String(OBJECT_LENGTH))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))

    def grant(self) -> Grant:
        return Grant(Level(self.level), self.object, self.group_name)


class RefreshFamily(Base):
    """One sign-in of an API client: its refresh tokens, each used once, and the access they gave."""

    __tablename__ = "refresh_families"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    """Of the refresh token that is good now; another of the family that is shown was stolen or lost."""
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    scope: Mapped[str] = mapped_column(String(SCOPE_LENGTH))
    host_tags: Mapped[list[str] | None] = mapped_column(JSON)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(ADDRESS_LENGTH))
    user_agent: Mapped[str] = mapped_column(String(AGENT_LENGTH))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    ended_reason: Mapped[str] = mapped_column(String(24), default="")
