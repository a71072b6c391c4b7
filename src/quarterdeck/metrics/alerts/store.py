"""Queries over the tables of rules and alerts; callers bring the session and own the transaction."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.metrics.alerts.models import AlertRecord, AlertRow, RuleRow
from quarterdeck.metrics.alerts.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertQuery:
    """Which alerts, newest first; ``active`` None is both, ``host_ids`` None any host, removed ones too."""

    active: bool | None = None
    level: str = ""
    host: str = ""
    rule: str = ""
    host_ids: frozenset[str] | None = None
    before: str = ""
    """Only alerts older than the one of this id: the cursor."""
    limit: int = 0


def all_rules(session: Session) -> list[Rule]:
    """Return all rules by name."""
    return [row.record() for row in session.scalars(select(RuleRow).order_by(RuleRow.name_key))]


def find_rule(session: Session, rule_id: str) -> RuleRow:
    """Return the rule of that id; raises NotFound."""
    row = session.get(RuleRow, rule_id)
    if row is None:
        raise NotFound("There is no such rule, or it was removed already.")
    return row


def check_free(session: Session, name: str, *, but: str = "") -> None:
    """Raise Conflict when another rule has the name; names differ by more than their case."""
    statement = select(RuleRow.name).where(RuleRow.name_key == name.casefold(), RuleRow.id != but)
    if taken := session.scalar(statement):
        message = f"There is already a rule named “{taken}”."
        raise Conflict(message, errors={"name": message})


def alerts(session: Session, query: AlertQuery) -> list[AlertRecord]:
    """Return the alerts of a query, newest first."""
    statement = select(AlertRow).where(*_conditions(query)).order_by(AlertRow.id.desc())
    if query.limit:
        statement = statement.limit(query.limit)
    return [row.record() for row in session.scalars(statement)]


def count_alerts(session: Session, query: AlertQuery) -> int:
    """Return how many alerts match, whatever the limit."""
    return session.scalar(select(func.count()).select_from(AlertRow).where(*_conditions(query))) or 0


def add_alerts(session: Session, begun: Iterable[AlertRecord]) -> None:
    session.add_all(
        AlertRow(
            id=each.id,
            host_id=each.host_id,
            host=each.host,
            rule_id=each.rule_id,
            rule=each.rule,
            level=each.level.value,
            figure=each.figure,
            condition=each.condition,
            since=each.since,
            began_at=each.began_at,
            value=each.value,
            value_at=each.value_at,
            ended_at=None,
            ended_why="",
        )
        for each in begun
    )


def put_values(session: Session, current: Collection[AlertRecord]) -> None:
    """Write the last values of alerts, and the ends of those that are over."""
    if current:
        session.execute(
            update(AlertRow),
            [
                {
                    "id": each.id,
                    "value": each.value,
                    "value_at": each.value_at,
                    "ended_at": each.ended_at,
                    "ended_why": each.ended_why,
                }
                for each in current
            ],
        )


def _conditions(query: AlertQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.active is not None:
        conditions.append(AlertRow.ended_at.is_(None) if query.active else AlertRow.ended_at.is_not(None))
    if query.level:
        conditions.append(AlertRow.level == query.level)
    if query.host:
        conditions.append(AlertRow.host == query.host)
    if query.rule:
        conditions.append(AlertRow.rule == query.rule)
    if query.host_ids is not None:
        conditions.append(AlertRow.host_id.in_(query.host_ids))
    if query.before:
        conditions.append(AlertRow.id < query.before)
    return conditions
