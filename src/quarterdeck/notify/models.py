"""The stored shapes of toasts, and the value that the service returns."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.actors import Role
from quarterdeck.core.db import Base

TEXT_LENGTH = 500
LINK_LENGTH = 300


class ToastLevel(StrEnum):
    """How urgent a toast is; an error is shown again until it is closed."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Toast:
    """One message; with neither a person nor a role it is for all."""

    id: str
    text: str
    level: ToastLevel
    link: str
    person_id: str | None
    role: Role | None
    created_at: datetime
    by: str
    is_unread: bool = True


class ToastRow(Base):
    """A toast as it was sent."""

    __tablename__ = "toasts"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    text: Mapped[str] = mapped_column(String(TEXT_LENGTH))
    level: Mapped[str] = mapped_column(String(16))
    link: Mapped[str] = mapped_column(String(LINK_LENGTH))
    person_id: Mapped[str | None] = mapped_column(String(26), index=True)
    role: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(index=True)
    by: Mapped[str] = mapped_column(String(160))

    def record(self, *, is_unread: bool = True) -> Toast:
        return Toast(
            self.id,
            self.text,
            ToastLevel(self.level),
            self.link,
            self.person_id,
            Role(self.role) if self.role else None,
            self.created_at,
            self.by,
            is_unread,
        )


class ToastMark(Base):
    """What one person has done with a toast."""

    __tablename__ = "toast_marks"

    toast_id: Mapped[str] = mapped_column(ForeignKey("toasts.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    shown_at: Mapped[datetime | None]
    """Stood on a page once."""
    read_at: Mapped[datetime | None]
    """Was seen in the drawer, so the bell is silent about it."""
    closed_at: Mapped[datetime | None]
    """Is gone for this person."""
