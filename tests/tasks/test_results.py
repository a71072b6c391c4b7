"""The results of runs on many hosts: hashed, filtered, compared with the run before, exported, run again."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.core.errors import Busy
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.tasks.results.comparing import Comparing, Side
from quarterdeck.tasks.results.digests import hashes_of
from quarterdeck.tasks.results.export import COLUMNS
from quarterdeck.tasks.results.folding import Ignored
from quarterdeck.tasks.results.query import ResultQuery
from quarterdeck.tasks.results.selection import Selection
from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.tasks.conftest import ADA, Api, Browser, Node, StartNode
from tests.tasks.ended_runs import LONG_AGO, Part, insert_run, names_of, same
from tests.worker_node import WorkerNode

As = Callable[[str], Browser]
ApiAs = Callable[[str], Api]
FAILED, RUNNING = RunState.FAILED, RunState.RUNNING


def stored(node: Node, parts: list[Part], **more: Any) -> str:
    return insert_run(node.parts.db, node.parts.runs.output, parts, **more)


def select(node: Node, run_id: str, **query: Any) -> Selection:
    return node.parts.runs.results.select(node.parts.runs.get_run(run_id), ResultQuery(**query))


def shown(node: Node, run_id: str, **query: Any) -> list[str]:
    return [host.name for host in select(node, run_id, **query).hosts]


# --- hashes ---


def test_a_part_that_ends_is_hashed_stream_by_stream(node: Node) -> None:
    run = node.run("echo out; echo err >&2")
    host = node.parts.runs.get_host(run.id, "master")
    again = node.parts.runs.get_host(node.run("echo err >&2; echo out").id, "master")
    assert len(host.out_hash) == len(host.err_hash) == 64
    assert (host.out_hash, host.err_hash) == (again.out_hash, again.err_hash)
    assert host.out_hash != host.err_hash


def test_nothing_printed_has_no_hash_and_its_group_all_the_same(node: Node) -> None:
    run = node.run("true")
    host = node.parts.runs.get_host(run.id, "master")
    assert (host.out_hash, host.err_hash) == ("", "")
    assert select(node, run.id).folding.usual


def test_what_a_killed_master_left_without_hash_gets_it_at_the_next_start(start: StartNode) -> None:
    node = start()
    parts = [Part("a", b"left\n", state=RUNNING), Part("b", b"done\n")]
    intent = node.parts.history.intend(ADA, "task.run", "run:left")
    run_id = stored(node, parts, is_hashed=False, intent_id=intent.id)
    node.stop()
    again = start()
    a, b = again.parts.runs.list_hosts(run_id)
    assert a.state is RunState.LOST
    for host in (a, b):
        assert host.out_hash == hashes_of(again.parts.runs.output, run_id, host.name)[0] != ""


def test_a_part_that_is_taken_up_again_is_hashed_whole(start: StartNode, tmp_path: Path) -> None:
    worker = WorkerNode(tmp_path / "worker").start()
    try:
        node, go = start(), tmp_path / "go"
        draft = HostDraft("w1", HostKind.WORKER, worker.url, secrets={"token": worker.token})
        node.parts.hosts.add_host(ADA, draft)
        run = node.start(f"echo before; until test -e {go}; do sleep 0.1; done; echo after", "w1")
        wait_until(lambda: node.output(run.id, "w1") == b"before\n", "the first half")
        node.stop()
        go.touch()
        again = start()
        assert again.end_of(run.id).state is RunState.SUCCEEDED
        wait_until(lambda: host_of(again, run.id, "w1").out_hash != "", "its hash")
        expected = hashlib.blake2b(b"before\nafter\n", digest_size=32).hexdigest()
        assert host_of(again, run.id, "w1").out_hash == expected
    finally:
        worker.end()


def test_a_large_output_is_hashed_whole(node: Node) -> None:
    one, other = node.run("head -c 3000000 /dev/zero"), node.run("head -c 3000001 /dev/zero")
    assert host_of(node, one.id).out_hash != host_of(node, other.id).out_hash != ""


def host_of(node: Node, run_id: str, name: str = "master") -> Any:
    return node.parts.runs.get_host(run_id, name)


# --- filters and order ---


def test_filters_go_together(node: Node) -> None:
    run_id = stored(
        node, [*same(3), Part("web-0004", b"odd\n", state=FAILED), Part("db-1", b"", state=FAILED)]
    )
    assert shown(node, run_id, state="failed") == ["web-0004", "db-1"]
    assert shown(node, run_id, state="failed", q="WEB") == ["web-0004"]
    group = select(node, run_id).folding.group_of("web-0002")
    assert group
    assert shown(node, run_id, group=group.key) == names_of(same(3))
    assert shown(node, run_id, q="nobody") == []


def test_hosts_are_sorted_with_unknown_values_last_either_way(node: Node) -> None:
    run_id = stored(
        node,
        [
            Part("web-10", b"1", seconds=3),
            Part("web-9", b"333", seconds=1, state=FAILED, exit_status=2),
            Part("db", b"22", state=RUNNING),
        ],
    )
    assert shown(node, run_id) == ["web-10", "web-9", "db"]
    assert shown(node, run_id, sort="name") == ["db", "web-9", "web-10"]
    assert shown(node, run_id, sort="took") == ["web-9", "web-10", "db"]
    assert shown(node, run_id, sort="-took") == ["web-10", "web-9", "db"]
    assert shown(node, run_id, sort="-output") == ["web-9", "db", "web-10"]
    assert shown(node, run_id, sort="-exit") == ["web-9", "web-10", "db"]
    assert shown(node, run_id, sort="state")[0] == "web-9"


def test_own_names_and_numbers_are_ignored_on_request(node: Node) -> None:
    run_id = stored(node, [Part(f"db-{n}", f"db-{n} up {n} days\n".encode()) for n in range(1, 13)])
    assert select(node, run_id).folding.usual is None
    assert select(node, run_id, ignored=Ignored(names=True)).folding.usual is None
    folding = select(node, run_id, ignored=Ignored(names=True, numbers=True)).folding
    assert folding.usual
    assert len(folding.usual.hosts) == 12


def test_the_address_of_a_host_counts_as_its_name(node: Node) -> None:
    parts = []
    for number in (1, 2):
        name, address = f"db-{number}", f"10.0.0.{number}"
        draft = HostDraft(name, HostKind.SSH, address, username="root", secrets={"password": "secret"})
        host = node.parts.hosts.register(ADA, draft)
        parts.append(Part(name, f"bound to {address}:22\n".encode(), host_id=host.id))
    run_id = stored(node, parts)
    assert select(node, run_id).folding.usual is None
    assert select(node, run_id, ignored=Ignored(names=True)).folding.usual


def test_what_is_longer_than_is_read_is_never_taken_for_equal(node: Node) -> None:
    long = b"x" * 300_000
    run_id = stored(node, [Part("a", long + b"1"), Part("b", long + b"2")])
    assert select(node, run_id, ignored=Ignored(numbers=True)).folding.usual is None


# --- the run before ---


@pytest.fixture
def pair(node: Node) -> tuple[str, str]:
    """Two runs of a task on three hosts; on web-0002 the output changed, on web-0003 the result."""
    before = stored(node, same(3))
    now = stored(
        node,
        [
            Part("web-0001", b"fine\n"),
            Part("web-0002", b"fine\nbut <b>odd</b>\n"),
            Part("web-0003", b"fine\n", state=FAILED, exit_status=1),
            Part("new", b"fine\n"),
        ],
        created_at=LONG_AGO + timedelta(hours=1),
    )
    return before, now


def test_what_changed_since_the_run_before_is_known(node: Node, pair: tuple[str, str]) -> None:
    before, now = pair
    selection = select(node, now, changed=True)
    assert [host.name for host in selection.hosts] == ["web-0002", "web-0003"]
    assert {each.run_id for each in selection.before.values()} == {before}
    assert select(node, before).before == {}


def test_the_run_before_is_the_last_one_of_the_same_task_that_had_ended(node: Node) -> None:
    def insert(command: str, minutes: int, **more: Any) -> str:
        at = LONG_AGO + timedelta(minutes=minutes)
        return stored(node, [Part("a", b"x", **more)], command=command, created_at=at)

    insert("one", 0)
    wanted = insert("one", 1)
    insert("other", 2)
    insert("one", 3, seconds=6000)
    insert("one", 4, state=RUNNING)
    now = insert("one", 5)
    (before,) = select(node, now).before.values()
    assert before.run_id == wanted


def test_the_difference_is_a_page_in_two_forms(as_: As, pair: tuple[str, str]) -> None:
    vera, path = as_("vera"), f"/runs/{pair[1]}/difference?host=web-0002"
    for page in (vera.get(path).text, vera.get(f"{path}&view=side").text):
        assert "but &lt;b&gt;odd&lt;/b&gt;" in page
        assert "<b>odd" not in page
        assert re.search(r'<th scope="col"', page)
        assert f'href="/runs/{pair[0]}?host=web-0002#output"' in page
    assert "not a byte of it changed" in vera.get(path.replace("0002", "0001")).text


def test_the_page_of_a_host_offers_the_difference_where_there_is_one(as_: As, pair: tuple[str, str]) -> None:
    vera = as_("vera")
    link = f'href="/runs/{pair[1]}/difference?host=web-0002"'
    assert link in vera.get(f"/runs/{pair[1]}?host=web-0002").text
    assert "Compare with the run before" not in vera.get(f"/runs/{pair[1]}?host=new").text
    assert "Compare with the run before" not in vera.get(f"/runs/{pair[0]}?host=web-0001").text
    assert "changed on 2 hosts" in vera.get(f"/runs/{pair[1]}").text


def test_what_is_ignored_in_a_difference_is_said(as_: As, node: Node) -> None:
    stored(node, [Part("a", b"a 1  x\n")])
    now = stored(node, [Part("a", b"a 2 x\n")], created_at=LONG_AGO + timedelta(hours=1))
    vera, path = as_("vera"), f"/runs/{now}/difference?host=a"
    assert 'class="removed"' in vera.get(f"{path}&space=true").text
    assert "No difference but in what is ignored" in vera.get(f"{path}&numbers=true").text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("host=new", 404),
        ("host=nobody", 404),
        ("", 422),
        ("host=new&to=elsewhere", 422),
        ("host=new&view=html", 422),
        ("host=../../etc", 404),
        ("host=new&more=1", 422),
    ],
)
def test_a_difference_with_nothing_is_refused(
    query: str, status: int, as_: As, pair: tuple[str, str]
) -> None:
    assert as_("vera").get(f"/runs/{pair[1]}/difference?{query}").status_code == status


def test_without_anything_usual_there_is_no_difference_from_it(as_: As, node: Node) -> None:
    run_id = stored(node, [Part("a", b"1"), Part("b", b"2")])
    answer = as_("vera").get(f"/runs/{run_id}/difference?host=a&to=usual")
    assert answer.status_code == 404
    assert "nothing usual" in answer.text


def test_only_a_few_differences_are_made_at_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quarterdeck.tasks.results.comparing._PATIENCE_SECONDS", 0.01)
    run_id = stored(node, [Part("a", b"x")])
    comparing, side = Comparing(node.parts.runs.output), Side(run_id, host_of(node, run_id, "a"))
    for _ in range(2):
        comparing._slots.acquire()
    with pytest.raises(Busy):
        comparing.compare(side, side)
    comparing._slots.release()
    assert comparing.compare(side, side)[0].is_equal


# --- export ---

HOSTILE = "=HYPERLINK(0)\r\n\x1b[2J,\"'"


def test_results_are_a_file_with_a_row_a_host(as_: As, node: Node) -> None:
    parts = [*same(2), Part("odd", b"", state=FAILED, exit_status=-9, message=HOSTILE, gone=True)]
    run_id = stored(node, parts)
    answer = as_("vera").get(f"/runs/{run_id}/results.csv")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="run-{run_id}-results.csv"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert tuple(header) == COLUMNS
    first, last = (dict(zip(header, row, strict=True)) for row in (rows[0], rows[-1]))
    assert (first["run"], first["host"], first["seconds"], first["out_bytes"]) == (
        run_id,
        "web-0001",
        "1.5",
        "5",
    )
    assert (last["exit_status"], last["gone"]) == ("-9", "true")
    assert last["message"] == "'=HYPERLINK(0)\\x0d\\x0a\\x1b[2J,\"'"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula(first: str, as_: As, node: Node) -> None:
    run_id = stored(node, [Part("a", state=FAILED, message=f"{first}1+1")])
    _, row = csv.reader(io.StringIO(as_("vera").get(f"/runs/{run_id}/results.csv").text))
    assert row[-1][0] in "'\\"


def test_the_filters_of_the_page_hold_for_its_export(as_: As, pair: tuple[str, str]) -> None:
    rows = as_("vera").get(f"/runs/{pair[1]}/results.json?changed=true&q=0003").json
    assert [row["host"] for row in rows] == ["web-0003"]
    assert rows[0]["state"] == "failed"
    assert as_("vera").get(f"/runs/{pair[1]}/results.json?q=nobody").json == []


def test_programs_get_the_same(api_as: ApiAs, node: Node) -> None:
    run_id = stored(node, [Part("a", b"x", message=HOSTILE), Part("b", b"y", state=RUNNING)])
    call = api_as("vera")
    rows = json.loads(call("GET", f"/runs/{run_id}/results").data)
    assert [(row["host"], row["seconds"]) for row in rows] == [("a", 1.5), ("b", None)]
    assert rows[0]["message"] == HOSTILE
    answer = call("GET", f"/runs/{run_id}/results?format=csv&state=running")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert len(answer.text.splitlines()) == 2
    assert call("GET", f"/runs/{run_id}/results?format=xml").status_code == 422
    assert call("GET", "/runs/absent/results").status_code == 404


@pytest.mark.parametrize("path", ["results.csv", "results.json", "difference?host=a"])
def test_results_are_for_those_who_may_read_runs(path: str, as_: As, node: Node) -> None:
    run_id = stored(node, [Part("a", b"x")])
    assert as_("nils").get(f"/runs/{run_id}/{path}").status_code == 403
    assert as_("").get(f"/runs/{run_id}/{path}").status_code in (303, 401)


# --- again ---


def chosen_in(page: str) -> list[str]:
    return re.findall(r'name="hosts" value="([^"]+)" checked', page)


def test_again_on_the_failed_or_lost_or_chosen_fills_the_form(as_: As, node: Node) -> None:
    run_id = stored(node, [Part("master", b"x", state=RunState.LOST), *same(3)])
    oskar = as_("oskar")
    page = oskar.get(f"/runs/{run_id}").text
    assert f'href="/runs/new?again={run_id}&amp;state=lost"' in page
    assert "Again on the failed" not in page
    assert chosen_in(oskar.get(f"/runs/new?again={run_id}&state=lost").text) == ["master"]
    assert chosen_in(oskar.get(f"/runs/new?again={run_id}&state=succeeded").text) == []
    assert chosen_in(oskar.get(f"/runs/new?again={run_id}&chosen=true&host=master").text) == ["master"]


def test_choosing_no_host_never_means_all(as_: As, node: Node) -> None:
    run_id = stored(node, [Part("master", b"x"), *same(1)])
    assert chosen_in(as_("oskar").get(f"/runs/new?again={run_id}&chosen=true").text) == []


def test_who_may_not_start_has_nothing_to_choose(as_: As, node: Node) -> None:
    run_id = stored(node, [*same(2), Part("a", state=RunState.LOST)])
    assert 'name="host"' in as_("oskar").get(f"/runs/{run_id}").text
    page = as_("vera").get(f"/runs/{run_id}").text
    assert 'name="host"' not in page
    assert "Again on" not in page


# --- the page ---


def test_many_hosts_are_a_map_within_its_weight_and_few_a_table(as_: As, node: Node) -> None:
    parts = [*same(997), *(Part(f"odd-{n}", b"odd\n", state=FAILED, exit_status=1) for n in range(3))]
    run_id = stored(node, parts)
    vera = as_("vera")
    page = vera.get(f"/runs/{run_id}").text
    assert len(page.encode()) <= 100_000
    assert page.count(' succeeded"></a>') == 997
    assert "997 the same, 3 differ" in page
    table = vera.get(f"/runs/{run_id}?state=failed").text
    assert table.count('<th scope="row">') == 3
    assert "q-matrix" not in table
    second = vera.get(f"/runs/{run_id}?view=table&page=2&sort=name").text
    assert second.count('<th scope="row">') == 50
    assert "Page 2 of 20" in second


def test_a_run_under_way_folds_what_has_ended(as_: As, node: Node) -> None:
    run_id = stored(node, [*same(3), Part("odd", b"odd\n"), Part("late", b"so far", state=RUNNING)])
    page = as_("vera").get(f"/runs/{run_id}/standing").text
    assert "3 the same, 1 differs" in page
    assert "<html" not in page


def test_an_empty_filter_says_so_and_leads_back(as_: As, node: Node) -> None:
    run_id = stored(node, same(3))
    page = as_("vera").get(f"/runs/{run_id}?q=nobody").text
    assert "No host fits" in page
    assert f'href="/runs/{run_id}#hosts"' in page


@pytest.mark.parametrize(
    "query", ["state=odd", "sort=message", "group=../x", "view=html", "page=0", "names=perhaps", "other=1"]
)
def test_nonsense_in_the_address_is_refused(query: str, as_: As, node: Node) -> None:
    run_id = stored(node, same(2))
    assert as_("vera").get(f"/runs/{run_id}?{query}").status_code == 422


def test_what_is_usual_stands_beside_each_host_with_what_took_longer(as_: As, node: Node) -> None:
    for number in range(3):
        stored(node, same(2), created_at=LONG_AGO + timedelta(minutes=number))
    parts = [Part("web-0001", b"x", seconds=90), Part("web-0002", b"x")]
    run_id = stored(node, parts, created_at=LONG_AGO + timedelta(hours=1))
    page = as_("vera").get(f"/runs/{run_id}").text
    assert page.count("usually 1.5 s") == 2
    assert page.count("longer than usual") == 1


def test_a_live_run_is_compared_when_its_parts_end(as_: As, node: Node) -> None:
    run = node.run("echo one")
    node.run("echo one", force=True, reason="to compare")
    again = node.run("echo one", force=True, reason="to compare")
    wait_until(lambda: bool(host_of(node, again.id).out_hash), "the hash")
    page = as_("vera").get(f"/runs/{again.id}").text
    assert "Compare with the run before" in page
    difference = as_("vera").get(f"/runs/{again.id}/difference?host=master").text
    assert "not a byte of it changed" in difference
    assert run.id not in difference
