"""How long a simulated host takes to answer, and when it takes no more connections."""

import random
from dataclasses import dataclass
from typing import Final, Self

from quarterdeck.tasks.simulation.fleet import Manner, SimulatedHost

_SLOW_SECONDS: Final = (2.0, 8.0)


class Latency:
    """Pauses around a mean; those of slow hosts are seconds."""

    def __init__(self, mean_milliseconds: float, seed: int) -> None:
        self._mean = mean_milliseconds / 1000
        self._chance = random.Random(f"{seed}/latency")  # noqa: S311 - a simulation, no secret

    def network_seconds(self) -> float:
        """Return how long one answer is on its way."""
        return self._mean * self._chance.uniform(0.5, 1.5)

    def command_seconds(self, host: SimulatedHost) -> float:
        """Return how long a command takes before its first output."""
        slow = self._chance.uniform(*_SLOW_SECONDS) if host.manner is Manner.SLOW else 0.0
        return self.network_seconds() + slow


@dataclass(frozen=True, slots=True)
class MaxStartups:
    """sshd's limit of connections that have not signed in: ``begin:rate:full``."""

    begin: int
    rate: int
    full: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read ``10:30:100``; raises ValueError."""
        words = text.split(":")
        if len(words) != 3 or not all(word.isascii() and word.isdecimal() for word in words):
            raise ValueError("Write it as sshd does, such as 10:30:100.")
        begin, rate, full = map(int, words)
        if not (0 < begin <= full and rate <= 100):
            raise ValueError(
                "The first number is at least 1 and not above the third; the second is a percentage."
            )
        return cls(begin, rate, full)

    def percent_dropped(self, waiting: int) -> float:
        """Return the chance in percent that one more connection is dropped while so many wait."""
        if waiting < self.begin:
            return 0
        if waiting >= self.full:
            return 100
        return self.rate + (100 - self.rate) * (waiting - self.begin) / (self.full - self.begin)
