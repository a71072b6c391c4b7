"""How many calls of the last hour a place has had from here, and when it may be asked again."""

import threading
from collections import deque
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.files.places.place import Budget

HOUR_SECONDS: Final = 3600.0
LEAST_WAIT_SECONDS: Final = 30
_MOST_KEPT: Final = 20_000
_MOST_DOUBLINGS: Final = 4


class Allowance:
    """A rolling hour of calls. Several clients may share one, since limits belong to the credential.

    ``limit`` is what the place allows in an hour, 0 when nobody knows; headers of answers correct it.
    """

    def __init__(self, clock: Clock, limit: int = 0) -> None:
        self._clock = clock
        self._limit = limit
        self._calls: deque[float] = deque(maxlen=_MOST_KEPT)
        self._lock = threading.Lock()
        self._is_near_limit = False
        self._refusals = 0
        self._closed_until = 0.0

    def count(self) -> None:
        """Note that a request is about to be sent."""
        with self._lock:
            self._calls.append(self._clock.monotonic())

    def learn(self, limit: str, near_limit: str) -> None:
        """Take over what the headers ``X-RateLimit-Limit`` and ``X-RateLimit-NearLimit`` say."""
        with self._lock:
            if limit.isascii() and limit.isdigit() and 0 < len(limit) < 8 and int(limit):
                self._limit = int(limit)
            if near_limit:
                self._is_near_limit = near_limit.lower() == "true"

    def budget(self) -> Budget:
        """Return the calls made and allowed."""
        with self._lock:
            self._forget()
            is_near = self._is_near_limit or (self._limit > 0 and len(self._calls) * 10 >= self._limit * 9)
            return Budget(len(self._calls), self._limit, is_near)

    def seconds_until_free(self) -> int:
        """Return for how long nothing costly may be asked, 0 when it may be asked now.

        A small reserve below the limit is left for what is cheap and matters: to commit an edit.
        """
        with self._lock:
            self._forget()
            now = self._clock.monotonic()
            if now < self._closed_until:
                return max(1, round(self._closed_until - now))
            return self._seconds_until(self._limit - self._limit // 20) if self._limit else 0

    def refused(self, told_seconds: int | None) -> int:
        """Note a 429 and return the seconds to wait: as told, until our oldest call falls out, or a guess."""
        with self._lock:
            self._forget()
            self._refusals += 1
            guess = LEAST_WAIT_SECONDS << min(self._refusals - 1, _MOST_DOUBLINGS)
            own = self._seconds_until(self._limit) if self._limit else 0
            seconds = told_seconds or max(LEAST_WAIT_SECONDS, own or guess)
            seconds = min(seconds, int(HOUR_SECONDS))
            self._closed_until = self._clock.monotonic() + seconds
            return seconds

    def accepted(self) -> None:
        """Note that the place answers again."""
        with self._lock:
            self._refusals = 0
            self._closed_until = 0.0

    def _forget(self) -> None:
        start = self._clock.monotonic() - HOUR_SECONDS
        while self._calls and self._calls[0] <= start:
            self._calls.popleft()

    def _seconds_until(self, limit: int) -> int:
        """Return in how many seconds one call more keeps within a limit."""
        excess = len(self._calls) - limit
        if excess < 0:
            return 0
        oldest = self._calls[min(excess, len(self._calls) - 1)]
        return max(1, round(oldest + HOUR_SECONDS - self._clock.monotonic()))
