"""What the edges accept for rules and for lists of alerts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example, parse
from quarterdeck.metrics.alerts.drafts import LONGEST_SECONDS
from quarterdeck.metrics.alerts.rules import LOST, AlertLevel, Comparison, Rule

_NUMBER: Final = "This must be a number."
_MOST: Final = 1e16


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_trimmed), Field(max_length=200)]
Threshold = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False)]
Seconds = Annotated[int, Field(ge=0, le=LONGEST_SECONDS)]


class RuleBody(Form, title="NewRule"):
    """A rule: when what is wrong with the hosts that have the tag, or with all of them without one.

    The threshold is in the unit of the figure; it says nothing for ``lost``.
    """

    model_config = example(
        {
            "name": "Databases short of memory",
            "level": "alert",
            "figure": "memory",
            "threshold": 95,
            "tag": "db",
        }
    )

    name: Text
    level: AlertLevel = AlertLevel.WARN
    figure: Text
    comparison: Comparison = Comparison.ABOVE
    threshold: Threshold = 0
    duration_seconds: Seconds = 0
    tag: Text = ""
    enabled: bool = True

    def draft(self) -> Rule:
        return Rule(id="", **self.model_dump())


class RulePatch(Form, title="RuleChange"):
    """What to change of a rule; what is left out stays."""

    name: Text | None = None
    level: AlertLevel | None = None
    figure: Text | None = None
    comparison: Comparison | None = None
    threshold: Threshold | None = None
    duration_seconds: Seconds | None = None
    tag: Text | None = None
    enabled: bool | None = None

    def applied_to(self, rule: Rule) -> Rule:
        """Return the rule with these changes."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return replace(rule, **given)


class RuleForm(Form):
    """The fields of the page: numbers as people type them, the duration in minutes."""

    name: Text = ""
    level: AlertLevel = AlertLevel.WARN
    figure: Text = ""
    comparison: Comparison = Comparison.ABOVE
    threshold: Text = ""
    minutes: Text = ""
    tag: Text = ""
    enabled: bool = False

    def draft(self) -> Rule:
        """Return what the form asks for; raises Invalid for numbers that are none."""
        faults: dict[str, str] = {}
        threshold = 0.0 if self.figure == LOST else _number(self.threshold, "threshold", faults)
        minutes = _number(self.minutes or "0", "minutes", faults)
        if faults:
            raise Invalid(faults)
        return Rule(
            id="",
            name=self.name,
            level=self.level,
            figure=self.figure,
            comparison=self.comparison,
            threshold=threshold,
            duration_seconds=round(minutes * 60),
            tag=self.tag,
            enabled=self.enabled,
        )


def read_rule_form(values: Mapping[str, str]) -> Rule:
    """Return the rule that a form asks for; raises Invalid with a message for each bad field."""
    return parse(RuleForm, values).draft()


def values_of(rule: Rule) -> dict[str, str]:
    """Return a rule as the fields of the page have it."""
    return {
        "name": rule.name,
        "level": rule.level.value,
        "figure": rule.figure,
        "comparison": rule.comparison.value,
        "threshold": "" if rule.figure == LOST else f"{rule.threshold:g}",
        "minutes": f"{rule.duration_seconds / 60:g}",
        "tag": rule.tag,
        "enabled": "true" if rule.enabled else "",
    }


def _number(text: str, name: str, faults: dict[str, str]) -> float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        faults[name] = _NUMBER
        return 0.0
    if not abs(number) < _MOST:  # too much, infinite, or no number
        faults[name] = _NUMBER
        return 0.0
    return number
