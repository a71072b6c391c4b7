"""Clients, and foreign text about them made fit to keep and to show."""

import unicodedata
from dataclasses import dataclass
from typing import Final

from quarterdeck.core.actors import NOBODY, Actor

_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class Client:
    """The browser at the other end, as it says itself."""

    address: str = ""
    user_agent: str = ""

    @property
    def nobody(self) -> Actor:
        return Actor(NOBODY.kind, NOBODY.name, self.address)


def plain(text: str, limit: int) -> str:
    """Return the text as one line without control, bidi and other invisible characters, cut to a length."""
    visible = (" " if unicodedata.category(each)[0] in "CZ" else each for each in text[: limit * 4])
    return " ".join("".join(visible).split())[:limit]


def device_of(user_agent: str) -> str:
    """Return the browser and system that a client claims to be: ``Firefox on Linux``."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"
