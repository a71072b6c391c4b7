"""A real Quarterdeck, master and worker, in processes of its own, as `quarterdeck up` starts it."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from tests.command_process import CommandProcess
from tests.sshd import ROOT, SshServer

BIN = Path(sys.executable).parent
PASSWORD = "correct horse battery"
COMMANDS = CommandProcess()
"""Of this process of the test runner."""


def free_port() -> int:
    """Return a port below those of outgoing connections, one of which could have it before a restart.

    Browsers refuse some ports below 20,000.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Poll until ready, less often as time goes on, or fail with what was waited for."""
    deadline = time.monotonic() + seconds
    pause, pause_seconds = threading.Event(), 0.02  # never set: a timed wait without busy polling
    while not ready():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        pause.wait(pause_seconds)
        pause_seconds = min(1.2 * pause_seconds, 0.25)


def supervisors_of(home: Path) -> list[psutil.Process]:
    """The processes that the commands of a worker's home run under; none while nothing runs."""
    folder = str(home / "spool" / "supervisor")
    return [each for each in psutil.process_iter(["cmdline"]) if folder in (each.info["cmdline"] or [])]


def end_tasks_of(home: Path) -> None:
    """End what a killed worker has left running: its commands, then their supervisor."""
    ids = {path.stem for path in (home / "spool" / "supervisor" / "tasks").glob("*.json")}
    left = [each for each in psutil.process_iter() if _marker(each) in ids]
    for process in [*left, *supervisors_of(home)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _marker(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("DECK_TASK_ID"))
    except psutil.Error:
        return ""


class Deck:
    """Starts, talks to, kills and restarts one installation in one home folder."""

    verb = "up"

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port, self.worker_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = home.parent / f"{home.name}.log"
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("QUARTERDECK_", "SELFSERVICE"))
        } | {
            "QUARTERDECK_HOME": str(home),
            "QUARTERDECK_BIND": f"127.0.0.1:{self.port}",
            "QUARTERDECK_WORKER_BIND": f"127.0.0.1:{self.worker_port}",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def start(self) -> Self:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / "quarterdeck", self.verb],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self.is_ready, f"the node to start; its log is {self.log_path}", 60)
        return self

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/readyz").status_code == 200
        return False

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def stop(self, seconds: float = 6) -> int:
        """Ask to end with SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End master, worker and their parent at once, as a power cut of the program would."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)

    def close(self) -> None:
        """End everything, for good."""
        self.kill()
        end_tasks_of(self.home / "worker")
        self.client.close()

    def cli(self, *arguments: str, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the quarterdeck command on this home."""
        done = COMMANDS.run(arguments, self.environment, given)
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def add_person(self, name: str, role: str) -> None:
        self.cli("person", "add", name, "--role", role, "--password-stdin", given=PASSWORD)

    def new_token(self, person: str, scope: str) -> str:
        made = self.cli("token", "create", "--person", person, "--name", f"{scope} token", "--scope", scope)
        return made.stdout.strip()

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:  # Any: handed on to httpx
        """Call the JSON API with the administrator's token."""
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return self.client.request(method, path, headers=headers, **more)

    def add_ssh_host(self, server: SshServer, name: str, **more: Any) -> None:  # Any: JSON
        """Add a host by its private key; its host key is pinned on this first contact."""
        body = {
            "name": name,
            "kind": "ssh",
            "address": server.addresses[0],
            "port": server.port,
            "username": ROOT,
            "private_key": server.keys.good,
        }
        added = self.api("POST", "/api/v1/hosts", json=body | more)
        assert added.status_code == 201, added.text

    def run(self, **body: Any) -> dict[str, Any]:  # Any: JSON
        """Start a run and wait for its end."""
        started = self.api("POST", "/api/v1/runs", json=body)
        assert started.status_code == 201, started.text
        run: dict[str, Any] = self.api("GET", f"/api/v1/runs/{started.json()['id']}?wait=30").json()
        return run


@contextlib.contextmanager
def running_deck(home: Path, **settings: str) -> Iterator[Deck]:
    """Yield a started installation with the administrator Ada and her token."""
    deck = Deck(home, **settings)
    try:
        deck.start()
        deck.add_person("ada", "administrator")
        deck.token = deck.new_token("ada", "admin")
        yield deck
    finally:
        deck.close()
