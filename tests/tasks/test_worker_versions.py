"""Master and worker one minor version apart: members missing, members unknown, in both directions."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from quarterdeck.hosts.models import WorkerLink
from quarterdeck.protocol.orders import Health
from quarterdeck.tasks.calls.worker_call import WorkerExecution
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.states import RunState
from tests.worker_node import WorkerNode, new_order

Json = Any  # Any: JSON
Speech = Callable[[Json], Json]

_OLD = {"id", "run", "host", "task", "deadline", "nonce", "actor", "timeout_seconds", "digest"}
"""What an order said in the first version."""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerNode]:
    node = WorkerNode(tmp_path_factory.mktemp("worker") / "home").start()
    yield node
    node.end()


def as_older(said: Json) -> Json:
    """What a worker without the latest members would say."""
    later = {"head", "seq", "gone", "details", "run", "host", "exit_status_text"}
    if isinstance(said, dict):
        return {name: as_older(value) for name, value in said.items() if name not in later}
    return said


def as_newer(said: Json) -> Json:
    """What a worker with members of a later version would say."""
    if isinstance(said, dict):
        return {name: as_newer(value) for name, value in said.items()} | {"colour": {"of": ["blue"]}}
    return said


@contextmanager
def speaking(worker: WorkerNode, speech: Speech) -> Iterator[WorkerLink]:
    """A worker of another version: a real one, whose answers are changed on their way."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def do_GET(self) -> None:
            self.pass_on(b"")

        def pass_on(self, body: bytes) -> None:
            sent = {"Authorization": self.headers["Authorization"]}
            answer = httpx.request(
                self.command, f"{worker.url}{self.path}", content=body, headers=sent, timeout=40
            )
            packed = "msgpack" in answer.headers["Content-Type"]
            codec = msgspec.msgpack if packed else msgspec.json
            content = codec.encode(speech(codec.decode(answer.content)))
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield WorkerLink("worker-1", f"http://127.0.0.1:{server.server_port}", worker.token)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.streams = {Stream.OUT: b"", Stream.ERR: b""}

    async def started(self) -> None:
        """It is looked at by its output only."""

    async def write(self, stream: Stream, data: bytes) -> None:
        self.streams[stream] += data


async def run_on(link: WorkerLink) -> tuple[Result, Kept]:
    sink = Kept()
    return await WorkerExecution(link, new_order("echo out; echo err >&2; exit 4")).run(sink), sink


def test_an_order_of_an_older_master_is_carried_out(worker: WorkerNode) -> None:
    said = {
        name: value for name, value in msgspec.to_builtins(new_order("echo hello")).items() if name in _OLD
    }
    answer = worker.ask("POST", "/process_task", said)
    assert answer.status_code == 202, answer.text
    assert worker.finished(said["id"]).state == "succeeded"


def test_an_order_of_a_newer_master_is_carried_out_when_it_uses_nothing_new(worker: WorkerNode) -> None:
    said = msgspec.to_builtins(new_order("echo hello")) | {"colour": None}
    assert worker.ask("POST", "/process_task", said).status_code == 202
    assert worker.finished(said["id"]).state == "succeeded"


def test_an_order_that_uses_what_the_worker_does_not_know_is_refused_rather_than_half_done(
    worker: WorkerNode, tmp_path: Path
) -> None:
    # A newer master's digest covers its new member, which this worker can't count in.
    said = msgspec.to_builtins(new_order(f"touch {tmp_path}/ran")) | {"user": "nobody", "digest": "0" * 64}
    assert worker.ask("POST", "/process_task", said).status_code == 422
    assert not (tmp_path / "ran").exists()


def test_other_messages_of_a_master_may_have_more_or_fewer_members(worker: WorkerNode) -> None:
    join = {"master_url": "http://127.0.0.1:9", "worker_token": "t" * 32}
    assert worker.ask("POST", "/join", join).status_code == 200
    assert worker.ask("POST", "/join", join | {"colour": "blue"}).status_code == 200
    wanted = {"task": {"kind": "command", "command": "true", "colour": "blue"}, "wait_seconds": 10}
    assert worker.ask("POST", "/process_task", wanted | {"colour": "blue"}).status_code == 200


@pytest.mark.parametrize("speech", [as_older, as_newer])
async def test_a_worker_of_another_version_is_followed_to_the_end(worker: WorkerNode, speech: Speech) -> None:
    with speaking(worker, speech) as link:
        result, sink = await run_on(link)
    assert (result.state, result.exit_status) == (RunState.FAILED, 4)
    assert sink.streams == {Stream.OUT: b"out\n", Stream.ERR: b"err\n"}


async def test_a_state_that_the_master_does_not_know_is_no_success(worker: WorkerNode) -> None:
    def unknown(said: Json) -> Json:
        if isinstance(said, dict):
            said = {name: unknown(value) for name, value in said.items()}
            return said | {"state": "pondering"} if said.get("finished_at") else said
        return said

    with speaking(worker, unknown) as link:
        result, _ = await run_on(link)
    assert result.state is RunState.LOST


def test_the_health_of_another_version_is_read(worker: WorkerNode) -> None:
    said = worker.ask("GET", "/health").json()
    older = {name: said[name] for name in ("node", "version", "time")}
    for health in (older, said | {"colour": "blue"}):
        assert msgspec.json.decode(msgspec.json.encode(health), type=Health).node == said["node"]
