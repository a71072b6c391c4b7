"""How things are told on a page: states with icon and tone, sizes, durations, ages."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Look:
    """An icon and a tone for a word; the word itself is always shown, so colour is never alone."""

    icon: str
    tone: str


STATES: Final = {
    # runs
    "queued": Look(icon="hourglass", tone="quiet"),
    "connecting": Look(icon="plug", tone="active"),
    "running": Look(icon="play-fill", tone="active"),
    "cancelling": Look(icon="slash-circle", tone="warning"),
    "succeeded": Look(icon="check-circle-fill", tone="success"),
    "failed": Look(icon="x-octagon-fill", tone="error"),
    "timed-out": Look(icon="stopwatch-fill", tone="error"),
    "cancelled": Look(icon="slash-circle", tone="quiet"),
    "lost": Look(icon="question-diamond-fill", tone="error"),
    # hosts
    "well": Look(icon="check-circle-fill", tone="success"),
    "late": Look(icon="exclamation-triangle-fill", tone="warning"),
    "unknown": Look(icon="question-circle", tone="quiet"),
    # history
    "ok": Look(icon="check-circle-fill", tone="success"),
    "denied": Look(icon="shield-fill-x", tone="error"),
    "intent": Look(icon="arrow-right-circle", tone="active"),
    "outcome": Look(icon="flag-fill", tone="quiet"),
    "event": Look(icon="dot", tone="quiet"),
    "open": Look(icon="arrow-right-circle", tone="active"),
    # toasts
    "info": Look(icon="info-circle-fill", tone="info"),
    "success": Look(icon="check-circle-fill", tone="success"),
    "warning": Look(icon="exclamation-triangle-fill", tone="warning"),
    "error": Look(icon="x-octagon-fill", tone="error"),
    # people, tokens and what can be switched
    "active": Look(icon="check-circle-fill", tone="success"),
    "invited": Look(icon="envelope", tone="info"),
    "disabled": Look(icon="slash-circle", tone="quiet"),
    "locked": Look(icon="lock-fill", tone="warning"),
    "expired": Look(icon="clock-history", tone="quiet"),
    "revoked": Look(icon="slash-circle", tone="quiet"),
}
_STEPS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_OTHER: Final = Look(icon="dot", tone="quiet")


def look_of(word: object) -> Look:
    """Return the look of a state; a word that is not known looks quiet."""
    return STATES.get(str(word), _OTHER)


def size_text(count: int | None) -> str:
    """Return bytes as people read them: ``812 B``, ``4.2 MB``."""
    if count is None:
        return "–"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("the last unit always answers")


def duration_text(seconds: float | None) -> str:
    """Return a length of time with at most two units: ``0.42 s``, ``3 min 5 s``, ``2 d 4 h``."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return _two_units(int(seconds))


def _two_units(seconds: int) -> str:
    for size, name, smaller, smaller_name in _STEPS:
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            tail = f" {rest // smaller} {smaller_name}" if rest // smaller else ""
            return f"{whole} {name}{tail}"
    return f"{seconds} s"


def age_text(moment: datetime | None, now: datetime) -> str:
    """Return how long ago something was; the script on the page says it in the same words."""
    if moment is None:
        return "never"
    passed = now - moment
    if abs(passed) < timedelta(seconds=5):
        return "just now"
    text = _largest_unit(int(abs(passed).total_seconds()))
    return f"in {text}" if passed < timedelta(0) else f"{text} ago"


def _largest_unit(seconds: int) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def utc_text(moment: datetime | None) -> str:
    """Return a time as it stands without script."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"
