"""A started installation with hosts, runs and people in it, and Chromium to look at it."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.looking import forget_faults, watch
from tests.deck import PASSWORD, Deck, running_deck
from tests.needs import need
from tests.sshd import SshKeys, SshServer

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=20_000)
COLOURED = r"printf '\033[31mred\033[0m and \033[1;32mbold green\033[0m\n'; echo oops >&2; exit 3"
MANY = 48
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    need("" if CHROMIUM else "chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Seeded:
    """The installation, a server to add hosts of, and the ids of what was put into it."""

    deck: Deck
    server: SshServer
    run_id: str
    failed_run_id: str
    running_id: str
    entry_id: str


@pytest.fixture(scope="session")
def seeded(
    tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer, ssh_keys: SshKeys
) -> Iterator[Seeded]:
    changing = SshServer(tmp_path_factory.mktemp("changing"), ssh_keys).start()
    try:
        with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
            filled = _fill(deck, ssh_server, changing)
            yield filled
            deck.api("POST", f"/api/v1/runs/{filled.running_id}/cancel")
            deck.api("GET", f"/api/v1/runs/{filled.running_id}?wait=20")
    finally:
        changing.vanish()


def _fill(deck: Deck, server: SshServer, changing: SshServer) -> Seeded:
    for name, role in (("oskar", "operator"), ("vera", "viewer")):
        deck.add_person(name, role)
    deck.add_ssh_host(server, "web1", tags=["web"])
    deck.add_ssh_host(server, "down1", address="127.0.0.250", port=9)
    deck.add_ssh_host(changing, "reinstalled")
    changing.change_host_key()
    for name in ("down1", "reinstalled"):
        deck.api("POST", f"/api/v1/hosts/{name}/test")
    base = {"name": "tickets", "url": "https://tickets.example.org/v2"}
    assert deck.api("POST", "/api/v1/bases", json=base).status_code == 201
    run = deck.run(task={"kind": "command", "command": "df -h /"}, hosts=["web1", "master", "worker"])
    failed = deck.run(task={"kind": "command", "command": COLOURED}, hosts=["web1"])
    running = deck.api(
        "POST",
        "/api/v1/runs",
        json={"task": {"kind": "command", "command": "echo begun; sleep 1200"}, "hosts": ["web1"]},
    ).json()
    sent = deck.api("POST", "/api/v1/toasts", json={"text": "The backup is done.", "level": "success"})
    assert sent.status_code == 202, sent.text
    entry = deck.api("GET", "/api/v1/history?action=task.run&kind=outcome").json()["entries"][0]
    return Seeded(deck, server, run["id"], failed["id"], running["id"], entry["id"])


@pytest.fixture(scope="session")
def fleet_run(seeded: Seeded, ssh_servers: list[SshServer]) -> str:
    """The id of a run on 50 hosts, which are added for it."""
    places = [(server, address) for server in ssh_servers for address in server.addresses][:MANY]

    def add(number: int, place: tuple[SshServer, str]) -> str:
        name, (server, address) = f"node-{number:02}", place
        seeded.deck.add_ssh_host(server, name, address=address, host_key=server.host_key, tags=["fleet"])
        return name

    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(add, range(len(places)), places))
    command = 'case $((RANDOM % 3)) in 0) echo "no space left" >&2; exit 1;; *) uptime;; esac'
    run = seeded.deck.run(task={"kind": "command", "command": command}, hosts=[*names, "master", "worker"])
    assert len(run["hosts"]) == MANY + 2
    id_: str = run["id"]
    return id_


CookiesOf = Callable[[str], Path]


@pytest.fixture(scope="session")
def cookies_of(seeded: Seeded, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> CookiesOf:
    """Give the cookies of a person, who signs in through the page the first time."""
    folder = tmp_path_factory.mktemp("cookies")

    def cookies(name: str) -> Path:
        path = folder / f"{name}.json"
        if not path.exists():
            context = browser.new_context(base_url=seeded.deck.url)
            sign_in(context.new_page(), name)
            context.storage_state(path=path)
            context.close()
        return path

    return cookies


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.goto("/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: not url.endswith("/sign-in"))


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, seeded: Seeded, cookies_of: CookiesOf) -> Iterator[OpenPage]:
    """Open a path in a fresh context, as Ada; what the browser complains about is collected on the way."""
    contexts: list[BrowserContext] = []

    def open_(
        path: str,
        *,
        width: int = 1280,
        scheme: Scheme = "light",
        script: bool = True,
        person: str = "ada",
        base_url: str = "",
    ) -> Page:
        context = browser.new_context(
            base_url=base_url or seeded.deck.url,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            storage_state=cookies_of(person) if person else None,
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()


class Windows:
    """Pages for tests that only look: each is used again, since to open one takes longer than most looks."""

    def __init__(self, browser: Browser, base_url: str, cookies_of: CookiesOf) -> None:
        self._browser, self._base_url, self._cookies_of = browser, base_url, cookies_of
        self._pages: dict[tuple[bool, str], Page] = {}

    def look(self, path: str, *, script: bool = True, person: str = "ada", width: int = 1280) -> Page:
        """Go to a path in a window that has nothing of the test before in it."""
        page = self._pages.get((script, person)) or self._open(script, person)
        forget_faults(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(path)
        return page

    def tidy(self) -> None:
        """Leave the pages, without what they stored."""
        for page in self._pages.values():
            if page.url.startswith(self._base_url):
                page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
            page.goto("about:blank")

    def close(self) -> None:
        for page in self._pages.values():
            page.context.close()

    def _open(self, script: bool, person: str) -> Page:
        context = self._browser.new_context(
            base_url=self._base_url,
            java_script_enabled=script,
            storage_state=self._cookies_of(person),
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        page = context.new_page()
        watch(page)

        def forget(_page: Page) -> None:
            self._pages.pop((script, person), None)

        page.on("crash", forget)
        self._pages[script, person] = page
        return page


@pytest.fixture(scope="session")
def windows(browser: Browser, seeded: Seeded, cookies_of: CookiesOf) -> Iterator[Windows]:
    windows = Windows(browser, seeded.deck.url, cookies_of)
    yield windows
    windows.close()


@pytest.fixture
def look(windows: Windows) -> Iterator[OpenPage]:
    """As ``open_page``, for tests that change nothing: neither the page nor what the browser keeps."""
    yield windows.look
    windows.tidy()
