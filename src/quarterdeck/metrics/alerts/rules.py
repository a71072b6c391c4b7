"""What a rule says of a host's figures, and the four steps of an alert: quiet, pending, firing, over. Pure.

A value past its threshold makes a rule pending, and firing once it has been so for the rule's duration. It
is over when the value has been back by a margin for a minute, or at all for ten minutes (or the rule's own
duration, where that is longer): a value that dances on the threshold rings once. No figures say nothing:
neither that it began nor that it is over. Times are in seconds of one clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isnan
from typing import Final

from quarterdeck.metrics.figures import BY_KEY, FIGURES, Unit

LOAD_PER_PROCESSOR: Final = "load-per-processor"
LOST: Final = "lost"
DISK_FULL: Final = "disk-full-by-trend"
_EXTRA: Final = {
    LOAD_PER_PROCESSOR: "Load (1 min) per processor",
    LOST: "Host is lost",
    DISK_FULL: "Hours until a disk is full, by its trend",
}
CHOICES: Final = {figure.key: figure.label for figure in FIGURES} | _EXTRA
"""What a rule may watch, with its name on the page."""

MARGIN_SHARE: Final = 0.05
"""Of the threshold: so far back a value counts as clearly back."""
CLEARLY_BACK_SECONDS: Final = 60.0
BACK_SECONDS: Final = 600.0
GAP_SECONDS: Final = 90.0
"""After so long without a figure, what was pending begins anew."""
NO_FIGURES_SECONDS: Final = 90.0
"""After so long without a figure, an alert is marked."""


class AlertLevel(StrEnum):
    """How bad it is."""

    WARN = "warn"
    ALERT = "alert"


class Comparison(StrEnum):
    """Which side of the threshold is bad."""

    ABOVE = "above"
    BELOW = "below"


class Phase(StrEnum):
    """Where a rule stands on one host."""

    QUIET = "quiet"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When what is wrong with which hosts: those with the tag, all without one.

    ``threshold`` is in the unit of the figure: percent, bytes a second, degrees Celsius, hours for
    ``disk-full-by-trend``; it says nothing for ``lost``.
    """

    id: str
    name: str
    level: AlertLevel
    figure: str
    comparison: Comparison = Comparison.ABOVE
    threshold: float = 0.0
    duration_seconds: int = 0
    tag: str = ""
    enabled: bool = True

    def is_bad(self, value: float) -> bool:
        """Tell whether a value is past the threshold; NaN never is."""
        return value > self.threshold if self.comparison is Comparison.ABOVE else value < self.threshold

    def is_clearly_back(self, value: float) -> bool:
        """Tell whether a value is back by the margin too."""
        margin = abs(self.threshold) * MARGIN_SHARE
        if self.comparison is Comparison.ABOVE:
            return value <= self.threshold - margin
        return value >= self.threshold + margin

    @property
    def back_seconds(self) -> float:
        """How long a value must be back, by however little, until it is over."""
        return max(BACK_SECONDS, float(self.duration_seconds))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands on a host, with the last value that counted and when it came."""

    phase: Phase = Phase.QUIET
    since: float = 0.0
    """When the value went past the threshold."""
    value: float = 0.0
    at: float = 0.0
    back_since: float | None = None
    clear_since: float | None = None


QUIET: Final = Standing()


def step(standing: Standing, rule: Rule, value: float | None, at: float) -> Standing:
    """Return where a rule stands after a value at a moment; None and NaN change nothing.

    Neither does a value that is not newer than the last.
    """
    if value is None or isnan(value) or at <= standing.at:
        return standing
    if standing.phase is Phase.FIRING:
        return _firing(standing, rule, value, at)
    if not rule.is_bad(value):
        return QUIET
    is_continued = standing.phase is Phase.PENDING and at - standing.at <= GAP_SECONDS
    since = standing.since if is_continued else at
    phase = Phase.FIRING if at - since >= rule.duration_seconds else Phase.PENDING
    return Standing(phase, since, value, at)


def has_no_figures(standing: Standing, now: float) -> bool:
    """Tell whether a firing alert rests on a value that is too old to say that it still is so."""
    return standing.phase is Phase.FIRING and now - standing.at > NO_FIGURES_SECONDS


def value_text(figure: str, value: float | None) -> str:
    """Return a value with its unit as people read it; a dash where there is none."""
    if figure == LOST:
        return "lost" if value else "back"
    if value is None or isnan(value):
        return "–"
    if figure == DISK_FULL:
        return f"full in {value:.0f} h" if value >= 10 else f"full in {value:.1f} h"
    if figure not in BY_KEY:
        return f"{value:.2f}"
    known = BY_KEY[figure]
    if known.unit is Unit.RATE:
        return _rate_text(value)
    unit = {Unit.PERCENT: " %", Unit.CELSIUS: " °C"}.get(known.unit, "")
    return f"{value:,.{min(known.decimals, 1 if unit else 2)}f}{unit}"


def condition_text(rule: Rule) -> str:
    """Return when a rule rings: ``Memory above 90 % for 10 min``."""
    lasting = _lasting(rule.duration_seconds)
    if rule.figure == LOST:
        return f"Host is lost{lasting}"
    if rule.figure == DISK_FULL:
        return f"A disk will be full within {rule.threshold:g} h, by its trend{lasting}"
    shown = value_text(rule.figure, rule.threshold).replace(".00", "").replace(".0", "")
    return f"{CHOICES[rule.figure]} {rule.comparison} {shown}{lasting}"


def _lasting(seconds: int) -> str:
    if not seconds:
        return ""
    if seconds % 3600 == 0:
        return f" for {seconds // 3600} h"
    return f" for {seconds // 60} min" if seconds % 60 == 0 else f" for {seconds} s"


def _rate_text(value: float) -> str:
    for unit in ("B/s", "kB/s", "MB/s"):
        if abs(value) < 1000:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB/s"


def _firing(standing: Standing, rule: Rule, value: float, at: float) -> Standing:
    if rule.is_bad(value):
        return replace(standing, value=value, at=at, back_since=None, clear_since=None)
    is_continued = at - standing.at <= GAP_SECONDS
    back = _begun(standing.back_since, at, is_continued=is_continued)
    clear = None
    if rule.is_clearly_back(value):
        clear = _begun(standing.clear_since, at, is_continued=is_continued)
    is_over = at - back >= rule.back_seconds or (clear is not None and at - clear >= CLEARLY_BACK_SECONDS)
    if is_over:
        return replace(QUIET, value=value, at=at)
    return replace(standing, value=value, at=at, back_since=back, clear_since=clear)


def _begun(since: float | None, at: float, *, is_continued: bool) -> float:
    return since if since is not None and is_continued else at
