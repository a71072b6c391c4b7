"""A real worker in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deck import free_port, wait_until


class WorkerNode:
    """Starts, stops and halts one worker; ``token`` is what it wants from its master."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def token(self) -> str:
        return (self.home / "keys" / "master-token").read_text().strip()

    def start(self) -> "WorkerNode":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")}
        settings = {
            "SELFSERVICE_TYPE": "WORKER",
            "QUARTERDECK_HOME": str(self.home),
            "QUARTERDECK_WORKER_BIND": f"127.0.0.1:{self.port}",
        }
        command = [sys.executable, "-m", "quarterdeck"]
        self.process = subprocess.Popen(
            command, env=kept | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._is_up, "the worker to start")
        return self

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def halt(self) -> None:
        """Let it hold its port and answer nobody."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def _is_up(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerNode]:
    worker = WorkerNode(tmp_path / "worker").start()
    yield worker
    worker.stop()
