"""The command line on a home that another process has open and writes to."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.actors import SYSTEM, Actor, Role
from quarterdeck.core.config import Settings
from quarterdeck.parts import Parts
from tests.access.factories import PASSWORD
from tests.clocks import SetClock

QUARTERDECK = Path(sys.executable).with_name("quarterdeck")


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Parts]:
    """What a running master has open: its database and its history, with one administrator."""
    parts = Parts(Settings(home=tmp_path / "home"), SetClock())
    parts.access.add_person(SYSTEM, "ada", role=Role.ADMINISTRATOR, password=PASSWORD)
    yield parts
    parts.history.close()
    parts.db.close()


def run(master: Parts, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("QUARTERDECK_", "SELFSERVICE"))
    }
    command = [str(QUARTERDECK), "--home", str(master.settings.home), *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)


def sign_in(master: Parts, name: str) -> Actor | None:
    cookie = master.access.sign_in(name, PASSWORD)
    return master.access.actor_for_session(cookie, "")


def test_a_person_is_added_while_the_master_writes(master: Parts) -> None:
    done = threading.Event()

    def keep_writing() -> None:
        number = 0
        while not done.is_set():
            master.access.add_person(SYSTEM, f"busy{number}")
            number += 1

    writer = threading.Thread(target=keep_writing)
    writer.start()
    added = run(
        master, "person", "add", "oskar", "--role", "operator", "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    done.set()
    writer.join()
    assert (added.returncode, added.stdout) == (0, ""), added.stderr
    actor = sign_in(master, "oskar")
    assert actor is not None
    assert actor.role is Role.OPERATOR
    assert master.history.verify().faults == ()


def test_a_token_is_printed_alone(master: Parts) -> None:
    made = run(
        master,
        "token",
        "create",
        "--person",
        "ada",
        "--name",
        "ci",
        "--scope",
        "admin",
        "--expires-days",
        "7",
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("qd_")
    assert made.stdout.count("\n") == 1
    assert made.stdout.strip() not in made.stderr
    actor = master.access.actor_for_token(made.stdout.strip(), "")
    assert actor is not None
    assert actor.label == "token:ada/ci"
    listed = run(master, "token", "list").stdout.rstrip("\n").split("\t")
    assert (listed[1:4], listed[5:]) == (["ada", "ci", "admin"], [listed[5], "-", "-"])
    token_id = listed[0]
    assert run(master, "token", "revoke", token_id).returncode == 0
    assert run(master, "token", "list", "--person", "ada").stdout == ""


def test_a_listed_token_has_its_tags_and_last_use(master: Parts) -> None:
    made = run(
        master, "token", "create", "--person", "ada", "--name", "x", "--scope", "read", "--host-tag", "web",
        "--host-tag", "db",
    )  # fmt: skip
    master.access.actor_for_token(made.stdout.strip(), "192.0.2.7")
    listed = run(master, "token", "list").stdout.rstrip("\n").split("\t")
    assert listed[5:] == [master.clock.now().isoformat(timespec="seconds"), "192.0.2.7", "db,web"]
    assert run(master, "token", "revoke", listed[0]).returncode == 0


def test_a_disabled_person_is_out_within_two_seconds(master: Parts) -> None:
    clock = master.clock
    assert isinstance(clock, SetClock)
    run(master, "person", "add", "vera", "--role", "viewer", "--password-stdin", stdin=PASSWORD)
    cookie = master.access.sign_in("vera", PASSWORD)
    assert master.access.actor_for_session(cookie, "") is not None
    assert run(master, "person", "disable", "vera").returncode == 0
    clock.forward(seconds=2)
    assert master.access.actor_for_session(cookie, "") is None
    assert "vera\tviewer\tdisabled" in run(master, "person", "list").stdout


def test_a_link_is_printed_as_an_address(master: Parts) -> None:
    made = run(master, "person", "add", "grace")
    assert made.stdout.startswith("http://127.0.0.1:5000/sign-in/link/")
    again = run(master, "person", "link", "grace").stdout.strip()
    token = again.rpartition("/")[2]
    assert master.access.sign_in_by_link(token, password=PASSWORD)


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["person", "add", "a b", "--password-stdin"], PASSWORD, "Use 1 to 64 letters"),
        (["person", "add", "eve", "--password-stdin"], "short", "at least 12 characters"),
        (["person", "add", "ADA"], "", "already"),
        (["person", "disable", "ada"], "", "last administrator"),
        (["person", "role", "ada", "viewer"], "", "last administrator"),
        (["person", "link", "mallory"], "", "no person of this name"),
        (["token", "revoke", "01"], "", "no such token"),
        (["toast", "send", "x", "--person", "mallory"], "", "no person of this name"),
    ],
)
def test_refusals_are_plain_and_change_nothing(
    master: Parts, words: list[str], stdin: str, message: str
) -> None:
    refused = run(master, *words, stdin=stdin)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [person.name for person in master.access.list_people()] == ["ada"]


def test_a_toast_from_the_command_line_waits_for_the_next_page(master: Parts) -> None:
    assert run(master, "toast", "send", "tea is ready", "--role", "administrator").returncode == 0
    actor = sign_in(master, "ada")
    assert actor is not None
    (toast,) = master.toasts.waiting(actor)
    assert toast.text == "tea is ready"
    assert toast.by.startswith("cli:")
