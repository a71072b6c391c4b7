"""GET /api/v1/history and /api/v1/history/<id>."""

import csv
import io

import pytest

from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.service import History
from tests.history.conftest import As
from tests.history.factories import ADA, OSKAR


def test_lists_page_by_cursor(as_: As, history: History) -> None:
    for number in range(7):
        history.event(ADA, "host.test", f"host:{number}")
    first = as_("vera").get("/api/v1/history?limit=4").get_json()
    second = (
        as_("vera")
        .get("/api/v1/history", query_string={"limit": 4, "cursor": first["next_cursor"]})
        .get_json()
    )
    objects = [entry["object"] for entry in first["entries"] + second["entries"]]
    assert objects == [f"host:{number}" for number in range(6, -1, -1)]
    assert second["next_cursor"] is None
    assert set(first["entries"][0]) == {
        "seq", "id", "time", "node", "kind", "actor", "address", "action", "object", "request", "pair",
        "detail", "prev", "hash",
    }  # fmt: skip


def test_every_filter_of_the_fixed_points_is_taken(
    as_: As, history: History, worker_history: History
) -> None:
    history.event(ADA, "host.test", "host:web-1")
    history.event(OSKAR, "task.run", "run:1", detail={"host": "web-2", "command": "uptime"})
    worker_history.event(OSKAR, "task.done")
    for query, action in {
        "actor=ada": "host.test",
        "action=task": "task.run",
        "object=run:1": "task.run",
        "host=web-1": "host.test",
        "since=2026-07-24&until=2026-07-24&actor=oskar": "task.run",
        "q=UPTIME": "task.run",
        "node=web1": "task.done",
        "node=master&actor=ada": "host.test",
    }.items():
        entries = as_("vera").get(f"/api/v1/history?{query}").get_json()["entries"]
        assert [entry["action"] for entry in entries] == [action], query
    assert as_("vera").get("/api/v1/history?until=2026-07-23").get_json()["entries"] == []
    ever = as_("vera").get("/api/v1/history?since=0001-01-01&until=9999-12-31").get_json()["entries"]
    assert len(ever) == 2


def test_csv_gives_everything_or_the_first(as_: As, history: History) -> None:
    for number in range(60):
        history.event(ADA, "host.test", f"host:{number}")
    client = as_("vera")
    answer = client.get("/api/v1/history?format=csv&actor=ada")
    assert answer.mimetype == "text/csv"
    assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 60
    few = client.get("/api/v1/history?format=csv&actor=ada&limit=5")
    assert len(list(csv.DictReader(io.StringIO(few.text)))) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=x", "since"),
        ("since=0001-01-01T00:00%2B05:00", "since"),
        ("until=9999-12-31T23:00-05:00", "until"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=\u00b2", "limit"),
        ("cursor=..%2f", "cursor"),
        ("node=x", "node"),
        ("kind=x", "kind"),
    ],
)
def test_bad_input_names_the_field(as_: As, query: str, field: str) -> None:
    answer = as_("vera").get(f"/api/v1/history?{query}")
    assert answer.status_code == 422
    assert list(answer.get_json()["errors"]) == [field]


def test_entry_comes_with_its_pair_and_line(as_: As, history: History) -> None:
    with history.action(ADA, "host.add", "host:x"):
        pass
    done, intent = history.export(HistoryQuery())
    answer = as_("vera").get(f"/api/v1/history/{intent.id}").get_json()
    assert (answer["entry"]["id"], answer["pair"]["id"]) == (intent.id, done.id)
    assert answer["raw"].startswith('{"seq":1,')


@pytest.mark.parametrize(
    ("name", "status"), [("ada", 200), ("oskar", 200), ("vera", 200), ("nils", 403), ("nobody", 401)]
)
def test_viewers_may_read(as_: As, name: str, status: int) -> None:
    assert as_(name).get("/api/v1/history").status_code == status


def test_a_refusal_is_in_the_history(as_: As, history: History) -> None:
    as_("nils").get("/api/v1/history")
    last = next(history.export(HistoryQuery()))
    assert (last.kind, last.actor, last.action, last.object) == (
        "denied", "nils", "history.read", "/api/v1/history",
    )  # fmt: skip
    assert last.request
