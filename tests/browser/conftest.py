"""A started installation with hosts, runs and people in it, and Chromium to look at it."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.deck import PASSWORD, Deck, running_deck
from tests.sshd import SshServer

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is missing")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Seeded:
    """The installation and the ids of what was put into it."""

    deck: Deck
    run_id: str
    failed_run_id: str


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[Seeded]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        for name, role in (("oskar", "operator"), ("vera", "viewer")):
            deck.add_person(name, role)
        deck.add_ssh_host(ssh_server, "web1", tags=["web"])
        run = deck.run(task={"kind": "command", "command": "df -h /"}, hosts=["web1", "master", "worker"])
        failed = deck.run(task={"kind": "command", "command": "echo oops >&2; exit 3"}, hosts=["web1"])
        sent = deck.api("POST", "/api/v1/toasts", json={"text": "The backup is done.", "level": "success"})
        assert sent.status_code == 202, sent.text
        yield Seeded(deck, run["id"], failed["id"])


@pytest.fixture(scope="session")
def signed_in(seeded: Seeded, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of Ada, signed in through the page."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{seeded.deck.url}/sign-in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{seeded.deck.url}/")
    path = tmp_path_factory.mktemp("cookies") / "ada.json"
    context.storage_state(path=path)
    context.close()
    return path


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, seeded: Seeded, signed_in: Path) -> Iterator[OpenPage]:
    """Open a path in a fresh context; policy violations and script errors are collected on the way."""
    contexts: list[BrowserContext] = []

    def open_(
        path: str, *, width: int = 1280, scheme: Scheme = "light", script: bool = True, signed: bool = True
    ) -> Page:
        context = browser.new_context(
            base_url=seeded.deck.url,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            storage_state=signed_in if signed else None,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.faults = faults  # type: ignore[attr-defined]  # read back by faults_of
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()


def faults_of(page: Page) -> list[str]:
    """Return what the browser complained about: policy violations and script errors."""
    faults: list[str] = page.faults  # type: ignore[attr-defined]  # set by open_page
    return faults


def axe_findings(page: Page) -> list[str]:
    """Run axe-core (WCAG 2.2 A and AA, and best practice) and return a line a finding."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]
    ]
