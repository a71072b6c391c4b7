"""The fleet in a browser: rows that move and keep their places, the wall, and both without a script."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.looking import faults_of, findings, watch
from tests.deck import free_port, wait_until

SHIFTS = """
() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) window.shifts.push([each.value, each.startTime]);
  }).observe({ type: "layout-shift", buffered: true });
}
"""


class FleetNode:
    """A master with a fleet that moves, as a process that can be killed and started again."""

    def __init__(self, home: Path, count: int) -> None:
        self.home, self.count, self.port = home, count, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "FleetNode":
        command = [
            sys.executable,
            "-m",
            "tests.metrics.fleet_node",
            str(self.home),
            str(self.port),
            str(self.count),
        ]
        log = self.home.parent / f"{self.home.name}.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        wait_until(self._is_ready, f"the master; its log is {log}", 60)
        return self

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200 and (self.home / "fed").exists()
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            (self.home / "fed").unlink(missing_ok=True)
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def lose(self, *names: str) -> None:
        """Note these hosts as lost, and all others as well."""
        (self.home / "lost.txt").write_text("\n".join(names))


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetNode]:
    node = FleetNode(tmp_path_factory.mktemp("thousand") / "home", 999).start()
    yield node
    node.kill()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetNode]:
    node = FleetNode(tmp_path_factory.mktemp("few") / "home", 7).start()
    yield node
    node.kill()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Any]:
    """Open a path of a node as Ada; what the browser complains about is collected on the way."""
    contexts: list[BrowserContext] = []

    def open_(node: FleetNode, path: str, *, script: bool = True, width: int = 1280) -> Page:
        state = node.home / "cookies.json"
        if not state.exists():
            context = browser.new_context(base_url=node.url)
            sign_in(context.new_page(), "ada")
            context.storage_state(path=state)
            context.close()
        context = browser.new_context(
            base_url=node.url,
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            storage_state=state,
        )
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()


def row(page: Page, name: str) -> Any:
    return page.locator("tr[data-id]", has=page.get_by_role("link", name=name, exact=True))


def cpu_moves(page: Page, name: str) -> None:
    """Wait until the page has put another figure in its place, and has heard of the host just now."""
    cell = row(page, name).locator("td").nth(2)
    before = cell.inner_text()
    expect(cell).not_to_have_text(before, timeout=20_000)


PATHS = [
    "/fleet",
    "/fleet?sort=-cpu&size=50",
    "/fleet?figures=no",
    "/fleet?state=lost",
    "/fleet?q=nothing-has-this-name",
    "/fleet/wall",
]


@pytest.mark.parametrize("path", PATHS)
def test_page_has_no_finding(path: str, few: FleetNode, opened: Any) -> None:
    page = opened(few, path)
    assert findings(page) == []
    assert faults_of(page) == []


@pytest.mark.parametrize(("path", "shown"), [("/fleet?size=250", 250), ("/fleet/wall", 1000)])
def test_page_of_1000_hosts_has_no_finding(path: str, shown: int, thousand: FleetNode, opened: Any) -> None:
    page = opened(thousand, path)
    assert page.locator("tr[data-id], .wall-group li").count() == shown
    assert findings(page) == []
    assert faults_of(page) == []


@pytest.mark.parametrize("path", PATHS)
def test_page_is_whole_without_script(path: str, few: FleetNode, opened: Any) -> None:
    page = opened(few, path, script=False, width=390)
    assert page.locator("h1").count() == 1
    assert page.locator("main").inner_text().strip()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults_of(page) == []


def test_figures_move_without_reload_and_nothing_shifts(thousand: FleetNode, opened: Any) -> None:
    page = opened(thousand, "/fleet?size=250&sort=name")
    page.evaluate("document.body.dataset.stays = 'yes'")
    page.evaluate(SHIFTS)
    cpu_moves(page, "host-0003")
    page.mouse.wheel(0, 3000)
    cpu_moves(page, "host-0090")
    page.wait_for_timeout(2500)
    assert page.evaluate("window.shifts.filter(([value]) => value > 0)") == []
    assert page.evaluate("document.body.dataset.stays") == "yes"
    assert faults_of(page) == []


def test_the_line_is_drawn_on(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet")
    drawing = row(page, "host-0001").locator("svg[viewBox]:not(.icon)")
    expect(drawing).not_to_have_attribute("viewBox", "0 0 30 16", timeout=30_000)
    assert re.search(r"L\d+ \d+$", str(drawing.locator("path").get_attribute("d")))


def test_only_rows_on_the_screen_are_watched(thousand: FleetNode, opened: Any) -> None:
    page = opened(thousand, "/fleet?size=1000")
    page.evaluate(
        "document.body.addEventListener('live-ask', (e) => { window.asked = e.detail[1].hosts.length; })"
    )
    page.mouse.wheel(0, 5000)
    page.wait_for_function("() => window.asked > 0")
    assert 10 < page.evaluate("window.asked") < 60


def test_a_lost_host_changes_its_state_and_the_counts(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet")
    expect(row(page, "host-0001").locator("[data-state]")).to_have_attribute("data-state", "well")
    page.wait_for_timeout(1000)
    few.lose("host-0001")
    try:
        badge = row(page, "host-0001").locator("td [data-state]")
        expect(badge).to_have_attribute("data-state", "lost", timeout=15_000)
        expect(page.locator(".tallies a", has_text="lost").locator("strong")).to_have_text("3")
        badge.click()
        expect(row(page, "host-0001").get_by_text("It did not answer four times.")).to_be_visible()
    finally:
        few.lose()
    expect(row(page, "host-0001").locator("td [data-state]")).to_have_attribute(
        "data-state", "well", timeout=15_000
    )


def test_rows_keep_their_places_until_the_reader_sorts_again(thousand: FleetNode, opened: Any) -> None:
    page = opened(thousand, "/fleet?sort=-cpu&size=50")
    names = page.locator("tr[data-id] th").all_inner_texts()
    note = page.get_by_role("link", name="Order has changed · sort again")
    expect(note).to_be_visible(timeout=60_000)
    assert page.locator("tr[data-id] th").all_inner_texts() == names
    note.click()
    page.wait_for_load_state()
    assert page.url.endswith("/fleet?sort=-cpu&size=50")


def test_pause_holds_everything(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet")
    cpu_moves(page, "host-0001")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(1500)
    held = row(page, "host-0001").inner_text()
    page.wait_for_timeout(3000)
    assert row(page, "host-0001").locator("td").nth(2).inner_text() in held
    page.get_by_role("button", name="Paused").click()
    cpu_moves(page, "host-0001")


def test_keys_go_from_row_to_row_and_open(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet")
    page.locator("q-fleet:defined").wait_for()
    for key, name in (("j", "host-0000"), ("j", "host-0001"), ("j", "host-0002"), ("k", "host-0001")):
        page.keyboard.press(key)
        expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search", exact=True).last).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{few.url}/fleet/host-0000")


def test_a_filter_brings_other_rows_that_move_too(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet")
    page.locator("#field-q").fill("host-0002")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.wait_for_url(re.compile("q=host-0002"))
    cpu_moves(page, "host-0002")
    page.go_back()
    expect(page.locator("tr[data-id]")).to_have_count(8)


def test_the_page_goes_on_after_the_master_was_restarted(tmp_path: Path, opened: Any) -> None:
    node = FleetNode(tmp_path / "home", 7).start()
    try:
        page = opened(node, "/fleet")
        cpu_moves(page, "host-0001")
        node.kill()
        expect(page.get_by_text("The connection is gone; reconnecting…")).to_be_visible(timeout=15_000)
        expect(row(page, "host-0001")).to_be_visible()
        node.start()
        expect(page.get_by_text("The connection is gone; reconnecting…")).to_be_hidden(timeout=30_000)
        cpu_moves(page, "host-0001")
    finally:
        node.kill()


def test_without_script_figures_lines_order_and_filter_are_there(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet", script=False)
    expect(page.locator("tr[data-id] path")).to_have_count(6)
    assert page.get_by_role("button", name="Pause").count() == 0
    page.get_by_role("link", name="CPU", exact=True).click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("CPU")
    page.get_by_label("Search", exact=True).last.fill("host-0000")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr[data-id]")).to_have_count(1)
    assert "sort=-cpu" in page.url
    page.get_by_role("link", name="Load again every 10 s").click()
    assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        assert [each["name"] for each in csv.DictReader(io.StringIO(file.read()))] == ["host-0000"]


def test_the_wall_tells_of_a_lost_host(few: FleetNode, opened: Any) -> None:
    page = opened(few, "/fleet/wall")
    tile = page.locator(".wall-group", has=page.locator("#wall-lost")).locator("li", has_text="host-0000")
    expect(tile).to_have_count(0)
    page.wait_for_timeout(1000)
    few.lose("host-0000")
    try:
        expect(tile).to_have_count(1, timeout=20_000)
        expect(page.locator(".wall-count", has_text="lost").locator("strong")).to_have_text("3")
    finally:
        few.lose()
    expect(tile).to_have_count(0, timeout=20_000)
