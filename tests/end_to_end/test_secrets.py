"""Secrets go in everywhere; then no answer, no file and no line of output may hold one.

Marked secrets are planted in every field that takes one, and carried through everything that works
and everything that fails. What was answered, what stands in the home and what the processes wrote is
then searched for them: as text, and in the codings in which a careless program would still leak them.
"""

import base64
import json
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from apiflask import APIFlask

from quarterdeck.core.config import load_settings
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from tests.deck import Deck, running_deck
from tests.end_to_end.visitor import Visitor, add_cast, signed_in
from tests.sshd import ROOT, SshServer, make_key

MARKED = {
    "host password": "marker-host-Passw0rd-41",
    "passphrase": "marker passphrase 42",
    "worker token": "marker-worker-token-43-0123456789",
    "base bearer": "marker-base-bearer-44-0123456789",
    "person password": "marker person password 45",
    "header": "marker-header-46-0123456789",
    "bad bearer": "qd_marker-bad-bearer-47-0123456789",
    "query": "marker-query-48",
}
CALL_HEADERS = {"Authorization": f"Bearer {MARKED['header']}", "X-Api-Key": MARKED["header"]}


@dataclass
class Planted:
    """A deck full of secrets, and everything that it has answered."""

    deck: Deck
    private_key: str
    secrets: dict[str, str] = field(default_factory=lambda: dict(MARKED))
    told: list[tuple[str, bytes]] = field(default_factory=list)

    def note(self, what: str, answer: httpx.Response) -> httpx.Response:
        headers = repr(answer.headers.multi_items()).encode()
        self.told.append((f"{what}: {answer.status_code}", headers + answer.content))
        return answer

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:  # Any: handed on to httpx
        return self.note(f"{method} {path}", self.deck.api(method, path, **more))

    def run_cli(self, *arguments: str, given: str = "") -> None:
        done = self.deck.cli(*arguments, given=given, check=False)
        self.told.append((f"quarterdeck {' '.join(arguments)}", (done.stdout + done.stderr).encode()))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[Planted]:
    folder = tmp_path_factory.mktemp("planted")
    umask = os.umask(0)
    try:
        with running_deck(folder / "home", DEBUG="true") as deck:
            private_key = make_key(folder / "key", passphrase=MARKED["passphrase"])
            planted = Planted(deck, private_key)
            planted.secrets |= {f"key {n}": line for n, line in enumerate(private_key.split("\n")[2:-3])}
            add_cast(deck)
            plant(planted, ssh_server)
            drive(planted)
            yield planted
    finally:
        os.umask(umask)


def test_no_answer_holds_a_secret(planted: Planted) -> None:
    found = leaks(planted, planted.told)
    assert [leak for leak in found if not leak.startswith("query in ")] == []  # a page names its own address


def test_no_get_route_tells_anybody_a_secret(planted: Planted, tmp_path: Path) -> None:
    parts = MasterParts(load_settings({"QUARTERDECK_HOME": str(tmp_path / "home")}))
    paths = [path for path in get_paths(create_app(parts), planted) if path]
    crawled = [(f"{who} {path}", content) for who, path, content in crawl(planted.deck, paths)]
    assert len(crawled) > 250
    assert leaks(planted, crawled) == []


def test_no_kept_file_holds_a_secret(planted: Planted) -> None:
    kept = [
        (str(path.relative_to(planted.deck.home)), path.read_bytes())
        for path in planted.deck.home.rglob("*")
        if path.is_file() and path.parent.name != "keys"
    ]
    assert {".jsonl", ".db", ".log"} <= {Path(name).suffix for name, _ in kept}
    assert leaks(planted, kept) == []


def test_nothing_that_the_processes_wrote_holds_a_secret(planted: Planted) -> None:
    assert "DEBUG" in planted.deck.log()
    assert leaks(planted, [("standard error", planted.deck.log().encode())]) == []


def test_every_file_belongs_to_its_owner_alone_whatever_the_umask(planted: Planted) -> None:
    home = planted.deck.home
    modes = {
        str(path.relative_to(home)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (home, *home.rglob("*"))
        if not path.is_socket() and stat.S_IMODE(path.stat().st_mode) != (0o700 if path.is_dir() else 0o600)
    }
    assert modes == {}


def plant(planted: Planted, server: SshServer) -> None:
    """Put each secret where it belongs."""
    deck, marked = planted.deck, planted.secrets
    place = {"kind": "ssh", "address": server.addresses[0], "port": server.port, "username": ROOT}
    key = {"private_key": planted.private_key, "passphrase": marked["passphrase"]}
    planted.call("POST", "/api/v1/hosts", json={"name": "keyed", **place, **key})
    planted.call(
        "POST", "/api/v1/hosts", json={"name": "passworded", **place, "password": marked["host password"]}
    )
    worker = {"kind": "worker", "address": f"http://127.0.0.1:{deck.worker_port}"}
    planted.call("POST", "/api/v1/hosts", json={"name": "other", **worker, "token": marked["worker token"]})
    base = {"name": "self", "url": deck.url, "bearer": marked["base bearer"]}
    planted.call("POST", "/api/v1/bases", json=base)
    person = {"name": "paula", "role": "viewer", "password": marked["person password"]}
    planted.call("POST", "/api/v1/people", json=person)
    link = deck.api("POST", "/api/v1/people", json={"name": "linked", "role": "viewer"}).json()
    marked["one-time link"] = link["sign_in_path"].rsplit("/", 1)[1]
    for scope in ("admin", "read"):
        token = deck.api("POST", "/api/v1/tokens", json={"label": f"marked {scope}", "scope": scope}).json()
        marked[f"{scope} token"] = token["token"]
    marked["own token"] = deck.token
    with signed_in(deck, "paula", password=marked["person password"]) as paula:
        marked["session"] = paula.cookie


def drive(planted: Planted) -> None:
    """Use them, rightly and wrongly."""
    drive_hosts(planted)
    drive_runs(planted)
    drive_bad_input(planted)
    with signed_in(planted.deck, "ada") as ada:
        drive_pages(planted, ada)
    drive_command_line(planted)
    break_a_stored_secret(planted)


def drive_hosts(planted: Planted) -> None:
    marked = planted.secrets
    for name in ("keyed", "passworded", "other"):
        planted.call("POST", f"/api/v1/hosts/{name}/test")
    change = {"tags": ["edited"], "password": marked["host password"], "private_key": planted.private_key}
    planted.call("PATCH", "/api/v1/hosts/passworded", json=change | {"passphrase": marked["passphrase"]})
    row = {"name": "imported", "address": "127.0.0.1", "username": ROOT, "password": marked["host password"]}
    for text in (json.dumps({"hosts": [row]}), json.dumps({"hosts": [row | {"port": "bad"}]}), str(row)):
        for preview in (True, False):
            planted.call("POST", "/api/v1/hosts/import", json={"text": text, "preview": preview})


def drive_runs(planted: Planted) -> None:
    command = {"kind": "command", "command": "exit 3"}
    call = {"kind": "call", "method": "POST", "url": f"{planted.deck.url}/api/v1/nowhere"}
    tasks = [
        {"task": command, "hosts": ["keyed", "passworded", "other", "worker", "master"]},
        {"task": call | {"headers": CALL_HEADERS, "body": "a=b"}},
        {"task": call | {"method": "GET"}},
        {"task": call | {"url": "http://127.0.0.1:1/", "headers": CALL_HEADERS}},
        {"task": call | {"headers": {"X-Token": f"{MARKED['header']}\r\nX-More: 1"}}},
    ]
    for task in tasks:
        started = planted.call("POST", "/api/v1/runs", json=task)
        if started.status_code == 201:
            planted.call("GET", f"/api/v1/runs/{started.json()['id']}?wait=30")


def drive_bad_input(planted: Planted) -> None:
    marked, bad = planted.secrets, {"name": "-bad", "address": "a b", "username": "-o"}
    secret = {"private_key": planted.private_key[:-60], "passphrase": marked["passphrase"]}
    secret["password"] = marked["host password"]
    for body in (bad | secret, {**secret, "password": [marked["host password"]]}, {marked["query"]: 1}):
        planted.call("POST", "/api/v1/hosts", json=body)
    planted.call(
        "POST", "/api/v1/bases", json={"name": "b", "url": "ftp://x", "bearer": marked["base bearer"]}
    )
    planted.call("POST", "/api/v1/bases", content=f'{{"bearer": "{marked["base bearer"]}", ')
    planted.call("POST", "/api/v1/people", json={"name": "paula", "password": marked["person password"]})
    planted.call("PUT", "/api/v1/hosts", json=secret)
    for path in ("/nowhere", "/api/v1/nowhere", "/hosts", "/api/v1/hosts", "/socket.io/"):
        planted.call("GET", f"{path}?token={marked['query']}&password={marked['query']}")
    for bearer in (marked["bad bearer"], f"{marked['read token']}x"):
        planted.call("GET", "/api/v1/me", headers={"Authorization": f"Bearer {bearer}"})
    planted.call("POST", "/tasks/process", content=marked["query"])


def drive_pages(planted: Planted, ada: Visitor) -> None:
    marked = planted.secrets
    secret = {
        "private_key": planted.private_key[:-60],
        "passphrase": marked["passphrase"],
        "password": marked["host password"],
    }
    forms = {
        "/hosts/new?kind=ssh": {"name": "-bad", "address": "a b"} | secret,
        "/hosts/new?kind=worker": {"name": "-bad", "address": "a b", "token": marked["worker token"]},
        "/hosts/keyed/edit": {"name": "-bad", "address": "a b"} | secret,
        "/hosts/import": {"format": "yaml", "text": "[", "step": "preview"} | secret,
        "/bases": {"name": "-bad", "url": "x", "bearer": marked["base bearer"]},
        "/account/password": {"old": marked["person password"], "password": "short", "again": "other"},
        "/people": {"name": "-bad", "password": marked["person password"]},
        "/sign-in": {"name": "paula", "password": marked["person password"] + "x"},
        "/nowhere": {"password": marked["person password"]},
        "/hosts/keyed": {"password": marked["host password"]},
    }
    for path, form in forms.items():
        answer = planted.note(f"form {path}", ada.submit(path, form))
        assert answer.status_code in (401, 404, 405, 422), (path, answer.status_code)
    drive_wrong_passwords(planted)


def drive_wrong_passwords(planted: Planted) -> None:
    """A password typed into the field of the name, and links used, dead and made up."""
    with Visitor(planted.deck) as visitor:
        for name, password in ((planted.secrets["person password"], "x"), ("paula", "wrong")):
            assert visitor.sign_in(name, password).status_code == 401
        path = f"/sign-in/link/{planted.secrets['one-time link']}"
        assert (visitor.get(path).status_code, visitor.get(f"{path}x").status_code) == (200, 404)
        short = {"password": planted.secrets["person password"][:8], "again": "no"}
        visitor.submit(path, short)
        planted.note("next", visitor.get(f"/account?next={planted.secrets['query']}"))


def drive_command_line(planted: Planted) -> None:
    listings = ("host list", "host show keyed", "base list", "person list", "token list", "runs list")
    exports = (
        "history show -n 1000",
        "history show --json -n 1000",
        "history export",
        "history export --format json",
    )
    for line in (*listings, *exports, "host test passworded", "history verify --with-workers"):
        planted.run_cli(*line.split(" "))
    password = planted.secrets["person password"]
    planted.run_cli("person", "add", "-bad", "--password-stdin", given=password)
    planted.run_cli("person", "add", "paula", "--password-stdin", given=password)
    bad = ("--address", "a b", "--user", "-o", "--password-file", "-")
    planted.run_cli("host", "add", "bad", *bad, given=planted.secrets["host password"])
    planted.run_cli("base", "add", "b", "ftp://x", "--bearer-file", "-", given=planted.secrets["base bearer"])


def break_a_stored_secret(planted: Planted) -> None:
    """Make a ciphertext unreadable, so that using it fails in the middle of the program."""
    with sqlite3.connect(planted.deck.home / "quarterdeck.db") as database:
        columns = [row[1] for row in database.execute("pragma table_info(hosts)")]
        assert "password" in columns
        database.execute("update hosts set password = x'00' where name = 'passworded'")
    database.close()
    assert planted.call("POST", "/api/v1/hosts/passworded/test").status_code >= 500
    planted.call("POST", "/api/v1/hosts/passworded/scan")


def get_paths(app: APIFlask, planted: Planted) -> Iterator[str | None]:
    """Return every GET address of the URL map, filled with what there is, and with what there isn't."""
    run = planted.deck.api("GET", "/api/v1/runs").json()["runs"][0]["id"]
    entry = planted.deck.api("GET", "/api/v1/history?action=host").json()["entries"][0]["id"]
    there = {"run_id": run, "id_": entry, "token": planted.secrets["one-time link"]}
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule.startswith("/sign-in/link"):
            continue
        names = {"bases": ["self"], "people": ["paula"], "hosts": ["keyed", "passworded", "other"]}
        kind = next((kind for kind in names if f"/{kind}/" in rule.rule), "")
        for name in names.get(kind, ["keyed"]):
            built = rule.build(
                dict.fromkeys(rule.arguments, name) | {k: v for k, v in there.items() if k in rule.arguments}
            )
            yield built[1] if built else None
        built = rule.build(dict.fromkeys(rule.arguments, "absent"))
        yield built[1] if built and rule.arguments else None
    yield from (f"/history.csv?q={word}" for word in ("host", "run"))
    yield from (f"/runs/{run}/output?host={name}&stream=out" for name in ("keyed", "other"))
    yield from (f"/runs/new?again={run}", "/hosts/new?kind=ssh", "/runs/new?kind=call", "/search?q=keyed")


def crawl(deck: Deck, paths: list[str]) -> Iterator[tuple[str, str, bytes]]:
    for who in ("ada", "oskar", "vera", "nils", "nobody"):
        with Visitor(deck) if who == "nobody" else signed_in(deck, who) as visitor:
            for path in paths:
                answer = visitor.get(path)
                assert answer.status_code != 500, (who, path, answer.text)
                yield who, path, repr(answer.headers.multi_items()).encode() + answer.content


def leaks(planted: Planted, places: list[tuple[str, bytes]]) -> list[str]:
    """Return where which secret stands; its name, not itself."""
    sought = [(name, form) for name, secret in planted.secrets.items() for form in forms_of(secret)]
    return sorted(
        {f"{name} in {place}" for place, content in places for name, form in sought if form in content}
    )


def forms_of(secret: str) -> list[bytes]:
    """Return a secret as text, quoted for JSON, HTML or a URL, in hexadecimal, and within base64."""
    raw = secret.encode()
    shifted = [base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3)]
    quoted = re.sub(rb"[^\w.~-]", lambda found: b"%%%02X" % found[0][0], raw)
    return [raw, quoted, raw.replace(b" ", b"+"), raw.hex().encode(), *shifted]
