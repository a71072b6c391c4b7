"""The same operation twice: who is warned, who is not, and what happens when many press at once."""

import multiprocessing
import threading
from collections import Counter
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from quarterdeck.core.errors import Conflict
from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask
from quarterdeck.tasks.duplicates import fingerprint
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode, start_node

NOT_QUICK = "sleep 30"


def test_the_same_command_is_the_same_whatever_stands_around_it() -> None:
    assert fingerprint(CommandTask(" df -h /\n")) == fingerprint(CommandTask("df -h /"))
    assert fingerprint(CommandTask("df -h /")) != fingerprint(CommandTask("df  -h /"))


def test_calls_differ_by_method_address_and_body_but_not_by_headers() -> None:
    call = CallTask("get", "https://a/b", {"X-Trace": "1"})
    assert fingerprint(call) == fingerprint(CallTask("GET", "https://a/b", {"X-Trace": "2"}))
    for other in (
        CallTask("PUT", "https://a/b"),
        CallTask("GET", "https://a/c"),
        CallTask("GET", "https://a/b", {}, "x"),
    ):
        assert fingerprint(call) != fingerprint(other)


def test_builtins_differ_by_arguments() -> None:
    one = BuiltinTask(Builtin.TOP_MEMORY, {"count": "5"})
    assert fingerprint(one) != fingerprint(BuiltinTask(Builtin.TOP_MEMORY, {"count": "6"}))
    assert fingerprint(BuiltinTask(Builtin.UPTIME)) != fingerprint(CommandTask("uptime"))


def test_the_same_on_a_common_host_says_who_when_and_where(node: Node) -> None:
    first = node.start(NOT_QUICK, actor=ADA)
    with pytest.raises(Conflict) as caught:
        node.start(NOT_QUICK)
    assert caught.value.extra == {
        "duplicate_of": first.id,
        "started_by": "ada",
        "started_at": first.created_at.isoformat(),
        "is_active": True,
        "hosts": ["master"],
    }


def test_the_refused_one_is_in_the_history_but_no_run(node: Node) -> None:
    first = node.start(NOT_QUICK)
    with pytest.raises(Conflict):
        node.start(NOT_QUICK)
    page = node.parts.history.page(HistoryQuery(action="task.run"))
    refused = [entry for entry in page.entries if entry.detail.get("duplicate_of") == first.id]
    assert [str(entry.kind) for entry in refused] == ["outcome"]
    assert node.parts.runs.counts().today == 1


def test_with_force_and_a_reason_it_runs_and_both_are_kept(node: Node) -> None:
    first = node.start(NOT_QUICK)
    second = node.start(NOT_QUICK, force=True, reason="the first one hangs")
    assert (second.duplicate_of, second.forced_reason) == (first.id, "the first one hangs")


def test_a_finished_run_warns_only_for_a_while(start: StartNode) -> None:
    node = start(duplicate_seconds=3600)
    first = node.run("true")
    with pytest.raises(Conflict) as caught:
        node.start("true")
    assert (caught.value.extra["duplicate_of"], caught.value.extra["is_active"]) == (first.id, False)


def test_a_finished_run_does_not_warn_once_the_time_is_over(start: StartNode) -> None:
    node = start(duplicate_seconds=0)
    node.run("true")
    assert node.run("true").duplicate_of is None


def test_other_hosts_do_not_overlap(node: Node) -> None:
    node.parts.hosts.import_hosts(
        ADA, [HostDraft(name, HostKind.SSH, "127.0.0.1", 9, "root", use_agent=True) for name in ("a", "b")]
    )
    node.start("sleep 31", "master")
    assert node.start("sleep 31", "a").duplicate_of is None
    with pytest.raises(Conflict) as caught:
        node.start("sleep 31", "b", "master")
    assert caught.value.extra["hosts"] == ["master"]


def test_of_fifty_who_press_at_once_one_starts(node: Node) -> None:
    outcomes: Counter[str] = Counter()
    ready = threading.Barrier(50)

    def press() -> None:
        ready.wait()
        outcomes[outcome_of(node, "sleep 32")] += 1

    threads = [threading.Thread(target=press) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"started": 1, "conflict": 49}


def test_two_processes_on_one_database_start_it_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    start_node(home).stop()
    context = multiprocessing.get_context("spawn")
    ready, outcomes = context.Barrier(2), context.Queue()
    processes = [context.Process(target=press_often, args=(home, ready, outcomes)) for _ in range(2)]
    for process in processes:
        process.start()
    counted = Counter(outcomes.get(timeout=60) for _ in range(50))
    for process in processes:
        process.join(30)
    assert counted == {"started": 1, "conflict": 49}


def press_often(home: Path, ready: "Barrier", outcomes: "Queue[str]") -> None:
    """Start the same 25 times from threads of a process of its own, which then ends without a word."""
    node = start_node(home, duplicate_seconds=3600, is_recovering=False)
    ready.wait(60)
    threads = [
        threading.Thread(target=lambda: outcomes.put(outcome_of(node, "sleep 0.1"))) for _ in range(25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.stop()


def outcome_of(node: Node, command: str) -> str:
    try:
        node.start(command, actor=OSKAR)
    except Conflict:
        return "conflict"
    return "started"
