"""The link to a host goes down in the middle of runs, and comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deck import Deck, running_deck, wait_until
from tests.namespaces import FarMachine, far_machine
from tests.sshd import SshKeys, SshServer

COUNT = 'i=0; while [ "$i" -lt 1000 ]; do i=$((i + 1)); echo "$i"; sleep 0.1; done'
FOUND_WITHIN_SECONDS = 100
"""A dead connection is found by three unanswered questions, 20 s apart."""


@pytest.fixture
def machine() -> Iterator[FarMachine]:
    with far_machine() as made:
        yield made


@pytest.fixture
def server(machine: FarMachine, ssh_keys: SshKeys, tmp_path: Path) -> Iterator[SshServer]:
    folder, state = tmp_path / "sshd", tmp_path / "state"
    folder.mkdir()
    state.mkdir(mode=0o700)
    server = SshServer(
        folder,
        ssh_keys,
        (machine.address,),
        port=22,
        options={"SetEnv": f"HOME=/nonexistent XDG_STATE_HOME={state}"},
        before=machine.command,
    )
    yield server.start()
    server.vanish()


def test_what_keeps_running_survives_a_link_that_is_down(
    tmp_path: Path, machine: FarMachine, server: SshServer
) -> None:
    with running_deck(tmp_path / "home") as deck:
        deck.add_ssh_host(server, "far")
        kept = start(deck, COUNT, options={"keep_running": True})
        plain = start(deck, f"{COUNT}; echo plain")
        for run in (kept, plain):
            wait_until(lambda run=run: len(output(deck, run)) > 20, "the first output")  # type: ignore[misc]
        machine.unplug()
        wait_until(lambda: part(deck, plain)["state"] == "lost", "the loss", FOUND_WITHIN_SECONDS)
        assert "was cut while the command ran" in part(deck, plain)["message"]
        assert part(deck, kept)["state"] == "running"
        wait_until(lambda: bool(part(deck, kept)["message"]), "word of the cut", FOUND_WITHIN_SECONDS)
        machine.plug()
        wait_until(lambda: part(deck, kept)["state"] == "succeeded", "the end", 200)
        assert output(deck, kept) == "".join(f"{number}\n" for number in range(1, 1001)).encode()
        whole = output(deck, plain)
        assert whole == "".join(f"{number}\n" for number in range(1, whole.count(b"\n") + 1)).encode()


def start(deck: Deck, command: str, **more: Any) -> str:  # Any: JSON
    task = {"kind": "command", "command": command}
    started = deck.api("POST", "/api/v1/runs", json={"task": task, "hosts": ["far"], **more})
    assert started.status_code == 201, started.text
    return str(started.json()["id"])


def part(deck: Deck, run: str) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = deck.api("GET", f"/api/v1/runs/{run}").json()["hosts"][0]
    return found


def output(deck: Deck, run: str) -> bytes:
    return deck.api("GET", f"/api/v1/runs/{run}/output?host=far&stream=out").content
