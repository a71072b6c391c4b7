"""The stored shapes of rules and alerts, and the values that others get to see of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.db import Base
from quarterdeck.metrics.alerts.rules import AlertLevel, Comparison, Rule

NAME_LENGTH: Final = 80
TAG_LENGTH: Final = 40


class EndReason(StrEnum):
    """Why an alert is over."""

    BACK = "back to normal"
    RULE_CHANGED = "the rule was changed"
    RULE_REMOVED = "the rule was removed"
    RULE_OFF = "the rule was switched off"
    HOST_REMOVED = "the host was removed"
    NOT_COVERED = "the rule is not for this host any more"


class RuleRow(Base):
    """A rule as it is kept."""

    __tablename__ = "rules"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    name_key: Mapped[str] = mapped_column(String(NAME_LENGTH * 2), unique=True)
    level: Mapped[str] = mapped_column(String(8))
    figure: Mapped[str] = mapped_column(String(32))
    comparison: Mapped[str] = mapped_column(String(8))
    threshold: Mapped[float]
    duration_seconds: Mapped[int]
    tag: Mapped[str] = mapped_column(String(TAG_LENGTH))
    enabled: Mapped[bool]
    created_at: Mapped[datetime]

    def record(self) -> Rule:
        return Rule(
            id=self.id,
            name=self.name,
            level=AlertLevel(self.level),
            figure=self.figure,
            comparison=Comparison(self.comparison),
            threshold=self.threshold,
            duration_seconds=self.duration_seconds,
            tag=self.tag,
            enabled=self.enabled,
        )


class RuleMark(Base):
    """That the first rules were made: those that were removed since do not come back."""

    __tablename__ = "rule_marks"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    made_at: Mapped[datetime]


class AlertRow(Base):
    """An alert with what its rule said when it began; hosts and rules may be gone by now."""

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_ended_at_id", "ended_at", "id"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    host_id: Mapped[str] = mapped_column(String(26), index=True)
    host: Mapped[str] = mapped_column(String(63))
    rule_id: Mapped[str] = mapped_column(String(26), index=True)
    rule: Mapped[str] = mapped_column(String(NAME_LENGTH))
    level: Mapped[str] = mapped_column(String(8))
    figure: Mapped[str] = mapped_column(String(32))
    condition: Mapped[str] = mapped_column(String(200))
    since: Mapped[datetime]
    """When the value went past the threshold; the alert began the rule's duration later."""
    began_at: Mapped[datetime]
    value: Mapped[float | None]
    value_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str] = mapped_column(String(60), default="")

    def record(self) -> "AlertRecord":
        return AlertRecord(
            id=self.id,
            host_id=self.host_id,
            host=self.host,
            rule_id=self.rule_id,
            rule=self.rule,
            level=AlertLevel(self.level),
            figure=self.figure,
            condition=self.condition,
            since=self.since,
            began_at=self.began_at,
            value=self.value,
            value_at=self.value_at,
            ended_at=self.ended_at,
            ended_why=self.ended_why,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """An alert as pages and programs see it; ``value`` is the last one, None where there is none.

    ``is_silenced`` and ``has_no_figures`` say how it stands now and mean nothing for one that is over.
    """

    id: str
    host_id: str
    host: str
    rule_id: str
    rule: str
    level: AlertLevel
    figure: str
    condition: str
    since: datetime
    began_at: datetime
    value: float | None
    value_at: datetime
    ended_at: datetime | None = None
    ended_why: str = ""
    is_silenced: bool = False
    has_no_figures: bool = False

    @property
    def is_active(self) -> bool:
        return self.ended_at is None
