"""The same operation twice: who is warned, who is not, and what happens when many press at once."""

import multiprocessing
import subprocess
import threading
from collections import Counter
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import event, update

from quarterdeck.core.errors import Conflict
from quarterdeck.history.query import HistoryQuery
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask
from quarterdeck.tasks.duplicates import find_overlap
from quarterdeck.tasks.fingerprint import fingerprint, normal_command
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.states import RunState
from tests.deck import free_port, wait_until
from tests.sshd import StartSshd
from tests.tasks.conftest import ADA, OSKAR, Node, StartNode, start_node

NOT_QUICK = "sleep 30"
MASTERS = 5
STARTS = 10


def test_the_same_command_is_the_same_whatever_stands_around_it() -> None:
    assert fingerprint(CommandTask(" df -h /\n")) == fingerprint(CommandTask("df -h /"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("df -h /", "  df -h /  \n\n"),
        ("df -h /", "df \t -h   /"),
        ("cd /tmp\nls", "cd /tmp  \r\n  ls\r\n"),
        ("for i in 1 2; do echo $i; done", "for i  in 1 2;  do echo $i; done"),
        ("echo 'a  b'", "\n echo 'a  b' \n"),
    ],
)
def test_blanks_that_a_shell_ignores_make_no_difference(one: str, other: str) -> None:
    assert fingerprint(CommandTask(one)) == fingerprint(CommandTask(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("echo 'a  b'", "echo 'a b'"),
        ('echo "a  b"', 'echo "a b"'),
        ("echo a\\  b", "echo a\\ b"),
        ("echo a\\ ", "echo a\\"),
        ("cat <<E\na  b\nE", "cat <<E\na b\nE"),
        ("echo ${x:-a  b}", "echo ${x:-a b}"),
        ("echo a\necho b", "echo a echo b"),
        ("echo ab", "echo a b"),
        ("echo a\u00a0", "echo a"),
    ],
)
def test_blanks_that_may_count_do(one: str, other: str) -> None:
    assert fingerprint(CommandTask(one)) != fingerprint(CommandTask(other))


@given(st.text("ab \t\n'\"\\$#", max_size=12))
def test_what_counts_as_the_same_gives_a_shell_the_same_words(text: str) -> None:
    def words(command: str) -> tuple[int, bytes, bytes]:
        line = f"set -f; a=x; b=y; n() {{ printf '[%s]' \"$@\"; }}; n {command}"
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True)
        return done.returncode, done.stdout, b"" if done.returncode == 0 else b"fault"

    # A second line would be a command of its own, and $$ is another number each time.
    assume("\n" not in text and "$$" not in text)
    assert words(normal_command(text)) == words(text)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://API.example.org/v1/jobs",
        "https://api.example.org:443/v1/jobs",
        "https://api.example.org/v1/./x/../jobs",
        "https://api.example.org/v1/%6aobs",
        "https://api.example.org/v1/jobs#top",
    ],
)
def test_addresses_that_lead_to_the_same_are_the_same(url: str) -> None:
    plain = CallTask("GET", "https://api.example.org/v1/jobs")
    assert fingerprint(CallTask("GET", url)) == fingerprint(plain)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.org/v1/jobs",
        "https://api.example.org:8443/v1/jobs",
        "https://api.example.org/v1/Jobs",
        "https://api.example.org/v1/jobs/",
        "https://api.example.org/v1/jobs?all=1",
        "https://ada@api.example.org/v1/jobs",
        "https://api.example.org/v1%2Fjobs",
    ],
)
def test_addresses_that_may_lead_elsewhere_are_not(url: str) -> None:
    plain = CallTask("GET", "https://api.example.org/v1/jobs")
    assert fingerprint(CallTask("GET", url)) != fingerprint(plain)


def test_headers_count_by_what_they_say_not_by_their_order() -> None:
    def print_of(**headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return fingerprint(CallTask("GET", "https://a/b", named))

    assert print_of(Accept="a", X_Mode="dry") == print_of(x_mode=" dry", ACCEPT="a")
    assert print_of(X_Mode="dry") != print_of(X_Mode="wet")
    assert print_of(X_Mode="dry") != print_of()
    assert print_of(X_Api_Key="one", X_Request_Id="1") == print_of(X_Api_Key="two")


def test_calls_differ_by_method_address_and_body() -> None:
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


def test_the_while_counts_from_the_end_and_not_from_the_start(start: StartNode) -> None:
    node = start(duplicate_seconds=60)
    run = node.run("true")
    with node.parts.db.write() as session:
        long_ago = run.created_at - timedelta(hours=1)
        session.execute(update(Run).where(Run.id == run.id).values(created_at=long_ago, started_at=long_ago))
    with pytest.raises(Conflict):
        node.start("true")
    with node.parts.db.write() as session:
        session.execute(update(RunHost).values(finished_at=run.created_at - timedelta(seconds=61)))
    assert node.run("true").duplicate_of is None


def test_a_host_that_is_through_is_free_while_others_are_still_at_work(
    start: StartNode, sshd: StartSshd
) -> None:
    node, server = start(duplicate_seconds=0), sshd()
    secrets = {"private_key": server.keys.good}
    draft = HostDraft(
        "web1", HostKind.SSH, "127.0.0.1", server.port, "root", host_key=server.host_key, secrets=secrets
    )
    node.parts.hosts.import_hosts(ADA, [draft])
    command = '[ -z "$SSH_CONNECTION" ] || sleep 300'
    run = node.start(command, "web1", "master")
    wait_until(lambda: node.parts.runs.get_run(run.id).tally == {"running": 1, "succeeded": 1}, "one to end")
    assert node.run(command, "master").duplicate_of is None
    with pytest.raises(Conflict) as caught:
        node.start(command, "web1", "master")
    assert caught.value.extra["hosts"] == ["web1"]


def test_what_failed_without_having_begun_is_tried_again_without_a_question(start: StartNode) -> None:
    node = start(duplicate_seconds=60)
    draft = HostDraft("away", HostKind.SSH, "127.0.0.1", free_port(), "root", secrets={"password": "x"})
    node.parts.hosts.import_hosts(ADA, [draft])
    assert node.run("true", "away").state is RunState.FAILED
    assert node.run("true", "away").duplicate_of is None


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


def test_five_masters_on_one_database_start_it_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    start_node(home).stop()
    context = multiprocessing.get_context("spawn")
    ready, outcomes = context.Barrier(MASTERS), context.Queue()
    processes = [context.Process(target=press_often, args=(home, ready, outcomes)) for _ in range(MASTERS)]
    for process in processes:
        process.start()
    counted = Counter(outcomes.get(timeout=120) for _ in range(MASTERS * STARTS))
    for process in processes:
        process.join(30)
    assert counted == {"started": 1, "conflict": MASTERS * STARTS - 1}


def press_often(home: Path, ready: "Barrier", outcomes: "Queue[str]") -> None:
    """Start the same at once from threads of a process of its own, which then ends without a word."""
    node = start_node(home, duplicate_seconds=3600, is_recovering=False)
    ready.wait(100)
    threads = [
        threading.Thread(target=lambda: outcomes.put(outcome_of(node, "sleep 0.1"))) for _ in range(STARTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.stop()


def test_the_look_up_goes_by_index(node: Node) -> None:
    node.run("true")
    plans: list[str] = []

    def explain(_conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in rows)

    event.listen(node.parts.db.engine, "before_cursor_execute", explain)
    with node.parts.db.read() as session:
        now = node.parts.clock.now()
        mark = fingerprint(CommandTask("true"))
        assert find_overlap(session, mark, ["x"], ended_after=now - timedelta(hours=1)) is None
    event.remove(node.parts.db.engine, "before_cursor_execute", explain)
    tables = [plan for plan in plans if "runs" in plan or "run_hosts" in plan]
    assert len(tables) == 3
    assert all("USING" in plan and "INDEX" in plan for plan in tables), tables


def outcome_of(node: Node, command: str) -> str:
    try:
        node.start(command, actor=OSKAR)
    except Conflict:
        return "conflict"
    return "started"
