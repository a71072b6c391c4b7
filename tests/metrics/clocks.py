"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta


class SetClock:
    """Wall clock and monotonic clock, which a test moves together or apart."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 5, 1, 12, tzinfo=UTC)
        self.ticks = 1_000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as an operator or a time server does."""
        self.wall += timedelta(seconds=seconds)
