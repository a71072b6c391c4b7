"""What a profile does to the pages: colours set by the server, one time zone with and without script."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, Seeded

ZONE = "Asia/Kolkata"


def save(page: Page, **chosen: str) -> None:
    page.get_by_label("Time zone").fill(chosen.get("zone", ""))
    page.get_by_label(chosen.get("colours", "As the system"), exact=True).check()
    page.get_by_role("button", name="Save the profile").click()
    page.get_by_text("Your profile is saved.").wait_for()


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_colours_are_there_without_script_whatever_the_browser_prefers(open_page: OpenPage) -> None:
    page = open_page("/account/profile", script=False, person="vera", scheme="light")
    light = ground(page)
    save(page, colours="Dark")
    dark = ground(page)
    assert dark != light
    page.goto("/hosts")
    assert ground(page) == dark
    assert ground(open_page("/account/profile", person="vera", scheme="light")) == dark
    page.goto("/account/profile")
    save(page)
    assert ground(page) == light


def test_times_are_the_same_with_and_without_script(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/account/profile", person="oskar")
    save(page, zone=ZONE.lower())
    assert page.get_by_label("Time zone").input_value() == ZONE
    path = f"/runs/{seeded.failed_run_id}?times=on"
    scripted, plain = (open_page(path, person="oskar", script=script) for script in (True, False))
    for opened in (scripted, plain):
        for time in opened.locator("main time:not([data-ago])").all():
            assert shown_in_zone(time.get_attribute("datetime") or "") in time.inner_text()
    lines = [opened.locator("time.line-t").all_inner_texts() for opened in (scripted, plain)]
    assert lines[0]
    assert lines[0] == lines[1]
    page.goto("/account/profile")
    save(page)


def shown_in_zone(stamp: str) -> str:
    """Return the time of the day that should stand on the page."""
    moment = datetime.fromisoformat(re.sub("Z$", "+00:00", stamp))
    assert moment.utcoffset() == datetime.now(UTC).utcoffset()
    return f"{moment.astimezone(ZoneInfo(ZONE)):%H:%M:%S}"
