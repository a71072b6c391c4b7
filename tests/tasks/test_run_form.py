"""The options on the form that starts a run, and on the command line."""

import html
import json
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.option_fields import option_values, options_told, read_options
from quarterdeck.tasks.options import OnOutputLimit, RunOptions
from tests.deck import BIN, Deck, running_deck
from tests.tasks.conftest import Browser, Node, found
from tests.tasks.test_run_pages import text_of

As = Callable[[str], Browser]
ALL = RunOptions(
    keep_running=True,
    connect_seconds=5,
    first_byte_seconds=60,
    silence_seconds=300,
    expires_seconds=7200,
    output_bytes=64_000_000,
    on_output_limit=OnOutputLimit.CUT,
    at_once=2,
    canary=1,
    stop_at_failed_percent=20,
)
FIELDS = {
    "keep_running": "true",
    "connect_seconds": "5",
    "first_byte_seconds": "1 min",
    "silence_seconds": "5min",
    "expires_seconds": "2 h",
    "output_bytes": "64 MB",
    "on_output_limit": "cut",
    "at_once": "2",
    "canary": "1",
    "stop_at_failed_percent": "20 %",
}
COMMAND = {"kind": "command", "command": "true", "hosts": "master"}
OPEN = re.compile(r"<details class=\"panel run-more\" open>")


def test_options_are_read_from_the_form_and_kept(as_: As, node: Node) -> None:
    answer = as_("oskar").post("/runs", **COMMAND, **FIELDS)
    run = node.end_of(found(r"/runs/([0-9a-z]{26})", answer.location))
    assert run.options == ALL


def test_an_empty_form_takes_the_defaults(as_: As, node: Node) -> None:
    answer = as_("oskar").post("/runs", **COMMAND, **dict.fromkeys(FIELDS, ""))
    assert node.end_of(found(r"/runs/([0-9a-z]{26})", answer.location)).options == RunOptions()


def test_run_again_fills_in_all_of_them(as_: As, node: Node) -> None:
    run = node.run("true", options=ALL)
    page = as_("oskar").get(f"/runs/new?again={run.id}").text
    values = dict(re.findall(r'id="field-(\w+)"[^>]*\bname="\w+"[^>]*\bvalue="([^"]*)"', page))
    assert values["silence_seconds"] == "5 min"
    assert values["expires_seconds"] == "2 h"
    assert values["output_bytes"] == "64 MB"
    assert values["stop_at_failed_percent"] == "20"
    assert re.search(r'id="field-keep_running"[^>]* checked', page)
    assert '<option value="cut" selected>' in page
    assert not OPEN.search(page)
    assert "5 min of silence · 2 h for offline hosts · 2 at once · canary of 1" in text_of(page)


def test_what_is_written_into_the_form_is_read_as_the_same() -> None:
    options, faults = read_options(option_values(ALL))
    assert faults == {}
    assert RunOptions(**options) == ALL  # type: ignore[arg-type]  # as pydantic would make them
    assert option_values(RunOptions()) == {}
    assert options_told({}) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("silence_seconds", "soon"),
        ("silence_seconds", "0"),
        ("connect_seconds", "10 min"),
        ("expires_seconds", "8 d"),
        ("output_bytes", "12 h"),
        ("output_bytes", "5 GB"),
        ("at_once", "0"),
        ("at_once", "-1"),
        ("canary", "x"),
        ("stop_at_failed_percent", "101"),
        ("on_output_limit", "explode"),
    ],
)
def test_a_mistake_stands_at_its_field_in_the_opened_section(
    as_: As, node: Node, name: str, text: str
) -> None:
    answer = as_("oskar").post("/runs", **COMMAND, **{name: text})
    assert answer.status_code == 422
    assert OPEN.search(answer.text)
    assert f'href="#field-{name}"' in answer.text
    assert f'id="field-{name}-error"' in answer.text
    if name != "on_output_limit":
        assert f'value="{text}"' in html.unescape(answer.text)
    assert node.parts.runs.counts().today == 0


def test_mistakes_elsewhere_and_among_the_options_are_told_together(as_: As) -> None:
    fields = {"kind": "command", "command": "", "canary": "x", "silence_seconds": "soon"}
    page = as_("oskar").post("/runs", **fields).text
    for name in ("command", "canary", "silence_seconds"):
        assert f'href="#field-{name}"' in page


def test_the_time_limit_takes_units_too(as_: As, node: Node) -> None:
    answer = as_("oskar").post("/runs", **COMMAND, timeout_seconds="5 min")
    assert node.end_of(found(r"/runs/([0-9a-z]{26})", answer.location)).timeout_seconds == 300


def test_only_commands_can_be_kept_running(as_: As) -> None:
    oskar = as_("oskar")
    assert 'name="keep_running"' in oskar.get("/runs/new").text
    assert 'name="keep_running"' not in oskar.get("/runs/new?kind=builtin").text


def test_a_task_that_takes_long_is_proposed_to_be_kept_running(as_: As, node: Node) -> None:
    for _ in range(3):
        run = node.run("true", force=True, reason="to have a past")
    oskar = as_("oskar")
    page = oskar.get(f"/runs/new?again={run.id}").text
    assert "by the past of these hosts" in page
    assert not re.search(r'id="field-keep_running"[^>]* checked', page)
    with node.parts.db.write() as session:
        session.execute(update(RunHost).values(started_at=run.created_at - timedelta(seconds=90)))
    page = oskar.get(f"/runs/new?again={run.id}").text
    assert "Usually 1 min" in text_of(page)
    assert re.search(r'id="field-keep_running"[^>]* checked', page)


def test_the_api_call_on_the_page_of_a_run_has_its_options(as_: As, node: Node) -> None:
    run = node.run("true", options=RunOptions(canary=1, silence_seconds=9), timeout_seconds=77)
    page = html.unescape(as_("vera").get(f"/runs/{run.id}").text)
    body = json.loads(shlex.split(found(r"(-d '.*?') \\\n", page))[1])
    assert body["options"] == {"silence_seconds": 9, "canary": 1}
    assert body["timeout_seconds"] == 77


# --- on the command line ---


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        yield deck


def test_flags_become_options(deck: Deck) -> None:
    flags = (
        "--connect 5 --first-byte 1min --silence 5min --expires 2h --at-once 2 --canary 1 --stop-at 20 "
        "--output-limit 64MB --on-output-limit cut --timeout 10min --json --host master -- true"
    )
    run = json.loads(deck.cli("run", *flags.split()).stdout)
    assert run["timeout_seconds"] == 600
    assert run["options"] == {
        "connect_seconds": 5,
        "first_byte_seconds": 60,
        "silence_seconds": 300,
        "expires_seconds": 7200,
        "output_bytes": 64_000_000,
        "on_output_limit": "cut",
        "at_once": 2,
        "canary": 1,
        "stop_at_failed_percent": 20,
    }


@pytest.mark.parametrize("flags", ["--silence soon", "--output-limit 5h", "--on-output-limit explode"])
def test_flags_that_can_not_be_read_are_refused(deck: Deck, flags: str) -> None:
    done = deck.cli("run", *flags.split(), "--host", "master", "--", "true", check=False)
    assert done.returncode == 2
    assert flags.split()[0] in done.stderr


def test_a_limit_that_is_over_is_told_at_the_end(deck: Deck) -> None:
    done = deck.cli("run", "--silence", "1", "--host", "worker", "--", "sleep 300", check=False)
    assert done.returncode != 0
    assert "worker timed-out" in done.stderr
    assert "It was silent for 1 s." in done.stderr


def test_a_terminal_is_told_what_is_usual(deck: Deck) -> None:
    again = ["--force", "--reason", "to have a past"]
    for _ in range(3):
        deck.cli("run", *again, "--host", "master", "--", "true; true")
    ours, theirs = pty.openpty()
    command = [str(BIN / "quarterdeck"), "run", *again, "--host", "master", "--", "true; true"]
    subprocess.run(command, env=deck.environment, stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    assert os.read(ours, 1000).startswith(b"Usually ")
    os.close(ours)
