"""Make docs/images/*.png from a running Quarterdeck: scripts/screenshots.py URL LINK [--run ID] [--host NAME]

The link is a one-time link as `quarterdeck person link NAME` or the first start prints it; the pages show
what the installation holds, so fill it first.
"""

import argparse
import shutil
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"]
PASSWORD = "screenshots need no secret"  # noqa: S105 - of an installation made for pictures
Scheme = Literal["light", "dark"]


def main() -> None:
    arguments = _arguments()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        cookies = _sign_in(browser, arguments.link)
        for name, path in _pages(arguments).items():
            _shoot(browser, cookies, arguments.url + path, name, width=1280, scheme="light")
        _shoot(browser, cookies, arguments.url, "home-dark", width=1280, scheme="dark")
        _shoot(browser, cookies, f"{arguments.url}/hosts", "hosts-phone", width=390, scheme="light")
        _shoot(browser, "", f"{arguments.url}/sign-in", "sign-in", width=1280, scheme="light")
        browser.close()
    Path(cookies).unlink()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", type=lambda text: text.rstrip("/"))
    parser.add_argument("link", help="a one-time sign-in link")
    parser.add_argument("--run", default="", help="id of the run to show")
    parser.add_argument("--host", default="", help="name of the host to show")
    return parser.parse_args()


def _pages(arguments: argparse.Namespace) -> dict[str, str]:
    pages = {
        "home": "/",
        "hosts": "/hosts",
        "run-new": "/runs/new",
        "runs": "/runs",
        "history": "/history",
        "toasts": "/toasts",
        "account": "/account",
        "patterns": "/patterns",
    }
    if arguments.run:
        pages["run"] = f"/runs/{arguments.run}"
    if arguments.host:
        pages["host"] = f"/hosts/{arguments.host}"
    return pages


def _sign_in(browser: Browser, link: str) -> str:
    """Use the link up and return where the cookies are kept."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    name = page.get_by_label("Name", exact=False)
    if name.count() and name.first.is_editable():
        name.first.fill("ada")
    page.locator("main form button").first.click()
    page.wait_for_load_state()
    path = IMAGES / ".cookies.json"
    context.storage_state(path=path)
    context.close()
    return str(path)


def _shoot(browser: Browser, cookies: str, url: str, name: str, *, width: int, scheme: Scheme) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        device_scale_factor=2 if width < 500 else 1,
        color_scheme=scheme,
        reduced_motion="reduce",
        storage_state=cookies or None,
    )
    page = context.new_page()
    page.goto(url)
    _settle(page)
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()
    print(IMAGES / f"{name}.png")


def _settle(page: Page) -> None:
    """Wait until the page has its styles and nothing new comes in."""
    page.evaluate("document.fonts.ready")
    page.locator("main").wait_for()


if __name__ == "__main__":
    main()
