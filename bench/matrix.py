"""Runs on many hosts: the page of 1,000 hosts, its refreshes, its folding, and the list of 100,000 runs.

Rows and outputs are put straight into the tables and files of a fresh home; the pages are asked of the web
app itself, in this process, as a signed-in person: what is measured is the server's work without the wire.
Prints JSON: medians in milliseconds by the clock and of this thread's processor time, and bytes.
"""

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import insert

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.config import Settings
from quarterdeck.core.ids import new_id
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.results.folding import NOTHING, Ignored
from quarterdeck.tasks.results.query import ResultQuery
from quarterdeck.tasks.states import RunState
from tests.deck import PASSWORD
from tests.tasks.ended_runs import LONG_AGO, Part, insert_run, same

BATCH = 5_000


def timed(work: Callable[[], object], rounds: int) -> dict[str, float]:
    """Return medians in milliseconds; the first call, which warms up, does not count."""
    work()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.thread_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.thread_time() - cpu)
    return {"ms": statistics.median(walls) * 1000, "cpu_ms": statistics.median(cpus) * 1000}


def page(client: FlaskClient, path: str, rounds: int) -> dict[str, float]:
    """Return time and weight of a page."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    sizes = {"bytes": len(answer.data), "gzip_bytes": len(gzip.compress(answer.data))}
    return timed(lambda: client.get(path), rounds) | sizes


def mixed(count: int) -> list[Part]:
    """Return parts of which three differ from the others."""
    parts = same(count)
    for number in (count // 4, count // 2):
        parts[number] = Part(parts[number].name, b"odd\n", state=RunState.FAILED, exit_status=1)
    parts[-1] = Part(parts[-1].name, b"other\n")
    return parts


def under_way(count: int) -> list[Part]:
    states = (RunState.SUCCEEDED, RunState.RUNNING, RunState.QUEUED)
    return [Part(part.name, part.out, state=states[number % 3]) for number, part in enumerate(same(count))]


def insert_runs(parts: MasterParts, template_id: str, count: int) -> None:
    """Store copies of a run on one host each, newest last."""
    with parts.db.read() as session:
        run = session.get_one(Run, template_id)
        values = {column.key: getattr(run, column.key) for column in Run.__mapper__.column_attrs}
        host = {column.key: "" for column in RunHost.__mapper__.column_attrs}
    host |= {"kind": "ssh", "position": 0, "fingerprint": run.fingerprint, "state": "succeeded"}
    host |= {"out_bytes": 0, "err_bytes": 0, "details": {}, "order": None, "remote": None, "gone": None}
    host |= {"exit_status": 0, "started_at": run.started_at, "finished_at": run.finished_at}
    for start in range(0, count, BATCH):
        ids = [new_id() for _ in range(min(BATCH, count - start))]
        with parts.db.write() as session:
            session.execute(insert(Run), [values | {"id": id_, "host_count": 1} for id_ in ids])
            hosts = [
                host | {"run_id": id_, "host_id": f"h{number % 50}", "name": f"host-{number % 50}"}
                for number, id_ in enumerate(ids)
            ]
            session.execute(insert(RunHost), hosts)


def signed_in(parts: MasterParts) -> FlaskClient:
    parts.access.add_person(SYSTEM, "ada", role=Role.ADMINISTRATOR, password=PASSWORD)
    client: FlaskClient = create_app(parts).test_client()
    client.set_cookie(SESSION_COOKIE, parts.access.sign_in("ada", PASSWORD))
    return client


def measure(home: Path, *, hosts: int, runs: int, rounds: int) -> dict[str, Any]:
    parts = MasterParts(Settings(home=home))
    client, output = signed_in(parts), parts.runs.output
    insert_run(parts.db, output, same(hosts))
    ended = insert_run(parts.db, output, mixed(hosts), created_at=LONG_AGO + timedelta(hours=1))
    going = insert_run(
        parts.db, output, under_way(hosts), command="sleep 9", created_at=LONG_AGO + timedelta(hours=2)
    )

    def fold(ignored: Ignored) -> None:
        run = parts.runs.get_run(ended)
        folding = parts.runs.results.select(run, ResultQuery(ignored=ignored)).folding
        assert folding.differing_hosts == 3, folding

    pages = {
        "page_of_all": page(client, f"/runs/{ended}", rounds),
        "page_as_table": page(client, f"/runs/{ended}?view=table", rounds),
        "page_of_the_failed": page(client, f"/runs/{ended}?state=failed", rounds),
        "page_under_way": page(client, f"/runs/{going}", rounds),
        "refresh_under_way": page(client, f"/runs/{going}/standing", rounds),
        "results_as_csv": page(client, f"/runs/{ended}/results.csv", rounds),
    }
    began = time.perf_counter()
    fold(Ignored(names=True, numbers=True))
    first = (time.perf_counter() - began) * 1000
    folding = {
        "exactly": timed(lambda: fold(NOTHING), rounds),
        "ignoring_names_and_numbers": timed(lambda: fold(Ignored(names=True, numbers=True)), rounds),
    }
    insert_runs(parts, ended, runs)
    lists = {
        "newest": page(client, "/runs", rounds),
        "failed": page(client, "/runs?state=failed", rounds),
        "of_one_host": page(client, "/runs?host=host-7", rounds),
        "found_by_words": page(client, "/runs?q=df", rounds),
    }
    parts.db.close()
    return rounded(
        {
            "hosts": hosts,
            "runs": runs,
            "rounds": rounds,
            "first_folding_with_ignoring_ms": first,
            "run": pages,
            "folding": folding,
            "list_of_runs": lists,
        }
    )


def rounded(figures: Any) -> Any:  # Any: JSON
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    return round(figures, 1) if isinstance(figures, float) else figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=21)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        print(json.dumps(measure(home, hosts=chosen.hosts, runs=chosen.runs, rounds=chosen.rounds), indent=2))
