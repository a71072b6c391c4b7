"""Cancel in each state that a run over SSH can be in, and what the page and the history say of it."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from quarterdeck.history.query import HistoryQuery
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.records import RunHostRecord
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.sshd import StartSshd
from tests.tasks.conftest import OSKAR, Browser, Node, StartNode
from tests.tasks.kept_factories import add_host, keeping_sshd

BOTH = pytest.mark.parametrize("is_kept", [False, True], ids=["plain", "kept"])


def cancelled(node: Node, run_id: str) -> RunHostRecord:
    node.parts.runs.cancel_run(OSKAR, run_id)
    assert node.end_of(run_id).state is RunState.CANCELLED
    return node.parts.runs.list_hosts(run_id)[0]


def outcome_of(node: Node, run_id: str) -> dict[str, Any]:
    page = node.parts.history.page(HistoryQuery(object=f"run:{run_id}", action="task.run"))
    (outcome,) = [entry for entry in page.entries if str(entry.kind) == "outcome"]
    result: dict[str, Any] = outcome.detail["results"][0]
    return result


@BOTH
def test_cancel_while_it_runs_is_proved(node: Node, sshd: StartSshd, tmp_path: Path, is_kept: bool) -> None:
    server = keeping_sshd(sshd, tmp_path / "state")
    add_host(node, server.port, server.host_key, server.keys.good)
    run = node.start("echo x; sleep 300", "web1", options=RunOptions(keep_running=is_kept))
    wait_until(lambda: node.output(run.id, "web1") == b"x\n", "the command to run")
    host = cancelled(node, run.id)
    assert (host.gone, host.message) == (True, "Cancelled by oskar.")
    result = outcome_of(node, run.id)
    assert (result["gone"], result["message"]) == (True, "Cancelled by oskar. Proved gone.")


@BOTH
def test_cancel_while_it_is_queued_sends_nothing(
    start: StartNode, sshd: StartSshd, tmp_path: Path, is_kept: bool
) -> None:
    server = keeping_sshd(sshd, tmp_path / "state")
    node = start(run_concurrency=1)
    add_host(node, server.port, server.host_key, server.keys.good)
    first = node.start("sleep 60")
    run = node.start(f"touch {tmp_path}/ran", "web1", options=RunOptions(keep_running=is_kept))
    host = cancelled(node, run.id)
    assert (host.gone, host.started_at) == (True, None)
    cancelled(node, first.id)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "state").exists()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@BOTH
def test_cancel_while_it_connects_ends_the_connecting(
    node: Node, silent_port: int, sshd: StartSshd, is_kept: bool
) -> None:
    server = sshd()
    add_host(node, silent_port, server.host_key, server.keys.good)
    run = node.start("true", "web1", options=RunOptions(keep_running=is_kept))
    wait_until(lambda: node.parts.runs.get_run(run.id).state is RunState.CONNECTING, "it to connect")
    host = cancelled(node, run.id)
    assert (host.gone, host.started_at) == (True, None)


@pytest.mark.parametrize(
    ("gone", "words"), [(True, "Proved gone"), (False, "still there"), (None, "is not known")]
)
def test_page_says_whether_it_is_gone(
    node: Node, as_: Callable[[str], Browser], silent_port: int, gone: bool | None, words: str
) -> None:
    add_host(node, silent_port, "", "")
    runs = node.run("echo one", "master"), node.run("echo two", "master", "web1")
    message = "Cancelled by oskar." + (" Whether it ended on the host is not known." if gone is None else "")
    with node.parts.db.write() as session:
        session.execute(update(RunHost).values(state="cancelled", gone=gone, message=message))
    vera = as_("vera")
    for run in runs:
        page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", vera.get(f"/runs/{run.id}").text))
        assert words in page


def test_page_says_that_what_was_queued_had_not_begun(
    start: StartNode, as_: Callable[[str], Browser]
) -> None:
    node = start()
    run = node.run("true")
    with node.parts.db.write() as session:
        session.execute(update(RunHost).values(state="cancelled", gone=True, started_at=None))
    assert "Proved gone" not in as_("vera").get(f"/runs/{run.id}").text
