"""1,000 SSH sessions at once in a real master, on the hosts of ``quarterdeck simulate``.

Memory is the master's own (USS), before the first session and while all run; then all are cancelled, and
those counted of which the end is proved.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from quarterdeck.tasks.simulation.registration import TAG
from tests.deck import BIN, Deck, running_deck, wait_until
from tests.sshd import free_port, open_folder

SESSIONS = 1_000
RUNS = 2
"""One run takes three quarters of the places at most."""


@contextlib.contextmanager
def simulated_fleet(deck: Deck) -> Iterator[None]:
    """Start the fleet in a process of its own and have it listed."""
    arguments = ["--hosts", str(SESSIONS), "--port", str(free_port()), "--add"]
    process = subprocess.Popen(
        [BIN / "quarterdeck", "simulate", *arguments], env=deck.environment, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: len(names_of(deck)) == SESSIONS, "the fleet to be listed", 60)
        yield
    finally:
        process.terminate()
        process.wait(20)


def names_of(deck: Deck) -> list[str]:
    names: list[str] = []
    cursor = ""
    while True:
        page = deck.api("GET", "/api/v1/hosts", params={"tag": TAG, "limit": 500, "cursor": cursor}).json()
        names += [host["name"] for host in page["hosts"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            return names


def megabytes(deck: Deck) -> float:
    assert deck.process is not None
    children = psutil.Process(deck.process.pid).children()
    master = next(child for child in children if child.environ()["SELFSERVICE_TYPE"] == "master")
    return float(master.memory_full_info().uss) / 1e6


def start_runs(deck: Deck, names: list[str]) -> list[str]:
    ids = []
    for number in range(RUNS):
        task = {"kind": "command", "command": f"echo {number}; sleep 3600"}
        started = deck.api("POST", "/api/v1/runs", json={"task": task, "hosts": names[number::RUNS]})
        assert started.status_code == 201, started.text
        ids.append(started.json()["id"])
    return ids


def count(deck: Deck, ids: list[str], state: str) -> int:
    return sum(deck.api("GET", f"/api/v1/runs/{each}").json()["tally"].get(state, 0) for each in ids)


def measure(deck: Deck) -> dict[str, Any]:
    names = names_of(deck)
    deck.run(task={"kind": "command", "command": "uptime"}, hosts=names[:1])
    before, began = megabytes(deck), time.perf_counter()
    ids = start_runs(deck, names)
    wait_until(lambda: count(deck, ids, "running") == SESSIONS, "all sessions to run", 300)
    seconds, after = time.perf_counter() - began, megabytes(deck)
    ending = time.perf_counter()
    for each in ids:
        deck.api("POST", f"/api/v1/runs/{each}/cancel")
    wait_until(lambda: count(deck, ids, "cancelled") == SESSIONS, "all sessions to be cancelled", 300)
    gone_seconds = time.perf_counter() - ending
    hosts = [host for each in ids for host in deck.api("GET", f"/api/v1/runs/{each}").json()["hosts"]]
    return {
        "at_once": SESSIONS,
        "megabytes_before": round(before, 1),
        "megabytes_more": round(after - before, 1),
        "seconds_until_all_run": round(seconds, 2),
        "seconds_until_all_cancelled": round(gone_seconds, 2),
        "proved_gone": sum(host["gone"] is True for host in hosts),
    }


def sessions_held() -> dict[str, Any]:
    """Return the figures of a master of its own."""
    with open_folder() as folder:
        home = Path(folder) / "home"
        with running_deck(home, QUARTERDECK_RUN_CONCURRENCY=str(SESSIONS)) as deck, simulated_fleet(deck):
            return measure(deck)


if __name__ == "__main__":
    print(json.dumps(sessions_held(), indent=2))
