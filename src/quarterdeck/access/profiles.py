"""What people choose for themselves: the name they are shown by, colours, time zone."""

import unicodedata
from typing import Any, Final

from quarterdeck.access.models import DISPLAY_NAME_LENGTH, Person, PersonRecord
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.chosen import SYSTEM_THEME, THEMES, Chosen
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.core.zones import read_zone
from quarterdeck.history.service import History

_JOINERS: Final = "\u200c\u200d"
"""Invisible, and yet a part of names in Persian and in the scripts of India."""


class Profiles:
    """Reads and changes profiles; each change is on record with what was there before."""

    def __init__(self, db: Database, history: History) -> None:
        self._db = db
        self._history = history

    def chosen_by(self, actor: Actor) -> Chosen:
        """Return what the person behind an actor chose; nothing for those who are no people."""
        if actor.person_id is None:
            return Chosen()
        with self._db.read() as session:
            person = session.get(Person, actor.person_id)
        if person is None:
            return Chosen()
        return Chosen(person.display_name, person.theme or SYSTEM_THEME, person.time_zone)

    def choose_theme(self, actor: Actor, theme: str) -> None:
        """Remember the colours for a person; does nothing for others, a person's token too."""
        if actor.kind is ActorKind.PERSON:
            self.change(actor, theme=theme)

    def change(
        self,
        actor: Actor,
        *,
        display_name: str | None = None,
        theme: str | None = None,
        time_zone: str | None = None,
    ) -> PersonRecord:
        """Change what is given of the actor's own profile; raises Invalid by field, NotFound."""
        given = {"display_name": display_name, "theme": theme, "time_zone": time_zone}
        wanted = _checked({name: value for name, value in given.items() if value is not None})
        with self._db.read() as session:
            person = session.get(Person, actor.person_id) if actor.person_id else None
        if person is None:
            raise NotFound(f"{actor.label} is not a person and has no profile.")
        if all(getattr(person, name) == value for name, value in wanted.items()):
            return person.record()
        with (
            self._history.action(actor, "person.profile", f"person:{person.name}") as outcome,
            self._db.write() as session,
        ):
            current = session.get_one(Person, person.id, with_for_update=True)
            changed = {name: value for name, value in wanted.items() if getattr(current, name) != value}
            outcome["before"] = {name: _told(name, getattr(current, name)) for name in changed}
            outcome["after"] = {name: _told(name, value) for name, value in changed.items()}
            for name, value in changed.items():
                setattr(current, name, value)
        return current.record()


def _checked(wanted: dict[str, str]) -> dict[str, str]:
    """Return the values as they are stored; raises Invalid with a message for each bad one."""
    readers = {"display_name": _display_name, "theme": _theme, "time_zone": _time_zone}
    checked: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name, value in wanted.items():
        try:
            checked[name] = readers[name](value)
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise Invalid(faults)
    return checked


def _display_name(text: str) -> str:
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if any(unicodedata.category(each)[0] in "CZ" and each not in " " + _JOINERS for each in name):
        raise ValueError("Use visible characters only: no control or direction-changing ones.")
    if len(name) > DISPLAY_NAME_LENGTH:
        raise ValueError(f"This must be at most {DISPLAY_NAME_LENGTH} characters long.")
    return name.strip(_JOINERS)


def _theme(text: str) -> str:
    if text not in THEMES:
        raise ValueError(f"Choose one of {', '.join(THEMES)}.")
    return "" if text == SYSTEM_THEME else text


def _time_zone(text: str) -> str:
    return read_zone(text) if text.strip() else ""


def _told(name: str, value: Any) -> str:  # Any: a column's value; all three are text
    """Return a value in words for the record: an empty theme means the system's."""
    return SYSTEM_THEME if name == "theme" and not value else str(value)
