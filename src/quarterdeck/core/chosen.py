"""What somebody chose for the look of the pages."""

from dataclasses import dataclass
from typing import Final

SYSTEM_THEME: Final = "system"
"""Follows what the browser or its system prefers."""
THEMES: Final = (SYSTEM_THEME, "light", "dark")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Empty where nothing was chosen."""

    display_name: str = ""
    theme: str = ""
    time_zone: str = ""
