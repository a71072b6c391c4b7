"""Alerts and rules in Chromium: live, under the policy, with and without JavaScript, and how they look."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.looking import faults_of, findings, watch
from tests.deck import Deck, running_deck, wait_until

RINGS = {"name": "Memory is used", "level": "alert", "figure": "memory", "threshold": 0.1}
SECONDS = 30_000
"""In milliseconds: how long a sample and a look at the rules may take on a busy machine."""


@dataclass
class Site:
    deck: Deck
    browser: Browser

    def page(self, *, script: bool = True) -> Page:
        context = self.browser.new_context(
            base_url=self.deck.url, java_script_enabled=script, reduced_motion="reduce"
        )
        page = context.new_page()
        watch(page)
        sign_in(page, "ada")
        return page

    def rule(self, **changes: Any) -> str:  # Any: JSON
        made = self.deck.api("POST", "/api/v1/rules", json=RINGS | changes)
        assert made.status_code == 201, made.text
        id_: str = made.json()["id"]
        return id_

    def active(self) -> list[dict[str, Any]]:  # Any: JSON
        found: list[dict[str, Any]] = self.deck.api("GET", "/api/v1/alerts?state=active").json()["alerts"]
        return found


@pytest.fixture(scope="module")
def started(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("alerts") / "home"
    with running_deck(home, QUARTERDECK_SAMPLE_SECONDS="2") as deck:
        site = Site(deck, browser)
        wait_until(lambda: bool(deck.api("GET", "/api/v1/rules").json()["rules"]), "the first rules")
        yield site


@pytest.fixture
def site(started: Site) -> Iterator[Site]:
    yield started
    for rule in started.deck.api("GET", "/api/v1/rules").json()["rules"]:
        if rule["name"] == RINGS["name"]:
            started.deck.api("DELETE", f"/api/v1/rules/{rule['id']}")
    wait_until(lambda: not started.active(), "the alerts to end")
    for context in started.browser.contexts:
        context.close()


def test_an_alert_comes_to_an_open_page_and_leaves_it(site: Site) -> None:
    page = site.page()
    page.goto("/fleet/alerts")
    expect(page.get_by_text("Nothing is wrong")).to_be_visible()
    rule_id = site.rule()
    active = page.get_by_role("table").filter(has_text="2 active alerts")  # of master and worker
    row = active.get_by_role("row").filter(has_text="master")
    expect(row).to_contain_text("Memory is used", timeout=SECONDS)
    expect(row.locator("[data-state=alert]")).to_be_visible()
    assert findings(page) == []
    site.deck.api("PATCH", f"/api/v1/rules/{rule_id}", json={"enabled": False})
    expect(page.get_by_text("the rule was switched off").first).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("Nothing is wrong")).to_be_visible()
    assert faults_of(page) == []


def test_without_script_the_lists_and_filters_are_there(site: Site) -> None:
    site.rule()
    wait_until(lambda: bool(site.active()), "the alert")
    page = site.page(script=False)
    page.goto("/fleet/alerts")
    expect(page.get_by_role("row").filter(has_text="Memory is used").first).to_be_visible()
    page.get_by_label("Level").select_option("warn")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No active alert matches")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_a_rule_is_added_with_a_mistake_first(site: Site, script: bool) -> None:
    page = site.page(script=script)
    page.goto("/fleet/rules/new")
    page.get_by_label("Name").fill(str(RINGS["name"]))
    page.get_by_label("Figure").select_option("memory")
    page.get_by_label("Threshold").fill("much")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.locator("#field-threshold-error")).to_contain_text("This must be a number.")
    expect(page.get_by_label("Name")).to_have_value(str(RINGS["name"]))
    if script:
        assert findings(page) == []
    page.get_by_label("Threshold").fill("99.9")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("row").filter(has_text="Memory is used")).to_contain_text("99.9 %")
    page.get_by_role("button", name="Switch off Memory is used").click()
    expect(page.get_by_role("row").filter(has_text="Memory is used")).to_contain_text("disabled")
    page.get_by_role("link", name="Remove Memory is used").click()
    if script:
        assert findings(page) == []
    page.get_by_role("button", name="Remove Memory is used").click()
    expect(page.get_by_role("row").filter(has_text="Memory is used")).to_have_count(0)
    assert faults_of(page, 422) == []


def test_the_pages_of_rules_have_no_finding(site: Site) -> None:
    page = site.page()
    first = site.deck.api("GET", "/api/v1/rules").json()["rules"][0]["id"]
    for path in ("/fleet/rules", "/fleet/rules/new", f"/fleet/rules/{first}/edit"):
        page.goto(path)
        assert findings(page) == [], path
    assert faults_of(page) == []
