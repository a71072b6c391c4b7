import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quarterdeck.core.ui.words import (
    STATES,
    age_text,
    clock_text,
    counted,
    duration_text,
    look_of,
    noun,
    say,
    size_text,
    time_text,
    time_title,
    utc_stamp,
)
from quarterdeck.core.zones import zone_named

SOURCE = Path(__file__).parents[2] / "src/quarterdeck"
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
    assert age_text(None, NOW) == time_text(None, UTC) == "never"


def test_times_stand_in_the_readers_zone_and_name_it() -> None:
    zurich = zone_named("Europe/Zurich")
    assert time_text(NOW, UTC) == time_title(NOW, UTC) == "2026-11-22 08:00:00 UTC"
    assert time_text(NOW, zurich) == "2026-11-22 09:00:00 CET"
    assert clock_text(NOW, zurich) == "09:00:00"
    assert time_title(NOW, zurich) == "2026-11-22 09:00:00 Europe/Zurich, 2026-11-22 08:00:00 UTC"
    assert utc_stamp(NOW.astimezone(zurich)) == "2026-11-22T08:00:00+00:00"


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


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 accounts"), (1, "1 account"), (2, "2 accounts"), (4200, "4,200 accounts")]
)
def test_a_count_goes_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "account") == text


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert counted(2, "person", "people") == "2 people"
    assert noun(1, "person", "people") == "person"


def test_a_sentence_takes_values_at_named_places_as_they_are() -> None:
    assert say("A link for {name}", name="{x} <b>") == "A link for {x} <b>"


def test_every_page_says_its_language_from_one_place() -> None:
    pages = [path for path in SOURCE.rglob("*.html") if "<html" in path.read_text()]
    assert len(pages) == 3
    assert all('<html lang="{{ language }}"' in path.read_text() for path in pages)


def test_pages_of_access_glue_no_sentence() -> None:
    """A literal that breaks off beside a ``~`` is a piece of a sentence; ``say`` takes it whole."""
    glue = re.compile(r"""[a-z,“(] ?"\s*~|~\s*" ?[a-z,.”)]""")
    found = [
        f"{path.name}: {line.strip()}"
        for folder in ("access", "history")
        for path in (SOURCE / folder / "templates").rglob("*.html")
        for line in path.read_text().splitlines()
        if glue.search(line) and "curl" not in line and "api/v1" not in line
    ]
    assert found == []
