"""What the list says of an action: what it was about, where, and how it ended, from its two entries."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from quarterdeck.history.lines import Entry, Kind
from quarterdeck.history.reader import HistoryPage

_PLACES: Final = {"host": "/hosts/", "run": "/runs/", "person": "/people/"}
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,62}\Z", re.ASCII)
_TITLES: Final = ("title", "command", "url")
_NOTES: Final = ("error", "reason", "message", "forced")
_LONGEST: Final = 200
OPEN: Final = "open"
"""The result of an action whose outcome is not on record yet."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action: its outcome with the intent where that is known, or an entry that stands alone."""

    entry: Entry
    intent: Entry | None

    @property
    def result(self) -> str:
        return OPEN if self.entry.kind is Kind.INTENT else self.entry.result

    @property
    def title(self) -> str:
        """What was run, or the object without the word for its kind."""
        kind, _, name = self.entry.object.partition(":")
        return _first(self._details, _TITLES) or (name if self.place else "") or kind

    @property
    def is_command(self) -> bool:
        return bool(_first(self._details, _TITLES))

    @property
    def place(self) -> str:
        return place_of(self.entry.object)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts it is about, unless the title names the only one."""
        entry = self.intent or self.entry
        return entry.hosts if entry.hosts != (self.title,) else ()

    @property
    def note(self) -> str:
        """Why it failed, or what else tells most."""
        return _first(self._details, _NOTES) or shortened("; ".join(_failures(self.entry.detail)))

    @property
    def seconds(self) -> float | None:
        return (self.entry.at - self.intent.at).total_seconds() if self.intent else None

    @property
    def _details(self) -> list[Mapping[str, object]]:
        return [self.entry.detail, *([self.intent.detail] if self.intent else [])]


def rows_of(page: HistoryPage) -> Iterator[ActionRow]:
    return (ActionRow(entry, page.begun.get(entry.id)) for entry in page.entries)


def place_of(object_: str) -> str:
    """Return the address of the page that an object has, or nothing."""
    kind, _, name = object_.partition(":")
    return f"{_PLACES[kind]}{quote(name)}" if kind in _PLACES and _NAME.match(name) else ""


def shortened(text: str) -> str:
    return f"{text[:_LONGEST]}…" if len(text) > _LONGEST else text


def _failures(detail: Mapping[str, object]) -> Iterator[str]:
    """Yield what a run's record says of each host on which it did not succeed."""
    results = detail.get("results")
    for result in results if isinstance(results, list) else ():
        if not isinstance(result, dict) or result.get("state") == "succeeded":
            continue
        message = result.get("message") or (
            f"exit {result['exit_status']}" if result.get("exit_status") is not None else result.get("state")
        )
        yield f"{result.get('host')}: {message}"


def _first(details: list[Mapping[str, object]], names: tuple[str, ...]) -> str:
    """Return the first text under one of the names."""
    found = (detail[name] for name in names for detail in details if detail.get(name))
    return next((shortened(value) for value in found if isinstance(value, str)), "")
