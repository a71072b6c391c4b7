"""Time zones: which this machine knows, what a typed name means, and times that are typed in one of them."""

from datetime import UTC, datetime, tzinfo
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

UTC_NAME: Final = "UTC"
_NO_PLACES: Final = frozenset({"Factory", "localtime"})
"""Names of files beside the zones that say nothing to another machine."""
_AREAS: Final = (
    "Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/",
    "Pacific/",
)  # fmt: skip
_MOST_LIKE: Final = 3


@cache
def zone_names() -> tuple[str, ...]:
    """Return every IANA name of the system's database; UTC alone where there is none."""
    return tuple(sorted({UTC_NAME, *available_timezones()} - _NO_PLACES))


@cache
def place_names() -> tuple[str, ...]:
    """Return what is offered to choose from: places and UTC, without the old names of the same zones."""
    return (UTC_NAME, *(name for name in zone_names() if name.startswith(_AREAS)))


@lru_cache(maxsize=64)
def zone_named(name: str) -> tzinfo:
    """Return the zone; UTC for a name that this machine does not know, as after a move to another one."""
    return ZoneInfo(name) if name != UTC_NAME and name in zone_names() else UTC


def read_zone(text: str) -> str:
    """Return the IANA name that was typed, in any case of letters; raises ValueError with the nearest."""
    wanted = "_".join(text.split()).casefold()
    for name in zone_names():
        if name.casefold() == wanted:
            return name
    like = [name for name in place_names() if wanted and wanted in name.casefold()][:_MOST_LIKE]
    nearest = f" Did you mean {' or '.join(like)}?" if like else " Choose one of the list."
    raise ValueError(f"There is no time zone of this name.{nearest}")


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """Return a typed time as a moment: one without a zone of its own is meant in the given one."""
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)
