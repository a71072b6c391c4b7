"""The figures that are kept of every host, in the order in which stores and charts hold them."""

from dataclasses import dataclass
from enum import StrEnum
from math import nan
from typing import Final


class Unit(StrEnum):
    """What a figure counts."""

    PERCENT = "percent"
    RATE = "bytes a second"
    CELSIUS = "degrees Celsius"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; a change smaller than ``step`` is not worth sending, nor more than ``decimals`` of it."""

    key: str
    label: str
    unit: Unit
    step: float
    decimals: int = 1


FIGURES: Final = (
    Figure("cpu", "CPU", Unit.PERCENT, 0.5),
    Figure("cpu_wait", "CPU waiting for disks", Unit.PERCENT, 0.5),
    Figure("load", "Load (1 min)", Unit.NUMBER, 0.05, 2),
    Figure("memory", "Memory", Unit.PERCENT, 0.2),
    Figure("swap", "Swap", Unit.PERCENT, 0.2),
    Figure("disk", "Fullest disk", Unit.PERCENT, 0.05, 2),
    Figure("disk_read", "Disk reads", Unit.RATE, 4096, 0),
    Figure("disk_write", "Disk writes", Unit.RATE, 4096, 0),
    Figure("received", "Network in", Unit.RATE, 1024, 0),
    Figure("sent", "Network out", Unit.RATE, 1024, 0),
    Figure("processes", "Processes", Unit.NUMBER, 1, 0),
    Figure("temperature", "Hottest sensor", Unit.CELSIUS, 0.5),
)
"""A new one goes to the end: stored rows are read by place."""
KEYS: Final = tuple(figure.key for figure in FIGURES)
BY_KEY: Final = {figure.key: figure for figure in FIGURES}

Row = tuple[float, ...]
"""One value for each figure in the order of FIGURES; NaN where there is none."""


def row_of(values: dict[str, float]) -> Row:
    """Return the values in the order of FIGURES; names that are no figures are passed over."""
    return tuple(values.get(key, nan) for key in KEYS)
