"""Samples to keep, a keeper with a database of its own, and a clock that is set."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from quarterdeck.core.db import Database
from quarterdeck.metrics.figures import FIGURES, Row
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.metrics.kept.keeper import Keeper, Kept
from tests.schema import make_tables

NOON = 1_795_348_800.0
"""2026-11-22 12:00:00 UTC."""


@dataclass
class SetClock:
    """A clock that stands where it is put; both of its times move together unless told otherwise."""

    at: float = NOON
    passed: float = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.passed

    def forward(self, seconds: float) -> None:
        self.at += seconds
        self.passed += seconds

    def put(self, at: float) -> None:
        self.forward(at - self.at)


def row_of_one(value: float) -> Row:
    """A sample all of whose figures have the same value."""
    return (value,) * len(FIGURES)


def give(keeper: Keeper, at: float, value: float, *, host: str = "h1", interval: float = 15.0) -> None:
    """Hand in a sample as the fleet does."""
    keeper.take(HostNow(host, at=at, interval_seconds=interval), row_of_one(value))


def open_database(url: str) -> Database:
    database = Database(url)
    make_tables(database)
    return database


@dataclass
class Kit:
    """A keeper over a database, which can be started anew."""

    database: Database
    clock: SetClock = field(default_factory=SetClock)
    kept: Kept = field(default_factory=Kept)
    hosts: set[str] = field(default_factory=lambda: {"h1"})

    def __post_init__(self) -> None:
        self.keeper = self.restart()

    def restart(self) -> Keeper:
        """Begin with nothing in memory, as after a crash."""
        self.keeper = Keeper(self.database, self.clock, self.kept, known_hosts=lambda: set(self.hosts))
        return self.keeper


def sqlite_kit(folder: Path) -> Kit:
    return Kit(open_database(f"sqlite:///{folder}/samples.db"))
