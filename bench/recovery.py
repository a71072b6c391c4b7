"""After `kill -9` of master and worker in the middle of runs: seconds until each run stands as it is.

Fifteen commands over SSH that keep running, fifteen plain ones over SSH, and fifteen on the worker print a
line each 0.2 s when master, worker and their parent are killed at once. Counted from the command that
starts them again: the first page; no plain run is shown as running; the output of every kept run, and of
every run on the worker, grows again. At the end each output is looked at: every line once. Real sshd on
loopback; medians over the rounds. Prints one JSON object; run from the repository's folder as root.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deck import Deck, running_deck, wait_until
from tests.sshd import SshServer, make_keys, open_folder

ROUNDS = 3
EACH = 15
PATIENCE_SECONDS = 60
COUNT = 'i=0; while [ "$i" -lt 200 ]; do i=$((i + 1)); echo "$i"; sleep 0.2; done'
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "kept": ("far", {"keep_running": True}),
    "plain": ("far", {}),
    "worker": ("worker", {}),
}
_numbers = itertools.count()


@contextmanager
def a_deck(folder: Path) -> Iterator[Deck]:
    with open_folder() as keys:
        (folder / "sshd").mkdir()
        (folder / "state").mkdir(mode=0o700)
        options = {"SetEnv": f"HOME=/nonexistent XDG_STATE_HOME={folder / 'state'}", "MaxSessions": "64"}
        server = SshServer(folder / "sshd", make_keys(keys), options=options).start()
        try:
            with running_deck(folder / "home") as deck:
                deck.add_ssh_host(server, "far")
                yield deck
        finally:
            server.vanish()


def start_all(deck: Deck) -> dict[str, list[str]]:
    """Start the commands, each another one, and wait until all of them print."""
    runs: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for kind, (host, options) in KINDS.items():
        for _ in range(EACH):
            task = {"kind": "command", "command": f"{COUNT} # {next(_numbers)}"}
            body = {"task": task, "hosts": [host], "options": options}
            runs[kind].append(deck.api("POST", "/api/v1/runs", json=body).json()["id"])
    for run in itertools.chain(*runs.values()):
        wait_until(lambda run=run: part(deck, run)["bytes"] > 4, "output", PATIENCE_SECONDS)  # type: ignore[misc]
    return runs


def part(deck: Deck, run: str) -> dict[str, Any]:
    found: dict[str, Any] = deck.api("GET", f"/api/v1/runs/{run}").json()["hosts"][0]
    return found


def seconds_until(began: float, is_so: Callable[[], bool]) -> float:
    wait_until(is_so, "the runs to be as they are", PATIENCE_SECONDS)
    return time.monotonic() - began


def one_round(deck: Deck) -> dict[str, float]:
    runs = start_all(deck)
    deck.kill()
    before = {run: (deck.home / "runs" / run / f"{host}.out").stat().st_size
              for kind, (host, _) in KINDS.items() for run in runs[kind]}  # fmt: skip
    began = time.monotonic()
    deck.start()
    figures = {"first_page_seconds": time.monotonic() - began}
    figures["plain_lost_seconds"] = seconds_until(
        began, lambda: all(part(deck, run)["state"] == "lost" for run in runs["plain"])
    )
    for kind in ("kept", "worker"):
        figures[f"{kind}_grows_seconds"] = seconds_until(
            began,
            lambda kind=kind: all(part(deck, run)["bytes"] > before[run] for run in runs[kind]),  # type: ignore[misc]
        )
    check_whole(deck, runs)
    return figures


def check_whole(deck: Deck, runs: dict[str, list[str]]) -> None:
    """Wait for the end of what goes on, and find each of its lines once."""
    whole = "".join(f"{number}\n" for number in range(1, 201))
    for kind in ("kept", "worker"):
        host = KINDS[kind][0]
        for run in runs[kind]:
            ended = deck.api("GET", f"/api/v1/runs/{run}?wait=60").json()
            assert ended["state"] == "succeeded", ended
            assert deck.api("GET", f"/api/v1/runs/{run}/output?host={host}").text == whole


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, a_deck(Path(folder)) as deck:
        rounds = [one_round(deck) for _ in range(ROUNDS)]
    medians = {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}
    json.dump(medians | {"runs_of_each_kind": EACH, "rounds": ROUNDS}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
