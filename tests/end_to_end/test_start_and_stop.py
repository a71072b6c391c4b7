"""The first start, and every way to the end of it."""

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.deck import BIN, Deck, running_deck, wait_until


def test_first_start_prints_a_link_that_makes_the_first_administrator(tmp_path: Path) -> None:
    deck = Deck(tmp_path / "home").start()
    try:
        link = re.search(rf"{deck.url}/sign-in/link/[\w-]+", deck.log())
        assert link
        page = httpx.get(link[0])
        assert page.status_code == 200
        assert "administrator" in page.text
    finally:
        deck.close()


def test_everything_kept_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with running_deck(tmp_path / "home") as deck:
            deck.run(task={"kind": "command", "command": "echo hello"}, hosts=["master", "worker"])
            loose = [
                str(path)
                for path in (deck.home, *deck.home.rglob("*"))
                if not path.is_socket() and stat.S_IMODE(path.stat().st_mode) & 0o077
            ]
            assert loose == []
    finally:
        os.umask(umask)


def test_two_installations_share_no_key(tmp_path: Path) -> None:
    keys: list[str] = []
    for name in ("one", "two"):
        with running_deck(tmp_path / name) as deck:
            keys += [path.read_text() for path in deck.home.rglob("keys/*") if path.is_file()]
    assert len(keys) >= 6
    assert len(set(keys)) == len(keys)


def test_a_wrong_kind_of_node_is_refused_with_the_allowed_ones() -> None:
    done = subprocess.run(
        [BIN / "python", "-m", "quarterdeck"],
        env={"SELFSERVICE_TYPE": "SERVER", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "quarterdeck: SELFSERVICE_TYPE is not valid; it must be master or worker."


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_end_comes_soon_with_running_work_accounted_for(ending: signal.Signals, tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as deck:
        started = deck.api(
            "POST",
            "/api/v1/runs",
            json={"task": {"kind": "command", "command": "exec sleep 4711"}, "hosts": ["master", "worker"]},
        ).json()
        wait_until(lambda: state_of(deck, started["id"]) == {"running"}, "the run to be running")
        assert deck.process is not None
        deck.process.send_signal(ending)
        deck.process.wait(10)  # the promise is 5, measured by bench/start.py; a busy machine adds its own
        assert processes_with("sleep 4711") == []
        deck.start()
        wait_until(lambda: state_of(deck, started["id"]) <= {"cancelled", "lost"}, "all to be accounted for")
        assert deck.cli("history", "verify", "--with-workers").returncode == 0


def test_shutdown_is_for_an_administrators_token_only(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as deck:
        weak = deck.new_token("ada", "write")
        assert httpx.post(f"{deck.url}/shutdown").status_code == 401
        refused = httpx.post(f"{deck.url}/shutdown", headers={"Authorization": f"Bearer {weak}"})
        assert refused.status_code == 403
        assert httpx.post(f"http://127.0.0.1:{deck.worker_port}/shutdown").status_code == 401
        assert deck.api("POST", "/shutdown").status_code == 202
        assert deck.process is not None
        assert deck.process.wait(10) == 0


def state_of(deck: Deck, run_id: str) -> set[str]:
    run = deck.api("GET", f"/api/v1/runs/{run_id}").json()
    return {host["state"] for host in run["hosts"]}


def processes_with(words: str) -> list[str]:
    found = subprocess.run(["pgrep", "-f", words], capture_output=True, text=True, check=False)
    return found.stdout.split()
