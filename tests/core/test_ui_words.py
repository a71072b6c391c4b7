from datetime import UTC, datetime, timedelta

import pytest

from quarterdeck.core.ui.words import STATES, age_text, duration_text, look_of, size_text, utc_text

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (5 * 10**15, "5000 TB")],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0.00 s"),
        (0.416, "0.42 s"),
        (7.31, "7.3 s"),
        (59, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (187_300, "2 d 4 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (2, "just now"),
        (12, "12 s ago"),
        (190, "3 min ago"),
        (7300, "2 h ago"),
        (200_000, "2 d ago"),
        (-90, "in 1 min"),
    ],
)
def test_ages(passed: int, text: str) -> None:
    assert age_text(NOW - timedelta(seconds=passed), NOW) == text


def test_a_time_that_never_was() -> None:
    assert age_text(None, NOW) == utc_text(None) == "never"


def test_times_stand_in_utc() -> None:
    assert utc_text(NOW) == "2026-11-22 08:00:00 UTC"


def test_a_word_that_is_not_known_looks_quiet() -> None:
    assert look_of("no such word").tone == "quiet"
    assert {look.tone for look in STATES.values()} <= {
        "quiet",
        "active",
        "success",
        "warning",
        "error",
        "info",
    }
