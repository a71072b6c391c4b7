"""Disorder for a real installation: orders at random, while its processes are killed, halted and restarted.

What was asked, answered and seen is kept in a ``Book``, for the checker to compare with what is left.
Each command writes a line into a ledger when it begins, and then counts on both of its outputs.
"""

import contextlib
import random
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from quarterdeck.tasks.local.processes import MARKER
from tests.deck import Deck
from tests.sshd import SshServer
from tests.worker_node import WorkerNode

WORKERS = 5
SSH_HOSTS = 3
TERMINAL = {"succeeded", "failed", "timed-out", "cancelled", "lost"}
_ANSWER_SECONDS = 8.0
_STOP_SECONDS = 20.0


@dataclass
class Wanted:
    """One order as it was given; ``run_id`` stays empty when the answer never came."""

    token: str
    hosts: list[str]
    lines: int
    run_id: str = ""

    def expected(self, stream: str) -> bytes:
        """Everything that the command prints on one stream."""
        lines = [f"{self.token} {stream} {number}\n" for number in range(1, self.lines + 1)]
        return "".join([*lines, f"{self.token} end\n"] if stream == "out" else lines).encode()


@dataclass
class Book:
    """What happened, as seen from outside; written by several threads."""

    ledger: Path
    wanted: dict[str, Wanted] = field(default_factory=dict)
    ended: dict[tuple[str, str], str] = field(default_factory=dict)
    """The terminal states that were shown, by run and host."""
    read: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    """The longest output that was handed out, by run, host and stream."""
    events: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def note(self, event: str) -> None:
        self.events.append(f"{time.monotonic() - self.began:6.2f} {event}")

    def run_ids(self) -> list[str]:
        return [each.run_id for each in list(self.wanted.values()) if each.run_id]

    def command(self, wanted: Wanted, pause: float) -> str:
        """Return a shell command that tells where it runs, and then counts."""
        token = wanted.token
        return (
            f'echo "{token} ${{{MARKER}:-$SSH_CONNECTION}}" >> {self.ledger}; i=0; '
            f"while [ $i -lt {wanted.lines} ]; do i=$((i+1)); "
            f'echo "{token} out $i"; echo "{token} err $i" >&2; sleep {pause}; done; echo "{token} end"'
        )


class MasterAlone(Deck):
    """A master without the worker that `quarterdeck up` starts beside it."""

    verb = "master"


@dataclass
class Installation:
    """One master, five workers, and hosts of a real sshd."""

    master: Deck
    workers: dict[str, WorkerNode]
    addresses: dict[str, str]
    """The SSH hosts: names by address."""

    @property
    def host_names(self) -> list[str]:
        return ["master", *self.workers, *self.addresses.values()]

    def bring_back(self) -> None:
        """Start whatever is down and let go on whatever is halted."""
        for worker in self.workers.values():
            worker.resume()
            if not worker.is_running:
                worker.start()
        if not self.master.is_running:
            self.master.start()


@contextlib.contextmanager
def installed(folder: Path, server: SshServer) -> Iterator[Installation]:
    """Yield an installation in which every host has been reached once."""
    master = MasterAlone(folder / "master", QUARTERDECK_HEALTH_SECONDS="1")
    workers = {f"w{number}": WorkerNode(folder / f"w{number}") for number in range(1, WORKERS + 1)}
    addresses = {server.addresses[number]: f"ssh{number}" for number in range(SSH_HOSTS)}
    try:
        with ThreadPoolExecutor(WORKERS + 1) as threads:
            list(threads.map(lambda node: node.start(), [*workers.values(), master]))
        master.add_person("ada", "administrator")
        master.token = master.new_token("ada", "admin")
        for address, name in addresses.items():
            master.add_ssh_host(server, name, address=address)
        for name, worker in workers.items():
            body = {"name": name, "kind": "worker", "address": worker.url, "token": worker.token}
            added = master.api("POST", "/api/v1/hosts", json=body)
            assert added.status_code == 201, added.text
        yield Installation(master, workers, addresses)
    finally:
        for worker in workers.values():
            worker.resume()
            worker.end()
        master.close()


class Client(threading.Thread):
    """Somebody who starts, reads and cancels runs by the API, whether it answers or not."""

    def __init__(self, place: Installation, book: Book, seed: str, stopped: threading.Event) -> None:
        super().__init__(name=seed)
        self._place, self._book, self._stopped = place, book, stopped
        self._chance = random.Random(seed)  # noqa: S311 - decides what happens, guards nothing
        self._http = httpx.Client(
            base_url=place.master.url,
            timeout=_ANSWER_SECONDS,
            headers={"Authorization": f"Bearer {place.master.token}"},
        )
        self.failure: BaseException | None = None

    def run(self) -> None:
        actions = (self._start, self._start, self._look, self._look, self._cancel)
        try:
            while not self._stopped.wait(self._chance.uniform(0.02, 0.3)):
                with contextlib.suppress(httpx.TransportError):
                    self._chance.choice(actions)()
        except (AssertionError, ValueError, LookupError, httpx.HTTPError) as error:
            self.failure = error  # for the test to tell: a thread can't fail it
        finally:
            self._http.close()

    def _start(self) -> None:
        chance, book = self._chance, self._book
        hosts = chance.sample(self._place.host_names, chance.choice((1, 1, 2, 3, 5)))
        wanted = Wanted(f"chaos-{secrets.token_hex(8)}", hosts, chance.choice((1, 5, 20, 40)))
        book.wanted[wanted.token] = wanted
        task = {"kind": "command", "command": book.command(wanted, chance.choice((0.0, 0.05, 0.2)))}
        answer = self._http.post("/api/v1/runs", json={"task": task, "hosts": hosts})
        assert answer.status_code in (201, 503), answer.text
        if answer.status_code == 201:
            wanted.run_id = answer.json()["id"]

    def _cancel(self) -> None:
        if run_id := self._any_run():
            answer = self._http.post(f"/api/v1/runs/{run_id}/cancel")
            assert answer.status_code in (202, 409, 503), answer.text

    def _look(self) -> None:
        """Note what is shown of a run: its ends, and the output of one of its hosts."""
        run_id = self._any_run()
        if run_id is None:
            return
        answer = self._http.get(f"/api/v1/runs/{run_id}")
        if answer.status_code == 503:
            return
        hosts = answer.json()["hosts"]
        for host in hosts:
            if host["state"] in TERMINAL:
                self._book.ended.setdefault((run_id, host["name"]), host["state"])
        self._read(run_id, self._chance.choice(hosts)["name"], self._chance.choice(("out", "err")))

    def _read(self, run_id: str, host: str, stream: str) -> None:
        answer = self._http.get(f"/api/v1/runs/{run_id}/output", params={"host": host, "stream": stream})
        if answer.status_code == 200:
            key = (run_id, host, stream)
            self._book.read[key] = max(self._book.read.get(key, b""), answer.content, key=len)

    def _any_run(self) -> str | None:
        known = self._book.run_ids()
        return self._chance.choice(known[-12:]) if known else None


class Nemesis:
    """Kills, halts and restarts the processes of an installation, one blow after another."""

    def __init__(self, place: Installation, book: Book, seed: str) -> None:
        self._place, self._book = place, book
        self._chance = random.Random(seed)  # noqa: S311 - decides what happens, guards nothing
        self._pause = threading.Event()  # never set: a timed wait

    def rage(self, seconds: float) -> None:
        """Strike until the time is over; whatever is down then stays so."""
        until = time.monotonic() + seconds
        blows = {
            self._kill_worker: 8,
            self._halt_worker: 4,
            self._kill_master: 3,
            self._stop_worker: 2,
            self._stop_master: 1,
            self._kill_all: 1,
        }
        while time.monotonic() < until:
            self._pause.wait(self._chance.uniform(0.3, 2.5))
            self._chance.choices(list(blows), list(blows.values()))[0]()

    def _kill_worker(self) -> None:
        name, worker = self._any_worker()
        self._book.note(f"kill -9 {name}")
        worker.kill()
        self._pause.wait(self._chance.choice((0, 0, 0.5, 3)))
        worker.start()
        self._book.note(f"{name} is back")

    def _halt_worker(self) -> None:
        name, worker = self._any_worker()
        seconds = self._chance.uniform(0.1, 3)
        self._book.note(f"halt {name} for {seconds:.1f} s")
        worker.halt()
        self._pause.wait(seconds)
        worker.resume()

    def _kill_master(self) -> None:
        self._book.note("kill -9 master")
        self._place.master.kill()
        self._pause.wait(self._chance.choice((0, 0.5, 2)))
        self._place.master.start()
        self._book.note("master is back")

    def _stop_worker(self) -> None:
        name, worker = self._any_worker()
        self._book.note(f"stop {name} in order")
        worker.stop(_STOP_SECONDS)
        worker.start()
        self._book.note(f"{name} is back")

    def _stop_master(self) -> None:
        self._book.note("stop master in order")
        self._place.master.stop(_STOP_SECONDS)
        self._place.master.start()
        self._book.note("master is back")

    def _kill_all(self) -> None:
        self._book.note("kill -9 everything")
        for worker in self._place.workers.values():
            worker.kill()
        self._place.master.kill()
        self._place.bring_back()
        self._book.note("everything is back")

    def _any_worker(self) -> tuple[str, WorkerNode]:
        return self._chance.choice(list(self._place.workers.items()))
