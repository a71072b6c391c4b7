"""`kill -9` in the middle of everything: nothing acknowledged is lost, nothing shown runs that doesn't."""

import threading
from pathlib import Path

import httpx

from tests.deck import Deck, running_deck, wait_until
from tests.sshd import SshServer

TERMINAL = {"succeeded", "failed", "timed-out", "cancelled", "lost"}


def test_after_kill_9_of_everything_no_run_is_shown_running_and_the_chain_verifies(
    tmp_path: Path, ssh_server: SshServer
) -> None:
    with running_deck(tmp_path / "home") as deck:
        deck.add_ssh_host(ssh_server, "web1")
        run = deck.api(
            "POST",
            "/api/v1/runs",
            json={"task": {"kind": "command", "command": "sleep 300"}, "hosts": ["web1", "master", "worker"]},
        ).json()
        wait_until(lambda: running_hosts(deck, run["id"]) == 3, "all three to run")
        deck.kill()
        deck.start()
        wait_until(lambda: running_hosts(deck, run["id"]) == 0, "no host shown as running", 10)
        after = deck.api("GET", f"/api/v1/runs/{run['id']}").json()
        assert after["state"] == "lost"
        assert all(host["state"] == "lost" for host in after["hosts"])
        outcome = deck.api("GET", f"/api/v1/history?action=task.run&object=run:{run['id']}").json()
        assert {entry["kind"] for entry in outcome["entries"]} == {"intent", "outcome"}
        verified = deck.cli("history", "verify", "--with-workers", check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr


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


def running_hosts(deck: Deck, run_id: str) -> int:
    run = deck.api("GET", f"/api/v1/runs/{run_id}").json()
    return sum(host["state"] not in TERMINAL and host["state"] == "running" for host in run["hosts"])
