"""The verbs of rules: each change is checked, kept and put on record with what was before and after."""

from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import func, select

from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict
from quarterdeck.core.ids import new_id
from quarterdeck.history.service import History
from quarterdeck.metrics.alerts import store
from quarterdeck.metrics.alerts.drafts import DEFAULTS, checked
from quarterdeck.metrics.alerts.models import RuleMark, RuleRow
from quarterdeck.metrics.alerts.rules import Rule

MOST_RULES: Final = 200
"""Each is weighed against each sample of each host that it covers."""
_FIRST: Final = "first-rules"
_FIELDS: Final = (
    "name", "level", "figure", "comparison", "threshold", "duration_seconds", "tag", "enabled",
)  # fmt: skip


class Rulebook:
    """Adds, lists, changes and removes rules; safe for threads, and beside a running master."""

    def __init__(self, db: Database, history: History, clock: Clock) -> None:
        self._db, self._history, self._clock = db, history, clock

    def list_rules(self) -> list[Rule]:
        """Return all rules by name."""
        with self._db.read() as session:
            return store.all_rules(session)

    def get(self, rule_id: str) -> Rule:
        """Return the rule of that id; raises NotFound."""
        with self._db.read() as session:
            return store.find_rule(session, rule_id).record()

    def add(self, actor: Actor, draft: Rule) -> Rule:
        """Add a rule; its ``id`` is made here. Raises Invalid by field, and Conflict for a name in use."""
        rule = replace(checked(draft), id=new_id())
        detail = {"rule": rule.name, "before": {}, "after": fields_of(rule)}
        with (
            self._history.action(actor, "rule.add", f"rule:{rule.id}", detail=detail),
            self._db.write() as session,
        ):
            store.check_free(session, rule.name)
            if (session.scalar(select(func.count()).select_from(RuleRow)) or 0) >= MOST_RULES:
                raise Conflict(f"There are {MOST_RULES} rules; remove one first.")
            session.add(RuleRow(id=rule.id, created_at=self._clock.now(), **_columns(rule)))
        return rule

    def change(self, actor: Actor, rule_id: str, draft: Rule) -> Rule:
        """Make a rule say this. Raises NotFound, Invalid by field, and Conflict for a name in use."""
        before = self.get(rule_id)
        after = replace(checked(draft), id=rule_id)
        if after == before:
            return before
        detail = {"rule": before.name, "before": fields_of(before), "after": fields_of(after)}
        with (
            self._history.action(actor, "rule.change", f"rule:{rule_id}", detail=detail),
            self._db.write() as session,
        ):
            row = store.find_rule(session, rule_id)
            store.check_free(session, after.name, but=rule_id)
            for name, value in _columns(after).items():
                setattr(row, name, value)
        return after

    def switch(self, actor: Actor, rule_id: str, *, enabled: bool) -> Rule:
        """Switch a rule on or off; raises NotFound."""
        return self.change(actor, rule_id, replace(self.get(rule_id), enabled=enabled))

    def remove(self, actor: Actor, rule_id: str) -> Rule:
        """Forget a rule and return what it was; its alerts end. Raises NotFound."""
        rule = self.get(rule_id)
        detail = {"rule": rule.name, "before": fields_of(rule), "after": {}}
        with (
            self._history.action(actor, "rule.remove", f"rule:{rule_id}", detail=detail),
            self._db.write() as session,
        ):
            session.delete(store.find_rule(session, rule_id))
        return rule

    def make_first(self) -> None:
        """Add the rules that a new master begins with, once: what is removed later does not come back."""
        with self._db.read() as session:
            if session.get(RuleMark, _FIRST) is not None:
                return
        taken = {rule.name.casefold() for rule in self.list_rules()}
        for rule in DEFAULTS:
            if rule.name.casefold() not in taken:
                self.add(SYSTEM, rule)
        with self._db.write() as session:
            session.merge(RuleMark(name=_FIRST, made_at=self._clock.now()))


def fields_of(rule: Rule) -> dict[str, Any]:  # Any: JSON
    """Return a rule without its id, as the history and the API tell it."""
    values = asdict(rule)
    return {name: values[name] for name in _FIELDS}


def _columns(rule: Rule) -> dict[str, Any]:  # Any: values of columns
    return fields_of(rule) | {
        "name_key": rule.name.casefold(),
        "level": rule.level.value,
        "comparison": rule.comparison.value,
    }
