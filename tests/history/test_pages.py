"""The pages /history and /history/<id>, and the exports."""

import csv
import io
import json
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.service import History
from tests.history.apps import WorkerClient, make_app
from tests.history.conftest import As
from tests.history.factories import ADA, OSKAR, write_events

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\r\nx\u202egnp"


def test_the_newest_entry_stands_first(as_: As, history: History) -> None:
    history.event(ADA, "host.test", "host:web-1")
    history.event(OSKAR, "run.cancel", "run:7", detail={"reason": "too long"})
    page = as_("vera").get("/history").text
    assert page.index("run.cancel") < page.index("host.test")
    assert "too long" in page


def test_filters_are_kept_and_can_be_taken_away(as_: As, history: History) -> None:
    history.event(ADA, "host.test", "host:web-1")
    history.event(OSKAR, "run.cancel", "run:7")
    page = as_("vera").get("/history?actor=ada&kind=&since=2026-07-24").text
    assert "host.test" in page
    assert "run.cancel" not in page
    assert 'href="/history?actor=ada"' in page
    assert 'href="/history?since=2026-07-24"' in page
    assert 'value="ada"' in page


def test_filter_request_gets_the_rows_alone(as_: As, history: History) -> None:
    history.event(ADA, "host.test")
    part = as_("vera").get("/history", headers={"HX-Request": "true"}).text
    assert "host.test" in part
    assert "<html" not in part


def test_pages_follow_each_other(as_: As, history: History) -> None:
    write_events(history, 120)
    client, url, seen = as_("vera"), "/history?actor=ada", []
    while url:
        page = client.get(url).text
        seen += re.findall(r'href="/hosts/(\d+)"', page)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        url = older[1].replace("&amp;", "&") if older else ""
    assert seen == [str(number) for number in range(119, -1, -1)]


def test_nothing_found_says_so(as_: As, history: History) -> None:
    history.event(ADA, "host.test")
    assert "Nothing fits" in as_("vera").get("/history?q=absent").text


def test_an_empty_history_says_so(as_: As) -> None:
    assert "Nothing here yet" in as_("vera").get("/history").text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("since=yesterday", "Write a day or time"),
        ("kind=other", "This must be one of"),
        ("cursor=x", "not a cursor"),
        ("node=elsewhere", "There is no node"),
        ("actor=" + "x" * 501, "at most 500"),
        ("colour=blue", "no such filter"),
    ],
)
def test_bad_filters_are_told(as_: As, query: str, message: str) -> None:
    answer = as_("vera").get(f"/history?{query}")
    assert answer.status_code == 422
    assert message in answer.text


def test_entry_shows_its_pair_and_its_line(as_: As, history: History) -> None:
    with history.action(ADA, "host.add", "host:web-1", detail={"port": 22}) as outcome:
        outcome["joined"] = True
    intent, done = reversed(list(history.export(HistoryQuery())))
    client = as_("vera")
    page = client.get(f"/history/{intent.id}").text
    assert f'href="/history/{done.id}"' in page
    assert 'href="/hosts/web-1"' in page
    assert intent.hash in page
    assert f'href="/history/{intent.id}"' in client.get(f"/history/{done.id}").text


def test_open_intent_says_that_it_has_no_outcome(as_: As, history: History) -> None:
    intent = history.intend(ADA, "task.run", "run:1")
    assert "No outcome is on record" in as_("vera").get(f"/history/{intent.id}").text


def test_unknown_entry_is_not_found(as_: As) -> None:
    assert as_("vera").get("/history/nonsense").status_code == 404


@pytest.mark.parametrize(
    ("name", "status"), [("ada", 200), ("oskar", 200), ("vera", 200), ("nils", 403), ("nobody", 303)]
)
@pytest.mark.parametrize("path", ["/history", "/history.csv", "/history.json"])
def test_viewers_may_read_and_export(as_: As, name: str, status: int, path: str) -> None:
    assert as_(name).get(path).status_code == status


def test_hostile_text_is_shown_and_does_nothing(as_: As, history: History) -> None:
    actor = Actor(ActorKind.PERSON, HOSTILE, HOSTILE)
    entry = history.event(actor, HOSTILE, f"host:{HOSTILE}", detail={HOSTILE: HOSTILE, "error": HOSTILE})
    client = as_("vera")
    for path in ("/history", f"/history/{entry.id}"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_worker_history_is_read_from_here(as_: As, worker_history: History) -> None:
    entry = worker_history.event(OSKAR, "task.done", "run:5")
    client = as_("vera")
    page = client.get("/history?node=web1&action=task").text
    assert "task.done" in page
    assert f'href="/history/{entry.id}?node=web1"' in page
    assert entry.hash in client.get(f"/history/{entry.id}?node=web1").text
    assert client.get(f"/history/{entry.id}").status_code == 404


def test_lost_worker_is_told_and_the_page_stands(as_: As, workers: WorkerClient) -> None:
    workers.lost.add("web1")
    answer = as_("vera").get("/history?node=web1")
    assert answer.status_code == 502
    assert "it refuses the connection" in answer.text
    assert 'name="node"' in answer.text


def test_csv_holds_what_fits_and_is_recorded(as_: As, history: History) -> None:
    write_events(history, 700, lambda number: ADA if number % 2 else OSKAR)
    answer = as_("vera").get("/history.csv?actor=ada&q=host")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["object"] for row in rows] == [f"host:{number}" for number in range(699, 0, -2)]
    assert "attachment" in answer.headers["Content-Disposition"]
    last = next(history.export(HistoryQuery()))
    assert (last.action, last.actor) == ("history.export", "vera")
    assert last.detail == {"filters": {"actor": "ada", "q": "host"}, "node": "master", "format": "csv"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\nb\x1b[2J"])
def test_csv_cells_are_no_formulas(as_: As, history: History, text: str) -> None:
    history.event(Actor(ActorKind.PERSON, text), text, text)
    row = next(csv.DictReader(io.StringIO(as_("vera").get("/history.csv?kind=event").text)))
    for column in ("actor", "action", "object"):
        assert row[column][0] not in "=+-@\t\r\n"
        assert row[column].isprintable()


def test_json_holds_the_entries_as_they_stand(as_: As, history: History) -> None:
    entries = write_events(history, 450)
    content = json.loads(as_("vera").get("/history.json?action=host").data)
    assert [item["hash"] for item in content] == [entry.hash for entry in reversed(entries)]
    assert json.loads(as_("vera").get("/history.json?actor=nobody-such").data) == []


def test_worker_history_is_exported_from_here(as_: As, worker_history: History) -> None:
    worker_history.event(OSKAR, "task.done", "run:5")
    assert "task.done" in as_("vera").get("/history.csv?node=web1").text


def test_list_shows_each_action_once_with_what_it_was_about(as_: As, history: History) -> None:
    detail = {"title": "df -h /", "hosts": ["web-1", "web-2"], "run": "7"}
    done = history.intend(OSKAR, "task.run", "run:7", detail=detail)
    history.conclude(done, False, {"results": [{"host": "web-2", "state": "failed", "exit_status": 3}]})
    history.note_witness("web1", "a" * 64, 5)
    history.intend(ADA, "task.run", "run:8", detail={"title": "sleep 60"})
    page = as_("vera").get("/history").text
    assert page.count(">df -h /<") == 1
    assert "web-2: exit 3" in page
    assert 'data-state="failed"' in page
    assert 'data-state="open"' in page
    assert "history.witness" not in page
    assert "history.witness" in as_("vera").get("/history?kind=all").text


def test_json_api_lists_all_entries_unless_asked_otherwise(as_: As, history: History) -> None:
    history.conclude(history.intend(ADA, "host.add", "host:web-1"), True)
    client = as_("vera")
    kinds = [entry["kind"] for entry in json.loads(client.get("/api/v1/history").data)["entries"]]
    assert kinds == ["outcome", "intent"]
    assert len(json.loads(client.get("/api/v1/history?kind=actions").data)["entries"]) == 1


def test_days_are_those_of_the_reader(history: History) -> None:
    client = make_app(history, time_zone="Asia/Tokyo").test_client()
    client.set_cookie(SESSION_COOKIE, "vera")
    history.event(ADA, "host.test", "host:web-1")
    here = history.page(HistoryQuery()).entries[0].at.astimezone(ZoneInfo("Asia/Tokyo"))
    today, tomorrow = f"{here:%Y-%m-%d}", f"{here + timedelta(days=1):%Y-%m-%d}"
    page = client.get(f"/history?since={today}&until={today}").text
    assert "Since (Asia/Tokyo)" in page
    assert "host.test" in page
    assert f"{here:%Y-%m-%d %H:%M:%S} JST</time>" in page
    assert "host.test" not in client.get(f"/history?since={tomorrow}").text
    exported = client.get(f"/history.json?since={today}&until={today}").get_json()
    assert exported[0]["time"].endswith("Z")
