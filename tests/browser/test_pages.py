"""Every page: readable, clean under the policy, no finding of axe, wide and narrow, light and dark."""

from collections.abc import Callable
from itertools import count

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import CookiesOf, OpenPage, Seeded
from tests.browser.looking import faults_of, findings

PAGES = [
    "/",
    "/live",
    "/hosts",
    "/hosts?q=nothing-has-this-name",
    "/hosts/new",
    "/hosts/new?kind=ssh",
    "/hosts/new?kind=worker",
    "/hosts/web1",
    "/hosts/worker",
    "/hosts/master",
    "/hosts/down1",
    "/hosts/reinstalled",
    "/hosts/web1/edit",
    "/hosts/web1/remove",
    "/hosts/import",
    "/hosts/invitations",
    "/fleet/silences",
    "/fleet/silences?host=web1",
    "/fleet/alerts",
    "/fleet/alerts?host=nowhere",
    "/fleet/rules",
    "/fleet/rules/new",
    "/bases",
    "/bases/tickets/remove",
    "/runs",
    "/runs?state=lost",
    "/runs/new",
    "/runs/new?kind=builtin",
    "/runs/new?kind=call",
    "/runs/new?again={failed_run_id}",
    "/runs/{run_id}",
    "/runs/{run_id}?host=worker",
    "/runs/{failed_run_id}",
    "/runs/{running_id}",
    "/files",
    "/files/example",
    "/files/example?q=shop",
    "/files/example/view?ref=main&path=nginx/shop.conf",
    "/files/example/view?ref=main&path=images/dot.png",
    "/files/example/new?ref=main",
    "/files/example/first",
    "/files/changes?state=merged",
    "/files/places",
    "/files/places/add?kind=cloud",
    "/history",
    "/history?kind=all&host=web1",
    "/history?actor=nobody-has-this-name",
    "/history/{entry_id}",
    "/toasts",
    "/toasts?level=error",
    "/account",
    "/account/profile",
    "/access",
    "/access?who=vera&host=web1",
    "/access/providers",
    "/access/changes",
    "/access/changes?kind=refused&about=nobody-of-this-name",
    "/api/docs",
    "/api/docs/runs",
    "/people",
    "/people?q=nobody",
    "/people/oskar",
    "/people/new",
    "/patterns",
    "/search",
    "/search?q=web",
    "/search?q=nothing-has-this-name",
    "/help/keyboard",
]
numbers = count(1)


def path_of(template: str, seeded: Seeded) -> str:
    return template.format(**vars(seeded))


@pytest.mark.parametrize("template", PAGES)
def test_page_has_no_finding(template: str, look: OpenPage, seeded: Seeded) -> None:
    page = look(path_of(template, seeded))
    assert findings(page) == []
    assert faults_of(page) == []


@pytest.mark.parametrize("template", PAGES)
def test_page_is_readable_without_script(template: str, look: OpenPage, seeded: Seeded) -> None:
    page = look(path_of(template, seeded), script=False, width=390)
    assert page.locator("h1").count() == 1
    assert page.locator("main").inner_text().strip()
    assert page.locator("nav a").count() >= 3
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert faults_of(page) == []


def test_run_on_50_hosts_has_no_finding(look: OpenPage, fleet_run: str) -> None:
    for path in (f"/runs/{fleet_run}", f"/runs/{fleet_run}?state=failed", "/hosts", "/runs/new"):
        page = look(path)
        assert findings(page) == [], path
        assert faults_of(page) == []


def submit_empty_ssh_host(page: Page, _: Seeded) -> None:
    page.goto("/hosts/new?kind=ssh")
    page.get_by_label("Name").fill("two words")
    page.get_by_label("Port").fill("many")
    send_unchecked(page)


def submit_run_without_hosts(page: Page, _: Seeded) -> None:
    page.goto("/runs/new")
    page.get_by_label("Command").fill("true")
    send_unchecked(page)


def submit_base_of_no_address(page: Page, _: Seeded) -> None:
    page.goto("/bases")
    page.get_by_label("Name").fill("x")
    page.get_by_label("Address").fill("not an address")
    send_unchecked(page)


def submit_short_password(page: Page, _: Seeded) -> None:
    page.goto("/account")
    for field in page.locator("input[type=password]").all():
        field.fill("short")
    page.get_by_role("button", name="Change the password").click()


def submit_zone_of_no_place(page: Page, _: Seeded) -> None:
    page.goto("/account/profile")
    page.get_by_label("Display name").fill("Ada \u202e Lovelace")
    page.get_by_label("Time zone").fill("zurich")
    send_unchecked(page)


def take_the_last_administrator_away(page: Page, _: Seeded) -> None:
    page.goto("/people/ada")
    page.get_by_label("Viewer").check()
    page.get_by_role("button", name="Save the role").click()


def disable_the_last_administrator(page: Page, _: Seeded) -> None:
    page.goto("/people/ada")
    page.get_by_text("Disable…").click()
    page.get_by_role("button", name="Disable ada").click()


def submit_person_that_is_there(page: Page, _: Seeded) -> None:
    page.goto("/people/new")
    page.get_by_label("Name").fill("oskar")
    send_unchecked(page)


def ask_history_nonsense(page: Page, _: Seeded) -> None:
    page.goto("/history?since=yesterday&kind=odd")


def import_wrong_rows(page: Page, _: Seeded) -> None:
    page.goto("/hosts/import")
    page.get_by_label("Content").fill("hosts:\n  - name: two words\n    address: -oProxyCommand=x\n")
    page.get_by_role("button", name="Preview").click()


def send_unchecked(page: Page) -> None:
    """Send the form of the page as a browser without checks of its own would."""
    page.locator("main form[method=post]").last.evaluate("form => { form.noValidate = true; }")
    page.locator("main form[method=post]").last.locator(".button-primary").click()


@pytest.mark.parametrize(
    "submit",
    [
        submit_empty_ssh_host,
        submit_run_without_hosts,
        submit_base_of_no_address,
        submit_short_password,
        submit_zone_of_no_place,
        submit_person_that_is_there,
        ask_history_nonsense,
        import_wrong_rows,
    ],
)
def test_refused_form_has_no_finding(
    submit: Callable[[Page, Seeded], None], open_page: OpenPage, seeded: Seeded
) -> None:
    page = open_page("/patterns")
    with page.expect_response(lambda answer: answer.status == 422):
        submit(page, seeded)
    page.wait_for_load_state()
    assert page.locator("[role=alert] a[href^='#field-']").count() >= 1 or page.locator(".error").count() >= 1
    assert findings(page) == []
    assert faults_of(page, expected_status=422) == []


@pytest.mark.parametrize("submit", [take_the_last_administrator_away, disable_the_last_administrator])
def test_clash_is_told_beside_its_form_without_a_finding(
    submit: Callable[[Page, Seeded], None], open_page: OpenPage, seeded: Seeded
) -> None:
    page = open_page("/patterns")
    with page.expect_response(lambda answer: answer.status == 409):
        submit(page, seeded)
    page.wait_for_load_state()
    assert page.locator(".error").first.is_visible()
    assert findings(page) == []
    assert faults_of(page, expected_status=409) == []


def see_host_key(page: Page, seeded: Seeded) -> None:
    page.goto("/hosts/new?kind=ssh")
    page.get_by_label("Name").fill(f"fresh-{next(numbers)}")
    page.get_by_label("Address").fill(seeded.server.addresses[0])
    page.get_by_label("Port").fill(str(seeded.server.port))
    page.get_by_label("Account", exact=False).first.fill("root")
    page.get_by_label("Private key").fill(seeded.server.keys.good)
    page.get_by_role("button", name="Add the host").click()
    page.get_by_role("heading", name="Is this the right host?").wait_for()


def see_duplicate_warning(page: Page, _: Seeded) -> None:
    page.goto("/runs/new")
    page.get_by_label("Command").fill("echo begun; sleep 1200")
    page.get_by_label("web1").check()
    page.get_by_role("button", name="Run it").click()
    page.get_by_role("heading", name="The same is running already").wait_for()


def see_new_token(page: Page, _: Seeded) -> None:
    page.goto("/account")
    page.get_by_label("Name").fill(f"token {next(numbers)}")
    page.locator("#tokens .button-primary, #tokens form:not([action*=revoke]) .button").last.click()
    page.get_by_role("heading", name="Copy the token").wait_for()


def see_link(page: Page, _: Seeded) -> None:
    page.goto("/people/vera")
    page.get_by_role("button", name="Make a one-time link").click()
    page.get_by_role("heading", name="A link for vera").wait_for()


def see_plan(page: Page, _: Seeded) -> None:
    page.goto("/hosts/import")
    page.get_by_label("Content").fill(
        "defaults: {username: deploy}\nhosts:\n  - {name: a1, address: a1.example.org}"
    )
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("What would be added", exact=True).wait_for()


@pytest.mark.parametrize("see", [see_host_key, see_duplicate_warning, see_new_token, see_link, see_plan])
def test_page_of_an_answer_has_no_finding(
    see: Callable[[Page, Seeded], None], open_page: OpenPage, seeded: Seeded
) -> None:
    page = open_page("/patterns")
    see(page, seeded)
    assert findings(page) == []
    assert faults_of(page, expected_status=409) == []


def test_missing_page_says_so(open_page: OpenPage) -> None:
    page = open_page("/no-such-page")
    assert "404" in page.locator("main").inner_text()
    assert findings(page) == []


def test_refused_page_says_what_is_missing(open_page: OpenPage, cookies_of: CookiesOf) -> None:
    page = open_page("/people", person="vera")
    assert "403" in page.locator("main").inner_text()
    assert findings(page) == []


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/link/not-a-link"])
def test_page_before_signing_in_has_no_finding(path: str, open_page: OpenPage) -> None:
    page = open_page(path, person="")
    assert findings(page) == []
