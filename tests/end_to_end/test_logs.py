"""The log as an operator reads it: one line an entry, under its request's id, in either format."""

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deck import Deck, running_deck, wait_until

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) +(\S+) ([\w.]+): (.*)")
ID = re.compile(r"[0-9a-z]{26}")


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """A deck that logs as JSON, at level DEBUG, into files of one megabyte."""
    settings = {"DEBUG": "True", "QUARTERDECK_LOG_FORMAT": "json", "QUARTERDECK_LOG_MEGABYTES": "1"}
    with running_deck(tmp_path_factory.mktemp("log") / "home", **settings) as deck:
        yield deck


def test_an_answer_its_problem_and_its_lines_carry_one_request_id(deck: Deck) -> None:
    refused = deck.api("GET", "/api/v1/hosts/absent-for-the-log")
    request = refused.headers["X-Request-Id"]
    assert ID.fullmatch(request)
    assert refused.json()["request_id"] == request
    lines = [line for line in log_of(deck, "master") if f" {request} " in line]
    assert any("GET /api/v1/hosts/absent-for-the-log 404" in line for line in lines)


def test_a_page_of_an_error_shows_the_request_id(deck: Deck) -> None:
    page = httpx.get(f"{deck.url}/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["X-Request-Id"] in page.text


def test_an_answer_from_before_the_application_has_a_request_id_too(deck: Deck) -> None:
    refused = deck.api("POST", "/api/v1/runs", content=b"x" * 17_000_000)
    assert refused.status_code == 413
    assert ID.fullmatch(refused.json()["request_id"])


def test_each_line_has_time_level_request_and_origin(deck: Deck) -> None:
    deck.api("GET", "/api/v1/me")
    for node in ("master", "worker"):
        for line in log_of(deck, node):
            assert LINE.fullmatch(line) or line.startswith("    "), line


def test_what_a_client_sends_forges_no_line(deck: Deck) -> None:
    forged = "%0a2026-01-01 00:00:00,000 INFO    - forged: line%0d%1b%5b31m%e2%80%a8"
    agent = {"User-Agent": "x\u2028forged: agent".encode()}
    deck.api("GET", f"/hosts/{forged}", headers=agent)
    deck.cli("person", "add", "a\nforged: name", check=False)
    text = (deck.home / "logs" / "master.log").read_text()
    assert "forged: line" in text
    assert not [line for line in text.splitlines() if re.match(r".* (INFO|ERROR) +- forged", line[:60])]
    assert not set(text) & {"\r", "\x1b", "\u2028"}


def test_the_file_holds_what_the_console_shows_and_is_private(deck: Deck) -> None:
    request = deck.api("GET", "/api/v1/me").headers["X-Request-Id"]
    wait_until(lambda: request in deck.log(), "the line on the console")
    path = deck.home / "logs" / "master.log"
    assert request in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_debug_there_is_no_debug_line(deck: Deck) -> None:
    assert not [line for line in log_of(deck, "master") if " DEBUG " in line]


def test_debug_lines_come_with_debug(talkative: Deck) -> None:
    request = talkative.api("GET", "/api/v1/me").headers["X-Request-Id"]
    levels = {entry["level"] for entry in entries_of(talkative, "master") if entry["request"] == request}
    assert levels == {"DEBUG", "INFO"}


def test_json_lines_are_whole_json_each_with_the_same_members(talkative: Deck) -> None:
    talkative.api("GET", "/hosts/%0a%22%7d%e2%80%a8")
    talkative.run(task={"kind": "command", "command": "true"}, hosts=["worker"])
    for node in ("master", "worker"):
        entries = entries_of(talkative, node)
        assert entries
        assert all({"time", "level", "request", "logger", "message"} <= set(entry) for entry in entries)


def test_the_file_is_rotated_at_its_size_and_private_all_along(talkative: Deck) -> None:
    folder = talkative.home / "logs"
    long = "x" * 30_000
    with httpx.Client(base_url=talkative.url) as client:
        for _ in range(200):
            client.get(f"/{long}")
            if len(list(folder.glob("master.log*"))) > 1:
                break
    files = list(folder.glob("master.log*"))
    assert len(files) > 1
    assert all(path.stat().st_size < 1_100_000 for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_bad_log_setting_stops_the_start_with_its_name(tmp_path: Path) -> None:
    deck = Deck(tmp_path / "home", QUARTERDECK_LOG_FORMAT="xml")
    done = deck.cli("master", check=False)
    assert done.returncode != 0
    assert "QUARTERDECK_LOG_FORMAT" in done.stderr
    assert "text or json" in done.stderr
    assert "Traceback" not in done.stderr


def log_of(deck: Deck, node: str) -> list[str]:
    home = deck.home if node == "master" else deck.home / "worker"
    return (home / "logs" / f"{node}.log").read_text().split("\n")[:-1]


def entries_of(deck: Deck, node: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in log_of(deck, node)]
