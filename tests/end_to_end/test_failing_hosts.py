"""Hosts that fail in every way: each run ends in time, says why in plain words, and the host recovers."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deck import Deck, free_port, running_deck, wait_until
from tests.sshd import ROOT, SshServer, StartSshd
from tests.worker_node import WorkerNode

CONNECT_SECONDS = 2
ECHO = {"kind": "command", "command": "echo hello"}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """A deck that waits two seconds for an SSH host, and asks its workers every second."""
    settings = {
        "QUARTERDECK_SSH_CONNECT_SECONDS": str(CONNECT_SECONDS),
        "QUARTERDECK_HEALTH_SECONDS": "1",
    }
    with running_deck(tmp_path_factory.mktemp("patient") / "home", **settings) as deck:
        yield deck


@pytest.fixture
def worker(patient: Deck, tmp_path: Path) -> Iterator[WorkerNode]:
    """A worker of its own beside the deck's, which nothing ends but its test."""
    node = WorkerNode(tmp_path / "worker").start()
    token = (tmp_path / "worker/keys/master-token").read_text().strip()
    body = {"name": f"worker-{node.port}", "kind": "worker", "address": node.url, "token": token}
    assert patient.api("POST", "/api/v1/hosts", json=body).status_code == 201
    yield node
    node.end()


def test_a_host_where_nothing_listens(patient: Deck, sshd: StartSshd) -> None:
    server = sshd()
    patient.add_ssh_host(server, "down")
    assert_works(patient, "down")
    server.vanish()
    assert_fails(
        patient, "down", r"Nothing listens on 127\.0\.0\.1 port \d+ \(connection refused\)", within=5
    )
    assert_lost_in_list(patient, "down", "Nothing listens")
    server.start()
    assert_works(patient, "down")


def test_a_wrong_key(patient: Deck, ssh_server: SshServer) -> None:
    patient.add_ssh_host(ssh_server, "wrong-key", private_key=ssh_server.keys.wrong)
    assert_fails(patient, "wrong-key", r"did not let root in with the private key given", within=8)
    assert_lost_in_list(patient, "wrong-key", "did not let root in")
    change(patient, "wrong-key", private_key=ssh_server.keys.good)
    assert_works(patient, "wrong-key")


def test_a_wrong_user(patient: Deck, ssh_server: SshServer) -> None:
    patient.add_ssh_host(ssh_server, "wrong-user", username="nosuchuser")
    assert_fails(patient, "wrong-user", r"did not let nosuchuser in.*Is the user name right", within=8)
    assert_lost_in_list(patient, "wrong-user", "did not let nosuchuser in")
    change(patient, "wrong-user", username=ROOT)
    assert_works(patient, "wrong-user")


def test_a_server_that_accepts_and_says_nothing(patient: Deck, ssh_server: SshServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        patient.add_ssh_host(ssh_server, "silent", port=port)
        assert_fails(patient, "silent", rf"did not answer within {CONNECT_SECONDS} s", within=8)
        assert_lost_in_list(patient, "silent", "did not answer within")
    change(patient, "silent", port=ssh_server.port, host_key=ssh_server.host_key)
    assert_works(patient, "silent")


def test_a_server_of_another_kind(patient: Deck, ssh_server: SshServer) -> None:
    patient.add_ssh_host(ssh_server, "web-server", port=patient.port)
    assert_fails(patient, "web-server", r"does not answer as an SSH server should|closes them", within=8)


def test_a_name_that_does_not_exist(patient: Deck, ssh_server: SshServer) -> None:
    patient.add_ssh_host(ssh_server, "nameless", address="no-such-host.invalid")
    assert_fails(patient, "nameless", r"The name no-such-host\.invalid can't be resolved", within=8)
    assert_lost_in_list(patient, "nameless", "can't be resolved")
    change(patient, "nameless", address=ssh_server.addresses[0], port=ssh_server.port)
    patient.api("POST", "/api/v1/hosts/nameless/test")
    confirm = {"fingerprint": ssh_server.fingerprint}
    patient.api("POST", "/api/v1/hosts/nameless/host-key", json=confirm)
    assert_works(patient, "nameless")


def test_a_host_whose_key_has_changed_is_not_signed_in_to(patient: Deck, sshd: StartSshd) -> None:
    server = sshd()
    patient.add_ssh_host(server, "reinstalled")
    assert_works(patient, "reinstalled")
    server.vanish()  # an open connection would still be one to the host that was confirmed
    server.change_host_key()
    assert_fails(patient, "reinstalled", r"(?i)host key.*changed|another host key", within=8)
    wait_until(lambda: host_of(patient, "reinstalled")["host_key"]["state"] == "changed", "the changed key")
    assert_fails(patient, "reinstalled", r"(?i)host key", within=8)
    confirm = {"fingerprint": server.fingerprint}
    assert patient.api("POST", "/api/v1/hosts/reinstalled/host-key", json=confirm).status_code == 200
    assert_works(patient, "reinstalled")


def test_a_connection_cut_in_the_middle_of_output(patient: Deck, sshd: StartSshd) -> None:
    server = sshd()
    patient.add_ssh_host(server, "cut")
    run = start(patient, "cut", {"kind": "command", "command": "echo before; sleep 60; echo after"})
    wait_until(lambda: part_of(patient, run)["bytes"] > 0, "the first output")
    server.cut()
    part = ended(patient, run, within=10)
    assert part["state"] == "lost"
    assert "connection" in part["message"]
    assert part["out_bytes"] == len("before\n")
    assert_recorded(patient, run, part)
    assert_works(patient, "cut")


def test_a_command_that_goes_on_beyond_its_limit(patient: Deck, ssh_server: SshServer) -> None:
    patient.add_ssh_host(ssh_server, "slow")
    sleep = {"kind": "command", "command": "echo begun; sleep 300"}
    for name in ("slow", "worker", "master"):
        run = start(patient, name, sleep, timeout_seconds=1)
        part = ended(patient, run, within=10)
        assert part["state"] == "timed-out", part
        assert re.search(r"took longer than its limit of 1 s|limit", part["message"])
        assert part["out_bytes"] == len("begun\n")
        assert_recorded(patient, run, part)


def test_a_worker_that_was_killed(patient: Deck, worker: WorkerNode) -> None:
    name = f"worker-{worker.port}"
    assert_works(patient, name)
    worker.kill()
    assert_fails(patient, name, r"The worker does not answer: the connection was refused", within=15)
    wait_until(lambda: host_of(patient, name)["state"] == "lost", "the worker to be lost", 15)
    assert "refuses the connection" in host_of(patient, name)["state_reason"]
    worker.start()
    wait_until(lambda: host_of(patient, name)["state"] == "well", "the worker to be back", 15)
    assert_works(patient, name)
    assert {"host.lost", "host.back"} <= actions_on(patient, name)


def test_a_worker_killed_in_the_middle_of_a_task(patient: Deck, worker: WorkerNode, tmp_path: Path) -> None:
    name, go_on = f"worker-{worker.port}", tmp_path / "go-on"
    command = f"echo before; until [ -e {go_on} ]; do sleep 0.1; done; echo after"
    run = start(patient, name, {"kind": "command", "command": command})
    wait_until(lambda: part_of(patient, run)["bytes"] > 0, "the first output")
    worker.kill()
    worker.start()
    go_on.touch()
    part = ended(patient, run, within=60)
    assert part["state"] == "succeeded", part
    assert part["out_bytes"] == len("before\nafter\n")
    assert_recorded(patient, run, part)
    assert_works(patient, name)


def test_a_worker_that_was_paused(patient: Deck, worker: WorkerNode) -> None:
    name = f"worker-{worker.port}"
    assert worker.process is not None
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        run = start(patient, name, ECHO, timeout_seconds=1)
        part = ended(patient, run, within=45)
        assert part["state"] in ("lost", "timed-out", "failed"), part
        assert part["message"]
        assert_recorded(patient, run, part)
        wait_until(lambda: host_of(patient, name)["state"] == "lost", "the worker to be lost", 60)
        assert "does not answer" in host_of(patient, name)["state_reason"]
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)
    wait_until(lambda: host_of(patient, name)["state"] == "well", "the worker to be back", 20)
    assert_works(patient, name)


def test_a_worker_with_another_token(patient: Deck, worker: WorkerNode) -> None:
    name = f"worker-{worker.port}"
    good = (worker.home / "keys/master-token").read_text().strip()
    change(patient, name, token="not-the-token-of-this-worker")
    assert_fails(patient, name, r"refuses the master's bearer", within=10)
    wait_until(lambda: "token" in host_of(patient, name)["state_reason"], "the reason in the list", 15)
    change(patient, name, token=good)
    wait_until(lambda: host_of(patient, name)["state"] == "well", "the worker to be back", 15)
    assert_works(patient, name)


def test_one_failing_host_keeps_no_other_from_its_work(patient: Deck, ssh_server: SshServer) -> None:
    patient.add_ssh_host(ssh_server, "fine")
    patient.add_ssh_host(ssh_server, "refusing", port=free_port())
    run = patient.run(task=ECHO, hosts=["fine", "refusing", "master"])
    states = {host["name"]: host["state"] for host in run["hosts"]}
    assert states == {"fine": "succeeded", "refusing": "failed", "master": "succeeded"}
    assert run["state"] == "failed"


def assert_works(deck: Deck, name: str) -> None:
    """The host does what is asked, and its state in the list says so."""
    part = ended(deck, start(deck, name, ECHO), within=30)
    assert part["state"] == "succeeded", part
    wait_until(lambda: host_of(deck, name)["state"] == "well", f"{name} to be well")
    assert host_of(deck, name)["state_reason"] == ""


def assert_fails(deck: Deck, name: str, message: str, *, within: float) -> None:
    """A run and a test of the host both fail in time, with this message, on record."""
    run = start(deck, name, ECHO)
    part = ended(deck, run, within=within)
    assert part["state"] == "failed", part
    assert re.search(message, part["message"]), part["message"]
    assert part["exit_status"] is None
    assert_recorded(deck, run, part)


def assert_recorded(deck: Deck, run: str, part: dict[str, Any]) -> None:  # Any: JSON
    """The history's outcome says what the run says."""
    path = f"/api/v1/history?action=task.run&object=run:{run}&kind=outcome"
    wait_until(lambda: bool(deck.api("GET", path).json()["entries"]), "the outcome in the history")
    (outcome,) = deck.api("GET", path).json()["entries"]
    assert part["message"] in str(outcome["detail"]), outcome["detail"]


def assert_lost_in_list(deck: Deck, name: str, reason: str) -> None:
    wait_until(lambda: host_of(deck, name)["state"] == "lost", f"{name} to be lost")
    assert reason in host_of(deck, name)["state_reason"]


def start(deck: Deck, name: str, task: dict[str, Any], **more: Any) -> str:  # Any: JSON
    body = {"task": task, "hosts": [name], "force": True, "reason": "a test of it", **more}
    started = deck.api("POST", "/api/v1/runs", json=body)
    assert started.status_code == 201, started.text
    run_id: str = started.json()["id"]
    return run_id


def ended(deck: Deck, run: str, *, within: float) -> dict[str, Any]:  # Any: JSON
    """Return the only host's part once it is over; fails when that takes too long."""
    began = time.monotonic()
    while deck.api("GET", f"/api/v1/runs/{run}?wait=5").json()["finished_at"] is None:
        assert time.monotonic() - began < within, part_of(deck, run)
    return part_of(deck, run)


def part_of(deck: Deck, run: str) -> dict[str, Any]:  # Any: JSON
    part: dict[str, Any] = deck.api("GET", f"/api/v1/runs/{run}").json()["hosts"][0]
    return part


def host_of(deck: Deck, name: str) -> dict[str, Any]:  # Any: JSON
    host: dict[str, Any] = deck.api("GET", f"/api/v1/hosts/{name}").json()
    return host


def change(deck: Deck, name: str, **fields: Any) -> None:  # Any: JSON
    changed = deck.api("PATCH", f"/api/v1/hosts/{name}", json=fields)
    assert changed.status_code == 200, changed.text


def actions_on(deck: Deck, name: str) -> set[str]:
    entries = deck.api("GET", f"/api/v1/history?object=host:{name}").json()["entries"]
    return {entry["action"] for entry in entries}
