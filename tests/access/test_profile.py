"""What people choose for themselves, and that pages follow it."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from quarterdeck.access.profiles import Profiles
from quarterdeck.core.actors import NOBODY, Level
from tests.access.factories import Deck, post

As = Callable[[str], FlaskClient]


def save(client: FlaskClient, **values: str) -> int:
    return int(post(client, "/account/profile", **values).status_code)


def test_a_profile_is_saved_shown_and_on_record_with_what_was_there(as_: As, deck: Deck) -> None:
    vera = as_("vera")
    assert save(vera, display_name="  Vera   Vidal ", theme="dark", time_zone="europe/zurich") == 303
    page = vera.get("/account/profile?done=saved").text
    assert "Your profile is saved." in page
    assert 'value="Vera Vidal"' in page
    assert 'value="Europe/Zurich"' in page
    intent, outcome = deck.records("person.profile")
    assert (intent["actor"], intent["object"]) == ("vera", "person:vera")
    assert outcome["detail"] == {
        "result": "ok",
        "before": {"display_name": "", "theme": "system", "time_zone": ""},
        "after": {"display_name": "Vera Vidal", "theme": "dark", "time_zone": "Europe/Zurich"},
    }
    assert save(vera, display_name="Vera Vidal", theme="light", time_zone="Europe/Zurich") == 303
    assert deck.records("person.profile")[-1]["detail"]["before"] == {"theme": "dark"}
    assert "Vera Vidal" in as_("ada").get("/people").text


def test_saving_what_is_there_leaves_no_record(as_: As, deck: Deck) -> None:
    assert save(as_("nils"), display_name="", theme="system", time_zone="") == 303
    assert deck.records("person.profile") == []


def test_the_theme_follows_the_person_to_another_browser(as_: As) -> None:
    assert post(as_("oskar"), "/account/profile", theme="dark").status_code == 303
    page = as_("oskar").get("/account").text
    assert 'data-theme="dark"' in page
    assert '<meta name="color-scheme" content="dark">' in page
    nobody = as_("")
    assert 'data-theme="system"' in nobody.get("/sign-in").text
    nobody.set_cookie("qd_theme", "light")
    assert 'data-theme="light"' in nobody.get("/sign-in").text


def test_times_stand_in_the_persons_zone_named_and_in_utc_for_programs(as_: As) -> None:
    vera = as_("vera")
    assert "2026-11-22 08:00:00 UTC</time>" in vera.get("/account").text
    assert post(vera, "/account/profile", time_zone="Asia/Tokyo").status_code == 303
    page = vera.get("/account").text
    assert "2026-11-22 17:00:00 JST</time>" in page
    assert 'title="2026-11-22 17:00:00 Asia/Tokyo, 2026-11-22 08:00:00 UTC"' in page
    assert 'datetime="2026-11-22T08:00:00+00:00"' in page
    assert 'data-zone="Asia/Tokyo"' in page


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("time_zone", "zurich", "Did you mean Europe/Zurich?"),
        ("time_zone", "x" * 65, "This is too long."),
        ("theme", "pink", "Use one of"),
        ("display_name", "a\u202eb", "no control or direction-changing ones"),
        ("display_name", "a\x07b", "no control or direction-changing ones"),
        ("display_name", "x" * 81, "This is too long."),
    ],
)
def test_what_cannot_be_is_told_beside_the_field_with_the_rest_kept(
    as_: As, deck: Deck, field: str, value: str, message: str
) -> None:
    values = {"display_name": "Vera", "theme": "dark", "time_zone": "UTC"} | {field: value}
    answer = post(as_("vera"), "/account/profile", **values)
    assert answer.status_code == 422
    found = re.search(rf'id="field-{field}-error">.*?{re.escape(message)}', answer.text, re.DOTALL)
    assert found
    assert f'href="#field-{field}"' in answer.text
    assert 'value="dark" checked' in answer.text or field == "theme"
    assert deck.access.person("vera").display_name == ""


def test_names_of_all_scripts_are_kept(as_: As, deck: Deck) -> None:
    for name in ("Åsa Öberg", "می\u200cخواهم", "山田 太郎", "<b>Vera</b>"):
        assert save(as_("vera"), display_name=name) == 303
        assert deck.access.person("vera").display_name == name
    assert "&lt;b&gt;Vera&lt;/b&gt;" in as_("vera").get("/account").text


def test_programs_change_the_profile_of_their_person(as_: As, deck: Deck) -> None:
    secret = deck.access.create_token(deck.actor("ada"), "ada", "all", "admin").secret
    read = deck.access.create_token(deck.actor("ada"), "ada", "read", "read").secret
    browser = as_("")
    bearer = {"Authorization": f"Bearer {secret}"}
    changed = browser.patch("/api/v1/me", json={"time_zone": "Asia/Tokyo", "theme": "light"}, headers=bearer)
    assert changed.status_code == 200
    told = browser.get("/api/v1/me", headers={"Authorization": f"Bearer {read}"}).json
    assert told
    assert told == {**(changed.json or {}), "name": "ada/read", "scope": "read"}
    assert (told["time_zone"], told["theme"], told["display_name"]) == ("Asia/Tokyo", "light", "")
    assert browser.patch("/api/v1/me", json={"theme": "pink"}, headers=bearer).status_code == 422
    refused = browser.patch("/api/v1/me", json={"theme": "dark"}, headers={"Authorization": f"Bearer {read}"})
    assert refused.status_code == 403


def test_nobody_has_no_profile(as_: As) -> None:
    assert as_("").get("/account/profile").status_code == 303
    assert as_("").get("/api/v1/me", headers={"Accept": "application/json"}).status_code == 401


def test_the_menu_of_colours_is_remembered_for_the_person_and_no_token_does_so(deck: Deck) -> None:
    profiles = Profiles(deck.db, deck.history)
    profiles.choose_theme(deck.actor("vera", Level.READ), "dark")
    profiles.choose_theme(NOBODY, "dark")
    assert deck.access.person("vera").theme == ""
    profiles.choose_theme(deck.actor("vera"), "dark")
    assert deck.access.person("vera").theme == "dark"
    assert deck.records("person.profile")[-1]["detail"]["after"] == {"theme": "dark"}
