"""Names of time zones as people type them, and times in them."""

from datetime import UTC, datetime

import pytest

from quarterdeck.core.config import SettingsError, load_settings
from quarterdeck.core.zones import in_zone, place_names, read_zone, zone_named


@pytest.mark.parametrize("text", ["Europe/Zurich", "europe/zurich", " EUROPE/ZURICH "])
def test_a_zone_is_known_in_any_case_of_letters(text: str) -> None:
    assert read_zone(text) == "Europe/Zurich"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("new york", "Did you mean America/New_York"),
        ("zurich", "Did you mean Europe/Zurich"),
        ("Mars/Olympus", "Choose one of the list"),
        ("../../etc/passwd", "Choose one of the list"),
        ("", "Choose one of the list"),
    ],
)
def test_another_name_is_refused_with_the_nearest(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="There is no time zone of this name") as caught:
        read_zone(text)
    assert told in str(caught.value)


def test_the_list_has_places_and_utc_and_no_old_names() -> None:
    assert {"UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires"} <= set(place_names())
    assert {"US/Pacific", "EST", "Factory", "localtime"}.isdisjoint(place_names())


def test_a_zone_that_is_gone_means_utc() -> None:
    assert zone_named("Atlantis/Capital") is UTC


def test_a_typed_time_is_meant_in_the_zone_unless_it_names_one() -> None:
    zurich = zone_named("Europe/Zurich")
    assert in_zone(datetime(2026, 7, 1, 12, 0), zurich) == datetime(2026, 7, 1, 10, 0, tzinfo=UTC)  # noqa: DTZ001
    assert in_zone(datetime(2026, 7, 1, 12, 0, tzinfo=UTC), zurich).hour == 12


def test_a_bad_zone_in_the_settings_stops_the_start() -> None:
    assert load_settings({"QUARTERDECK_TIME_ZONE": "asia/tokyo"}).time_zone == "Asia/Tokyo"
    with pytest.raises(SettingsError, match="QUARTERDECK_TIME_ZONE is not valid"):
        load_settings({"QUARTERDECK_TIME_ZONE": "Mars"})
