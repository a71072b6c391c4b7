"""What a restart of the master finds, and leaves, of runs that were under way."""

import multiprocessing
import os
import signal
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from pathlib import Path

from sqlalchemy import select, update

from quarterdeck.core.ids import new_id
from quarterdeck.history.query import HistoryQuery
from quarterdeck.tasks.dispatch.recovery import HOST_REMOVED, NOT_BEGUN, RESTARTED, Recovery
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.tasks.conftest import Node, StartNode, start_node


def test_stop_ends_what_runs_and_accounts_for_it(start: StartNode, tmp_path: Path) -> None:
    node = start()
    mark = tmp_path / "began"
    run = node.start(f"touch {mark}; sleep 300")
    wait_until(mark.exists, "the command to run")
    node.stop()
    again = start()
    ended = again.parts.runs.get_run(run.id)
    host = again.parts.runs.list_hosts(run.id)[0]
    assert ended.state is RunState.LOST
    assert host.message == "The master was stopped while it ran."
    assert host.gone is True
    assert outcomes(again, run.id) == 1


def test_after_kill_9_nothing_is_shown_running_and_the_outcome_follows(
    start: StartNode, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    context = multiprocessing.get_context("spawn")
    told: Queue[str] = context.Queue()
    process = context.Process(target=start_and_wait, args=(home, told))
    process.start()
    run_id = told.get(timeout=60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    node = start()
    run = node.parts.runs.get_run(run_id)
    host = node.parts.runs.list_hosts(run_id)[0]
    assert run.state is RunState.LOST
    assert host.message == RESTARTED
    assert host.out_bytes == len(b"begun\n")
    assert outcomes(node, run_id) == 1
    assert node.parts.runs.counts().active == 0


def start_and_wait(home: Path, told: "Queue[str]") -> None:
    """Run a command in a process of its own until it is killed."""
    node = start_node(home)
    run = node.start("echo begun; sleep 60")
    wait_until(lambda: node.output(run.id) == b"begun\n", "the command to run")
    wait_until(lambda: node.parts.runs.get_run(run.id).state is RunState.RUNNING, "its state to be stored")
    told.put(run.id)
    signal.pause()


def test_a_run_killed_after_its_outcome_is_not_concluded_twice(start: StartNode) -> None:
    node = start()
    run = node.run("true")
    with node.parts.db.write() as session:
        session.execute(update(Run).values(is_recorded=False))
    node.stop()
    again = start()
    assert outcomes(again, run.id) == 1
    assert again.parts.history.verify().is_whole
    with again.parts.db.read() as session:
        assert session.scalar(select(Run.is_recorded))


def test_hosts_end_by_what_can_be_known_of_them(node: Node) -> None:
    run_id = stored_run(
        node,
        [
            ("ssh-queued", RunState.QUEUED, None),
            ("ssh-running", RunState.RUNNING, None),
            ("done", RunState.SUCCEEDED, None),
            ("worker", RunState.RUNNING, {"id": "o1"}),
            ("removed", RunState.RUNNING, {"id": "o2"}),
        ],
    )
    found = Recovery(node.parts.db, node.parts.runs.output, node.parts.clock).look({})
    assert found.jobs == ()
    assert found.unrecorded == (run_id,)
    messages = {host.name: host.message for host in node.parts.runs.list_hosts(run_id)}
    assert messages == {
        "ssh-queued": NOT_BEGUN,
        "ssh-running": RESTARTED,
        "done": "",
        "worker": HOST_REMOVED,
        "removed": HOST_REMOVED,
    }
    assert node.parts.runs.get_run(run_id).tally == {"lost": 4, "succeeded": 1}


def stored_run(node: Node, hosts: list[tuple[str, RunState, dict[str, str] | None]]) -> str:
    """Put a run under way into the database, as a killed master leaves it."""
    run_id, now = new_id(), datetime.now(UTC)
    with node.parts.db.write() as session:
        session.add(
            Run(
                id=run_id, kind="command", title="true", task={"kind": "command", "command": "true"},
                fingerprint="f", state="running", is_active=True, is_recorded=False, tally={}, targets="",
                host_count=len(hosts), actor="oskar", created_at=now, timeout_seconds=60, request_id="-",
                intent_id="i",
            )
        )  # fmt: skip
        session.flush()
        for number, (name, state, order) in enumerate(hosts):
            session.add(
                RunHost(
                    run_id=run_id, host_id=f"id-{name}", name=name, kind="worker" if order else "ssh",
                    position=number, fingerprint="f", state=str(state), message="", out_bytes=0, err_bytes=0,
                    details={}, order=order,
                )
            )  # fmt: skip
    return run_id


def outcomes(node: Node, run_id: str) -> int:
    page = node.parts.history.page(HistoryQuery(object=f"run:{run_id}", action="task.run"))
    return sum(str(entry.kind) == "outcome" for entry in page.entries)
