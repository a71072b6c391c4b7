"""Pages that stay open: messages, states, counts and the connection change before the reader's eyes."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import OpenPage, Seeded, sign_in
from tests.deck import Deck, running_deck


def send(deck: Deck, text: str, **more: str) -> None:
    sent = deck.api("POST", "/api/v1/toasts", json={"text": text} | more)
    assert sent.status_code == 202, sent.text


def is_connected(page: Page) -> None:
    """Wait until the page's socket is there: what is sent before is on the next page."""
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').some(e => e.name.includes('live'))"
    )
    page.wait_for_timeout(700)


def test_toast_appears_on_open_pages_without_reload(open_page: OpenPage, seeded: Seeded) -> None:
    ada, vera = open_page("/hosts"), open_page("/hosts", person="vera")
    for page in (ada, vera):
        is_connected(page)
    send(seeded.deck, "Tea is ready.", level="warning", link="/runs")
    for page in (ada, vera):
        toast = page.locator(".toast", has_text="Tea is ready.")
        expect(toast).to_be_visible()
        expect(toast).to_have_attribute("data-level", "warning")
        expect(toast.get_by_role("link", name="Open")).to_have_attribute("href", "/runs")
        expect(page.locator("[data-toast-count]")).to_be_visible()


@pytest.mark.parametrize(
    ("target", "seen_by"),
    [
        ({"person": "vera"}, {"vera"}),
        ({"role": "operator"}, {"oskar", "ada"}),
        ({"role": "administrator"}, {"ada"}),
    ],
)
def test_toast_is_only_for_whom_it_is(
    target: dict[str, str], seen_by: set[str], open_page: OpenPage, seeded: Seeded
) -> None:
    pages = {name: open_page("/account", person=name) for name in ("ada", "oskar", "vera")}
    for page in pages.values():
        is_connected(page)
    text = f"Only for {target}"
    send(seeded.deck, text, **target)
    send(seeded.deck, f"After {text}")  # when this is there, the other would be
    for name, page in pages.items():
        expect(page.locator(".toast", has_text=f"After {text}")).to_be_visible()
        assert page.locator(".toast", has_text=re.compile("^[^A]*Only")).count() == (name in seen_by), name


def test_toast_is_kept_in_the_drawer_and_closed_there(open_page: OpenPage, seeded: Seeded) -> None:
    send(seeded.deck, "Read me later.")
    page = open_page("/toasts")
    row = page.locator("tbody tr", has_text="Read me later.")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Close").click()
    expect(page.locator("tbody tr", has_text="Read me later.")).to_have_count(0)


def test_messages_that_stay_leave_the_end_of_a_page_in_reach(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/history", person="vera", width=390)
    for _ in range(10):  # what was sent to all before is shown once, some at a time
        if page.locator(".toast").count():
            page.reload()
    for number in range(5):
        send(seeded.deck, f"Trouble {number}.", level="error", person="vera")
    page.reload()
    toasts, last = page.locator(".toast", has_text="Trouble"), page.get_by_role("link", name="Licences")
    expect(toasts).to_have_count(5)
    last.focus()
    box, top = last.bounding_box(), page.locator("q-toasts").bounding_box()
    assert box is not None
    assert top is not None
    assert box["y"] + box["height"] < top["y"]
    assert top["height"] <= 450
    for _ in range(5):
        toasts.first.get_by_role("button", name="Close this message").click()
    expect(toasts).to_have_count(0)


def test_toast_without_script_is_on_the_next_page(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/hosts", script=False)
    send(seeded.deck, "For the next page.")
    page.goto("/runs")
    toast = page.locator(".toast", has_text="For the next page.")
    expect(toast).to_be_visible()
    toast.get_by_role("button", name="Close this message").click()
    expect(page.locator(".toast", has_text="For the next page.")).to_have_count(0)


@pytest.fixture
def own_deck(tmp_path: Path) -> Iterator[Deck]:
    with running_deck(tmp_path / "home", QUARTERDECK_HEALTH_SECONDS="1") as deck:
        yield deck


@pytest.fixture
def own_page(own_deck: Deck, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=own_deck.url)
    page = context.new_page()
    sign_in(page, "ada")
    yield page
    context.close()


def process_of(deck: Deck, kind: str) -> psutil.Process:
    """Return the master's or the worker's process."""
    assert deck.process is not None
    for child in psutil.Process(deck.process.pid).children(recursive=True):
        if child.environ().get("SELFSERVICE_TYPE", "").lower() == kind or kind in child.cmdline():
            return child
    raise AssertionError(f"no {kind} runs")


def test_killed_worker_is_told_on_the_open_page(own_deck: Deck, own_page: Page) -> None:
    own_page.goto("/hosts")
    own_page.evaluate("document.body.dataset.stays = 'yes'")
    state = own_page.locator("tbody tr", has=own_page.get_by_role("link", name="worker")).locator(
        "[data-state]"
    )
    expect(state).to_have_attribute("data-state", "well", timeout=15_000)
    worker = process_of(own_deck, "worker")
    os.kill(worker.pid, signal.SIGSTOP)  # it does not answer, and its parent does not start another
    try:
        expect(state).to_have_attribute("data-state", re.compile("late|lost"), timeout=20_000)
        row = own_page.locator("tbody tr", has=own_page.get_by_role("link", name="worker"))
        expect(row.locator("time[data-ago]")).to_have_text(re.compile(r"\d+ (s|min) ago"), timeout=15_000)
        expect(state).to_have_attribute("data-state", "lost", timeout=30_000)
        expect(own_page.locator(".toast", has_text="worker is lost")).to_be_visible()
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    expect(state).to_have_attribute("data-state", "well", timeout=20_000)
    assert own_page.evaluate("document.body.dataset.stays") == "yes"


def test_counts_of_the_landing_page_move(own_deck: Deck, own_page: Page) -> None:
    own_page.goto("/")
    is_connected(own_page)
    running = own_page.locator("#door-runs .door-value")
    expect(running).to_have_text("0")
    body = {"task": {"kind": "command", "command": "sleep 300"}, "hosts": ["worker"]}
    run = own_deck.api("POST", "/api/v1/runs", json=body).json()
    expect(running).to_have_text("1", timeout=10_000)
    own_deck.api("POST", f"/api/v1/runs/{run['id']}/cancel")
    expect(running).to_have_text("0", timeout=15_000)


def test_lost_connection_is_told_and_made_good(own_deck: Deck, own_page: Page) -> None:
    own_page.goto("/hosts")
    is_connected(own_page)
    own_deck.kill()
    banner = own_page.get_by_text("The connection is gone; reconnecting…")
    expect(banner).to_be_visible(timeout=10_000)
    expect(own_page.locator("tbody tr").first).to_be_visible()  # what was there stays
    own_deck.start()
    expect(banner).to_be_hidden(timeout=20_000)
    send(own_deck, "Back again.")
    expect(own_page.locator(".toast", has_text="Back again.")).to_be_visible()
