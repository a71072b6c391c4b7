"""The checker of the disorder finds what it is for: each fault, put into evidence that had none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.chaos import Book, Wanted
from tests.end_to_end.chaos_checker import faults_of
from tests.end_to_end.chaos_evidence import Evidence, Order


def sound() -> Evidence:
    """One run on a worker and an SSH host, as it should be: it succeeded here, and was lost there."""
    book = Book(Path("ledger"))
    wanted = book.wanted["chaos-1"] = Wanted("chaos-1", ["w1", "ssh1"], 3, "r1")
    out, err = wanted.expected("out"), wanted.expected("err")
    book.ended[("r1", "w1")] = "succeeded"
    book.read[("r1", "w1", "out")] = out[:10]
    hosts = [
        part("w1", "succeeded", out_bytes=len(out), err_bytes=len(err)),
        part("ssh1", "lost", message="The master was restarted.", out_bytes=7, err_bytes=0),
    ]
    run = {"id": "r1", "state": "lost", "task": {"command": book.command(wanted, 0)}, "hosts": hosts}
    return Evidence(
        book=book,
        runs={"r1": run},
        outputs={("r1", "w1", "out"): out, ("r1", "w1", "err"): err, ("r1", "ssh1", "out"): out[:7]},
        outcomes={"r1": {"lost"}},
        orders={"o1": Order("o1", "w1", "r1", True, "succeeded", {"out": out, "err": err})},
        begun=[("chaos-1", "w1"), ("chaos-1", "ssh1")],
        processes=["/sbin/init"],
        history_faults=[],
    )


def part(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "message": "", "gone": None} | more


def proved_gone(evidence: Evidence) -> None:
    for host in evidence.runs["r1"]["hosts"]:
        host["gone"] = True
    evidence.processes.append("sh -c echo chaos-1 out 1")


Spoil = Callable[[Evidence], object]
SPOILED: dict[str, tuple[Spoil, str]] = {
    "a run is gone": (lambda e: e.book.wanted["chaos-1"].__setattr__("run_id", "r0"), "not in the list"),
    "an order made two runs": (lambda e: e.runs.__setitem__("r2", e.runs["r1"]), "2 runs were made"),
    "a host still runs": (
        lambda e: e.runs["r1"]["hosts"][1].update(state="running"),
        "is still running on ssh1",
    ),
    "no reason": (lambda e: e.runs["r1"]["hosts"][1].update(message=""), "without a reason"),
    "it ran twice": (lambda e: e.begun.append(("chaos-1", "ssh1")), "ran 2 times on ssh1"),
    "it ran elsewhere": (lambda e: e.begun.append(("chaos-1", "w2")), "not meant for"),
    "it never ran": (lambda e: e.begun.remove(("chaos-1", "w1")), "never ran there"),
    "an end changed": (lambda e: e.book.ended.update({("r1", "ssh1"): "failed"}), "was shown as failed"),
    "output is cut": (lambda e: e.outputs.update({("r1", "w1", "out"): b""}), "has 0 of"),
    "output is doubled": (
        lambda e: e.outputs.update({("r1", "ssh1", "out"): b"chaos-1 out 1\nchaos-1 out 1\n"}),
        "differs: byte",
    ),
    "a size is wrong": (lambda e: e.runs["r1"]["hosts"][1].update(out_bytes=8), "is said to have 8"),
    "what was read is gone": (
        lambda e: e.book.read.update({("r1", "ssh1", "out"): b"chaos-1 out 1"}),
        "is another one now",
    ),
    "a worker still runs": (lambda e: e.orders["o1"].__setattr__("state", "running"), "still running at w1"),
    "a worker has no outcome": (
        lambda e: e.orders["o1"].__setattr__("has_outcome", False),
        "no outcome in the history of w1",
    ),
    "a worker tells otherwise": (lambda e: e.orders["o1"].output.update(out=b"chaos"), "differs at w1"),
    "no outcome": (lambda e: e.outcomes.clear(), "outcomes say nothing"),
    "two outcomes": (lambda e: e.outcomes["r1"].add("succeeded"), "outcomes say"),
    "a process is left": (proved_gone, "a process of it is there"),
    "a history is broken": (lambda e: e.history_faults.append("a line is missing"), "a line is missing"),
}


def test_sound_evidence_has_no_fault() -> None:
    assert faults_of(sound()) == []


@pytest.mark.parametrize(("spoil", "words"), SPOILED.values(), ids=SPOILED.keys())
def test_fault_is_found(spoil: Spoil, words: str) -> None:
    evidence = sound()
    spoil(evidence)
    assert words in "\n".join(faults_of(evidence))
