"""What a first visit of a page has to load, as it goes over the wire, against the budgets."""

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import CookiesOf, Seeded

BUDGET = 45_000
"""Of the landing page and the lists; what is left of it tells how much may still be added."""


@pytest.mark.parametrize("encoding", ["gzip", "br"])
@pytest.mark.parametrize(
    ("template", "budget"),
    [
        ("/", BUDGET),
        ("/hosts", BUDGET),
        ("/runs", BUDGET),
        ("/history", BUDGET),
        ("/runs/{run_id}", BUDGET),
        ("/runs/new", BUDGET),
        ("/sign-in", 30_000),
    ],
)
def test_page_weighs_little(
    template: str, budget: int, encoding: str, browser: Browser, seeded: Seeded, cookies_of: CookiesOf
) -> None:
    person = None if template == "/sign-in" else cookies_of("ada")
    context = browser.new_context(
        base_url=seeded.deck.url, storage_state=person, extra_http_headers={"Accept-Encoding": encoding}
    )
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    paths: dict[str, str] = {}
    sizes: dict[str, int] = {}
    session.on("Network.responseReceived", lambda e: paths.update({e["requestId"]: e["response"]["url"]}))
    session.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}))
    page.goto(template.format(**vars(seeded)), wait_until="networkidle")
    weights = {
        paths[id_].removeprefix(seeded.deck.url): int(size) for id_, size in sizes.items() if id_ in paths
    }
    context.close()
    assert len(weights) >= 4
    assert sum(weights.values()) <= budget, weights
