"""Everything by keyboard alone: shortcuts, their switch, and the main job with Tab, Space and Enter."""

import re
import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Seeded


def focused(page: Page) -> str:
    name: str = page.evaluate("document.activeElement.id || document.activeElement.tagName")
    return name


def test_slash_goes_to_the_search_of_the_page(open_page: OpenPage) -> None:
    page = open_page("/")
    page.keyboard.press("/")
    assert focused(page) == "find"
    page.keyboard.type("a/b?g")
    expect(page.locator("#find")).to_have_value("a/b?g")  # keys inside a field are text
    page.keyboard.press("Escape")
    assert focused(page) == "BODY"
    page.goto("/hosts")
    page.keyboard.press("/")
    assert focused(page) == "field-q"


def test_question_mark_shows_the_help_and_escape_closes_it(open_page: OpenPage) -> None:
    page = open_page("/hosts")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("h", "/"),
        ("m", "/hosts"),
        ("r", "/runs"),
        ("n", "/runs/new"),
        ("l", "/history"),
        ("t", "/toasts"),
        ("a", "/account"),
    ],
)
def test_g_and_a_letter_go_somewhere(key: str, path: str, open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/patterns")
    page.keyboard.press("g")
    page.keyboard.press(key)
    page.wait_for_url(f"{seeded.deck.url}{path}")


def test_shortcuts_can_be_turned_off_and_on(open_page: OpenPage) -> None:
    page = open_page("/help/keyboard")
    page.get_by_role("button", name="Turn them off").click()
    page.get_by_role("heading", name="Single-key shortcuts are off").wait_for()
    page.goto("/hosts")
    for key in ("/", "?", "g", "r"):
        page.keyboard.press(key)
    assert focused(page) == "BODY"
    assert page.get_by_role("dialog").count() == 0
    assert page.url.endswith("/hosts")
    page.goto("/help/keyboard")
    page.get_by_role("button", name="Turn them on").click()
    page.get_by_role("heading", name="Single-key shortcuts are on").wait_for()


def test_first_tab_offers_to_skip_to_the_content(open_page: OpenPage) -> None:
    page = open_page("/hosts")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert focused(page) == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus, which must be seen on every stop."""
    for _ in range(80):
        page.keyboard.press("Tab")
        assert has_visible_focus(page), page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def has_visible_focus(page: Page) -> bool:
    """Tell whether the focused element, or what it draws over itself, has an outline."""
    visible: bool = page.evaluate(
        """() => {
            const element = document.activeElement;
            if (element === document.body) return true;
            return [null, "::after"].some((pseudo) => {
                const style = getComputedStyle(element, pseudo);
                return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            });
        }"""
    )
    return visible


def test_main_job_by_keyboard_alone(open_page: OpenPage) -> None:
    command = f"echo typed by hand {secrets.token_hex(4)}"  # tried again, it must not meet its first run
    page = open_page("/")
    tab_to(page, "#door-start a")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/runs/new$"))
    expect(page.get_by_label("Command")).to_be_focused()
    page.keyboard.type(command)
    tab_to(page, 'input[name=hosts][value="web1"]')
    page.keyboard.press("Space")
    tab_to(page, ".run-go .button-primary")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/runs/\w{26}"))
    expect(page.locator(".run-state [data-state]")).to_have_text("succeeded", timeout=15_000)
    expect(page.get_by_role("region", name="Output of web1")).to_contain_text("typed by hand")
    tab_to(page, ".page-actions a")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/runs/new\?again="))  # loaded: before its scripts run, keys do nothing
    expect(page.get_by_label("Command")).to_have_value(command)
    page.keyboard.press("Escape")  # out of the field that has the focus
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url(re.compile("/history$"))
    expect(page.locator("table.history tbody tr", has_text=command)).to_have_count(1)


def test_menu_opens_and_closes_by_keyboard(open_page: OpenPage) -> None:
    page = open_page("/hosts")
    page.locator("summary.masthead-button").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.locator("summary.masthead-button")).to_be_focused()
