"""Figures of hosts: what a worker pays for sampling each second, and a master for 1,000 workers.

A real worker in a process of its own sends to a real master's end while somebody looks at it: processor time
and resident memory of that process, and the bytes of each heartbeat, over a minute. Then a real master with
1,000 workers of `quarterdeck simulate`, each over real sockets: the share of a core of the master's process
beside what it uses without them, with all at 15 s and then with 62 of them at 1 s; last, how soon all are
back after a restart. The watch over the hosts asks once an hour, so that heartbeats alone are measured.
Prints JSON; `--seconds` says for how long each is measured.
"""

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
from sqlalchemy import select

from quarterdeck.core.db import Database
from quarterdeck.core.security import new_token, token_digest, write_private
from quarterdeck.hosts.membership import Member
from quarterdeck.hosts.models import Host, HostKind, HostState
from quarterdeck.protocol.samples import Watching
from tests.deck import BIN, Deck, free_port, running_deck, wait_until
from tests.metrics.master_end import master_end
from tests.worker_node import WorkerNode

WORKERS = 1_000
WATCHED = 62
CALM_PERCENT = 10
"""Of a core: a master that uses less for two seconds is through with its start."""
DOWN_SECONDS = 20
"""How long the master is away before it is measured how soon all are back."""


def share(process: psutil.Process, seconds: float) -> float:
    """Return percent of one core that a process uses from now on."""
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return 100 * used / (time.monotonic() - began)


def one_worker(folder: Path, seconds: float) -> dict[str, Any]:
    """Return what a worker costs while somebody looks at it."""
    with master_end(folder / "master") as master:
        worker = WorkerNode(folder / "far", **master.settings)
        try:
            worker.start()
            wait_until(lambda: master.now is not None, "the first heartbeat", 30)
            assert worker.process is not None
            process = psutil.Process(worker.process.pid)
            master.attention.look([master.host_id])
            worker.ask("POST", "/sampling", Watching())
            asked = len(master.beats)
            wait_until(lambda: len(master.beats) >= asked + 5, "a heartbeat each second", 30)
            came, began = len(master.sizes), time.monotonic()
            shares = []
            while time.monotonic() - began < seconds:
                master.attention.look([master.host_id])
                shares.append(share(process, 10))
            beats = master.sizes[came:]
            return {
                "core_percent": sum(shares) / len(shares),
                "resident_megabytes": worker.resident_megabytes(),
                "heartbeats_a_second": len(beats) / (time.monotonic() - began),
                "bytes_a_heartbeat": sum(beats) / len(beats),
                "processors": psutil.cpu_count(),
            }
        finally:
            worker.end()


@contextlib.contextmanager
def simulated(deck: Deck, port: int) -> Iterator[None]:
    arguments = ("--hosts", "0", "--workers", str(WORKERS), "--port", str(port), "--add")
    fleet = subprocess.Popen(
        [BIN / "quarterdeck", "simulate", *arguments],
        env=deck.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        fleet.terminate()
        fleet.wait(20)


def master_process(deck: Deck) -> psutil.Process:
    assert deck.process is not None
    children = psutil.Process(deck.process.pid).children()
    return max(children, key=lambda child: child.memory_info().rss)


def taken(deck: Deck) -> float:
    for line in deck.api("GET", "/metrics").text.splitlines():
        if line.startswith("quarterdeck_heartbeats_total"):
            return float(line.split()[1])
    raise RuntimeError("the master counts no heartbeats")


def listed(deck: Deck) -> list[str]:
    """Return the names of the simulated workers that are in the list."""
    database = Database(f"sqlite:///{deck.home / 'quarterdeck.db'}")
    with database.read() as session:
        names = list(session.scalars(select(Host.name).where(Host.name.like("sim-%"))))
    database.close()
    return names


def let_join(deck: Deck) -> None:
    """Make all workers members of the master, as a thousand calls of the watch would in some minutes."""
    database, members = Database(f"sqlite:///{deck.home / 'quarterdeck.db'}"), {}
    with database.write() as session:
        for host in session.scalars(
            select(Host).where(Host.kind == HostKind.WORKER, Host.name.like("sim-%"))
        ):
            token = new_token()
            host.joined, host.token_digest, host.state = True, token_digest(token), HostState.WELL
            members[host.name] = Member(deck.url, token)
    database.close()
    assert len(members) == WORKERS
    write_private(deck.home / "simulation/members.json", msgspec.json.encode(members))


def look_at(deck: Deck, port: int, count: int) -> None:
    """Have so many workers send each second for a while, as the master asks them to."""
    bearer = (deck.home / "simulation/worker_token").read_text(encoding="ascii").strip()
    body = Watching(interval_seconds=1, for_seconds=120)
    with httpx.Client(headers={"Authorization": f"Bearer {bearer}"}, trust_env=False) as client:
        for number in range(1, count + 1):
            content = json.dumps({"interval_seconds": body.interval_seconds, "for_seconds": body.for_seconds})
            client.post(f"http://127.78.0.{number}:{port}/sampling", content=content).raise_for_status()


def many_workers(folder: Path, seconds: float) -> dict[str, Any]:
    """Return what a master pays for the heartbeats of a thousand workers."""
    port = free_port()
    with running_deck(folder / "home", QUARTERDECK_HEALTH_SECONDS="3600") as deck:
        with simulated(deck, port):
            wait_until(lambda: (deck.home / "simulation/worker_token").exists(), "the fleet", 60)
            wait_until(lambda: len(listed(deck)) >= WORKERS, "all to be listed", 120)
        deck.stop()
        let_join(deck)
        deck.start()
        wait_until(lambda: share(master_process(deck), 2) < CALM_PERCENT, "the master to be calm", 60)
        alone = share(master_process(deck), seconds / 2)
        with simulated(deck, port):
            wait_until(lambda: taken(deck) >= 3 * WORKERS, "all to have sent three times", 120)
            before, began = taken(deck), time.monotonic()
            idle = share(master_process(deck), seconds)
            rate = (taken(deck) - before) / (time.monotonic() - began)
            unwatched = taken(deck)
            look_at(deck, port, WATCHED)
            more = 3 * (WATCHED + WORKERS // 15)  # of three seconds
            wait_until(lambda: taken(deck) >= unwatched + more, "those looked at to send each second", 30)
            before, began = taken(deck), time.monotonic()
            watched = share(master_process(deck), min(seconds, 100))
            watched_rate = (taken(deck) - before) / (time.monotonic() - began)
            deck.stop()
            time.sleep(DOWN_SECONDS)
            deck.start()
            began = time.monotonic()
            wait_until(lambda: taken(deck) >= WORKERS, "all to be back", 120)
            back = time.monotonic() - began
    return {
        "at_15_s": {"master_core_percent": idle - alone, "heartbeats_a_second": rate},
        "and_62_at_1_s": {"master_core_percent": watched - alone, "heartbeats_a_second": watched_rate},
        "master_core_percent_without_them": alone,
        "a_thousand_heartbeats_after_a_restart_seconds": back,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", choices=["worker", "master"])
    chosen = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if chosen.only != "master":
            figures["a_worker_at_1_s"] = one_worker(Path(folder), chosen.seconds)
        if chosen.only != "worker":
            figures["a_master_with_1000_workers"] = many_workers(Path(folder), chosen.seconds)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
