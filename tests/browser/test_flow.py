"""The main job as a person does it, from the first link to signing out, with and without JavaScript."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import OpenPage, Seeded
from tests.browser.looking import faults_of, findings, watch
from tests.deck import PASSWORD, Deck
from tests.sshd import SshServer

SLOWLY = "for i in $(seq 1 12); do echo line-$i; echo err-$i >&2; sleep 0.3; done"


@pytest.fixture
def new_deck(tmp_path: Path) -> Iterator[Deck]:
    """An installation that nobody has signed in to."""
    deck = Deck(tmp_path / "home")
    try:
        yield deck.start()
    finally:
        deck.close()


def test_page_of_the_first_link_has_no_finding(new_deck: Deck, open_page: OpenPage) -> None:
    page = open_page(first_link(new_deck), person="")
    assert findings(page) == []
    assert faults_of(page) == []


def first_link(deck: Deck) -> str:
    link = re.search(r"https?://\S+/sign-in/link/\S+", deck.log())
    assert link, deck.log()
    return link[0]


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def page(request: pytest.FixtureRequest, browser: Browser, new_deck: Deck) -> Iterator[Page]:
    context = browser.new_context(
        base_url=new_deck.url, java_script_enabled=request.param, viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    watch(page)
    yield page
    context.close()


def test_from_first_link_to_signing_out(page: Page, new_deck: Deck, ssh_server: SshServer) -> None:
    make_first_account(page, new_deck)
    add_host(page, ssh_server)
    run_everywhere(page)
    run_again(page)
    read_history(page)
    sign_out(page)
    assert faults_of(page) == []


def make_first_account(page: Page, deck: Deck) -> None:
    page.goto(first_link(deck))
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Make me the administrator").click()
    page.wait_for_url(f"{deck.url}/")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def add_host(page: Page, server: SshServer) -> None:
    """Add an SSH host by the form, compare and pin its key, test it."""
    page.get_by_role("link", name="Hosts", exact=True).first.click()
    page.get_by_role("link", name="Add a host").click()
    page.get_by_role("link", name="SSH host").click()
    page.get_by_label("Name").fill("web1")
    page.get_by_label("Address").fill(server.addresses[0])
    page.get_by_label("Port").fill(str(server.port))
    page.get_by_label("Tags").fill("web")
    page.get_by_label("Account", exact=False).first.fill("root")
    page.get_by_label("Private key", exact=False).first.fill(server.keys.good)
    page.get_by_role("button", name="Add the host").click()
    expect(page.get_by_role("heading", name="Is this the right host?")).to_be_visible()
    expect(page.locator("#host-key")).to_contain_text(server.fingerprint)
    page.get_by_role("button", name="This is the right host: pin it").click()
    expect(page.get_by_text("The key is pinned.")).to_be_visible()
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_role("heading", name="The test succeeded")).to_be_visible()
    assert server.keys.good.splitlines()[1] not in page.content()


def run_everywhere(page: Page) -> None:
    """Run df on the host, the worker and the master; the run page stands at once."""
    page.goto("/runs/new")
    page.get_by_label("Command").fill("df -h /")
    for name in ("web1", "worker", "master"):
        page.locator(f'input[name=hosts][value="{name}"]').check()
    page.get_by_role("button", name="Run it").click()
    page.wait_for_url(re.compile(r"/runs/\w{26}"))
    expect(page.locator(".run-state [data-state]")).to_have_text("succeeded")
    rows = page.locator("table.run-hosts tbody tr")
    expect(rows).to_have_count(3)
    for row in rows.all():
        expect(row).to_contain_text("exit 0")
    for name in ("web1", "worker", "master"):
        rows.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("region", name=f"Output of {name}")).to_contain_text("Mounted on")
        page.get_by_role("link", name="All 3 hosts").click()


def run_again(page: Page) -> None:
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_label("Command")).to_have_value("df -h /")
    assert page.locator("input[name=hosts]:checked").count() == 3
    page.get_by_label("Command").fill("echo again; exit 4")
    for name in ("worker", "master"):
        page.locator(f'input[name=hosts][value="{name}"]').uncheck()
    page.get_by_role("button", name="Run it").click()
    expect(page.locator(".run-state [data-state]")).to_have_text("failed")
    expect(page.locator(".run-facts")).to_contain_text("exit 4")
    expect(page.get_by_role("region", name="Output of web1")).to_contain_text("again")


def read_history(page: Page) -> None:
    """Find the runs by their actor and by their text, and open one with its two entries."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name="History").click()
    page.get_by_label("Actor").fill("ada")
    page.get_by_role("searchbox", name="Search", exact=True).fill("df -h")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile(r"q=df"))
    rows = page.locator("table.history tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("df -h /")
    expect(rows).to_contain_text("master, web1, worker")
    rows.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("heading", name="task.run")).to_be_visible()
    expect(page.get_by_role("heading", name="How it began")).to_be_visible()


def sign_out(page: Page) -> None:
    page.locator("summary.masthead-button").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/hosts")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def start(page: Page, command: str, *hosts: str) -> str:
    """Start a run by the form; returns the path of its page."""
    page.goto("/runs/new")
    page.get_by_label("Command").fill(command)
    for name in hosts:
        page.locator(f'input[name=hosts][value="{name}"]').check()
    page.get_by_role("button", name="Run it").click()
    page.wait_for_url(re.compile(r"/runs/\w{26}"))
    return page.url.partition("#")[0]


@pytest.mark.parametrize("host", ["web1", "worker"])
def test_output_arrives_live_in_order(host: str, open_page: OpenPage) -> None:
    page = open_page("/")
    start(page, f": {host}; {SLOWLY}", host)
    page.evaluate("document.body.dataset.stays = 'yes'")
    expect(page.locator(".log .line", has_text="line-2").first).to_be_visible()
    assert page.locator(".log .line", has_text="line-11").count() == 0, "it came all at once"
    expect(page.locator(".run-state [data-state]")).to_have_text("running")
    expect(page.locator(".run-state [data-state]")).to_have_text("succeeded")
    expect(page.locator(".log .line", has_text="line-12")).to_be_visible()
    out = page.locator(".log .line:not(.stderr) .line-text").all_inner_texts()
    assert [text.strip() for text in out] == [f"line-{number}" for number in range(1, 13)]
    err = page.locator(".log .line.stderr .line-text").all_inner_texts()
    assert [text.strip() for text in err] == [f"err-{number}" for number in range(1, 13)]
    expect(page.locator(".run-facts")).to_contain_text("exit 0")
    assert page.evaluate("document.body.dataset.stays") == "yes", "the page was loaded anew"
    assert faults_of(page) == []


def test_output_is_there_without_script(open_page: OpenPage) -> None:
    page = open_page("/", script=False)
    start(page, ": plain; echo first; sleep 4; echo second", "web1")
    expect(page.get_by_role("region", name="Output of web1")).to_contain_text("second")  # it reloads itself
    expect(page.locator(".run-state [data-state]")).to_have_text("succeeded")


def test_colours_of_output_are_classes(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page(f"/runs/{seeded.failed_run_id}")
    expect(page.locator(".log .fg-1")).to_have_text("red")
    expect(page.locator(".log .bold.fg-2")).to_have_text("bold green")
    expect(page.locator(".log .line.stderr .line-text")).to_have_text("oops")
    page.get_by_role("link", name="stderr", exact=True).first.click()
    expect(page.locator(".log .line")).to_have_count(1)
    assert page.locator(".log [style]").count() == 0


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_duplicate_is_joined_or_run_with_a_reason_and_cancelled(script: bool, open_page: OpenPage) -> None:
    page = open_page("/", script=script)
    command = f"echo waits-{script}; sleep 600"
    first = start(page, command, "web1")
    page.goto("/runs/new")
    page.get_by_label("Command").fill(command)
    page.locator('input[name=hosts][value="web1"]').check()
    page.get_by_role("button", name="Run it").click()
    warning = page.locator(".notice-warning[role=alert]")
    expect(warning).to_contain_text("The same is running already")
    expect(warning).to_contain_text("ada")
    expect(page.get_by_role("link", name="Join that run")).to_have_attribute("href", re.compile(first[-26:]))
    page.get_by_label("Reason").fill("the other one hangs")
    page.get_by_role("button", name="Run anyway").click()
    page.wait_for_url(re.compile(r"/runs/\w{26}"))
    second = page.url.partition("#")[0]
    assert second != first
    expect(page.locator("main")).to_contain_text("the other one hangs")
    for url in (second, first):
        page.goto(url)
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".run-state [data-state]")).to_have_text("cancelled")
