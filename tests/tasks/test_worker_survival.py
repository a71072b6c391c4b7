"""A worker's runs outlive the worker: killed, halted, with its supervisor or with a full disk."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

from quarterdeck.protocol.orders import Health, OrderStatus
from quarterdeck.protocol.tasks import Builtin, BuiltinTask
from quarterdeck.tasks.worker.kept_orders import KeptOrder
from tests.deck import supervisors_of, wait_until
from tests.end_to_end.mounts import small_file_system
from tests.worker_node import WorkerNode, assert_counted, counting_until, new_order


def begun(worker: WorkerNode, command: str, **members: object) -> tuple[str, int]:
    """Give an order that prints its process id first; returns its id and that."""
    order = worker.order(f"echo $$; {command}", **members)
    wait_until(lambda: b"\n" in worker.output(order.id), "the first line")
    return order.id, int(worker.output(order.id).split()[0])


def restart(worker: WorkerNode) -> None:
    worker.kill()
    worker.start()


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def outcomes(worker: WorkerNode, order_id: str) -> list[str]:
    """The kinds of what the worker's history holds of the running of an order."""
    lines = [line for line in worker.history() if line["object"] == f"order:{order_id}"]
    return [line["kind"] for line in lines if line["action"] == "task.run"]


def test_output_goes_on_while_the_worker_is_dead_and_none_is_lost_or_doubled(
    worker: WorkerNode, tmp_path: Path
) -> None:
    order = worker.order(counting_until(tmp_path / "stop"))
    wait_until(lambda: len(worker.output(order.id)) > 5000, "output")
    seen = worker.status(order.id).out_bytes
    worker.kill()
    spooled = worker.home / "spool" / "runs" / order.id / "task.out"
    wait_until(lambda: spooled.stat().st_size > seen + 5000, "output that no worker looks at")
    worker.start()
    assert worker.status(order.id).state == "running"
    (tmp_path / "stop").touch()
    status = worker.finished(order.id)
    out, err = worker.output(order.id), worker.output(order.id, "err")
    assert (status.state, status.exit_status) == ("succeeded", 0)
    assert (status.out_bytes, status.err_bytes) == (len(out), len(err))
    assert_counted(out, err)
    assert outcomes(worker, order.id) == ["intent", "outcome"]


def test_the_order_of_arrival_is_kept_over_a_restart(worker: WorkerNode, tmp_path: Path) -> None:
    order = worker.order(
        f"echo a; sleep 0.1; echo b >&2; until [ -e {tmp_path}/on ]; do sleep 0.05; done; echo c"
    )
    wait_until(lambda: worker.output(order.id, "err") == b"b\n", "the second line")
    restart(worker)
    (tmp_path / "on").touch()
    worker.finished(order.id)
    chunks = worker.page(order.id).chunks
    assert [(chunk.stream, chunk.data) for chunk in chunks] == [
        ("out", b"a\n"),
        ("err", b"b\n"),
        ("out", b"c\n"),
    ]


def test_an_end_while_the_worker_was_dead_is_told_by_the_next_one(worker: WorkerNode, tmp_path: Path) -> None:
    id_, pid = begun(worker, f"until [ -e {tmp_path}/on ]; do sleep 0.05; done; echo done; exit 7")
    worker.kill()
    (tmp_path / "on").touch()
    wait_until(lambda: not is_alive(pid) and supervisors_of(worker.home) == [], "both to end")
    restarted_at = datetime.now(UTC)
    worker.start()
    status = worker.status(id_)
    assert (status.state, status.exit_status) == ("failed", 7)
    assert status.started_at is not None
    assert status.finished_at is not None
    assert status.started_at < status.finished_at < restarted_at
    assert worker.output(id_).endswith(b"done\n")
    assert outcomes(worker, id_) == ["intent", "outcome"]


def test_a_worker_killed_three_times_runs_the_command_once(worker: WorkerNode, tmp_path: Path) -> None:
    order = worker.order(f"echo x >> {tmp_path}/count; until [ -e {tmp_path}/on ]; do sleep 0.05; done")
    wait_until(lambda: worker.status(order.id).state == "running", "it to run")
    for _ in range(3):
        restart(worker)
        assert worker.ask("POST", "/process_task", order).status_code == 202
    (tmp_path / "on").touch()
    assert worker.finished(order.id).state == "succeeded"
    assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"


def test_an_order_that_waited_for_a_slot_begins_after_the_restart(tmp_path: Path) -> None:
    worker = WorkerNode(tmp_path / "home", QUARTERDECK_RUN_CONCURRENCY="1").start()
    try:
        first = worker.order(f"until [ -e {tmp_path}/on ]; do sleep 0.05; done")
        second = worker.order(f"echo x >> {tmp_path}/count")
        wait_until(lambda: worker.status(first.id).state == "running", "the first to run")
        restart(worker)
        assert worker.status(second.id).state == "queued"
        (tmp_path / "on").touch()
        assert [worker.finished(each.id).state for each in (first, second)] == ["succeeded"] * 2
        assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"
    finally:
        worker.end()


def test_cancel_after_a_restart_proves_that_all_is_gone(worker: WorkerNode) -> None:
    id_, pid = begun(worker, "trap '' TERM; setsid sleep 300 & sleep 300; sleep 300")
    restart(worker)
    status = worker.ask("POST", f"/tasks/{id_}/cancel").json()
    assert (status["state"], status["gone"]) == ("cancelled", True)
    assert not is_alive(pid)


def test_a_cancel_that_the_workers_end_cut_off_is_carried_out_by_the_next_one(worker: WorkerNode) -> None:
    id_, pid = begun(worker, "trap '' TERM; sleep 300; sleep 300")
    kept = worker.home / "spool" / "orders" / f"{id_}.json"
    cancelling = worker.asking("POST", f"/tasks/{id_}/cancel")
    wait_until(lambda: b'"cancelling"' in kept.read_bytes(), "the cancel to be on disk")
    worker.kill()
    cancelling.join()
    assert is_alive(pid)
    worker.start()
    status = worker.finished(id_)
    assert (status.state, status.gone) == ("cancelled", True)


def test_a_time_limit_is_kept_while_the_worker_is_dead(worker: WorkerNode) -> None:
    id_, pid = begun(worker, "setsid sleep 300 & sleep 300", timeout_seconds=1.5)
    worker.kill()
    wait_until(lambda: not is_alive(pid) and supervisors_of(worker.home) == [], "the limit to be kept")
    worker.start()
    status = worker.status(id_)
    assert (status.state, status.gone) == ("timed-out", True)
    assert "limit of 1.5 s" in status.message


def test_a_time_limit_counts_from_the_start_over_a_restart(worker: WorkerNode) -> None:
    id_, _ = begun(worker, "sleep 300", timeout_seconds=4)
    restart(worker)
    status = worker.finished(id_)
    assert status.state == "timed-out"
    assert status.started_at is not None
    assert status.finished_at is not None
    assert 3.9 < (status.finished_at - status.started_at).total_seconds() < 9


def test_a_halted_worker_goes_on_where_it_was(worker: WorkerNode, tmp_path: Path) -> None:
    order = worker.order(counting_until(tmp_path / "stop"))
    wait_until(lambda: len(worker.output(order.id)) > 1000, "output")
    worker.halt()
    spooled = worker.home / "spool" / "runs" / order.id / "task.out"
    size = spooled.stat().st_size
    wait_until(lambda: spooled.stat().st_size > size + 200_000, "much output that nobody takes")
    worker.go_on()
    (tmp_path / "stop").touch()
    assert worker.finished(order.id).state == "succeeded"
    assert_counted(worker.output(order.id), worker.output(order.id, "err"))


def test_when_the_supervisor_is_killed_its_tasks_are_lost_with_proof_and_the_next_one_runs(
    worker: WorkerNode,
) -> None:
    id_, pid = begun(worker, "setsid sleep 300 & sleep 300")
    worker.supervisor.kill()
    status = worker.finished(id_)
    assert (status.state, status.gone) == ("lost", True)
    assert "supervisor" in status.message
    assert not is_alive(pid)
    assert worker.finished(worker.order("echo next").id).state == "succeeded"


def test_when_worker_and_supervisor_are_killed_nothing_is_shown_running_that_is_not(
    worker: WorkerNode,
) -> None:
    id_, pid = begun(worker, "trap '' TERM; setsid sleep 300; sleep 300")
    worker.kill()
    worker.supervisor.kill()
    assert is_alive(pid)
    worker.start()
    status = worker.status(id_)
    assert (status.state, status.gone, status.out_bytes) == ("lost", True, len(f"{pid}\n"))
    assert "ended while the task ran" in status.message
    assert not is_alive(pid)
    health = msgspec.json.decode(worker.ask("GET", "/health").content, type=Health)
    assert health.running == 0
    assert outcomes(worker, id_) == ["intent", "outcome"]


def test_nothing_is_left_behind_of_what_ended(worker: WorkerNode) -> None:
    order = worker.order("echo x")
    worker.finished(order.id)
    records = worker.home / "spool" / "supervisor" / "tasks"
    wait_until(lambda: list(records.iterdir()) == [], "the record to be removed")
    (records / f"{order.id}.json").write_bytes(b"{}")  # as a kill between the two would leave it
    restart(worker)
    assert list(records.iterdir()) == []
    assert worker.status(order.id).state == "succeeded"


def plant(worker: WorkerNode, task: BuiltinTask | str) -> str:
    """Leave an order as a worker leaves it that is killed when the task is about to begin; returns its id."""
    order = new_order(task)
    running = OrderStatus(id=order.id, state="running", run=order.run, host=order.host)
    kept = worker.home / "spool" / "orders" / f"{order.id}.json"
    kept.write_bytes(msgspec.json.encode(KeptOrder(order, running, "0" * 26)))
    return order.id


def test_a_built_in_task_does_not_outlive_its_worker_and_is_said_to_be_lost(worker: WorkerNode) -> None:
    worker.kill()
    id_ = plant(worker, BuiltinTask(Builtin.UPTIME))
    worker.start()
    assert worker.status(id_).state == "lost"


def test_a_start_that_never_reached_the_supervisor_is_said_not_to_have_run(worker: WorkerNode) -> None:
    other, _ = begun(worker, "sleep 300")
    worker.kill()
    id_ = plant(worker, "true")
    worker.start()
    status = worker.status(id_)
    assert (status.state, status.gone) == ("lost", True)
    assert "did not run" in status.message
    assert worker.status(other).state == "running"


def test_without_a_supervisor_to_ask_a_start_is_not_said_not_to_have_happened(worker: WorkerNode) -> None:
    worker.kill()
    id_ = plant(worker, "true")
    worker.start()
    status = worker.status(id_)
    assert (status.state, status.gone) == ("lost", True)
    assert "whether it ran is not known" in status.message


def test_an_end_that_only_the_history_has_is_taken_over_and_not_recorded_twice(worker: WorkerNode) -> None:
    order = worker.order("echo x; exit 3")
    worker.finished(order.id)
    worker.kill()
    kept = worker.home / "spool" / "orders" / f"{order.id}.json"
    before = msgspec.json.decode(kept.read_bytes(), type=KeptOrder)
    running = msgspec.structs.replace(before.status, state="running", finished_at=None, exit_status=None)
    kept.write_bytes(msgspec.json.encode(msgspec.structs.replace(before, status=running)))
    worker.start()
    status = worker.status(order.id)
    assert (status.state, status.exit_status, status.out_bytes) == ("failed", 3, 2)
    assert outcomes(worker, order.id) == ["intent", "outcome"]


def test_a_cancel_whose_command_ended_while_no_worker_was_there_is_a_cancel(worker: WorkerNode) -> None:
    id_, pid = begun(worker, "sleep 300")
    kept = worker.home / "spool" / "orders" / f"{id_}.json"
    worker.kill()
    was = msgspec.json.decode(kept.read_bytes(), type=KeptOrder)
    cancelling = msgspec.structs.replace(was.status, state="cancelling")
    kept.write_bytes(msgspec.json.encode(msgspec.structs.replace(was, status=cancelling)))
    psutil.Process(pid).terminate()
    wait_until(lambda: supervisors_of(worker.home) == [], "the supervisor to end")
    worker.start()
    status = worker.status(id_)
    assert (status.state, status.gone) == ("cancelled", True)


def test_an_orderly_stop_ends_the_supervisor_too(worker: WorkerNode) -> None:
    id_, pid = begun(worker, "sleep 300")
    assert worker.stop() == 0
    assert not is_alive(pid)
    wait_until(lambda: supervisors_of(worker.home) == [], "the supervisor to end", 1.5)
    worker.start()
    assert worker.status(id_).state == "lost"


def test_a_shutdown_for_an_upgrade_leaves_running_commands_to_the_next_worker(
    worker: WorkerNode, tmp_path: Path
) -> None:
    order = worker.order(counting_until(tmp_path / "stop"))
    wait_until(lambda: len(worker.output(order.id)) > 1000, "output")
    assert worker.ask("POST", "/shutdown", {"leave_running": True}).status_code == 202
    assert worker.process is not None
    assert worker.process.wait(6) == 0
    worker.start()
    assert worker.status(order.id).state == "running"
    (tmp_path / "stop").touch()
    assert worker.finished(order.id).state == "succeeded"
    assert_counted(worker.output(order.id), worker.output(order.id, "err"))
    shutdown = [line for line in worker.history() if line["action"] == "node.shutdown"]
    assert [line["detail"] for line in shutdown] == [{"leave_running": True}]


def test_the_supervisor_is_one_small_process_that_holds_nothing_of_the_workers(worker: WorkerNode) -> None:
    for _ in range(3):
        begun(worker, "sleep 300")
    supervisor = worker.supervisor
    assert supervisor.memory_info().rss < 16_000_000
    assert supervisor.uids().real == os.getuid()
    argv, environment = " ".join(supervisor.cmdline()), supervisor.environ()
    assert worker.token not in argv + str(environment)
    assert set(environment) <= {"LANG", "LC_CTYPE"}
    files = [os.readlink(path) for path in Path(f"/proc/{supervisor.pid}/fd").iterdir()]  # noqa: PTH115
    assert not [file for file in files if "history" in file or "keys" in file]
    assert supervisor.net_connections(kind="inet") == []
    assert (worker.home / "spool" / "supervisor").stat().st_mode & 0o077 == 0


def test_a_home_with_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    worker = WorkerNode(folder / ("path" * 20)).start()
    try:
        id_, _ = begun(worker, "sleep 1")
        restart(worker)
        assert worker.finished(id_).state == "succeeded"
    finally:
        worker.end()


def test_signals_to_a_whole_group_do_not_end_the_supervisor(worker: WorkerNode) -> None:
    id_, _ = begun(worker, "sleep 1")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        worker.supervisor.send_signal(number)
    assert worker.finished(id_).state == "succeeded"


def test_a_command_does_not_inherit_what_the_supervisor_ignores(worker: WorkerNode) -> None:
    order = worker.order("grep -E '^Sig(Blk|Ign)' /proc/self/status; ls -l /proc/self/fd")
    worker.finished(order.id)
    out = worker.output(order.id).decode()
    masks = [int(line.split()[1], 16) for line in out.splitlines()[:2]]
    assert [mask & 0x7FFFFFFF for mask in masks] == [0, 0]  # above: what the C library keeps for itself
    assert "spool" not in out


def test_a_full_disk_ends_the_task_and_says_why(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "disk", "16m") as disk:
        worker = WorkerNode(disk / "home").start()
        try:
            order = worker.order("echo $$; head -c 40000000 /dev/zero; sleep 300")
            status = worker.finished(order.id)
            assert (status.state, status.gone) == ("failed", True)
            assert "can't keep the output (No space left on device)" in status.message
            assert status.out_bytes == len(worker.output(order.id)) < 16_000_000
            assert status.details["not_kept_bytes"] > 0
        finally:
            worker.end()


def test_a_disk_that_fills_up_while_the_worker_is_dead_is_told_by_the_next_one(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "disk", "16m") as disk:
        worker = WorkerNode(disk / "home").start()
        try:
            go = tmp_path / "go"
            id_, pid = begun(
                worker, f"until [ -e {go} ]; do sleep 0.05; done; head -c 40000000 /dev/zero; sleep 300"
            )
            worker.kill()
            go.touch()
            wait_until(lambda: not is_alive(pid) and supervisors_of(worker.home) == [], "both to end", 30)
            worker.start()
            status = worker.status(id_)
            assert (status.state, status.gone) == ("failed", True)
            assert "can't keep the output (No space left on device)" in status.message
        finally:
            worker.end()


def test_output_is_halted_at_the_orders_limit(worker: WorkerNode) -> None:
    status = worker.finished(worker.order("yes; sleep 300", output_bytes=10_000).id)
    assert (status.state, status.gone, status.out_bytes) == ("failed", True, 10_000)
    assert status.message == "It printed more than 10,000 bytes and was stopped."


def test_output_is_cut_at_the_orders_limit_and_the_command_goes_on(worker: WorkerNode) -> None:
    command = "head -c 20000 /dev/zero | tr '\\0' x; echo late >&2; exit 3"
    order = worker.order(command, output_bytes=10_000, on_output_limit="cut")
    status = worker.finished(order.id)
    out, err = worker.output(order.id), worker.output(order.id, "err")
    assert (status.state, status.exit_status, status.out_bytes + status.err_bytes) == ("failed", 3, 10_000)
    kept, mark = out.split(b"\n", 1)
    assert set(kept) == set(b"x")
    assert mark == b"[The output is cut here, at its limit of 10,000 bytes; the command went on.]\n"
    assert err == b""
    assert status.details["not_kept_bytes"] == 20_000 - len(kept) + len("late\n")
    assert "are not kept" in status.message


def test_a_limit_that_makes_no_sense_is_refused(worker: WorkerNode) -> None:
    for members in ({"output_bytes": 0}, {"on_output_limit": "burn"}):
        answer = worker.ask("POST", "/process_task", new_order("true", **members))
        assert (answer.status_code, list(answer.json()["errors"])) == (422, list(members))
