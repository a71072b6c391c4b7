"""What a terminal is told of the time that a run takes."""

from datetime import UTC, datetime, timedelta
from typing import Any

from quarterdeck.core.clock import SystemClock
from quarterdeck.tasks.past import Usual, usual_words
from quarterdeck.tasks.terminal.lateness import Lateness

BEGAN = datetime(2026, 7, 1, 12, tzinfo=UTC)
PAST = {"typical_seconds": 40.0, "p95_seconds": 70.0, "runs": 9}


class StoppedClock(SystemClock):
    def __init__(self, seconds: float) -> None:
        self._now = BEGAN + timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._now


def run_on(*names: str) -> dict[str, Any]:
    hosts = [{"name": name, "started_at": BEGAN.isoformat(), "finished_at": None} for name in names]
    return {"hosts": hosts, "usual": dict.fromkeys(names, PAST)}


def told_after(seconds: float, run: dict[str, Any]) -> list[str]:
    told: list[str] = []
    lateness = Lateness(run, told.append, StoppedClock(seconds))
    for _ in range(3):
        lateness.look(run)
    return told


def test_what_is_usual_is_told_before_and_lateness_once() -> None:
    assert told_after(60, run_on("web1")) == ["Usually 40 s (p95 1 min 10 s) on this host."]
    assert told_after(180, run_on("web1", "web2")) == [
        "Usually 40 s (p95 1 min 10 s) on a host.",
        "web1: usually 40 s (p95 1 min 10 s), now 3 min.",
    ]


def test_without_a_past_nothing_is_told() -> None:
    assert told_after(9999, run_on("web1") | {"usual": None}) == []
    assert usual_words([]) == ""


def test_hosts_that_differ_are_told_from_the_shortest_to_the_longest() -> None:
    assert usual_words([Usual(4, 5, 3), Usual(30, 40, 3)]) == "usually 4.0 s to 30 s (p95 40 s)"
    assert usual_words([Usual(29, 33, 3), Usual(30, 40, 3)]) == "usually 30 s (p95 40 s)"
