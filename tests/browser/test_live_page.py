"""The live page in a browser, ours and one that does what the foreign page does, over a real collector."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import OpenPage, Seeded
from tests.browser.looking import axe_findings, faults_of, findings, watch
from tests.deck import Deck
from tests.needs import need

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "node_modules/socket.io-client/dist/socket.io.min.js"
SHARE = re.compile(r"^\d{1,3}\.\d$")


def open_foreign_page(page: Page) -> None:
    """Put the foreign page where a document of the node without a policy was, so that it has its address.

    A document that Playwright answers itself would not do: Chromium lets it open no WebSocket to here.
    """
    page.goto("/healthz")
    page.set_content((HERE / "foreign_live.html").read_text(encoding="utf-8"))
    for script in (CLIENT, HERE / "foreign_live.js"):
        page.add_script_tag(path=script)


def check_foreign_page(page: Page) -> None:
    for name in ("memory", "cpu", "disk"):
        expect(page.locator(f"#{name}")).to_have_text(SHARE)
    expect(page.locator("#transports")).to_have_text("polling, then websocket")
    expect(page.locator("#lamp")).to_have_text("green")
    expect(page.locator("#loader")).to_be_hidden()
    expect(page.locator("#ms")).to_have_text(re.compile(r"^\d+$"))
    expect(page.locator("#os")).not_to_be_empty()
    expect(page.locator("#processors")).to_have_text(str(psutil.cpu_count()))
    expect(page.locator("#boot")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"))
    used = psutil.virtual_memory()
    share = 100 * (used.total - used.available) / used.total
    assert abs(float(page.locator("#memory").inner_text()) - share) < 15
    page.wait_for_function("() => received >= 3")


def test_the_foreign_page_works_unchanged(open_page: OpenPage) -> None:
    page = open_page("/live")
    open_foreign_page(page)
    check_foreign_page(page)
    assert faults_of(page, expected_status=404) == []  # the icon of a page without one


def test_the_page_moves_by_itself(open_page: OpenPage) -> None:
    page = open_page("/live")
    expect(page.locator('[data-lamp="live"]')).to_be_visible()
    expect(page.locator('[data-lamp="idle"]')).to_be_hidden()
    expect(page.locator("[data-round-trip]")).to_have_text(re.compile(r"^\d+\.\d$"))
    expect(page.locator('[data-dial="cpu"] [data-number]')).to_have_text(SHARE)
    assert page.locator("[data-core]").count() == psutil.cpu_count()
    line = page.locator('[data-dial="cpu"] polyline')
    before = line.get_attribute("points") or ""
    page.wait_for_function(
        "before => document.querySelector('[data-dial=cpu] polyline').getAttribute('points') !== before",
        arg=before,
    )
    kept = len((line.get_attribute("points") or "").split())
    page.reload()
    assert len((line.get_attribute("points") or "").split()) >= min(kept, 100) - 1
    assert faults_of(page) == []


def test_without_script_it_shows_figures_and_loads_itself_again(open_page: OpenPage) -> None:
    page = open_page("/live", script=False)
    expect(page.locator('[data-dial="memory"] [data-number]')).to_have_text(SHARE)
    expect(page.locator('[data-lamp="idle"]')).to_be_visible()
    page.get_by_role("link", name="5 s", exact=True).click()
    expect(page.get_by_role("link", name="Stop that")).to_be_visible()
    with page.expect_event("framenavigated", timeout=15_000):
        pass
    assert page.url.endswith("/live?refresh=5")


@pytest.fixture
def public_deck(tmp_path: Path) -> Iterator[Deck]:
    """A node that serves the live page alone, to anybody."""
    deck = Deck(tmp_path / "home", QUARTERDECK_SURFACES="live", QUARTERDECK_LIVE_PUBLIC="true")
    yield deck.start()
    deck.close()


def test_it_is_open_to_anybody_and_comes_back_after_a_restart(public_deck: Deck, browser: Browser) -> None:
    context = browser.new_context(base_url=public_deck.url, reduced_motion="reduce")
    page = context.new_page()
    watch(page)
    page.goto("/")
    expect(page.locator('[data-lamp="live"]')).to_be_visible()
    expect(page.locator('[data-dial="disk"] [data-number]')).to_have_text(SHARE)
    assert findings(page) == []
    assert faults_of(page) == []
    public_deck.stop()
    expect(page.locator("[data-offline]")).to_be_visible()
    expect(page.locator('[data-lamp="gone"]')).to_be_visible()
    assert axe_findings(page) == []
    public_deck.start()
    expect(page.locator("[data-offline]")).to_be_hidden()
    expect(page.locator('[data-lamp="live"]')).to_be_visible()
    foreign = context.new_page()
    open_foreign_page(foreign)
    check_foreign_page(foreign)
    context.close()


def test_the_footer_leads_there(open_page: OpenPage, seeded: Seeded) -> None:
    need("" if shutil.which("chromium") else "chromium is not installed")
    page = open_page("/")
    page.get_by_role("contentinfo").get_by_role("link", name="Live").click()
    assert page.url == f"{seeded.deck.url}/live"
    expect(page.get_by_role("heading", name="Live", exact=True)).to_be_visible()
