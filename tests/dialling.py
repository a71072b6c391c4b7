"""Real workers that dial in: each a process with a home of its own, and no port at all."""

import contextlib
from pathlib import Path
from typing import Any, Self

import psutil

from tests.deck import Deck, wait_until
from tests.worker_node import WorkerNode


class DiallingWorker(WorkerNode):
    """A worker that joins by a code; ``ask`` and what stands on it are of no use: it listens nowhere."""

    def __init__(self, home: Path, master_url: str, code: str = "", **settings: str) -> None:
        given = {"QUARTERDECK_MASTER_URL": master_url, "QUARTERDECK_JOIN_CODE": code}
        super().__init__(home, **{name: value for name, value in given.items() if value}, **settings)
        self.environment.pop("QUARTERDECK_WORKER_BIND", None)

    def is_alive(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None or "listens nowhere" in self.log()

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def resume(self) -> None:
        """Let go on what ``halt`` has stopped."""
        assert self.process is not None
        psutil.Process(self.process.pid).resume()

    def listening(self) -> list[Any]:  # Any: psutil's own shape of a connection
        assert self.process is not None
        connections = psutil.Process(self.process.pid).net_connections("all")
        return [each for each in connections if each.status == psutil.CONN_LISTEN]

    def acted(self, action: str) -> list[dict[str, Any]]:  # Any: JSON
        return [entry for entry in self.history() if entry["action"] == action]


def invite(deck: Deck, name: str, **more: Any) -> dict[str, Any]:  # Any: JSON
    made = deck.api("POST", "/api/v1/hosts/invitations", json={"name": name, **more})
    assert made.status_code == 201, made.text
    invited: dict[str, Any] = made.json()
    return invited


def join(deck: Deck, home: Path, name: str = "far", **settings: str) -> DiallingWorker:
    """Invite a worker, start it, and wait until its line is there and it answers."""
    worker = DiallingWorker(home, deck.url, invite(deck, name)["code"], **settings).start()
    wait_until(lambda: state(deck, name) == "well", f"{name} to answer; its log:\n{worker.log()[-3000:]}", 30)
    return worker


def host(deck: Deck, name: str) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = deck.api("GET", f"/api/v1/hosts/{name}").json()
    return found


def state(deck: Deck, name: str) -> str:
    return str(host(deck, name).get("state", ""))


def entries(deck: Deck, action: str, name: str = "") -> list[dict[str, Any]]:  # Any: JSON
    """The master's history of an action, newest first."""
    query = f"action={action}&limit=100" + (f"&host={name}" if name else "")
    found: list[dict[str, Any]] = deck.api("GET", f"/api/v1/history?{query}").json()["entries"]
    return found


class Started(contextlib.ExitStack):
    """Ends every worker that a test started."""

    def worker(self, worker: DiallingWorker) -> DiallingWorker:
        self.callback(worker.end)
        return worker

    def __enter__(self) -> Self:
        return self
