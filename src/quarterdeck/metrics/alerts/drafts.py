"""What makes a rule: its fields checked, and the rules that a new master begins with."""

from dataclasses import replace
from math import isfinite
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.drafts import read_tags
from quarterdeck.metrics.alerts.models import NAME_LENGTH
from quarterdeck.metrics.alerts.rules import (
    CHOICES,
    DISK_FULL,
    LOAD_PER_PROCESSOR,
    LOST,
    AlertLevel,
    Comparison,
    Rule,
)
from quarterdeck.metrics.figures import BY_KEY, Unit

LONGEST_SECONDS: Final = 86_400
MOST_THRESHOLD: Final = 1e15
MOST_HOURS: Final = 24 * 90

DEFAULTS: Final = (
    Rule(
        id="",
        name="A disk will be full in 24 h",
        level=AlertLevel.WARN,
        figure=DISK_FULL,
        comparison=Comparison.BELOW,
        threshold=24,
        duration_seconds=1800,
    ),
    Rule(
        id="",
        name="Disk above 90 %",
        level=AlertLevel.WARN,
        figure="disk",
        threshold=90,
        duration_seconds=300,
    ),
    Rule(
        id="",
        name="Disk above 95 %",
        level=AlertLevel.ALERT,
        figure="disk",
        threshold=95,
        duration_seconds=300,
    ),
    Rule(
        id="",
        name="Memory above 90 %",
        level=AlertLevel.WARN,
        figure="memory",
        threshold=90,
        duration_seconds=600,
    ),
    Rule(
        id="",
        name="Load above 2 per processor",
        level=AlertLevel.WARN,
        figure=LOAD_PER_PROCESSOR,
        threshold=2,
        duration_seconds=900,
    ),
    Rule(id="", name="Host lost", level=AlertLevel.ALERT, figure=LOST),
)


def checked(draft: Rule) -> Rule:
    """Return the rule with its fields as they are kept; raises Invalid with a message for each bad one."""
    faults: dict[str, str] = {}
    name = " ".join(draft.name.split())
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
        faults["name"] = f"Use 1 to {NAME_LENGTH} visible characters."
    if draft.figure not in CHOICES:
        faults["figure"] = f"Use one of {', '.join(CHOICES)}."
    elif fault := _fault_of_threshold(draft):
        faults["threshold"] = fault
    if not 0 <= draft.duration_seconds <= LONGEST_SECONDS:
        faults["duration_seconds"] = f"Use 0 to {LONGEST_SECONDS:,} seconds (a day)."
    try:
        tags = read_tags((draft.tag,) if draft.tag else ())
    except ValueError as error:
        faults["tag"] = str(error)
    if faults:
        raise Invalid(faults)
    return _as_kept(replace(draft, name=name, tag=tags[0] if tags else ""))


def _as_kept(rule: Rule) -> Rule:
    """Return the rule without what says nothing for its figure, so that equal rules look equal."""
    if rule.figure == LOST:
        return replace(rule, comparison=Comparison.ABOVE, threshold=0.0)
    if rule.figure == DISK_FULL:
        return replace(rule, comparison=Comparison.BELOW)
    return rule


def _fault_of_threshold(draft: Rule) -> str:
    value = draft.threshold
    if draft.figure == LOST:
        return ""
    if draft.figure == DISK_FULL:
        return "" if 0 < value <= MOST_HOURS else f"Use more than 0 and at most {MOST_HOURS:,} hours."
    if not isfinite(value) or abs(value) > MOST_THRESHOLD:
        return "Use a number."
    figure = BY_KEY.get(draft.figure)
    if figure and figure.unit is Unit.PERCENT:
        return "" if 0 <= value <= 100 else "Use a share from 0 to 100 percent."
    if figure and figure.unit is Unit.CELSIUS:
        return ""
    return "" if value >= 0 else "Use 0 or more."
