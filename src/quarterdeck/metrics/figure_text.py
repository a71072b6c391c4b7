"""Figures as people read them; the script of the fleet says them in the same words."""

from collections.abc import Callable
from typing import Final

from quarterdeck.core.ui.words import size_text
from quarterdeck.metrics.figures import FIGURES, Unit

NONE: Final = "–"
HIGH: Final = 90.0
"""Percent from which a share is marked."""
_BAR_STEPS: Final = 20


def figure_text(key: str, value: float | None) -> str:
    """Return a figure with its unit: ``41.5 %``, ``0.26``, ``1.2 MB``; rates leave the second out."""
    if value is None:
        return NONE
    return _WORDS[key](value)


def bar_class(value: float | None) -> str:
    """Return the class that draws a share as a bar, in twentieths; ``high`` is a mark beside it."""
    if value is None:
        return ""
    bar = f"b{min(_BAR_STEPS, max(0, round(value * _BAR_STEPS / 100)))}"
    return f"{bar} high" if value >= HIGH else bar


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _rate(value: float) -> str:
    return size_text(round(value))


def _celsius(value: float) -> str:
    return f"{value:.1f} °C"


def _number(decimals: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{decimals}f}"


_BY_UNIT: Final = {Unit.PERCENT: _percent, Unit.RATE: _rate, Unit.CELSIUS: _celsius}
_WORDS: Final = {figure.key: _BY_UNIT.get(figure.unit) or _number(figure.decimals) for figure in FIGURES}
