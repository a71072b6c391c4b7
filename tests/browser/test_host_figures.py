"""The pages of a host's figures in the browser: drawn, alive, paused, in the reader's colours."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.looking import faults_of, findings
from tests.deck import wait_until

PATHS = [
    "/fleet/master",
    "/fleet/master?range=10m",
    "/fleet/master?range=7d&table=yes",
    "/fleet/web1",
    "/fleet/master/processes",
    "/fleet/web1/processes",
    "/fleet/compare",
    "/fleet/compare?host=master&host=worker&figure=memory&table=yes",
]


def drawn(page: Page, chart: str = "cpu") -> None:
    """Wait until the script has drawn over the server's chart."""
    expect(page.locator(f'[data-chart="{chart}"] q-chart.drawn canvas')).to_be_visible()


def samples_of(page: Page) -> int:
    """Return how many samples the first chart has."""
    count: int = page.evaluate("document.querySelector('q-chart').times?.length ?? 0")
    return count


def stroke_of(page: Page) -> str:
    stroke: str = page.evaluate("document.querySelector('q-chart').plot.series[1].stroke()")
    return stroke


@pytest.mark.parametrize("path", PATHS)
def test_page_has_no_finding(path: str, look: OpenPage) -> None:
    page = look(path)
    assert findings(page) == []
    assert faults_of(page) == []


@pytest.mark.parametrize("path", PATHS)
def test_page_is_readable_without_script(path: str, look: OpenPage) -> None:
    page = look(path, script=False)
    expect(page.locator("h1")).to_be_visible()
    assert faults_of(page) == []


def test_charts_are_drawn_by_the_server_without_script(open_page: OpenPage) -> None:
    page = open_page("/fleet/master", script=False)
    expect(page.locator('[data-chart="memory"] .chart-lines')).to_be_visible()
    expect(page.locator("[data-pause]")).to_be_hidden()
    page.get_by_role("link", name="The figures as a table").click()
    expect(page.get_by_role("table", name=re.compile("Mean of each stretch"))).to_be_visible()


def test_charts_take_the_same_room_before_and_after_the_script(open_page: OpenPage) -> None:
    before = open_page("/fleet/master", script=False).locator('[data-chart="cpu"]').bounding_box()
    page = open_page("/fleet/master")
    drawn(page)
    after = page.locator('[data-chart="cpu"]').bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["height"] - after["height"]) < 1


def test_figures_move_each_second_while_somebody_looks(open_page: OpenPage) -> None:
    page = open_page("/fleet/master?range=10m")
    drawn(page)
    count = samples_of(page)
    wait_until(lambda: samples_of(page) >= count + 4, "a sample each second", 40)
    assert faults_of(page) == []


def test_pause_stops_them_and_goes_on_with_what_was_missed(open_page: OpenPage) -> None:
    page = open_page("/fleet/master?range=10m")
    drawn(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(300)
    count = samples_of(page)
    page.wait_for_timeout(2500)
    assert samples_of(page) == count
    page.get_by_role("button", name="Paused").click()
    wait_until(lambda: samples_of(page) > count, "the samples that were missed")


def test_the_pointer_tells_values_and_their_time(open_page: OpenPage) -> None:
    page = open_page("/fleet/master?range=10m")
    drawn(page)
    wait_until(lambda: samples_of(page) > 2, "some samples", 40)
    area = page.locator('[data-chart="cpu"] .u-over')
    box = area.bounding_box()
    assert box is not None
    area.hover(position={"x": box["width"] - 4, "y": box["height"] / 2})
    expect(page.locator('[data-chart="cpu"] .chart-at')).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(page.locator('[data-chart="memory"] .chart-at')).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))


def test_colours_follow_the_theme(open_page: OpenPage) -> None:
    page = open_page("/fleet/master")
    drawn(page)
    light = stroke_of(page)
    page.emulate_media(color_scheme="dark")
    wait_until(lambda: stroke_of(page) != light, "the colours to change")


def test_ranges_are_steps_that_the_back_button_takes_back(open_page: OpenPage) -> None:
    page = open_page("/fleet/master")
    page.get_by_role("link", name="24 hours").click()
    page.wait_for_url("**/fleet/master?range=24h")
    page.go_back()
    expect(page.get_by_role("link", name="1 hour")).to_have_attribute("aria-current", "page")


def test_a_command_is_run_from_the_page(open_page: OpenPage) -> None:
    page = open_page("/fleet/worker")
    page.get_by_label("Command to run on worker").fill("echo from the page of figures")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/runs/*")
    expect(page.get_by_text("from the page of figures").first).to_be_visible()


def test_hosts_are_added_and_left_out_of_a_comparison(open_page: OpenPage) -> None:
    page = open_page("/fleet/compare?host=master")
    page.get_by_label("Add a host").select_option("worker")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**host=worker**")
    drawn(page, "compare")
    page.get_by_role("link", name="Leave out master").click()
    expect(page.get_by_role("link", name="Leave out master")).to_have_count(0)


def test_a_worker_tells_its_processes(open_page: OpenPage) -> None:
    page = open_page("/fleet/worker/processes?order=memory")
    expect(page.get_by_role("rowheader").first).to_be_visible()
    assert page.get_by_role("row").count() > 5
