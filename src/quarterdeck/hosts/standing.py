"""The rules of a host's state: when it is late, lost or back, when it flaps, when its clock is off. Pure.

A host that was lost is well again after two answers in a row, so that one packet that got through is not
taken for a return. One that is late needs a single one: it was never given up.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from quarterdeck.hosts.models import HostState

LATE_AFTER: Final = 2
LOST_AFTER: Final = 4
GOOD_AFTER_LOST: Final = 2
FLAPPING_CHANGES: Final = 6
"""So many changes of state within ``FLAPPING_SECONDS``: two losses with their returns, for one."""
FLAPPING_SECONDS: Final = 600.0
STEADY_SECONDS: Final = 300.0
"""A host that flaps is steady again after so long without a change."""
SKEW_BEGINS_SECONDS: Final = 5.0
SKEW_ENDS_SECONDS: Final = 3.0
SKEW_TIMES: Final = 3
"""So many measurements in a row must say the same: one that was held up on its way says nothing."""
_SKEW_STEP_SECONDS: Final = 1.0
_SKEW_STEP_SHARE: Final = 0.1

ANSWERS_AGAIN: Final = "It answers again, and counts as well after one more answer."


@dataclass(frozen=True, slots=True)
class Standing:
    """A host's state, and how many answers in a row it has missed, or given since it was lost."""

    state: HostState
    missed: int = 0
    good: int = 0


def after_miss(standing: Standing) -> Standing:
    """Return where a host stands that did not answer; what is known to be worse stays."""
    missed = standing.missed + 1
    if standing.state in (HostState.LOST, HostState.REVOKED):
        return Standing(standing.state, missed)
    if missed >= LOST_AFTER:
        return Standing(HostState.LOST, missed)
    return Standing(HostState.LATE if missed >= LATE_AFTER else standing.state, missed)


def after_answer(standing: Standing) -> Standing:
    """Return where a host stands that answered, or sent a heartbeat."""
    if standing.state is HostState.REVOKED:
        return standing
    good = standing.good + 1
    if standing.state is HostState.LOST and good < GOOD_AFTER_LOST:
        return Standing(HostState.LOST, good=good)
    return Standing(HostState.WELL)


@dataclass(frozen=True, slots=True)
class Flapping:
    """The times of a host's latest changes of state, by a clock that nobody sets."""

    changes: tuple[float, ...] = ()
    is_on: bool = False


def after_change(flapping: Flapping, now: float) -> Flapping:
    """Return whether a host flaps, after one more change of its state."""
    recent = tuple(at for at in flapping.changes if at > now - FLAPPING_SECONDS)
    changes = (*recent, now)[-FLAPPING_CHANGES:]
    return Flapping(changes, flapping.is_on or len(changes) == FLAPPING_CHANGES)


def is_steady(flapping: Flapping, now: float) -> bool:
    """Tell whether the last change is long ago."""
    return not flapping.changes or now - flapping.changes[-1] >= STEADY_SECONDS


@dataclass(frozen=True, slots=True)
class Skew:
    """By how many seconds a clock is ahead of the master's (negative: behind); None is close enough."""

    seconds: float | None = None
    differing: int = 0
    """How many measurements in a row say something else."""


NO_SKEW: Final = Skew()


def after_measure(skew: Skew, seconds: float) -> Skew:
    """Return what is known of a clock after one more measurement."""
    if not isfinite(seconds):
        return skew
    bound = SKEW_BEGINS_SECONDS if skew.seconds is None else SKEW_ENDS_SECONDS
    measured = round(seconds, 1) if abs(seconds) > bound else None
    if _is_same(skew.seconds, measured):
        return skew if not skew.differing else Skew(skew.seconds)
    differing = skew.differing + 1
    return Skew(measured) if differing >= SKEW_TIMES else Skew(skew.seconds, differing)


def _is_same(known: float | None, measured: float | None) -> bool:
    if known is None or measured is None:
        return known is measured
    return abs(known - measured) < max(_SKEW_STEP_SECONDS, _SKEW_STEP_SHARE * abs(known))


def skew_text(seconds: float | None) -> str:
    """Say by how much a clock is off, in a sentence; an empty text for one that is right."""
    if seconds is None:
        return ""
    return f"Its clock is {_span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} the master’s."


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
