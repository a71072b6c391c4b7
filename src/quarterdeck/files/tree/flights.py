"""One call for many who ask the same at once."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from quarterdeck.core.errors import Busy, QuarterdeckError

T = TypeVar("T")


class Flights(Generic[T]):
    """Lets the first one call, and gives the others what came of it, also an error; keeps nothing after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Hashable, Future[T]] = {}

    def call(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returns, called here or by whoever asked first."""
        with self._lock:
            flight = self._open.get(key)
            is_first = flight is None
            if flight is None:
                flight = self._open[key] = Future()
        if is_first:
            self._fly(key, flight, make)
        return flight.result()

    def _fly(self, key: Hashable, flight: "Future[T]", make: Callable[[], T]) -> None:
        try:
            flight.set_result(make())
        except QuarterdeckError as error:
            flight.set_exception(error)
        finally:
            with self._lock:
                del self._open[key]
            if not flight.done():  # a fault, which goes on to whoever called first
                flight.set_exception(Busy("What was asked for at the same time failed; try again."))
