"""Workers that dial in, as processes without a port: what works over HTTP works over their line too."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deck import BIN, Deck, running_deck, wait_until
from tests.dialling import DiallingWorker, Started, entries, host, invite, join, state

COMMAND = "command"


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home", QUARTERDECK_HEALTH_SECONDS="2") as deck:
        yield deck


@pytest.fixture
def started() -> Iterator[Started]:
    with Started() as started:
        yield started


def start_run(deck: Deck, command: str, name: str) -> str:
    body = {"task": {"kind": COMMAND, "command": command}, "hosts": [name]}
    answer = deck.api("POST", "/api/v1/runs", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def run_of(deck: Deck, run_id: str, wait: int = 0) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = deck.api("GET", f"/api/v1/runs/{run_id}?wait={wait}").json()
    return found


def output(deck: Deck, run_id: str, name: str, stream: str = "out") -> bytes:
    return deck.api("GET", f"/api/v1/runs/{run_id}/output?host={name}&stream={stream}").content


def numbers(last: int) -> bytes:
    return "".join(f"{number}\n" for number in range(1, last + 1)).encode()


def test_worker_that_dials_in_listens_nowhere_and_is_well(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "far"))
    assert worker.listening() == []
    found = host(deck, "far")
    assert (found["kind"], found["state"], found["url"], found["dials_in"]) == ("worker", "well", None, True)
    assert "dials in" in deck.cli("host", "list").stdout
    assert worker.resident_megabytes() < 60


def test_both_histories_tell_of_the_joining_and_of_the_line(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "told"))
    for action in ("host.invite", "host.join", "host.line_up"):
        assert entries(deck, action, "told"), action
    assert [entry["kind"] for entry in worker.acted("node.join")] == ["intent", "outcome"]
    wait_until(lambda: len(worker.acted("line.up")) == 1, "the worker's own record of its line")


def test_tokens_are_one_for_each_side_and_neither_is_stored_plainly(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "tokens"))
    kept = json.loads((worker.home / "keys" / "master.json").read_text())
    assert kept["token"] != worker.token
    stored = b"".join(path.read_bytes() for path in deck.home.rglob("*") if path.is_file())
    assert kept["token"].encode() not in stored
    assert worker.token.encode() not in stored


def test_run_over_the_line_brings_both_streams_whole(deck: Deck, started: Started, tmp_path: Path) -> None:
    started.worker(join(deck, tmp_path / "w", "streams"))
    run_id = start_run(deck, "seq 1 200000; seq 1 5000 >&2; exit 3", "streams")
    ended = run_of(deck, run_id, 30)
    assert (ended["state"], ended["hosts"][0]["exit_status"]) == ("failed", 3)
    assert output(deck, run_id, "streams") == numbers(200_000)
    assert output(deck, run_id, "streams", "err") == numbers(5_000)


def test_cancel_over_the_line_is_proved(deck: Deck, started: Started, tmp_path: Path) -> None:
    started.worker(join(deck, tmp_path / "w", "cancelled"))
    run_id = start_run(deck, "trap '' TERM; sleep 600 & sleep 600; wait", "cancelled")
    wait_until(lambda: run_of(deck, run_id)["state"] == "running", "the run to begin")
    assert deck.api("POST", f"/api/v1/runs/{run_id}/cancel").status_code == 202
    ended = run_of(deck, run_id, 30)
    assert (ended["state"], ended["hosts"][0]["gone"]) == ("cancelled", True)


def test_many_runs_at_once_share_one_line(deck: Deck, started: Started, tmp_path: Path) -> None:
    started.worker(join(deck, tmp_path / "w", "busy"))
    ids = [start_run(deck, f"sleep 1; seq 1 3000; echo {number}", "busy") for number in range(20)]
    assert host(deck, "busy")["state"] == "well"
    for number, run_id in enumerate(ids):
        assert run_of(deck, run_id, 60)["state"] == "succeeded"
        assert output(deck, run_id, "busy") == numbers(3_000) + f"{number}\n".encode()


def test_histories_are_proved_over_the_line_also_from_the_command_line(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    started.worker(join(deck, tmp_path / "w", "proved"))
    deck.run(task={"kind": COMMAND, "command": "true"}, hosts=["proved"])
    page = deck.api("GET", "/api/v1/history?node=proved")
    assert "task.run" in page.text
    verified = deck.cli("history", "verify", "--with-workers", check=False)
    assert "proved: whole" in verified.stdout, verified.stdout
    assert deck.cli("host", "test", "proved").stdout.startswith("The worker answers")


def test_api_call_reaches_the_worker_over_its_line(deck: Deck, started: Started, tmp_path: Path) -> None:
    started.worker(join(deck, tmp_path / "w", "called"))
    ended = deck.run(task={"kind": "call", "method": "GET", "url": "/health"}, hosts=["called"])
    assert ended["state"] == "succeeded", ended
    assert json.loads(output(deck, ended["id"], "called"))["joined"] is True


def test_worker_that_is_told_to_end_says_so_over_its_line(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "ended"))
    running = start_run(deck, "sleep 600", "ended")
    wait_until(lambda: run_of(deck, running)["state"] == "running", "the run to begin")
    told = deck.run(task={"kind": "call", "method": "POST", "url": "/shutdown"}, hosts=["ended"])
    assert told["state"] == "succeeded", told
    wait_until(lambda: worker.has_ended, "the worker to end")
    wait_until(lambda: len(entries(deck, "host.line_cut", "ended")) == 1, "the end of its line")
    assert "it was stopped" in entries(deck, "host.line_cut", "ended")[0]["detail"]["reason"]
    assert deck.api("POST", f"/api/v1/runs/{running}/cancel").status_code in (202, 409)


def test_order_survives_a_worker_that_is_halted_until_its_line_is_dead(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "halted"))
    run_id = start_run(deck, "for i in $(seq 1 300); do echo $i; sleep 0.1; done", "halted")
    wait_until(lambda: len(output(deck, run_id, "halted")) > 20, "output to come")
    worker.halt()
    wait_until(lambda: len(entries(deck, "host.line_cut", "halted")) == 1, "the dead line to be found", 40)
    worker.resume()
    assert run_of(deck, run_id, 60)["state"] == "succeeded"
    assert output(deck, run_id, "halted") == numbers(300)
    assert "nothing was heard" in entries(deck, "host.line_cut", "halted")[0]["detail"]["reason"]


def test_worker_whose_line_is_cut_is_late_then_lost_with_the_reason(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "gone"))
    worker.kill()
    wait_until(lambda: state(deck, "gone") == "lost", "the worker to be lost", 60)
    assert "ts line is cut since 20" in host(deck, "gone")["state_reason"]
    worker.start()
    wait_until(lambda: state(deck, "gone") == "well", "the worker to be back", 30)
    assert len(entries(deck, "host.line_up", "gone")) == 2


def test_removed_worker_is_cut_at_once_and_its_token_refused(
    deck: Deck, started: Started, tmp_path: Path
) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "removed"))
    assert deck.api("DELETE", "/api/v1/hosts/removed").status_code == 204
    wait_until(lambda: len(worker.acted("line.refused")) == 1, "the worker to hear of it")
    worker.kill()
    worker.start()
    wait_until(lambda: len(worker.acted("line.refused")) == 2, "the token to be refused")
    assert "not one of a worker here" in worker.acted("line.refused")[1]["detail"]["reason"]
    assert entries(deck, "host.line_refused")


def test_removal_on_the_command_line_cuts_the_line_too(deck: Deck, started: Started, tmp_path: Path) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "dropped"))
    deck.cli("host", "remove", "dropped")
    wait_until(lambda: len(worker.acted("line.refused")) == 1, "the worker to hear of it")


def test_worker_remembers_how_it_joined(deck: Deck, started: Started, tmp_path: Path) -> None:
    worker = started.worker(join(deck, tmp_path / "w", "kept"))
    worker.stop()
    del worker.environment["QUARTERDECK_MASTER_URL"]
    worker.start()
    wait_until(lambda: len(entries(deck, "host.line_up", "kept")) == 2, "the worker to dial again", 30)
    assert len(worker.acted("node.join")) == 2, "the same code is not tried again"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "needs a master to dial"),
        ("ABCD-EFGH-JKMN-PQRS-TVWX", "This code is not valid"),
        ("0", "QUARTERDECK_JOIN_CODE is not valid; it must be a code as the master shows it"),
    ],
)
def test_worker_without_a_good_code_ends_with_the_reason(
    deck: Deck, tmp_path: Path, code: str, said: str
) -> None:
    worker = DiallingWorker(tmp_path / "w", deck.url, code, QUARTERDECK_DIAL_OUT="true")
    worker.start()
    wait_until(lambda: worker.has_ended, "the worker to end")
    assert said in worker.log()


def test_code_may_come_from_standard_input(deck: Deck, tmp_path: Path) -> None:
    environment = DiallingWorker(tmp_path / "w", "").environment
    command = [str(BIN / "quarterdeck"), "worker", "--join", "-", "--master", deck.url]
    done = subprocess.run(
        command,
        env=environment,
        input="7K3M-no51-such-c0de-0000\n",
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "This code is not valid" in done.stderr


def test_command_of_an_invitation_is_all_that_is_needed(deck: Deck, started: Started, tmp_path: Path) -> None:
    command = deck.cli("host", "invite", "typed", "--tag", "nat").stdout.split()
    assert command[:3] == ["quarterdeck", "worker", "--join"]
    worker = started.worker(DiallingWorker(tmp_path / "w", ""))
    worker.arguments = command[1:]
    worker.start()
    wait_until(lambda: state(deck, "typed") == "well", "the worker to dial in", 30)
    assert host(deck, "typed")["tags"] == ["nat"]
    assert invite(deck, "another")["code"] not in deck.log()
