"""Sign-in through a provider in Chromium: under the policy, with and without JavaScript, and how it looks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.access.hostile_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider, running
from tests.browser.conftest import sign_in
from tests.browser.looking import faults_of, findings, watch
from tests.deck import Deck, running_deck

PREFIX = "QUARTERDECK_IDENTITY_"


@dataclass
class Site:
    deck: Deck
    provider: HostileProvider
    browser: Browser

    def page(self, *, script: bool = True, **more: Any) -> Page:
        context = self.browser.new_context(
            base_url=self.deck.url, java_script_enabled=script, reduced_motion="reduce", **more
        )
        page = context.new_page()
        watch(page)
        return page


@pytest.fixture(scope="module")
def started(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(lambda: datetime.now(UTC)) as provider:
        provider.document["end_session_endpoint"] = f"{provider.url}/end"
        settings = {
            f"{PREFIX}COMPANY_ISSUER": provider.url,
            f"{PREFIX}COMPANY_CLIENT_ID": CLIENT_ID,
            f"{PREFIX}COMPANY_CLIENT_SECRET": CLIENT_SECRET,
            f"{PREFIX}COMPANY_ROLE_RULES": "viewer=staff",
            f"{PREFIX}GITHUB_KIND": "github",
            f"{PREFIX}GITHUB_CLIENT_ID": "Iv1.deck",
            f"{PREFIX}GITHUB_CLIENT_SECRET": "0f3b9c-github-made-this-one-71",
        }
        home = tmp_path_factory.mktemp("providers") / "home"
        with running_deck(home, **settings) as deck:
            deck.add_person("oskar", "operator")
            yield Site(deck, provider, browser)


@pytest.fixture
def site(started: Site) -> Iterator[Site]:
    """Each test begins with a provider that tells no lies."""
    document = dict(started.provider.document)
    yield started
    started.provider.claims.clear()
    started.provider.document = document
    for context in started.browser.contexts:
        context.close()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_one_signs_in_where_one_was_going_and_out_again_at_both(site: Site, script: bool) -> None:
    page = site.page(script=script)
    page.goto("/hosts?q=master")
    page.get_by_role("link", name="Sign in with Company").click()
    page.wait_for_url("**/hosts?q=master")
    page.get_by_label("Your menu, gilda").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert "/end" in site.provider.requests
    assert faults_of(page) == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_one_connects_a_provider_and_disconnects_it(site: Site, script: bool) -> None:
    site.provider.claims["sub"] = "of-oskar"
    page = site.page(script=script)
    sign_in(page, "oskar")
    page.goto("/account")
    page.get_by_role("button", name="Connect Company").click()
    page.wait_for_url("**/account#providers")
    expect(page.get_by_role("table", name="Connected identities")).to_contain_text("of-oskar")
    page.get_by_role("button", name="Disconnect Company").click()
    expect(page.get_by_text("The provider is disconnected")).to_be_visible()
    assert faults_of(page) == []


def test_a_lie_ends_on_a_page_that_says_so(site: Site) -> None:
    site.provider.claims["aud"] = "another"
    page = site.page()
    page.goto("/sign-in")
    page.get_by_role("link", name="Sign in with Company").click()
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    expect(page.get_by_text("An administrator finds the reason")).to_be_visible()
    assert findings(page) == []
    assert faults_of(page, 400) == []
    page.get_by_role("link", name="Back to sign-in").click()
    page.wait_for_url("**/sign-in")


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in?next=/hosts"])
def test_the_page_with_buttons_is_easy_to_use(site: Site, path: str) -> None:
    page = site.page()
    page.goto(path)
    expect(page.get_by_role("link", name="Sign in with GitHub")).to_be_visible()
    assert findings(page) == []


def test_the_account_of_somebody_connected_is_easy_to_use(site: Site) -> None:
    page = site.page()
    page.goto("/sign-in")
    page.get_by_role("link", name="Sign in with Company").click()
    page.goto("/account")
    assert findings(page) == []
