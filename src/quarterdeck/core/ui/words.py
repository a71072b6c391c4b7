"""How things are told on a page: states with icon and tone, counts, sizes, durations, ages, times.

Words that are put together with a value are put together here and nowhere else (docs/translating.md).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

LANGUAGE: Final = "en"
"""Of all pages; docs/translating.md says what another one would take."""
NEVER: Final = "never"
JUST_NOW: Final = "just now"
AGO: Final = "{age} ago"
AHEAD: Final = "in {age}"


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
    # alerts
    "warn": Look(icon="exclamation-triangle-fill", tone="warning"),
    "alert": Look(icon="x-octagon-fill", tone="error"),
    # history
    "ok": Look(icon="check-circle-fill", tone="success"),
    "denied": Look(icon="shield-fill-x", tone="error"),
    "intent": Look(icon="arrow-right-circle", tone="active"),
    "outcome": Look(icon="flag-fill", tone="quiet"),
    "event": Look(icon="dot", tone="quiet"),
    "open": Look(icon="arrow-right-circle", tone="active"),
    # changes of files
    "committed": Look(icon="check-circle-fill", tone="info"),
    "proposed": Look(icon="hourglass", tone="active"),
    "merged": Look(icon="check-circle-fill", tone="success"),
    "declined": Look(icon="x-octagon-fill", tone="error"),
    "discarded": Look(icon="slash-circle", tone="quiet"),
    # toasts
    "info": Look(icon="info-circle-fill", tone="info"),
    "success": Look(icon="check-circle-fill", tone="success"),
    "warning": Look(icon="exclamation-triangle-fill", tone="warning"),
    "error": Look(icon="x-octagon-fill", tone="error"),
    # people, tokens and what can be switched
    "active": Look(icon="check-circle-fill", tone="success"),
    "invited": Look(icon="envelope", tone="info"),
    "service": Look(icon="key", tone="quiet"),
    "disabled": Look(icon="slash-circle", tone="quiet"),
    "locked": Look(icon="lock-fill", tone="warning"),
    "expired": Look(icon="stopwatch-fill", tone="quiet"),
    "revoked": Look(icon="slash-circle", tone="quiet"),
    # identity providers
    "answers": Look(icon="check-circle-fill", tone="success"),
    "does not answer": Look(icon="x-octagon-fill", tone="error"),
    "not asked yet": Look(icon="question-circle", tone="quiet"),
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


def noun(count: int, one: str, many: str = "") -> str:
    """Return the form of a word that goes with a number; English has two."""
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 account``, ``2,000 accounts``."""
    return f"{count:,} {noun(count, one, many)}"


def say(sentence: str, **values: object) -> str:
    """Return a whole sentence with values at their named places, which another language puts elsewhere."""
    return sentence.format(**values)


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
        return NEVER
    passed = now - moment
    if abs(passed) < timedelta(seconds=5):
        return JUST_NOW
    age = _largest_unit(int(abs(passed).total_seconds()))
    return say(AHEAD if passed < timedelta(0) else AGO, age=age)


def _largest_unit(seconds: int) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def time_text(moment: datetime | None, zone: tzinfo) -> str:
    """Return a time in the reader's zone, with the zone: ``2026-11-22 09:00:00 CET``."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" if moment else NEVER


def time_title(moment: datetime, zone: tzinfo) -> str:
    """Return a time with the full name of the reader's zone, and in UTC where that is another one."""
    if zone is UTC:
        return time_text(moment, UTC)
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S} {zone}, {time_text(moment, UTC)}"


def clock_text(moment: datetime, zone: tzinfo) -> str:
    """Return the time of the day alone, where many stand in a column."""
    return f"{moment.astimezone(zone):%H:%M:%S}"


def utc_stamp(moment: datetime) -> str:
    """Return a time for programs, in UTC: what stands in ``datetime`` of a page."""
    return moment.astimezone(UTC).isoformat()
