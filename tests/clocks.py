"""A clock for tests of what depends on time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class SetClock:
    """A clock that moves when it is told to; both of its times move together."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 8, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def forward(self, seconds: float = 0, **by: float) -> None:
        """Go on by seconds, or by what timedelta calls otherwise."""
        self.moment += timedelta(seconds=seconds, **by)
