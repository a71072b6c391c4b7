"""`kill -9` in the middle of everything: nothing acknowledged is lost, nothing shown runs that doesn't."""

import threading
from pathlib import Path

import httpx

from tests.deck import Deck, running_deck, wait_until
from tests.sshd import SshServer
from tests.worker_node import assert_counted, counting_until

TERMINAL = {"succeeded", "failed", "timed-out", "cancelled", "lost"}


def test_after_kill_9_of_everything_no_run_is_shown_running_that_is_not_and_the_chain_verifies(
    tmp_path: Path, ssh_server: SshServer
) -> None:
    with running_deck(tmp_path / "home") as deck:
        deck.add_ssh_host(ssh_server, "web1")
        run = start(deck, "sleep 300", "web1", "master", "worker")
        wait_until(lambda: set(states(deck, run).values()) == {"running"}, "all three to run")
        deck.kill()
        deck.start()
        wait_until(lambda: running_hosts(deck, run) == 1, "only one host shown as running", 10)
        wait_until(lambda: states(deck, run)["worker"] == "running", "the worker's to be taken up again")
        assert deck.api("POST", f"/api/v1/runs/{run}/cancel").status_code == 202
        after = deck.api("GET", f"/api/v1/runs/{run}?wait=30").json()
        assert after["state"] == "lost"
        assert states(deck, run) == {"web1": "lost", "master": "lost", "worker": "cancelled"}
        assert [host["gone"] for host in after["hosts"] if host["name"] == "worker"] == [True]
        outcome = deck.api("GET", f"/api/v1/history?action=task.run&object=run:{run}").json()
        assert {entry["kind"] for entry in outcome["entries"]} == {"intent", "outcome"}
        verified = deck.cli("history", "verify", "--with-workers", check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr


def test_output_of_a_worker_comes_whole_through_kill_9_of_everything(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as deck:
        run = start(deck, counting_until(tmp_path / "stop"), "worker")
        path = f"/api/v1/runs/{run}/output?host=worker&stream="
        wait_until(lambda: len(deck.api("GET", f"{path}out").content) > 2000, "output")
        deck.kill()
        deck.start()
        (tmp_path / "stop").touch()
        after = deck.api("GET", f"/api/v1/runs/{run}?wait=30").json()
        assert after["state"] == "succeeded", after
        assert_counted(deck.api("GET", f"{path}out").content, deck.api("GET", f"{path}err").content)


def test_what_was_acknowledged_before_kill_9_is_in_the_history(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as deck:
        acknowledged: list[str] = []

        def send(worker: int) -> None:
            for number in range(1000):
                name = f"host-{worker}-{number}"
                try:
                    answer = deck.api(
                        "POST",
                        "/api/v1/bases",
                        json={"name": name, "url": f"https://{name}.example.org"},
                    )
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged.append(name)

        threads = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) > 40, "forty acknowledged records", 30)
        deck.kill()
        for thread in threads:
            thread.join()
        deck.start()
        recorded = deck.api("GET", "/api/v1/history?action=base.add&limit=500").json()["entries"]
        objects = {entry["object"] for entry in recorded if entry["kind"] == "outcome"}
        assert {f"base:{name}" for name in acknowledged} <= objects
        assert deck.cli("history", "verify").returncode == 0


def start(deck: Deck, command: str, *hosts: str) -> str:
    """Start a command and return the run's id."""
    body = {"task": {"kind": "command", "command": command}, "hosts": list(hosts)}
    return str(deck.api("POST", "/api/v1/runs", json=body).json()["id"])


def states(deck: Deck, run_id: str) -> dict[str, str]:
    run = deck.api("GET", f"/api/v1/runs/{run_id}").json()
    return {host["name"]: host["state"] for host in run["hosts"]}


def running_hosts(deck: Deck, run_id: str) -> int:
    return sum(state not in TERMINAL for state in states(deck, run_id).values())
