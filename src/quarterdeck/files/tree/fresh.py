"""What a place answered a few seconds ago, which need not be asked again."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from quarterdeck.core.clock import Clock
from quarterdeck.files.tree.flights import Flights
from quarterdeck.files.tree.kept import Kept

MOST_ANSWERS: Final = 2_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a place has answered, and when."""

    value: T
    at: float
    asked_at: datetime


class Answers(Generic[T]):
    """Answers that count as fresh for some seconds; a failure is never kept."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._kept: Kept[Answer[T]] = Kept(MOST_ANSWERS)
        self._flights: Flights[Answer[T]] = Flights()

    def known(self, key: Hashable) -> Answer[T] | None:
        """Return the latest answer, however old it is."""
        return self._kept.get(key)

    def ask(self, key: Hashable, call: Callable[[], T]) -> Answer[T]:
        """Return a fresh answer, or call for one."""
        known = self._kept.get(key)
        if known is not None and self._clock.monotonic() - known.at < self._seconds:
            return known
        return self._flights.call(key, lambda: self._call(key, call))

    def forget(self, key: Hashable) -> None:
        self._kept.forget(key)

    def _call(self, key: Hashable, call: Callable[[], T]) -> Answer[T]:
        at, asked_at = self._clock.monotonic(), self._clock.now()
        answer = Answer(call(), at, asked_at)
        self._kept.put(key, answer)
        return answer
