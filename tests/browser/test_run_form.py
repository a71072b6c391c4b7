"""The options of a run on its form: folded, open, and with mistakes; with and without script."""

import pytest

from tests.browser.conftest import OpenPage, Seeded
from tests.browser.looking import faults_of, findings


def test_the_options_open_and_read_well(open_page: OpenPage) -> None:
    page = open_page("/runs/new")
    silence = page.get_by_label("Silence")
    assert not silence.is_visible()
    page.get_by_text("More options").click()
    assert silence.is_visible()
    assert findings(page) == []
    assert faults_of(page) == []


@pytest.mark.parametrize("script", [True, False])
def test_a_mistake_among_the_options_is_shown_where_it_is(open_page: OpenPage, script: bool) -> None:
    page = open_page("/runs/new", script=script)
    page.get_by_label("Command").fill("true")
    page.get_by_text("More options").click()
    page.get_by_label("Canary hosts").fill("x")
    page.get_by_label("Wait for offline hosts").fill("2 h")
    page.get_by_role("button", name="Run it").click()
    page.get_by_role("link", name="Canary hosts: a number").wait_for()
    assert page.get_by_label("Canary hosts").is_visible()
    assert page.get_by_label("Wait for offline hosts").input_value() == "2 h"
    if script:
        assert findings(page) == []


def test_a_chosen_option_starts_a_run_with_it(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/runs/new?host=master", script=False)
    page.get_by_label("Command").fill("echo option; sleep 300")
    page.get_by_text("More options").click()
    page.get_by_label("Silence").fill("1")
    page.get_by_role("button", name="Run it").click()
    page.wait_for_url("**/runs/*#output")
    run_id = page.url.partition("/runs/")[2].partition("#")[0]
    run = seeded.deck.api("GET", f"/api/v1/runs/{run_id}?wait=30").json()
    assert (run["state"], run["options"]) == ("timed-out", {"silence_seconds": 1})
