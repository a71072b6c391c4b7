"""Make docs/images/*.png: .venv/bin/python -m scripts.screenshots [--every FOLDER]

One command does it all: it starts a Quarterdeck and OpenSSH servers on the loopback of this machine (as
root, which sshd needs), adds hosts, runs real commands on them, takes the pictures and stops everything.
What the pictures show is what the program did. With ``--every`` each page of it is taken, wide and narrow,
light and dark, into that folder instead: that is how the looks are worked on.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.deck import PASSWORD, Deck, running_deck
from tests.sshd import SshServer, make_keys, open_folder

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 250_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"]
HOSTS = {
    "build-1": ["build"],
    "db-1": ["db", "production"],
    "web-1": ["web", "production"],
    "web-2": ["web", "production"],
    "web-3": ["web", "staging"],
}
COLOURS = r"""printf '\033[1m%s\033[0m\n' 'Checking the sites'
for site in shop blog wiki; do printf '\033[32m  ok\033[0m   %s\n' "$site"; done
printf '\033[33m  slow\033[0m mail answered after 2.1 s\n'
echo 'old: no answer' >&2; exit 1"""
Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Scene:
    """A running installation and the runs to look at."""

    deck: Deck
    coloured_run: str


def main() -> None:
    folder = _arguments().every
    with tempfile.TemporaryDirectory() as home, _scene(Path(home)) as scene, _browser() as browser:
        fleet_run = _run_by_hand(browser, scene.deck)
        if folder:
            _shoot_every(browser, scene, fleet_run, folder)
        else:
            _shoot_docs(browser, scene, fleet_run)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--every", type=Path, metavar="FOLDER", help="take every page into this folder")
    return parser.parse_args()


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def _scene(home: Path) -> Iterator[Scene]:
    with open_folder() as keys, running_deck(home / "quarterdeck") as deck:
        addresses = tuple(f"127.0.9.{number}" for number in range(1, len(HOSTS) + 1))
        (home / "sshd").mkdir()
        server = SshServer(home / "sshd", make_keys(keys), addresses).start()
        try:
            yield _filled(deck, server)
        finally:
            server.vanish()


def _filled(deck: Deck, server: SshServer) -> Scene:
    """Do what a small team does in a morning."""
    for name, role in (("oskar", "operator"), ("vera", "viewer")):
        deck.add_person(name, role)
    for address, (name, tags) in zip(server.addresses, HOSTS.items(), strict=True):
        deck.add_ssh_host(server, name, address=address, tags=tags)
    deck.add_ssh_host(server, "old-1", address="127.0.9.99", tags=["legacy"])
    for name in (*HOSTS, "old-1"):
        deck.api("POST", f"/api/v1/hosts/{name}/test")
    oskar = {"Authorization": f"Bearer {deck.new_token('oskar', 'run')}"}
    coloured = _run(deck, COLOURS, ["build-1"], headers=oskar)
    _run(deck, "uptime", ["old-1"], headers=oskar)
    deck.run(task={"kind": "builtin", "name": "disk-use"}, hosts=["worker"])
    _run(deck, "uptime -p", ["web-1"], headers=oskar)
    deck.api("POST", "/api/v1/toasts", json={"text": "The backup of db-1 is done.", "level": "success"})
    return Scene(deck, coloured)


def _run(deck: Deck, command: str, hosts: list[str], headers: dict[str, str] | None = None) -> str:
    body = {"task": {"kind": "command", "command": command}, "hosts": hosts}
    started = deck.api("POST", "/api/v1/runs", json=body, headers=headers or {})
    id_: str = started.json()["id"]
    deck.api("GET", f"/api/v1/runs/{id_}?wait=30")
    return id_


def _run_by_hand(browser: Browser, deck: Deck) -> str:
    """Start the run of the picture as Ada does, by the form; returns its path."""
    context = _signed_in(browser, deck, 1280, "light")
    page = context.new_page()
    page.goto("/runs/new")
    page.get_by_label("Command").fill("df -h /")
    for name in ("web-1", "web-2", "db-1", "worker"):
        page.locator(f'input[name=hosts][value="{name}"]').check()
    page.get_by_role("button", name="Run it").click()
    page.locator('.run-state [data-state="succeeded"]').wait_for()
    path = page.url.partition("#")[0].removeprefix(deck.url)
    context.close()
    return path


def _shoot_docs(browser: Browser, scene: Scene, fleet_run: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    pages = {"landing": "/", "hosts": "/hosts", "run": fleet_run, "history": "/history"}
    for scheme in ("light", "dark"):
        context = _signed_in(browser, scene.deck, 1280, scheme)
        for name, path in pages.items():
            file = IMAGES / (f"{name}.png" if scheme == "light" else f"{name}-dark.png")
            _shoot(context, path, file)
            if file.stat().st_size > MOST_BYTES:
                raise SystemExit(f"{file} is larger than {MOST_BYTES} bytes.")
        context.close()


def _shoot_every(browser: Browser, scene: Scene, fleet_run: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            context = _signed_in(browser, scene.deck, width, scheme)
            for name, path in _every(scene, fleet_run).items():
                _shoot(context, path, folder / f"{name}-{width}-{scheme}.png", full_page=True)
            context.close()


def _every(scene: Scene, fleet_run: str) -> dict[str, str]:
    return {
        "home": "/",
        "hosts": "/hosts",
        "hosts-none": "/hosts?q=nothing",
        "host": "/hosts/web-1",
        "host-worker": "/hosts/worker",
        "host-lost": "/hosts/old-1",
        "host-kinds": "/hosts/new",
        "host-new": "/hosts/new?kind=ssh",
        "host-edit": "/hosts/web-1/edit",
        "host-remove": "/hosts/web-1/remove",
        "host-import": "/hosts/import",
        "host-invitations": "/hosts/invitations",
        "bases": "/bases",
        "runs": "/runs",
        "runs-none": "/runs?q=nothing",
        "run-new": "/runs/new",
        "run-new-builtin": "/runs/new?kind=builtin",
        "run-new-call": "/runs/new?kind=call",
        "run-fleet": fleet_run,
        "run-one": f"/runs/{scene.coloured_run}",
        "history": "/history",
        "history-all": "/history?kind=all",
        "history-none": "/history?actor=nobody",
        "toasts": "/toasts",
        "account": "/account",
        "people": "/people",
        "person": "/people/oskar",
        "person-new": "/people/new",
        "search": "/search?q=web",
        "keyboard": "/help/keyboard",
        "patterns": "/patterns",
        "missing": "/no-such-page",
    }


def _signed_in(browser: Browser, deck: Deck, width: int, scheme: Scheme) -> BrowserContext:
    context = browser.new_context(
        base_url=deck.url,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{deck.url}/")
    page.goto("/toasts")
    while page.locator(".toast").count():
        page.locator(".toast-close").first.click()
    page.close()
    return context


def _shoot(context: BrowserContext, path: str, file: Path, *, full_page: bool = False) -> None:
    page = context.new_page()
    page.goto(path)
    page.locator("main").wait_for()
    page.evaluate("document.fonts.ready")
    page.screenshot(path=file, full_page=full_page)
    page.close()
    print(file)


if __name__ == "__main__":
    main()
