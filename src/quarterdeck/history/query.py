"""What can be asked of a history, by people, programs and masters alike.

Pure, and without pydantic, because the worker reads queries too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.core.zones import in_zone
from quarterdeck.history.lines import Kind

DEFAULT_LIMIT: Final = 50
MOST_LIMIT: Final = 500
ACTIONS: Final = "actions"
"""As ``kind``: each finished action once, and what is open, denied or an event, without the bookkeeping."""

_LONGEST: Final = 500
_LAST_DAY: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
_FILTERS: Final = ("actor", "action", "object", "host", "kind", "request", "q")
_NAMES: Final = frozenset({*_FILTERS, "since", "until", "limit", "cursor"})


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Filters that all must fit, and where to go on. Empty text means: any."""

    actor: str = ""
    action: str = ""
    """``host.add``, or ``host`` for everything that begins so; several with commas between: any of them."""
    object: str = ""
    """``host:web-1``, or ``host`` for all hosts."""
    host: str = ""
    kind: str = ""
    """One of ``Kind``, or ``actions``."""
    request: str = ""
    q: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = DEFAULT_LIMIT
    cursor: str = ""

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions asked for, any of which fits; empty means any at all."""
        return tuple(filter(None, map(str.strip, self.action.split(","))))

    def filters(self) -> dict[str, str]:
        """Return the filters in use as they stand in a query string."""
        named = {name: getattr(self, name) for name in _FILTERS}
        times = {"since": _written(self.since), "until": _written(self.until)}
        return {name: value for name, value in (named | times).items() if value}


def read_query(
    values: Mapping[str, str], *, also: frozenset[str] = frozenset(), zone: tzinfo = UTC
) -> HistoryQuery:
    """Read a query string; raises Invalid for each bad or unknown name but those in ``also``.

    Times without a zone are meant in the given one.
    """
    faults = {name: "There is no such filter." for name in values if name not in _NAMES | also}
    read: dict[str, object] = {}
    for field in fields(HistoryQuery):
        if not (text := values.get(field.name, "").strip()):
            continue
        try:
            read[field.name] = _read(field.name, text, zone)
        except ValueError as error:
            faults[field.name] = str(error)
    if faults:
        raise Invalid(faults)
    return HistoryQuery(**read)  # type: ignore[arg-type]  # each value was read by its field's name


def read_time(text: str, zone: tzinfo = UTC, *, days_later: int = 0) -> datetime:
    """Read a day or a time of ISO 8601; without a zone it is in the given one. Raises ValueError."""
    try:
        # Days are counted where they are meant: one is not always 24 hours long.
        return in_zone(datetime.fromisoformat(text) + timedelta(days=days_later), zone)
    except (ValueError, OverflowError) as error:
        raise ValueError("Write a day or time such as 2026-07-24 or 2026-07-24T18:30.") from error


def _read(name: str, text: str, zone: tzinfo) -> object:
    if name in ("since", "until"):
        moment = read_time(text, zone)
        # A bare day as the end means the whole of that day.
        is_last_day = name == "until" and len(text) <= len("2026-07-24") and moment < _LAST_DAY
        return read_time(text, zone, days_later=1) if is_last_day else moment
    if name == "limit":
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_LIMIT:
            raise ValueError(f"This must be a whole number from 1 to {MOST_LIMIT}.")
        return int(text)
    if name == "kind" and text not in (ACTIONS, *Kind):
        raise ValueError(f"This must be one of {', '.join((ACTIONS, *Kind))}.")
    if len(text) > _LONGEST:
        raise ValueError(f"This must be at most {_LONGEST} characters long.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("This is no text.")
    return text


def _written(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else ""
