"""Which time a reader asks for: a length that ends now, or from when until when."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.core.zones import in_zone

RANGES: Final = {"10m": 600, "1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "1y": 31_622_400}
"""What the pages offer, with the length in seconds."""
NAMES: Final = {
    "10m": "10 minutes",
    "1h": "1 hour",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "1y": "1 year",
}
LIVE: Final = ("10m", "1h")
"""Ranges that a page extends as samples come in."""
_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_622_400}
_LENGTH: Final = re.compile(r"([1-9]\d{0,5})([mhdwy])\Z")
_SECONDS: Final = re.compile(r"\d{1,11}(\.\d{1,6})?\Z")
_LONGEST_DAYS: Final = 3_700
_HOW_LONG: Final = "Write a number and m, h, d, w or y, such as 90m or 7d."
_WHEN: Final = "Write a time such as 2026-11-22T08:00:00Z, or seconds since 1970."


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, in seconds since 1970."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        return self.until - self.since


def read_span(
    length: str, since: str, until: str, *, now: float, zone: tzinfo = UTC, default: str = "1h"
) -> Span:
    """Return the time that was asked for; raises Invalid with what to write instead."""
    if length and since:
        raise Invalid({"range": "Leave it out when from says where to begin."})
    end = _moment("to", until, zone) if until else now
    begin = _moment("from", since, zone) if since else end - _length(length or default)
    span = Span(begin, end)
    if span.seconds <= 0:
        raise Invalid({"from": "This must be before to, which is now when it is left out."})
    if span.seconds > _LONGEST_DAYS * 86_400:
        name = "from" if since else "range"
        raise Invalid({name: f"Ask for {_LONGEST_DAYS:,} days at most."})
    return span


def _length(text: str) -> int:
    found = _LENGTH.match(text)
    if not found:
        raise Invalid({"range": _HOW_LONG})
    return int(found[1]) * _UNITS[found[2]]


def _moment(name: str, text: str, zone: tzinfo) -> float:
    if _SECONDS.match(text):
        return float(text)
    try:
        # A "+" of an offset that was not encoded arrives as a space.
        moment = in_zone(
            datetime.fromisoformat(text.strip().replace(" ", "T" if "T" not in text else "+")), zone
        )
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid({name: _WHEN}) from error
