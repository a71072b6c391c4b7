"""Files as people use them: found, looked at, changed, compared and merged, with and without script."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from tests.browser.conftest import OpenPage, Seeded
from tests.browser.looking import axe_findings, faults_of, findings
from tests.browser.test_weight import weights_of
from tests.deck import Deck

VALUES, SETTINGS = "shop/values.yaml", "shop/settings.json"
EDITOR_BUDGET, CHUNK_BUDGET = 200 * 1024, 110 * 1024


def text_of(deck: Deck, path: str) -> str:
    """Return a file of the example as it is on main."""
    answer = deck.api("GET", f"/api/v1/places/example/file?ref=main&path={quote(path)}")
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["text"]
    return text


def begin(deck: Deck, path: str, text: str | None = None, action: str = "update") -> str:
    """Begin a change as Ada, whose draft of the file is the text; return its id."""
    begun = deck.api("POST", "/api/v1/changes", json={"place": "example", "path": path, "action": action})
    assert begun.status_code == 201, begun.text
    id_: str = begun.json()["id"]
    if text is not None:
        where = f"/api/v1/changes/{id_}/drafts?path={quote(path)}"
        assert deck.api("PUT", where, json={"text": text}).status_code == 200
    return id_


def merge_as_ada(deck: Deck, path: str, text: str, action: str = "update") -> None:
    """Change a file on main, as somebody else does meanwhile."""
    id_ = begin(deck, path, text, action)
    for step, body in (("commit", {"message": f"Change {path}"}), ("merge", None)):
        done = deck.api("POST", f"/api/v1/changes/{id_}/{step}", json=body)
        assert done.status_code == 200, done.text


def editor_of(page: Page) -> Locator:
    return page.locator("q-editor .cm-content")


def write(page: Page, text: str) -> None:
    """Put a text into the editor and wait until the draft is saved."""
    with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        editor_of(page).fill(text)
    expect_saved(page)


def expect_saved(page: Page) -> None:
    expect(page.locator("[data-draft-state]")).to_have_attribute("data-draft-state", "saved")


def start_editing(page: Page, path: str) -> str:
    """Choose Update on the page of a file; return the address of the editor."""
    page.goto(f"/files/example/view?ref=main&path={path}")
    page.get_by_role("button", name="Update").click()
    expect(page.locator("q-editor")).to_be_visible()
    return page.url


def commit(page: Page, message: str) -> None:
    page.get_by_role("button", name="Commit …").click()
    page.get_by_role("textbox", name="Message").fill(message)
    page.get_by_role("button", name="Commit", exact=True).click()


def test_file_is_found_changed_and_merged_by_keyboard(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/files/example", person="oskar")
    page.keyboard.press("/")
    page.keyboard.type("shop vals")
    option = page.get_by_role("option").first
    expect(option).to_have_attribute("aria-selected", "true")
    expect(option).to_contain_text("values.yaml")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("values.yaml")
    page.get_by_role("button", name="Update").press("Enter")

    editor_of(page).focus()
    page.keyboard.press("Control+End")
    with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        page.keyboard.type("colour: blue")
    expect_saved(page)
    page.reload()
    expect(editor_of(page)).to_contain_text("colour: blue")
    page.get_by_role("button", name="Difference").click()
    expect(page.locator("td.added", has_text="colour: blue")).to_be_visible()
    assert findings(page) == []

    page.get_by_role("link", name="Commit").click()
    page.get_by_role("textbox", name="Message").fill("Paint the shop blue")
    page.get_by_role("button", name="Commit", exact=True).click()
    expect(page.get_by_text("Committed.")).to_be_visible()
    expect(page.locator("dd", has_text="quarterdeck/oskar/values.yaml-")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Merge into main").click()
    expect(page.locator("[data-state=merged]")).to_be_visible()
    assert "colour: blue" in text_of(seeded.deck, VALUES)
    assert faults_of(page) == []


def test_file_is_changed_without_script(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/files/example", person="oskar", script=False, width=390)
    page.get_by_label("Find a file").fill("reload")
    page.get_by_role("button", name="Show all that fit").click()
    page.locator("#found").get_by_role("link", name="scripts/reload.sh").click()
    before = text_of(seeded.deck, "scripts/reload.sh")
    page.get_by_role("button", name="Update").click()
    area = page.get_by_label("Contents")
    assert area.input_value() == before
    area.fill(f"{before}echo reloaded\n")
    page.get_by_role("button", name="Difference").click()
    expect(page.locator("td.added", has_text="echo reloaded")).to_be_visible()
    page.get_by_role("link", name="Commit").click()
    page.get_by_role("textbox", name="Message").fill("Say that it is done")
    page.get_by_role("button", name="Commit", exact=True).click()
    page.get_by_role("button", name="Merge into main").click()
    expect(page.locator("[data-state=merged]")).to_be_visible()
    assert text_of(seeded.deck, "scripts/reload.sh") == f"{before}echo reloaded\n"
    assert faults_of(page) == []


def test_new_file_is_made_on_a_branch_of_its_own(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page("/files/example?ref=main&path=shop", person="oskar")
    page.get_by_role("link", name="New file").click()
    page.get_by_label("Path").fill("shop/../evil")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#field-path-error")).to_be_visible()
    page.get_by_label("Path").fill("shop/prices.yaml")
    page.get_by_role("button", name="Begin").click()
    editor_of(page).fill("apple: 1\n")
    commit(page, "Say what it costs")
    expect(page.get_by_text("Committed.")).to_be_visible()
    assert faults_of(page, expected_status=422) == []


def test_editor_is_left_by_escape_and_tab(open_page: OpenPage) -> None:
    page = open_page("/files", person="oskar")
    start_editing(page, SETTINGS)
    assert findings(page) == []
    editor_of(page).focus()
    page.keyboard.press("Tab")
    expect(editor_of(page)).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(editor_of(page)).not_to_be_focused()
    assert faults_of(page) == []


def test_keys_of_the_page_are_text_in_the_editor(open_page: OpenPage) -> None:
    page = open_page("/files", person="oskar")
    url = start_editing(page, "nginx/shop.conf")
    editor_of(page).press("Control+Home")
    page.keyboard.type("# g a/b? g h")
    expect_saved(page)
    page.keyboard.press("Control+f")
    page.keyboard.type("g a/b?")
    expect(page.locator("q-editor").get_by_role("textbox", name="Find")).to_have_value("g a/b?")
    expect(page.locator("#keyboard-help")).to_be_hidden()
    page.goto(url)
    expect(editor_of(page)).to_contain_text("# g a/b? g h")
    assert faults_of(page) == []


def dismiss(dialog: Dialog, asked: list[str]) -> None:
    asked.append(dialog.type)
    dialog.dismiss()


@pytest.fixture
def lost_requests(open_page: OpenPage) -> Iterator[Page]:
    """A page whose savings don't arrive until its routes are taken away."""
    page = open_page("/files", person="oskar")
    yield page
    page.unroute_all(behavior="ignoreErrors")


def test_text_is_kept_while_it_can_not_be_saved(lost_requests: Page) -> None:
    page = lost_requests
    start_editing(page, "nginx/shop.conf")
    page.route("**/api/v1/changes/**", lambda route: route.abort())
    editor_of(page).press("Control+Home")
    page.keyboard.type("# typed while nothing answers\n")
    state = page.locator("[data-draft-state]")
    expect(state).to_have_attribute("data-draft-state", "failed")
    expect(page.locator("q-editor [role=status]")).to_contain_text("Not saved")
    asked: list[str] = []
    page.once("dialog", lambda dialog: dismiss(dialog, asked))
    page.evaluate("() => { setTimeout(() => location.assign('/files')); }")
    expect(state).to_be_visible()
    page.unroute("**/api/v1/changes/**")
    page.keyboard.press("Control+s")
    expect_saved(page)
    assert asked == ["beforeunload"]
    page.reload()
    expect(editor_of(page)).to_contain_text("typed while nothing answers")


def test_two_windows_do_not_overwrite_each_other_unseen(open_page: OpenPage) -> None:
    first = open_page("/files", person="oskar")
    url = start_editing(first, SETTINGS)
    second = open_page(url, person="oskar")
    write(second, '{"window": 2}')
    editor_of(first).fill('{"window": 1}')
    clash = first.locator("[data-clash]")
    expect(clash).to_be_visible()
    assert axe_findings(first) == []
    clash.get_by_role("button", name="Save mine over it").click()
    expect(clash).to_be_hidden()
    expect_saved(first)
    first.reload()
    expect(editor_of(first)).to_contain_text('"window": 1')


def test_conflict_is_decided_part_by_part(open_page: OpenPage, seeded: Seeded) -> None:
    path = "scripts/check_disk.py"
    before = text_of(seeded.deck, path)
    page = open_page("/files", person="oskar")
    start_editing(page, path)
    write(page, before.replace("0.9", "0.8"))
    merge_as_ada(seeded.deck, path, before.replace("0.9", "0.95").replace("Print each", "Show each"))
    commit(page, "Warn earlier")
    page.get_by_role("link", name="Take it in now").click()
    expect(page.get_by_role("group", name="Conflict 1 of 1")).to_be_visible()
    page.get_by_role("button", name="Take it so").click()
    expect(page.locator("#conflict-1-error, .merge .error").first).to_be_visible()
    assert findings(page) == []
    page.get_by_label("Take mine").check()
    page.get_by_role("button", name="Take it so").click()
    page.get_by_role("textbox", name="Message").fill("Warn earlier")
    page.get_by_role("button", name="Commit", exact=True).click()
    page.get_by_role("button", name="Merge into main").click()
    expect(page.locator("[data-state=merged]")).to_be_visible()
    text = text_of(seeded.deck, path)
    assert "0.8" in text
    assert "Show each" in text


def test_picker_takes_names_as_text_and_says_what_fails(open_page: OpenPage, seeded: Seeded) -> None:
    name = "<img src=x onerror=alert(1)> '&quot;.txt"
    merge_as_ada(seeded.deck, f"odd/{name}", "x\n", action="new")
    page = open_page("/files/example", person="vera")
    field, status = page.get_by_label("Find a file"), page.locator("q-picker [role=status]")
    field.fill("onerror")
    expect(page.get_by_role("option")).to_have_text(f"{name} odd/")
    assert axe_findings(page) == []
    field.press("Escape")
    expect(field).to_have_attribute("aria-expanded", "false")
    field.fill("nothing-has-this-name")
    expect(status).to_contain_text("No file fits")
    page.route("**/api/v1/places/**", lambda route: route.abort())
    field.fill("shop")
    expect(status).to_contain_text("can’t be had")
    page.unroute_all()
    field.fill("onerror")
    field.press("ArrowUp")
    expect(page.get_by_role("option")).to_have_count(1)
    field.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_line_of_a_link_is_marked(open_page: OpenPage) -> None:
    page = open_page(f"/files/example/view?ref=v1.0&path={VALUES}#L3", person="vera")
    line = page.locator("#L3:target")
    expect(line).to_be_in_viewport()
    expect(page.get_by_role("button", name="Update")).to_have_count(0)


def test_editor_weighs_little(open_page: OpenPage, seeded: Seeded) -> None:
    id_ = begin(seeded.deck, "README.md")
    page = open_page("/files")
    weights = weights_of(page, f"/files/changes/{id_}/edit?path=README.md")
    assert sum(weights.values()) <= EDITOR_BUDGET, weights
    assert max(weights.values()) <= CHUNK_BUDGET, weights
