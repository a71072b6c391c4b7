"""The same start pressed 50 times at once: how many runs come of it, and how long each waits for its answer.

Fifty clients with a connection each send the same `POST /api/v1/runs` at one moment to a master in a process
of its own, several rounds with a new command each; then the same on a database with 100,000 runs, half of
them of one command on one of 1,000 hosts, and then under one `Idempotency-Key`. Last, without the web server:
what it costs there to look for a duplicate and for what is usual. Prints one JSON object.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert

from quarterdeck.core.db import Database
from quarterdeck.core.ids import new_id
from quarterdeck.protocol.tasks import CommandTask
from quarterdeck.tasks.duplicates import find_overlap
from quarterdeck.tasks.fingerprint import fingerprint
from quarterdeck.tasks.idempotency import HEADER
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.past import usual_durations
from tests.deck import Deck, running_deck

STARTS = 50
ROUNDS = 5
STORED = 100_000
HOSTS = 1_000
BATCH = 5_000
COMMAND = "sleep 0.5"
WIDE = "uptime"


def press(deck: Deck, command: str, headers: dict[str, str]) -> list[tuple[int, str, float]]:
    """Return status, run and seconds of each answer."""
    ready, answers = threading.Barrier(STARTS), []
    body = {"task": {"kind": "command", "command": command}, "hosts": ["master"]}
    sent = {"Authorization": f"Bearer {deck.token}"} | headers

    def one() -> None:
        with httpx.Client(base_url=deck.url, timeout=60, headers=sent) as client:
            client.get("/healthz")  # the connection is there before it begins
            ready.wait()
            began = time.perf_counter()
            answer = client.post("/api/v1/runs", json=body)
            found = answer.json()
            run = str(found.get("id") or found.get("duplicate_of"))
            answers.append((answer.status_code, run, time.perf_counter() - began))

    threads = [threading.Thread(target=one) for _ in range(STARTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def race(deck: Deck, name: str, *, keyed: bool = False) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    most_runs = 0
    for number in range(ROUNDS):
        headers = {HEADER: f"{name}-{number}"} if keyed else {}
        answers = press(deck, f"{COMMAND}; : {name} {number}", headers)
        statuses.update(status for status, _, _ in answers)
        most_runs = max(most_runs, len({run for _, run, _ in answers}))
        seconds += [taken for _, _, taken in answers]
    return {
        "starts_a_round": STARTS,
        "most_runs_a_round": most_runs,
        "answers": ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items())),
        "p50_ms": round(statistics.median(seconds) * 1000),
        "p95_ms": round(sorted(seconds)[int(len(seconds) * 0.95)] * 1000),
    }


def rows(command: str, host: str) -> tuple[dict[str, Any], dict[str, Any]]:
    now = datetime.now(UTC) - timedelta(days=1)
    run_id, mark = new_id(), fingerprint(CommandTask(command))
    ended = {"started_at": now, "finished_at": now + timedelta(seconds=1), "state": "succeeded"}
    run = ended | {
        "id": run_id, "kind": "command", "title": command, "task": {"kind": "command", "command": command},
        "fingerprint": mark, "is_active": False, "is_recorded": True, "tally": {"succeeded": 1},
        "targets": host, "host_count": 1, "actor": "bench", "created_at": now, "timeout_seconds": 60,
        "request_id": "-", "intent_id": "-",
    }  # fmt: skip
    part = ended | {
        "run_id": run_id, "host_id": host, "name": host, "kind": "ssh", "position": 0, "fingerprint": mark,
        "message": "", "out_bytes": 0, "err_bytes": 0, "details": {},
    }  # fmt: skip
    return run, part


def fill(db: Database) -> None:
    """Store the runs of a busy year: half of one command on many hosts, half of all kinds."""
    for start in range(0, STORED, BATCH):
        made = [
            rows(COMMAND if number % 2 else f"echo {number}", f"web-{number // 2 % HOSTS}")
            for number in range(start, start + BATCH)
        ]
        with db.write() as session:
            session.execute(insert(Run), [run for run, _ in made])
            session.execute(insert(RunHost), [part for _, part in made])


def fill_wide(db: Database, hosts: list[str]) -> None:
    """Store ten runs of one command on all hosts."""
    for _ in range(10):
        run, _ = rows(WIDE, hosts[0])
        parts = [rows(WIDE, host)[1] | {"run_id": run["id"]} for host in hosts]
        with db.write() as session:
            session.execute(insert(Run), [run])
            session.execute(insert(RunHost), parts)


def milliseconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1000, 2)


def look_ups(db: Database) -> Iterator[tuple[str, float]]:
    mark, hosts = fingerprint(CommandTask(COMMAND)), [f"web-{number}" for number in range(HOSTS)]
    recent = datetime.now(UTC) - timedelta(seconds=10)

    def overlap() -> None:
        with db.read() as session:
            if find_overlap(session, mark, hosts, ended_after=recent) is not None:
                sys.exit("nothing of it ended a moment ago")

    yield "duplicate_of_1000_hosts_ms", milliseconds(overlap)
    yield "usual_on_one_host_ms", milliseconds(lambda: usual_durations(db, mark, hosts[:1]))
    yield "usual_on_20_hosts_ms", milliseconds(lambda: usual_durations(db, mark, hosts[:20]))
    fill_wide(db, hosts)
    wide = fingerprint(CommandTask(WIDE))
    yield "usual_on_100_of_1000_hosts_ms", milliseconds(lambda: usual_durations(db, wide, hosts[:100]))
    yield "usual_on_1000_hosts_ms", milliseconds(lambda: usual_durations(db, wide, hosts))
    yield "hosts_with_a_past", len(usual_durations(db, wide, hosts))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running_deck(Path(folder) / "home") as deck:
        figures: dict[str, Any] = {"empty": race(deck, "empty")}
        db = Database(f"sqlite:///{deck.home / 'quarterdeck.db'}")
        fill(db)
        figures["among_100000_runs"] = race(deck, "full")
        figures["under_one_key"] = race(deck, "keyed", keyed=True)
        figures["look_up_among_100000_runs"] = dict(look_ups(db))
        db.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
