"""A run on many hosts as a person works with it: the map, the table, the choice, the differences."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from quarterdeck.core.db import Database
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.states import RunState
from tests.browser.conftest import OpenPage, Seeded
from tests.browser.looking import faults_of, findings
from tests.tasks.ended_runs import LONG_AGO, Part, insert_run, same

HOSTILE = b"<img src=x onerror=alert(1)>\n\x1b[31mred\x1b[0m\n"


@pytest.fixture(scope="session")
def many_run(seeded: Seeded) -> str:
    """The id of a run on 1,000 hosts that ended in several ways, the second of its task."""
    parts = same(1000)
    store(seeded, parts)
    for number in (37, 168, 990):
        parts[number] = Part(parts[number].name, HOSTILE, b"no\n", RunState.FAILED, 1)
    parts[500] = Part("web-0501", state=RunState.LOST, exit_status=None, message="The master was restarted.")
    parts[600] = Part("web-0601", b"fine\nand more\n", seconds=99)
    return store(seeded, parts, hours=1)


def store(seeded: Seeded, parts: list[Part], hours: int = 0) -> str:
    home = seeded.deck.home
    db = Database(f"sqlite:///{home / 'quarterdeck.db'}")
    try:
        at = LONG_AGO + timedelta(hours=hours)
        return insert_run(db, OutputStore(home / "runs"), parts, created_at=at)
    finally:
        db.close()


PATHS = [
    "",
    "?view=table&sort=-took",
    "?state=failed",
    "?changed=true&names=true&numbers=true",
    "?q=nobody",
    "?host=web-0038",
    "/difference?host=web-0038",
    "/difference?host=web-0038&view=side",
    "/difference?host=web-0601&to=usual&space=true",
    "/difference?host=web-0001",
]


@pytest.mark.parametrize("path", PATHS)
def test_page_of_1000_hosts_has_no_finding(path: str, look: OpenPage, many_run: str) -> None:
    page = look(f"/runs/{many_run}{path}")
    assert findings(page) == []
    assert faults_of(page) == []


@pytest.mark.parametrize("path", PATHS)
def test_page_of_1000_hosts_is_whole_without_script(path: str, look: OpenPage, many_run: str) -> None:
    page = look(f"/runs/{many_run}{path}", script=False, width=390)
    assert page.locator("h1").count() == 1
    assert page.locator("img[src='x']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults_of(page) == []


def test_map_is_one_stop_of_tab_and_goes_by_arrow_keys(open_page: OpenPage, many_run: str) -> None:
    page = open_page(f"/runs/{many_run}")
    cells = page.locator(".matrix a")
    expect(cells).to_have_count(1000)
    expect(page.locator('.matrix a[tabindex="0"]')).to_have_count(1)
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    expect(cells.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    below = page.evaluate("[...document.querySelectorAll('.matrix a')].indexOf(document.activeElement)")
    assert below > 10
    page.keyboard.press("End")
    expect(cells.last).to_be_focused()
    page.keyboard.press("Tab")
    assert page.locator(".matrix a:focus").count() == 0
    cells.nth(37).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?host=web-0038#output"))
    expect(page.get_by_role("link", name="Compare with the run before")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_filters_lead_to_the_hosts_that_differ(open_page: OpenPage, many_run: str, script: bool) -> None:
    page = open_page(f"/runs/{many_run}", script=script)
    page.get_by_role("link", name="3 failed").click()
    expect(page.locator("table.run-hosts tbody tr")).to_have_count(3)
    page.get_by_label("Filter by name").fill("0991")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("table.run-hosts tbody tr")).to_have_count(1)
    assert "state=failed" in page.url
    page.go_back()
    expect(page.locator("table.run-hosts tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Result", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Result")
    assert faults_of(page) == []


def test_difference_from_the_usual_is_a_link_away(open_page: OpenPage, many_run: str) -> None:
    page = open_page(f"/runs/{many_run}", script=False)
    expect(page.get_by_role("heading", name="995 the same, 5 differ")).to_be_visible()
    page.get_by_role("link", name="Difference from the usual on web-0601").click()
    expect(page.locator("tr.added .text")).to_have_text("and more")
    page.get_by_role("link", name="Side by side").click()
    expect(page.get_by_role("columnheader", name="The usual")).to_be_visible()


def chosen_on_the_form(page: Page) -> list[str]:
    page.wait_for_url(re.compile("/runs/new"))
    boxes = page.locator("input[name=hosts]:checked").all()
    return [str(box.get_attribute("value")) for box in boxes]


def test_hosts_are_chosen_for_another_run_without_script(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page(f"/runs/{seeded.run_id}", script=False)
    page.get_by_label("Choose worker").check()
    page.get_by_role("button", name="Again on the chosen").click()
    assert chosen_on_the_form(page) == ["worker"]
    assert page.get_by_label("Command").input_value() == "df -h /"


def test_all_of_a_page_are_chosen_by_one_box(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page(f"/runs/{seeded.run_id}")
    again = page.get_by_role("button", name="Again on the chosen")
    expect(again).to_be_disabled()
    page.get_by_label("Choose all of this page").check()
    expect(again).to_have_text("Again on the chosen 3")
    page.get_by_label("Choose master").uncheck()
    again.click()
    assert chosen_on_the_form(page) == ["web1", "worker"]
    assert faults_of(page) == []


def test_what_is_chosen_and_typed_outlives_the_refresh(open_page: OpenPage, seeded: Seeded) -> None:
    command = "sleep 3; test -e /no-such-file-of-this-test-$(id -u) # refreshed"
    body = {"task": {"kind": "command", "command": command}, "hosts": ["web1", "worker", "master"]}
    run = seeded.deck.api("POST", "/api/v1/runs", json=body).json()
    page = open_page(f"/runs/{run['id']}")
    page.get_by_label("Choose worker").check()
    page.get_by_label("Filter by name").fill("half a na")
    top = page.locator(".hosts-bar").bounding_box()
    expect(page.locator(".run-state [data-state]")).to_have_text("failed")
    expect(page.locator("table.run-hosts tbody [data-state=failed]")).to_have_count(3)
    assert page.locator("input[name=host]:checked").evaluate_all("all => all.map(box => box.value)") == [
        "worker"
    ]
    expect(page.get_by_label("Filter by name")).to_have_value("half a na")
    assert page.locator(".hosts-bar").bounding_box() == top
    expect(page.get_by_role("heading", name="All 3 the same")).to_be_visible()
    expect(page.locator(".host-output-state [data-state=failed]")).to_have_count(3)
    assert faults_of(page) == []


def test_cells_change_in_their_place_while_it_runs(open_page: OpenPage, seeded: Seeded) -> None:
    body = {"task": {"kind": "command", "command": "sleep 3 # map"}, "hosts": ["web1", "worker", "master"]}
    run = seeded.deck.api("POST", "/api/v1/runs", json=body).json()
    page = open_page(f"/runs/{run['id']}?view=map")
    cells = page.locator(".matrix a")
    names = [title.split()[0] for title in cells.evaluate_all("all => all.map(cell => cell.title)")]
    cells.nth(1).focus()
    for cell, name in zip(cells.all(), names, strict=True):
        expect(cell).to_have_attribute("title", f"{name} succeeded")
    expect(cells.nth(1)).to_be_focused()
    expect(page.locator('.matrix a[tabindex="0"]')).to_have_count(1)
    assert faults_of(page) == []
