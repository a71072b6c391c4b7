"""The stored shapes of people, sessions, tokens and links, and the values that the service returns.

Secrets are kept as digests; no value made for others carries even those.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.actors import Role, Scope
from quarterdeck.core.db import Base

NAME_LENGTH = 64
AGENT_LENGTH = 200
ADDRESS_LENGTH = 64
LABEL_LENGTH = 64


class EndReason(StrEnum):
    """Why a session or token is dead before its time."""

    SIGNED_OUT = "signed out"
    ENDED = "ended by hand"
    PASSWORD = "password changed"  # noqa: S105 - a reason, not a secret
    ROLE = "role changed"
    DISABLED = "person disabled"
    CROWDED_OUT = "too many sessions"


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
    scope: Scope
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

    def record(self) -> PersonRecord:
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
    scope: Mapped[str] = mapped_column(String(16))
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
            Scope(self.scope),
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
