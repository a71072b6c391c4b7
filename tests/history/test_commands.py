"""quarterdeck history show, verify, rebuild, export."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.errors import Invalid
from quarterdeck.history.commands import group
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.service import History
from tests.history.apps import WorkerClient
from tests.history.factories import ADA, OSKAR, journal_files, write_events


@dataclass
class Node:
    history: History
    peers: PeerBook
    actor: Actor = SYSTEM


@pytest.fixture
def node(history: History, workers: WorkerClient) -> Node:
    return Node(history, PeerBook(workers))


def call(node: Node, *arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, obj=node)


def test_show_lists_the_newest_first(node: Node) -> None:
    node.history.event(ADA, "host.test", "host:a")
    node.history.event(OSKAR, "task.run", "run:1", detail={"command": "df\x1b[2J -h"})
    lines = call(node, "show").output.splitlines()
    assert [line.split("\t")[3] for line in lines] == ["task.run", "host.test"]
    assert "df\\x1b[2J -h" in lines[0]
    assert call(node, "show", "--actor", "ada", "-n", "5").output.count("\n") == 1
    assert json.loads(call(node, "show", "--object", "run", "--json").output)["actor"] == "oskar"


def test_show_reads_a_worker(node: Node, worker_history: History) -> None:
    worker_history.event(ADA, "task.done")
    assert "task.done" in call(node, "show", "--node", "web1").output
    assert isinstance(call(node, "show", "--node", "elsewhere").exception, Invalid)


def test_verify_says_whole(node: Node, worker_history: History) -> None:
    node.history.event(ADA, "host.test")
    worker_history.event(ADA, "host.test")
    result = call(node, "verify", "--with-workers")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "master: whole: 1 lines in 1 files.",
        "web1: whole: 1 lines in 1 files.",
    ]


def test_verify_names_file_and_line_and_fails(node: Node, tmp_path: Path) -> None:
    for _ in range(3):
        node.history.event(ADA, "host.test")
    file = journal_files(tmp_path / "history")[0]
    file.write_bytes(file.read_bytes().replace(b'"seq":2,', b'"seq":5,'))
    result = call(node, "verify")
    assert result.exit_code == 1
    assert f"{file.name}, line 2: it was changed" in result.output


def test_rebuild_makes_the_index_anew(node: Node, tmp_path: Path) -> None:
    write_events(node.history, 1_000)
    assert "1 blocks" in call(node, "rebuild").output
    assert list((tmp_path / "history").glob("*.idx"))


def test_export_writes_and_records(node: Node, tmp_path: Path) -> None:
    node.history.event(ADA, "host.test", "=1+1")
    rows = list(csv.DictReader(io.StringIO(call(node, "export", "--actor", "ada").stdout)))
    assert [row["object"] for row in rows] == ["'=1+1"]
    assert next(node.history.export(HistoryQuery())).action == "history.export"
    call(node, "export", "--format", "json", "--output", str(tmp_path / "out.json"))
    assert len(json.loads((tmp_path / "out.json").read_bytes())) >= 1
