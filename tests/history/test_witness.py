"""A worker's answers to its master, and the proof of several histories against each other."""

from pathlib import Path

import pytest

from quarterdeck.history.peers import PeerBook
from quarterdeck.history.service import History
from quarterdeck.history.witness import verify_all
from tests.history.apps import WorkerClient, make_worker_app
from tests.history.factories import ADA, journal_files, make_history


@pytest.mark.parametrize(
    "path", ["/history", "/history/x", "/history/verify", "/history/heads", "/history/witnessed"]
)
def test_worker_answers_nobody_but_its_master(worker_history: History, path: str) -> None:
    client = make_worker_app(worker_history).test_client()
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer other"}).status_code == 401


@pytest.mark.parametrize("seqs", ["x", "1,", "-1", "1,2;3", "²", ",".join(["1"] * 501)])
def test_worker_refuses_bad_numbers(worker_history: History, seqs: str) -> None:
    client = make_worker_app(worker_history).test_client()
    headers = {"Authorization": "Bearer of-the-master"}
    assert client.get("/history/heads", query_string={"seqs": seqs}, headers=headers).status_code == 422


def exchange(history: History, worker_history: History, turns: int = 5) -> None:
    """Let both act and tell each other their latest hash, as orders and receipts do."""
    for number in range(turns):
        history.event(ADA, "task.run", f"run:{number}")
        worker_history.note_witness("master", *history.witness())
        worker_history.event(ADA, "task.run", f"run:{number}")
        history.note_witness("web1", *worker_history.witness())
    history.event(ADA, "host.test")
    worker_history.event(ADA, "host.test")


def test_histories_that_saw_each_other_are_whole(
    history: History, worker_history: History, workers: WorkerClient
) -> None:
    exchange(history, worker_history)
    verdicts = list(verify_all(history, PeerBook(workers)))
    assert [(verdict.node, verdict.is_whole) for verdict in verdicts] == [("master", True), ("web1", True)]


def test_rewritten_master_is_found_by_what_its_worker_saw(
    tmp_path: Path, history: History, worker_history: History, workers: WorkerClient
) -> None:
    exchange(history, worker_history)
    forged = make_history(tmp_path / "forged")  # whoever has the key can make a whole chain
    for number in range(11):
        forged.event(ADA, "task.run", f"run:harmless-{number}")
    assert forged.verify().is_whole
    own, _ = verify_all(forged, PeerBook(workers))
    forged.close()
    assert len(own.verification.faults) == 5 if own.verification else False
    assert "web1 saw the hash" in str(own.verification and own.verification.faults[0])


def test_shortened_worker_is_found_by_what_the_master_saw(
    tmp_path: Path, history: History, worker_history: History
) -> None:
    exchange(history, worker_history)
    young = make_history(tmp_path / "young", node="worker", key=b"w" * 32)
    young.event(ADA, "task.run")
    own, other = verify_all(history, PeerBook(WorkerClient(web1=young)))
    young.close()
    assert own.is_whole
    assert other.verification
    assert any("that line is gone" in fault.message for fault in other.verification.faults)


def test_damaged_worker_names_its_file(
    history: History, worker_history: History, workers: WorkerClient, tmp_path: Path
) -> None:
    exchange(history, worker_history)
    file = journal_files(tmp_path / "worker")[0]
    file.write_bytes(file.read_bytes().replace(b"run:3", b"run:4"))
    verdicts = {verdict.node: verdict for verdict in verify_all(history, PeerBook(workers))}
    found = verdicts["web1"].verification
    assert found
    assert (found.faults[0].file, found.faults[0].line) == (file.name, 8)


def test_lost_worker_is_told_and_not_taken_for_whole(history: History, workers: WorkerClient) -> None:
    workers.lost.add("web1")
    history.event(ADA, "host.test")
    own, other = verify_all(history, PeerBook(workers))
    assert own.is_whole
    assert not other.is_whole
    assert "refuses the connection" in other.trouble
