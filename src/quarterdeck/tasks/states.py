"""The states of a run, for each host and for the run as a whole. Nothing else decides about them."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class RunState(StrEnum):
    """Where a task stands on one host; the run's own state is derived from those."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset(
    {RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CANCELLED, RunState.LOST}
)
_PROGRESS: Final = {
    RunState.QUEUED: 0,
    RunState.CONNECTING: 1,
    RunState.RUNNING: 2,
    RunState.CANCELLING: 3,
}
_WORST_FIRST: Final = (
    RunState.LOST,
    RunState.FAILED,
    RunState.TIMED_OUT,
    RunState.CANCELLED,
    RunState.SUCCEEDED,
)


def advance(current: RunState, new: RunState) -> RunState:
    """Return the state after a report, which may be late, repeated or out of order.

    A terminal state never changes again, and an unfinished task never goes back.
    """
    if current in TERMINAL:
        return current
    if new in TERMINAL:
        return new
    return new if _PROGRESS[new] > _PROGRESS[current] else current


def overall(states: Iterable[RunState]) -> RunState:
    """Return the run's state from those of its hosts; a run without hosts is queued.

    While a host is unfinished the run is: being cancelled if any host is, running once any host has
    begun or ended, connecting before that. At the end the worst of its hosts' states is the run's.
    """
    present = set(states)
    unfinished = present - TERMINAL
    if not present:
        return RunState.QUEUED
    if not unfinished:
        return next(state for state in _WORST_FIRST if state in present)
    furthest = max(unfinished, key=_PROGRESS.__getitem__)
    if unfinished == present or furthest is RunState.CANCELLING:
        return furthest
    return RunState.RUNNING
