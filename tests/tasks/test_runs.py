"""Runs on the master itself, from the start to the record of their end."""

import threading
from pathlib import Path

import psutil
import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.errors import Busy, Conflict, Forbidden, Invalid, NotFound
from quarterdeck.history.query import HistoryQuery
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask
from quarterdeck.tasks.records import RunQuery
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode


def entries_of(node: Node, run_id: str) -> list[tuple[str, str]]:
    page = node.parts.history.page(HistoryQuery(object=f"run:{run_id}"))
    return [(str(entry.kind), entry.action) for entry in reversed(page.entries)]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be collected does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_command_runs_and_its_streams_stay_apart(node: Node) -> None:
    run = node.run("echo out; echo err >&2; exit 3")
    host = node.parts.runs.list_hosts(run.id)[0]
    assert run.state is RunState.FAILED
    assert (host.exit_status, host.out_bytes, host.err_bytes) == (3, 4, 4)
    assert (node.output(run.id), node.output(run.id, stream="err")) == (b"out\n", b"err\n")


def test_intent_and_outcome_of_a_run_are_in_the_history(node: Node) -> None:
    run = node.run("true")
    assert entries_of(node, run.id) == [("intent", "task.run"), ("outcome", "task.run")]
    newest = node.parts.history.page(HistoryQuery(object=f"run:{run.id}")).entries[0]
    assert newest.actor == "oskar"
    assert newest.detail["hosts"] == ["master"]
    assert newest.detail["results"] == [{"host": "master", "state": "succeeded", "exit_status": 0}]


def test_a_builtin_runs_on_the_master(node: Node) -> None:
    run = node.parts.runs.start_run(OSKAR, StartRun(task=BuiltinTask(Builtin.UPTIME), hosts=("master",)))
    assert node.end_of(run.id).state is RunState.SUCCEEDED
    assert b"up for" in node.output(run.id)


def test_a_tag_stands_for_its_hosts(node: Node) -> None:
    run = node.parts.runs.start_run(OSKAR, StartRun(task=CommandTask("true"), tags=("own",)))
    assert [host.name for host in node.parts.runs.list_hosts(run.id)] == ["master"]


def test_an_empty_choice_of_hosts_is_never_all(node: Node) -> None:
    with pytest.raises(Invalid) as caught:
        node.parts.runs.start_run(OSKAR, StartRun(task=CommandTask("true")))
    assert "hosts" in caught.value.fields
    assert node.parts.runs.list_runs(RunQuery()).runs == ()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (StartRun(task=CommandTask("  "), hosts=("master",)), "command"),
        (StartRun(task=CommandTask("a\0b"), hosts=("master",)), "command"),
        (StartRun(task=CommandTask("true"), hosts=("nobody",)), "hosts"),
        (StartRun(task=CommandTask("true"), hosts=("master",), timeout_seconds=0), "timeout_seconds"),
        (StartRun(task=CommandTask("true"), hosts=("master",), force=True), "reason"),
        (
            StartRun(task=BuiltinTask(Builtin.TOP_MEMORY, {"count": "-1"}), hosts=("master",)),
            "arguments.count",
        ),
        (StartRun(task=CallTask("GET", "https://example.org/")), "url"),
        (StartRun(task=CallTask("GET", "http://169.254.169.254/latest")), "url"),
        (StartRun(task=CallTask("GET", "file:///etc/passwd")), "url"),
        (StartRun(task=CallTask("GET", "-oProxyCommand=x")), "url"),
        (StartRun(task=CallTask("GET", "http://a b/")), "url"),
        (StartRun(task=CallTask("GET", "/health"), hosts=("master",)), "hosts"),
        (StartRun(task=CallTask("GET", "//evil/health"), hosts=("master",)), "url"),
        (StartRun(task=CallTask("BREW", "/health"), hosts=("master",)), "method"),
        (StartRun(task=CallTask("GET", "/health", {"a\nb": "c"}), hosts=("master",)), "headers"),
    ],
)
def test_bad_input_is_named_by_field_and_nothing_begins(node: Node, wanted: StartRun, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        node.parts.runs.start_run(OSKAR, wanted)
    assert field in caught.value.fields
    assert node.parts.runs.counts().today == 0


def test_a_run_over_its_limit_is_stopped_and_says_so(node: Node) -> None:
    run = node.run("echo before; sleep 60", timeout_seconds=1)
    host = node.parts.runs.list_hosts(run.id)[0]
    assert run.state is RunState.TIMED_OUT
    assert "limit of 1 s" in host.message
    assert host.gone is True
    assert node.output(run.id) == b"before\n"


def test_cancel_ends_the_process_tree_and_proves_it(node: Node, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    run = node.start(f"sleep 300 & echo $! > {mark}; wait")
    wait_until(lambda: mark.exists() and mark.read_text().strip() != "", "the command to run")
    node.parts.runs.cancel_run(OSKAR, run.id)
    assert node.end_of(run.id).state is RunState.CANCELLED
    host = node.parts.runs.list_hosts(run.id)[0]
    assert host.gone is True
    assert host.message == "Cancelled by oskar."
    assert not is_alive(int(mark.read_text()))


def test_what_has_ended_can_not_be_cancelled(node: Node) -> None:
    run = node.run("true")
    with pytest.raises(Conflict):
        node.parts.runs.cancel_run(OSKAR, run.id)


def test_a_queued_host_is_cancelled_without_waiting_for_a_slot(start: StartNode) -> None:
    node = start(run_concurrency=1)
    first = node.start("sleep 60")
    second = node.start("sleep 61")
    node.parts.runs.cancel_run(OSKAR, second.id)
    assert node.end_of(second.id).state is RunState.CANCELLED
    assert node.parts.runs.list_hosts(second.id)[0].started_at is None
    node.parts.runs.cancel_run(OSKAR, first.id)
    assert node.end_of(first.id).state is RunState.CANCELLED


def test_nothing_begins_when_the_intent_can_not_be_written(node: Node) -> None:
    node.run("true")
    folder = node.parts.history.folder
    node.parts.history.close()
    with pytest.raises(Busy):
        node.start("touch /tmp/never")
    assert len(node.parts.runs.list_runs(RunQuery()).runs) == 1
    assert folder.exists()


def test_thirty_commands_at_once_give_exactly_their_own_output(node: Node) -> None:
    commands = [f"for i in 1 2 3 4 5; do echo line-{number}-$i; done" for number in range(30)]
    runs: dict[int, str] = {}

    def begin(number: int) -> None:
        runs[number] = node.start(commands[number]).id

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, run_id in runs.items():
        assert node.end_of(run_id).state is RunState.SUCCEEDED
        assert node.output(run_id) == "".join(f"line-{number}-{i}\n" for i in range(1, 6)).encode()


def test_a_call_keeps_no_secret_header(node: Node) -> None:
    node.parts.hosts.bases.add_base(ADA, "dead", "http://127.0.0.1:9")
    task = CallTask("GET", "http://127.0.0.1:9/x", {"X-Api-Key": "very-secret", "X-Plain": "shown"})
    run = node.parts.runs.start_run(OSKAR, StartRun(task=task))
    ended = node.end_of(run.id)
    assert ended.state is RunState.FAILED
    assert isinstance(ended.task, CallTask)
    assert ended.task.headers == {"X-Api-Key": "[secret]", "X-Plain": "shown"}
    kept = [path.read_bytes() for path in node.parts.settings.home.rglob("*") if path.is_file()]
    assert not any(b"very-secret" in content for content in kept)


def test_lists_filter_and_page_by_cursor(node: Node) -> None:
    ids = [node.run(f"echo {number}").id for number in range(5)]
    failed = node.run("exit 1", actor=ADA)
    runs = node.parts.runs
    first = runs.list_runs(RunQuery(limit=4))
    assert [run.id for run in first.runs] == [failed.id, *reversed(ids[2:])]
    second = runs.list_runs(RunQuery(limit=4, before=first.next_cursor))
    assert [run.id for run in second.runs] == list(reversed(ids[:2]))
    assert second.next_cursor == ""
    for query in (
        RunQuery(state="failed"),
        RunQuery(actor="ada"),
        RunQuery(q="EXIT"),
        RunQuery(host="master", state="failed", kind="command"),
    ):
        assert [run.id for run in runs.list_runs(query).runs] == [failed.id]
    assert runs.list_runs(RunQuery(host="other")).runs == ()
    counts = runs.counts()
    assert (counts.active, counts.today, counts.failed_today) == (0, 6, 1)


def test_what_is_usual_comes_from_the_past_on_the_host_without_the_run_itself(node: Node) -> None:
    for _ in range(4):
        run = node.run("sleep 0.1; true", force=True, reason="to know what is usual")
    usual = node.parts.runs.usual(run, node.parts.runs.list_hosts(run.id), None)
    (only,) = usual.values()
    assert only.runs == 3
    assert 0.05 < only.typical_seconds < 5


def test_states_and_output_are_published(node: Node) -> None:
    run = node.run("echo one; sleep 0.2; echo two")
    wait_until(lambda: node.news.of("runs:changed") != [], "news of the list")
    wait_until(lambda: len(node.news.of("run:output")) == 2, "news of the output")
    states = [data["state"] for data in node.news.of("run:changed") if data["run"] == run.id]
    assert [state for state in states if state][-1] == "succeeded"
    parts = [part for data in node.news.of("run:output") for part in data["hosts"]]
    assert [part["first"] for part in parts] == [[1, 0], [1, 0]]
    assert [line[:2] for part in parts for line in part["lines"]] == [["out", [["two", ""]]]]


def test_an_unknown_run_is_not_found(node: Node) -> None:
    with pytest.raises(NotFound):
        node.parts.runs.get_run("0" * 26)


def test_whoever_waits_is_woken_by_the_end_and_leaves_nothing_behind(node: Node) -> None:
    run = node.start("sleep 60")
    waiters = [threading.Thread(target=node.parts.runs.wait, args=(run.id, 60)) for _ in range(8)]
    for waiter in waiters:
        waiter.start()
    node.parts.runs.cancel_run(SYSTEM, run.id)
    for waiter in waiters:
        waiter.join(20)
        assert not waiter.is_alive()
    assert node.parts.runs._waiting._waiting == {}


def test_waiting_ends_with_the_time_given(node: Node) -> None:
    run = node.start("sleep 60")
    assert not node.parts.runs.wait(run.id, 0.05).is_over
    node.parts.runs.cancel_run(SYSTEM, run.id)


def test_an_operator_may_only_read_from_workers(node: Node) -> None:
    from quarterdeck.tasks import targets

    with pytest.raises(Forbidden):
        targets._check_worker_call(OSKAR, CallTask("POST", "/shutdown"))
    targets._check_worker_call(OSKAR, CallTask("GET", "/health"))
    targets._check_worker_call(ADA, CallTask("POST", "/shutdown"))
