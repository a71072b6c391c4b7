"""What is looked at on a page: faults told by the browser, findings of axe, what does not fit the width."""

from functools import cache
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
WIDTHS = (1280, 390)


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


def watch(page: Page) -> None:
    """Collect what the browser complains about: policy violations, script errors, failed requests."""
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.faults = faults  # type: ignore[attr-defined]  # read back by faults_of


def faults_of(page: Page, expected_status: int = 200) -> list[str]:
    """Return the complaints, without the one about a page that is meant to be refused."""
    faults: list[str] = page.faults  # type: ignore[attr-defined]  # set by watch
    return [fault for fault in faults if f"status of {expected_status}" not in fault]


def forget_faults(page: Page) -> None:
    """Let no complaint of an earlier page count."""
    page.faults.clear()  # type: ignore[attr-defined]  # set by watch


def findings(page: Page) -> list[str]:
    """Look at a page wide and narrow, light and dark; return a line a finding.

    Only colours differ between light and dark, so the wide page is looked at in the dark for these alone, and
    the narrow one, whose colours are the wide one's, in the dark only.
    """
    wide, narrow = WIDTHS
    _turn(page, wide, "light")
    found = [f"{wide} light: {line}" for line in axe_findings(page) + _too_wide(page)]
    _turn(page, wide, "dark")
    found += [f"{wide} dark: {line}" for line in axe_findings(page, only="color-contrast")]
    _turn(page, narrow, "dark")
    return found + [f"{narrow} dark: {line}" for line in axe_findings(page) + _too_wide(page)]


def _turn(page: Page, width: int, scheme: Literal["light", "dark"]) -> None:
    """Switch width and colours and wait until they are drawn."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def axe_findings(page: Page, only: str = "") -> list[str]:
    """Run axe-core with all its rules (WCAG 2.2 A and AA, and best practice), or only one of them."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_axe())
    options = {"resultTypes": ["violations"]} | ({"runOnly": [only]} if only else {})
    found = page.evaluate("async options => (await axe.run(options)).violations", options)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]
    ]


def _too_wide(page: Page) -> list[str]:
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{overflow} px too wide"] if overflow > 0 else []
