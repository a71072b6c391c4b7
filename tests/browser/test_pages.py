"""Every page: readable, clean under the policy, and without a finding of axe."""

import pytest

from tests.browser.conftest import OpenPage, Scheme, Seeded, axe_findings, faults_of

PAGES = [
    "/",
    "/hosts",
    "/hosts?q=nothing-has-this-name",
    "/hosts/new?kind=ssh",
    "/hosts/new?kind=worker",
    "/hosts/web1",
    "/hosts/web1/edit",
    "/hosts/web1/remove",
    "/hosts/import",
    "/bases",
    "/runs",
    "/runs?state=lost",
    "/runs/new",
    "/runs/new?kind=call",
    "/runs/{run_id}",
    "/runs/{failed_run_id}",
    "/history",
    "/history?actor=nobody-has-this-name",
    "/toasts",
    "/account",
    "/people",
    "/people/oskar",
    "/patterns",
    "/search?q=web",
    "/help/keyboard",
    "/no-such-page",
]


def path_of(template: str, seeded: Seeded) -> str:
    return template.format(run_id=seeded.run_id, failed_run_id=seeded.failed_run_id)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("template", PAGES)
def test_page_has_no_finding(
    template: str, width: int, scheme: Scheme, open_page: OpenPage, seeded: Seeded
) -> None:
    page = open_page(path_of(template, seeded), width=width, scheme=scheme)
    missing = template == "/no-such-page"
    assert [fault for fault in faults_of(page) if not (missing and "404" in fault)] == []
    assert axe_findings(page) == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{overflow} px too wide"


@pytest.mark.parametrize("template", PAGES)
def test_page_works_without_script(template: str, open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page(path_of(template, seeded), script=False)
    assert page.locator("h1").count() == 1
    assert page.locator("main").inner_text().strip()
    assert page.locator("nav a").count() >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_sign_in_page_has_no_finding(width: int, scheme: Scheme, open_page: OpenPage) -> None:
    page = open_page("/sign-in", width=width, scheme=scheme, signed=False)
    assert faults_of(page) == []
    assert axe_findings(page) == []
