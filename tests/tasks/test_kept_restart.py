"""Kept commands of whole runs: the master stops or is killed in the middle, and takes them up again."""

import hashlib
import multiprocessing
import os
import signal
from multiprocessing.queues import Queue
from pathlib import Path

import pytest
from sqlalchemy import select, update

from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.tasks.dispatch.recovery import RESTARTED
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.sshd import SshServer, StartSshd
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode, start_node
from tests.tasks.kept_factories import add_host, keeping_sshd
from tests.tasks.ssh_factories import alive

KEEP = RunOptions(keep_running=True)


@pytest.fixture
def server(sshd: StartSshd, tmp_path: Path) -> SshServer:
    return keeping_sshd(sshd, tmp_path / "state")


def with_host(node: Node, server: SshServer) -> Node:
    add_host(node, server.port, server.host_key, server.keys.good)
    return node


def folders(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state" / "quarterdeck").glob("*"))


def remote_of(node: Node, run_id: str) -> dict[str, str] | None:
    with node.parts.db.read() as session:
        return session.scalar(select(RunHost.remote).where(RunHost.run_id == run_id))


def test_what_is_kept_outlives_the_stop_of_the_master(
    start: StartNode, server: SshServer, tmp_path: Path
) -> None:
    node = with_host(start(), server)
    command = f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo second; exit 6"
    run = node.start(command, "web1", options=KEEP)
    wait_until(lambda: node.output(run.id, "web1") == b"first\n", "the first line")
    node.stop()
    server.vanish()
    again = start()
    assert again.parts.runs.get_run(run.id).state is RunState.RUNNING
    wait_until(lambda: "onnect" in again.parts.runs.list_hosts(run.id)[0].message, "the word of it")
    server.start()
    (tmp_path / "go").touch()
    assert again.end_of(run.id).state is RunState.FAILED
    assert again.parts.runs.list_hosts(run.id)[0].exit_status == 6
    assert again.output(run.id, "web1") == b"first\nsecond\n"
    assert outcomes(again, run.id) == 1


def test_folder_on_the_host_goes_when_the_end_is_stored(
    node: Node, server: SshServer, tmp_path: Path
) -> None:
    run = with_host(node, server).run("echo done", "web1", options=KEEP)
    assert run.state is RunState.SUCCEEDED
    wait_until(lambda: folders(tmp_path) == [], "the folder on the host to be removed")


def test_where_it_lies_is_stored_before_anything_is_sent(node: Node, server: SshServer) -> None:
    with_host(node, server)
    server.stop()
    run = node.run("true", "web1", options=KEEP)
    assert run.state is RunState.FAILED
    remote = remote_of(node, run.id)
    assert remote is not None
    assert remote["folder"] == f"quarterdeck/{remote['mark']}"
    assert remote_of(node, node.run("true", options=KEEP).id) is None


def test_first_contact_can_be_a_kept_command(node: Node, server: SshServer) -> None:
    server.stop()
    secrets = {"private_key": server.keys.good}
    draft = HostDraft("web1", HostKind.SSH, "127.0.0.1", server.port, "root", secrets=secrets)
    node.parts.hosts.add_host(ADA, draft, confirm_key=False)
    server.start()
    run = node.run("echo first", "web1", options=KEEP)
    assert (run.state, node.output(run.id, "web1")) == (RunState.SUCCEEDED, b"first\n")


def test_cut_connection_is_told_while_the_run_goes_on(node: Node, server: SshServer, tmp_path: Path) -> None:
    with_host(node, server)
    run = node.start(f"echo a; until [ -e {tmp_path}/go ]; do sleep 0.05; done", "web1", options=KEEP)
    wait_until(lambda: node.output(run.id, "web1") == b"a\n", "the first line")
    server.vanish()
    wait_until(lambda: "onnect" in node.parts.runs.list_hosts(run.id)[0].message, "the word of it")
    assert node.parts.runs.get_run(run.id).state is RunState.RUNNING
    server.start()
    wait_until(lambda: node.parts.runs.list_hosts(run.id)[0].message == "", "the word to be taken back")
    (tmp_path / "go").touch()
    assert node.end_of(run.id).state is RunState.SUCCEEDED


def test_megabytes_of_both_streams_survive_the_kill_of_the_master(server: SshServer, tmp_path: Path) -> None:
    content = hashlib.shake_256(b"master").digest(5_000_000)
    (tmp_path / "content").write_bytes(content)
    slowly = f"for n in $(seq 0 49); do tail -c +$((n * 100000 + 1)) {tmp_path}/content | head -c 100000"
    command = f"{slowly} | tee /dev/stderr; sleep 0.05; done; echo ran >> {tmp_path}/count; exit 3"
    run_id = started_and_killed(server, tmp_path / "home", command, size=1_000_000)
    node = start_node(tmp_path / "home")
    try:
        assert node.parts.runs.get_run(run_id).state is RunState.RUNNING
        assert node.end_of(run_id).state is RunState.FAILED
        assert node.parts.runs.list_hosts(run_id)[0].exit_status == 3
        assert node.output(run_id, "web1") == content
        assert node.output(run_id, "web1", "err") == content
        assert (tmp_path / "count").read_text() == "ran\n"
        assert outcomes(node, run_id) == 1
    finally:
        node.stop()


def test_what_is_not_kept_is_lost_at_once_after_a_kill(server: SshServer, tmp_path: Path) -> None:
    run_id = started_and_killed(server, tmp_path / "home", "echo x; sleep 20", size=1, is_kept=False)
    node = start_node(tmp_path / "home")
    try:
        host = node.parts.runs.list_hosts(run_id)[0]
        assert (host.state, host.message) == (RunState.LOST, RESTARTED)
    finally:
        node.stop()


def test_kept_command_is_cancelled_after_the_kill_of_the_master(server: SshServer, tmp_path: Path) -> None:
    command = f"trap '' TERM; (sleep 300) & echo $! > {tmp_path}/child; echo x; while :; do sleep 1; done"
    run_id = started_and_killed(server, tmp_path / "home", command, size=1)
    node = start_node(tmp_path / "home")
    try:
        node.parts.runs.cancel_run(OSKAR, run_id)
        assert node.end_of(run_id).state is RunState.CANCELLED
        assert node.parts.runs.list_hosts(run_id)[0].gone is True
        assert not alive(int((tmp_path / "child").read_text()))
        wait_until(lambda: folders(tmp_path) == [] or not any(folders(tmp_path)[0].glob("out")), "removal")
    finally:
        node.stop()


def test_cancel_that_the_master_did_not_survive_is_carried_out(start: StartNode, server: SshServer) -> None:
    node = with_host(start(), server)
    run = node.start("echo x; sleep 300", "web1", options=KEEP)
    wait_until(lambda: node.output(run.id, "web1") == b"x\n", "the first line")
    node.stop()
    again = start(is_recovering=False)
    with again.parts.db.write() as session:
        session.execute(update(RunHost).values(state="cancelling"))
        session.execute(update(Run).values(state="cancelling"))
    again.stop()
    last = start()
    assert last.end_of(run.id).state is RunState.CANCELLED
    host = last.parts.runs.list_hosts(run.id)[0]
    assert (host.gone, host.message) == (True, "Cancelled before the master was restarted.")


def test_what_was_stored_but_never_sent_is_lost_and_never_runs(
    start: StartNode, server: SshServer, tmp_path: Path
) -> None:
    node = with_host(start(), server)
    run = node.run("true", "web1")
    with node.parts.db.write() as session:
        session.execute(
            update(RunHost).values(
                state="queued", started_at=None, finished_at=None, remote={"mark": "7" * 32}
            )
        )
        task = {"kind": "command", "command": f"touch {tmp_path}/ran"}
        options = {"keep_running": True}
        session.execute(
            update(Run).values(state="queued", is_active=True, started_at=None, task=task, options=options)
        )
    node.stop()
    again = start()
    assert again.end_of(run.id).state is RunState.LOST
    assert "did not run" in again.parts.runs.list_hosts(run.id)[0].message
    assert not (tmp_path / "ran").exists()


def started_and_killed(
    server: SshServer, home: Path, command: str, *, size: int, is_kept: bool = True
) -> str:
    """Start a run in a process of its own, and kill that once so much output has come; gives the run."""
    context = multiprocessing.get_context("spawn")
    told: Queue[str] = context.Queue()
    access = (server.port, server.host_key, server.keys.good)
    process = context.Process(target=start_and_wait, args=(home, access, command, size, is_kept, told))
    process.start()
    run_id = told.get(timeout=60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    return run_id


def start_and_wait(
    home: Path,
    access: tuple[int, str, str],
    command: str,
    size: int,
    is_kept: bool,
    told: "Queue[str]",
) -> None:
    node = start_node(home)
    add_host(node, *access)
    run = node.start(command, "web1", options=RunOptions(keep_running=is_kept))
    wait_until(lambda: len(node.output(run.id, "web1")) >= size, "the output", 30)
    wait_until(lambda: node.parts.runs.get_run(run.id).state is RunState.RUNNING, "its state to be stored")
    told.put(run.id)
    signal.pause()


def outcomes(node: Node, run_id: str) -> int:
    page = node.parts.history.page(HistoryQuery(object=f"run:{run_id}", action="task.run"))
    return sum(str(entry.kind) == "outcome" for entry in page.entries)
