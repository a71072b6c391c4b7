"""Limits in time: each ends the task with its process tree, and says which one it was."""

import asyncio
from typing import Any

from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.dispatch.limits import Limits, Watch
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.records import RunHostRecord
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState
from tests.sshd import StartSshd
from tests.tasks.conftest import ADA, OSKAR, Node, add_worker
from tests.tasks.jumping_loop import JumpingLoop, run_jumping
from tests.tasks.silent_places import full_server, mute_server, stuck_api
from tests.worker_node import WorkerNode

NO_LIMIT = 1e6
NOBODYS_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


async def never() -> None:
    await asyncio.Event().wait()


def over_after(limits: Limits, *steps: tuple[float, str], **watch: Any) -> tuple[float, str]:
    """Return when a task is over its limits that does these steps at these seconds, and what is said."""

    async def work(loop: JumpingLoop) -> tuple[float, str]:
        began, running = loop.time(), asyncio.ensure_future(never())
        watched = Watch(limits, **watch)
        for at, step in steps:
            loop.call_at(began + at, getattr(watched, step))
        text = await watched.until_over(running)
        running.cancel()
        return round(loop.time() - began, 1), text

    return run_jumping(work)


def test_each_limit_has_its_own_time_and_text() -> None:
    limits = Limits(100, connect_seconds=5, first_byte_seconds=10, silence_seconds=30)
    started, output = (1, "note_started"), (4, "note_output")
    assert over_after(limits) == (5, "It could not be reached within 5 s.")
    assert over_after(limits, started) == (11, "No output within 10 s.")
    assert over_after(limits, started, output) == (34, "It was silent for 30 s.")
    talking = [(second, "note_output") for second in range(2, 120, 20)]
    assert over_after(limits, started, *talking) == (100, "It took longer than its limit of 100 s.")


def test_a_shorter_limit_that_begins_later_is_not_overlooked() -> None:
    limits = Limits(NO_LIMIT, connect_seconds=60, first_byte_seconds=50, silence_seconds=2)
    assert over_after(limits, (1, "note_started"), (3, "note_output"))[0] == 5


def test_silence_counts_from_the_start_where_the_first_output_has_no_limit_of_its_own() -> None:
    limits = Limits(NO_LIMIT, silence_seconds=7)
    assert over_after(limits, (2, "note_started")) == (9, "It was silent for 7 s.")


def test_what_is_taken_up_again_has_the_rest_of_its_time() -> None:
    limits = Limits(100, total_leeway_seconds=20, first_byte_seconds=1)
    taken_up = {"has_started": True, "has_output": True}
    assert over_after(limits, spent_seconds=60, **taken_up)[0] == 60
    assert over_after(limits, spent_seconds=5000, **taken_up)[0] == 20


def test_much_output_sets_hardly_any_timer() -> None:
    async def work(loop: JumpingLoop) -> int:
        async def talk() -> None:
            watch.note_started()
            for _ in range(5000):
                watch.note_output()
                await asyncio.sleep(0)

        watch = Watch(Limits(NO_LIMIT, silence_seconds=30))
        assert await watch.until_over(asyncio.ensure_future(talk())) == ""
        return loop.timers

    assert run_jumping(work) < 10


# --- with real hosts ---


def add_ssh(node: Node, port: int, **more: Any) -> None:
    draft = HostDraft("web1", HostKind.SSH, "127.0.0.1", port, "root", **more)
    node.parts.hosts.import_hosts(ADA, [draft])


def limited(node: Node, command: str, host: str, **options: Any) -> RunHostRecord:
    run = node.run(command, host, options=RunOptions(**options))
    return node.parts.runs.list_hosts(run.id)[0]


def told(host: RunHostRecord) -> tuple[RunState, str, bool | None]:
    return host.state, host.message, host.gone


def test_a_silent_command_ends_on_each_kind_of_host(node: Node, sshd: StartSshd, worker: WorkerNode) -> None:
    server = sshd()
    add_ssh(node, server.port, host_key=server.host_key, secrets={"private_key": server.keys.good})
    add_worker(node, worker)
    for name in ("master", "web1", "worker"):
        host = limited(node, f"echo {name}; sleep 300", name, silence_seconds=3)
        assert told(host) == (RunState.TIMED_OUT, "It was silent for 3 s.", True)
        assert host.out_bytes == len(name) + 1


def test_a_command_without_output_ends_on_each_kind_of_host(
    node: Node, sshd: StartSshd, worker: WorkerNode
) -> None:
    server = sshd()
    add_ssh(node, server.port, host_key=server.host_key, secrets={"private_key": server.keys.good})
    add_worker(node, worker)
    for name in ("master", "web1", "worker"):
        host = limited(node, "sleep 300", name, first_byte_seconds=1)
        assert told(host) == (RunState.TIMED_OUT, "No output within 1 s.", True)


def test_a_command_that_goes_on_talking_is_left_alone(node: Node) -> None:
    command = "for i in 1 2 3 4 5 6 7; do echo $i; sleep 0.6; done"
    host = limited(node, command, "master", silence_seconds=4, first_byte_seconds=4, connect_seconds=4)
    assert host.state is RunState.SUCCEEDED


def test_an_ssh_host_that_says_nothing_is_given_up(node: Node) -> None:
    with mute_server() as port:
        add_ssh(node, port, secrets={"password": "x"}, host_key=NOBODYS_KEY)
        host = limited(node, "true", "web1", connect_seconds=1)
    assert told(host) == (RunState.TIMED_OUT, "It could not be reached within 1 s.", None)
    assert host.started_at is None


def test_a_worker_that_hangs_is_given_up(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    worker.halt()
    host = limited(node, "true", "worker", connect_seconds=1)
    assert host.state is RunState.TIMED_OUT
    assert host.message.startswith("It could not be reached within 1 s. Whether it ended")


def called(node: Node, port: int, **options: Any) -> RunHostRecord:
    node.parts.hosts.bases.add_base(ADA, "api", f"http://127.0.0.1:{port}")
    task = CallTask("GET", f"http://127.0.0.1:{port}/x")
    run = node.parts.runs.start_run(OSKAR, StartRun(task=task, options=RunOptions(**options)))
    node.end_of(run.id)
    return node.parts.runs.list_hosts(run.id)[0]


def test_a_call_has_the_same_limits(node: Node) -> None:
    with stuck_api(b"") as port:
        host = called(node, port, first_byte_seconds=1)
        assert (host.state, host.message.partition(".")[0]) == (RunState.TIMED_OUT, "No output within 1 s")
    node.parts.hosts.bases.remove_base(ADA, "api")
    with stuck_api(b"half") as port:
        host = called(node, port, silence_seconds=2)
        assert (host.state, host.message.partition(".")[0]) == (RunState.TIMED_OUT, "It was silent for 2 s")
        assert host.out_bytes == 4


def test_a_call_that_is_not_even_taken_is_given_up(node: Node) -> None:
    with full_server() as port:
        host = called(node, port, connect_seconds=1)
    assert (host.state, host.message) == (RunState.TIMED_OUT, "No answer: no connection within 1 s.")


def test_a_worker_that_is_down_is_given_up_and_surely_has_nothing(node: Node, worker: WorkerNode) -> None:
    add_worker(node, worker)
    worker.kill()
    host = limited(node, "true", "worker", connect_seconds=2)
    assert host.state is RunState.TIMED_OUT
    assert host.message.startswith("It could not be reached within 2 s.")
    assert host.started_at is None
