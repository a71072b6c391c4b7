"""A real worker in a process of its own, on a free port and a home of its own."""

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
import psutil

from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token
from quarterdeck.protocol.orders import Order, OrderStatus, OutputPage, sealed
from quarterdeck.protocol.tasks import CommandTask, Task
from tests.deck import BIN, end_tasks_of, free_port, supervisors_of, wait_until

_TLS = ssl.create_default_context()  # made once: each call would read all certificates anew


def new_order(task: Task | str, **members: Any) -> Order:  # Any: members of an order
    """An order as a master makes it; ``members`` are put in before it is sealed."""
    values: dict[str, Any] = {
        "id": new_id(),
        "run": new_id(),
        "host": "worker-1",
        "task": CommandTask(task) if isinstance(task, str) else task,
        "deadline": datetime.now(UTC) + timedelta(minutes=5),
        "nonce": new_token(),
        "actor": "oskar",
        "timeout_seconds": 60,
    }
    return sealed(Order(**(values | members)))


def counting_until(stop: Path) -> str:
    """A command that counts on both streams without a pause until there is a file, then says so."""
    return f"i=0; until [ -e {stop} ]; do i=$((i+1)); echo $i; echo $i >&2; done; echo end"


def assert_counted(out: bytes, err: bytes) -> None:
    """Check the output of ``counting_until``: nothing is missing, doubled or out of order."""
    *numbers, last = out.decode().splitlines()
    assert last == "end"
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert err.decode().splitlines() == numbers


class WorkerNode:
    """Starts, talks to, kills and restarts one worker."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = home.parent / f"{home.name}.log"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QUARTERDECK_", "SELFSERVICE", "MASTER_"))
        } | {
            "SELFSERVICE_TYPE": "WORKER",
            "QUARTERDECK_HOME": str(home),
            "QUARTERDECK_WORKER_BIND": f"127.0.0.1:{self.port}",
            **settings,
        }
        self.arguments: list[str] = []
        """Of the quarterdeck command, where the worker is not started by its module."""
        self.before: tuple[str, ...] = ()
        """What stands before the whole command, such as what starts it on a far machine."""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log_path.open("ab") as log:
            module = [sys.executable, "-m", "quarterdeck"]
            command = [str(BIN / "quarterdeck"), *self.arguments] if self.arguments else module
            command = [*self.before, *command]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        wait_until(self.is_alive, f"the worker to start; its log is {self.log_path}", 60)
        return self

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz", verify=_TLS).status_code == 200
        return False

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def stop(self, seconds: float = 5) -> int:
        """Ask to end with SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def halt(self) -> None:
        """Let it hold its port and answer nobody, until it is killed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after ``halt``."""
        if self.is_running and self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def end(self) -> None:
        """End it in whatever state it is; for the fixture."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        if self.process is not None and self.process.poll() is None:
            self.kill()
        end_tasks_of(self.home)

    def go_on(self) -> None:
        """Let it answer again after ``halt``."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def supervisor(self) -> psutil.Process:
        """What its commands run under; there must be one."""
        (found,) = supervisors_of(self.home)
        return found

    @property
    def token(self) -> str:
        """What its master must show."""
        return (self.home / "keys" / "master-token").read_text(encoding="utf-8")

    def ask(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Call its API as its master."""
        sent = {"Authorization": f"Bearer {self.token}"} if headers is None else dict(headers)
        content = b"" if body is None else msgspec.json.encode(body)
        return httpx.request(
            method, f"{self.url}{path}", content=content, headers=sent, timeout=40, verify=_TLS
        )

    def order(self, task: Task | str, **members: Any) -> Order:  # Any: members of an order
        """Give it an order, which must be accepted."""
        order = new_order(task, **members)
        answer = self.ask("POST", "/process_task", order)
        assert answer.status_code == 202, answer.text
        return order

    def status(self, order_id: str, wait: float = 0) -> OrderStatus:
        answer = self.ask("GET", f"/tasks/{order_id}?wait={wait:g}")
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=OrderStatus)

    def finished(self, order_id: str) -> OrderStatus:
        """Wait until the order has ended."""
        status = self.status(order_id, 20)
        assert status.is_terminal, status
        return status

    def output(self, order_id: str, stream: str = "out") -> bytes:
        content = b""
        while True:
            answer = self.ask("GET", f"/tasks/{order_id}/output?stream={stream}&from={len(content)}")
            assert answer.status_code == 200, answer.text
            content += answer.content
            if not answer.content:
                return content

    def page(self, order_id: str) -> OutputPage:
        """All of a short output, in its order of arrival."""
        answer = self.ask("GET", f"/tasks/{order_id}/page")
        return msgspec.msgpack.decode(answer.content, type=OutputPage)

    def asking(self, method: str, path: str) -> threading.Thread:
        """Call its API in a thread, for an answer that may never come."""

        def ask() -> None:
            with contextlib.suppress(httpx.TransportError):
                self.ask(method, path)

        thread = threading.Thread(target=ask)
        thread.start()
        return thread

    def history(self) -> list[dict[str, Any]]:  # Any: JSON
        """The lines of its history files, oldest first."""
        lines: list[dict[str, Any]] = []
        for path in sorted((self.home / "history").glob("*.jsonl")):
            lines += [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line]
        return lines

    def resident_megabytes(self) -> float:
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000
