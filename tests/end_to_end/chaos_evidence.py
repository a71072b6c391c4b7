"""What is left after the disorder: the ledger, the runs, the outputs and the histories of all nodes."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from tests.end_to_end.chaos import Book, Installation, Wanted

Json = dict[str, Any]
STREAMS: Final = ("out", "err")


@dataclass
class Order:
    """An order as its worker tells it; without a state when the worker does not know it."""

    id: str
    worker: str
    run: str
    has_outcome: bool = False
    state: str = ""
    output: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Evidence:
    """All of it, read once everything is back and quiet."""

    book: Book
    runs: dict[str, Json]
    """Every run that the master lists, by its id."""
    outputs: dict[tuple[str, str, str], bytes]
    """The master's run files, by run, host and stream."""
    outcomes: dict[str, set[str]]
    """What the master's history says about the end of each run."""
    orders: dict[str, Order]
    begun: list[tuple[str, str]]
    """Token and host of every line of the ledger."""
    processes: list[str]
    """The command lines on this machine."""
    history_faults: list[str]

    @property
    def tokens(self) -> dict[str, str]:
        """The token that each run carries in its command, by the run's id."""
        return {
            run_id: str(run["task"]["command"]).removeprefix('echo "').split(" ")[0]
            for run_id, run in self.runs.items()
        }

    def parts(self) -> Iterator[tuple[Json, Wanted, Json]]:
        """Yield each host's part: the run, what was wanted, the host."""
        for run_id, token in self.tokens.items():
            for host in self.runs[run_id]["hosts"]:
                yield self.runs[run_id], self.book.wanted[token], host

    def output(self, run_id: str, host: str, stream: str) -> bytes:
        return self.outputs.get((run_id, host, stream), b"")


def gather(place: Installation, book: Book) -> Evidence:
    """Read all that there is."""
    runs = {run_id: _run(place, run_id) for run_id in _run_ids(place)}
    orders = {order.id: order for order in _orders(place)}
    return Evidence(
        book=book,
        runs=runs,
        outputs=dict(_outputs(place.master.home / "runs", runs)),
        outcomes=_outcomes(place.master.home),
        orders=orders,
        begun=list(_begun(place, book, orders)),
        processes=[" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])],
        history_faults=_history_faults(place),
    )


def _run_ids(place: Installation) -> list[str]:
    ids: list[str] = []
    cursor = ""
    while True:
        page = place.master.api("GET", "/api/v1/runs", params={"limit": 200, "cursor": cursor}).json()
        ids += [run["id"] for run in page["runs"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            return ids


def _run(place: Installation, run_id: str) -> Json:
    run: Json = place.master.api("GET", f"/api/v1/runs/{run_id}").json()
    return run


def _outputs(folder: Path, runs: dict[str, Json]) -> Iterator[tuple[tuple[str, str, str], bytes]]:
    for run_id, run in runs.items():
        for host in run["hosts"]:
            for stream in STREAMS:
                path = folder / run_id / f"{host['name']}.{stream}"
                if path.exists():
                    yield (run_id, host["name"], stream), path.read_bytes()


def _outcomes(home: Path) -> dict[str, set[str]]:
    outcomes = defaultdict[str, set[str]](set)
    for entry in _history(home):
        if entry["action"] == "task.run" and entry["kind"] == "outcome":
            outcomes[entry["object"].removeprefix("run:")].add(str(entry["detail"].get("state")))
    return outcomes


def _orders(place: Installation) -> Iterator[Order]:
    for name, worker in place.workers.items():
        orders: dict[str, Order] = {}
        for entry in _history(worker.home):
            if entry["action"] != "task.run":
                continue
            order_id = entry["object"].removeprefix("order:")
            if entry["kind"] == "intent":
                orders.setdefault(order_id, Order(order_id, name, entry["detail"]["run"]))
            else:
                orders[order_id].has_outcome = True
        for order_id, order in orders.items():
            answer = worker.ask("GET", f"/tasks/{order_id}")
            if answer.status_code == 200:
                order.state = answer.json()["state"]
                order.output = {stream: worker.output(order_id, stream) for stream in STREAMS}
            yield order


def _begun(place: Installation, book: Book, orders: dict[str, Order]) -> Iterator[tuple[str, str]]:
    """Yield who began where: an SSH host tells its address, a worker the order's id, the master its own."""
    for line in book.ledger.read_text().splitlines() if book.ledger.exists() else ():
        token, _, where = line.partition(" ")
        words = where.split(" ")
        if len(words) == 4:  # SSH_CONNECTION: the third word is the server's address
            yield token, place.addresses[words[2]]
        else:
            yield token, orders[where].worker if where in orders else "master"


def _history(home: Path) -> Iterator[Json]:
    """Yield the lines of a node's history files, oldest first."""
    for path in sorted((home / "history").glob("*.jsonl")):
        yield from (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line)


def _history_faults(place: Installation) -> list[str]:
    done = place.master.cli("history", "verify", "--with-workers", check=False)
    return [f"the histories do not verify: {done.stdout}{done.stderr}"] if done.returncode else []
