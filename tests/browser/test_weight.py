"""What a first visit of a page has to load, against the budgets: bodies as they go over the wire.

Pages themselves leave uncompressed (their token must not be told by a length beside text from outside);
they are counted as gzip makes them, which is what the budgets are about.
"""

import gzip

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import CookiesOf, Seeded

BUDGET = 45 * 1024
"""Of the landing page and the lists, of up to 50 entries; the form of a run brings all hosts."""
RUN_BUDGET = 55 * 1024
"""A run brings the reader and the map or table of its hosts too; the fleet what makes it move."""

FIGURES_BUDGET = 78 * 1024
"""A host's figures bring the charts (23 KB) and what makes them live; samples and refreshes, which are data,
are not counted. With brotli, which browsers ask for over https, it is 7 KB less."""


def weights_of(page: Page, path: str) -> dict[str, int]:
    """Return the bytes of each body that the visit loads."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    heads: dict[str, tuple[str, float]] = {}
    sizes: dict[str, int] = {}

    def note_head(event: dict[str, dict[str, str]]) -> None:
        heads[str(event["requestId"])] = (
            event["response"]["url"],
            float(event["response"]["encodedDataLength"]),
        )

    def note_end(event: dict[str, str]) -> None:
        url, before = heads.get(event["requestId"], ("", 0.0))
        if url.startswith("http"):
            sizes[url] = int(float(event["encodedDataLength"]) - before)

    session.on("Network.responseReceived", note_head)
    session.on("Network.loadingFinished", note_end)
    answer = page.goto(path, wait_until="networkidle")
    assert answer
    assert answer.headers.get("content-encoding") is None
    return sizes | {answer.url: len(gzip.compress(answer.body()))}


@pytest.mark.parametrize("encoding", ["gzip", "br"])
@pytest.mark.parametrize(
    ("template", "budget"),
    [
        ("/", BUDGET),
        ("/hosts", BUDGET),
        ("/live", BUDGET + 4096),
        ("/runs", BUDGET),
        ("/history", BUDGET),
        ("/sign-in", BUDGET),
        ("/runs/new", BUDGET + 4096),
        ("/runs/{run_id}", RUN_BUDGET),
        ("/runs/{fleet_run}", RUN_BUDGET),
        ("/files/example", BUDGET + 4096),
        ("/files/example/view?ref=main&path=shop/values.yaml", BUDGET + 4096),
        ("/fleet", RUN_BUDGET),
        ("/fleet/master", FIGURES_BUDGET),
        ("/fleet/compare?host=master&host=worker", FIGURES_BUDGET),
    ],
)
def test_page_weighs_little(
    template: str,
    budget: int,
    encoding: str,
    browser: Browser,
    seeded: Seeded,
    fleet_run: str,
    cookies_of: CookiesOf,
) -> None:
    values = vars(seeded) | {"fleet_run": fleet_run}  # which also fills the lists
    context = browser.new_context(
        base_url=seeded.deck.url,
        storage_state=None if template == "/sign-in" else cookies_of("ada"),
        extra_http_headers={"Accept-Encoding": encoding},
    )
    weights = weights_of(context.new_page(), template.format(**values))
    context.close()
    weights = {url: size for url, size in weights.items() if "/samples?" not in url and url[-4:] != "/now"}
    assert len(weights) >= 4
    assert sum(weights.values()) <= budget, sorted(weights.items(), key=lambda item: -item[1])
