"""A worker as a node: who may talk to it, its beginning, its end, and what a crash leaves."""

import re
import resource
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import pytest
from flask import Flask

from quarterdeck.core.config import NodeKind, load_settings
from quarterdeck.core.web import PUBLIC, verb_of
from quarterdeck.protocol.orders import Health
from quarterdeck.worker import create_app, make_parts
from tests.deck import wait_until
from tests.worker_node import WorkerNode, new_order


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = load_settings({}, home=tmp_path / "app", node_type=NodeKind.WORKER)
    parts = make_parts(settings)
    yield create_app(settings, parts)
    parts.history.close()


def test_the_master_reads_how_the_worker_is(worker: WorkerNode) -> None:
    health = msgspec.json.decode(worker.ask("GET", "/health").content, type=Health)
    assert health.node.startswith("worker")
    assert health.running == 0
    assert health.memory_bytes > health.memory_available_bytes > 0
    assert health.uptime_seconds >= 0


def routes(app: Flask) -> list[tuple[str, str]]:
    """Every method and path of the worker, ids filled in."""
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub("<[^>]+>", "01m816zfg34chxcc78sharnagv", rule.rule)
        found += [(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}]
    return sorted(found)


def test_nothing_but_the_right_bearer_opens_any_route(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    client = app.test_client()
    token = (Path(app.extensions["quarterdeck.NodeFacts"].settings.home) / "keys/master-token").read_text()
    bad = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {token}x"},
        {"Authorization": f"Bearer {token[:-1]}"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
        {"Authorization": "Bearer "},
        {"Cookie": f"session={token}"},
    ]
    table = routes(app)
    assert len(table) >= 9
    for method, path in table:
        for headers in bad:
            answer = client.open(path, method=method, headers=headers)
            assert answer.status_code == 401, (method, path, headers)
            assert answer.mimetype == "application/problem+json"
        if path != "/shutdown":
            right = client.open(path, method=method, headers={"Authorization": f"Bearer {token}"})
            assert right.status_code not in (401, 403), (method, path)


def test_each_route_asks_for_a_verb_of_the_master(app: Flask) -> None:
    verbs = {verb_of(view) for view in app.view_functions.values()}
    assert verbs <= {"master.order", "master.read"}
    assert PUBLIC not in verbs


def test_an_unknown_address_is_not_echoed(worker: WorkerNode) -> None:
    answer = worker.ask("GET", "/<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "script" not in answer.text


def test_a_refused_bearer_is_on_record(worker: WorkerNode) -> None:
    worker.ask("POST", "/process_task", headers={"Authorization": "Bearer wrong-wrong-wrong"})
    worker.ask("POST", "/process_task", headers={})
    denied = [line for line in worker.history() if line["kind"] == "denied"]
    assert len(denied) == 2
    assert {line["address"] for line in denied} == {"127.0.0.1"}
    assert "wrong-wrong-wrong" not in msgspec.json.encode(worker.history()).decode()


def test_healthz_is_open_and_says_nothing_else(worker: WorkerNode) -> None:
    assert worker.ask("GET", "/healthz", headers={}).json() == {"status": "alive"}


def test_the_first_start_makes_its_own_secrets_and_tells_how_to_add_the_worker(worker: WorkerNode) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (worker.home / "keys").iterdir()}
    assert modes == {"history.key": 0o600, "master-token": 0o600}
    assert len(worker.token) >= 40
    assert f"--kind worker --address {worker.url} --token-file" in worker.log()
    assert worker.token not in worker.log()


def test_two_workers_share_no_secret(worker: WorkerNode, tmp_path: Path) -> None:
    other = WorkerNode(tmp_path / "other").start()
    other.end()
    assert other.token != worker.token
    assert (other.home / "keys/history.key").read_text() != (worker.home / "keys/history.key").read_text()


def test_a_token_of_the_settings_wins(tmp_path: Path) -> None:
    node = WorkerNode(tmp_path / "home", MASTER_BEARER_TOKEN="a-token-from-the-settings-0123").start()
    try:
        header = {"Authorization": "Bearer a-token-from-the-settings-0123"}
        assert node.ask("GET", "/health", headers=header).status_code == 200
        assert not (node.home / "keys" / "master-token").exists()
    finally:
        node.end()


def test_everything_below_the_home_is_private(worker: WorkerNode) -> None:
    worker.finished(worker.order("echo x").id)
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in worker.home.rglob("*")}
    assert modes == {0}


def test_no_secret_of_the_node_reaches_a_command_a_log_or_the_history(tmp_path: Path) -> None:
    secret = "marker-of-a-secret-0123456789"
    node = WorkerNode(
        tmp_path / "home",
        QUARTERDECK_MASTER_BEARER_TOKEN=secret,
        QUARTERDECK_WORKER_BEARER_TOKEN=secret,
        QUARTERDECK_MASTER_URL="http://127.0.0.1:9",
        QUARTERDECK_DEBUG="true",
        UNRELATED_PASSWORD=secret,
    ).start()
    header = {"Authorization": f"Bearer {secret}"}
    wanted = {"task": {"kind": "command", "command": "env; set; echo done"}, "wait_seconds": 10}
    try:
        answer = node.ask("POST", "/process_task", wanted, headers=header)
        node.ask("GET", f"/{secret[:6]}", headers=header)
        node.ask("POST", "/process_task", wanted | {"target": "master"}, headers=header)
        node.stop()
    finally:
        node.end()
    assert "done" in answer.json()["out"]
    kept = [node.log_path, *(path for path in node.home.rglob("*") if path.is_file())]
    assert not [path for path in kept if secret in path.read_text(encoding="utf-8", errors="replace")]
    assert secret not in answer.text
    assert "QUARTERDECK" not in answer.text


def test_a_worker_needs_less_than_its_budget_of_memory(worker: WorkerNode) -> None:
    order = worker.order("head -c 10000000 /dev/zero")
    worker.finished(order.id)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker.output, [order.id] * 4))
    assert worker.resident_megabytes() < 60


def test_sigterm_ends_tasks_on_record_within_four_seconds(worker: WorkerNode) -> None:
    order = worker.order("trap '' TERM; echo $$; sleep 300; sleep 300")
    wait_until(lambda: worker.output(order.id) != b"", "output")
    pid = int(worker.output(order.id))
    assert worker.stop(5) == 0
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    outcome = [line for line in worker.history() if line["object"] == f"order:{order.id}"][-1]
    assert (outcome["kind"], outcome["detail"]["state"]) == ("outcome", "lost")
    worker.start()
    assert worker.status(order.id).state == "lost"
    assert worker.output(order.id) == b"%d\n" % pid


def test_a_nonce_is_remembered_over_a_restart(worker: WorkerNode) -> None:

    first = worker.order("true")
    worker.finished(first.id)
    worker.kill()
    worker.start()
    assert worker.ask("POST", "/process_task", new_order("true", nonce=first.nonce)).status_code == 409
    assert worker.ask("POST", "/process_task", first).json()["state"] == "succeeded"


def test_shutdown_is_answered_recorded_and_done(worker: WorkerNode) -> None:
    assert worker.ask("POST", "/shutdown").status_code == 202
    assert worker.process is not None
    assert worker.process.wait(5) == 0
    assert [line["action"] for line in worker.history()][-1] == "node.shutdown"


def test_long_questions_leave_room_for_short_ones_and_end_with_the_node(worker: WorkerNode) -> None:

    order = worker.order("sleep 300")
    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(worker.ask, "GET", f"/tasks/{order.id}?wait=25") for _ in range(30)]
        wait_until(lambda: sum(each.done() for each in asked) > 0, "the surplus to be answered")
        assert worker.ask("GET", "/health").status_code == 200
        assert worker.stop(5) == 0
        assert {each.result().json()["state"] for each in asked} <= {
            "running",
            "queued",
            "cancelling",
            "lost",
        }


def test_when_the_history_cannot_be_written_nothing_runs_until_it_can(
    worker: WorkerNode, tmp_path: Path
) -> None:
    assert worker.process is not None
    order = new_order(f"touch {tmp_path}/ran")
    unlimited = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    answer = worker.ask("POST", "/process_task", order)
    assert answer.status_code == 503
    assert str(worker.home / "history") in answer.json()["detail"]
    assert worker.ask("GET", "/health").status_code == 200
    assert not (tmp_path / "ran").exists()
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert worker.ask("POST", "/process_task", order).status_code == 202
    assert worker.finished(order.id).state == "succeeded"
