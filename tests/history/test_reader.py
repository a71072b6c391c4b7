"""Reading: newest first, every filter against the plain truth, paging while writing goes on."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.history.lines import Entry, Kind, Sealer
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.reader import Reader
from quarterdeck.history.service import History
from tests.history.factories import (
    ADA,
    KEY,
    NOON,
    OSKAR,
    SetClock,
    all_lines,
    make_history,
    wait_until,
    write_events,
)

NAMES = ("ada", "oskar", "vera", "a\"d'a", "ad")
ACTIONS = ("host.add", "host", "host.add.again", "hosted", "task.run")
OBJECTS = ("host:web-1", "host:web-10", "run:1", "", "host", 'host:"web-1"')
HOSTS = ("web-1", "web-10", "eb-1", "wéb")
TEXTS = ("df -h /", "DF -H /", "naïve", 'a"b\\c\n', "result", "100%", "\x1b[31m")


async def write_mixed(history: History) -> None:
    for start in range(0, 2_600, 13):
        await asyncio.gather(*(write_one(history, number) for number in range(start, start + 13)))


async def write_one(history: History, number: int) -> None:
    actor = Actor(ActorKind.PERSON, NAMES[number % 7 % 5], "10.0.0.1")
    detail: dict[str, Any] = {"text": TEXTS[number % 11 % 7], "n": number}
    if number % 3 == 0:
        detail["host"] = HOSTS[number % 13 % 4]
    if number % 17 == 0:
        detail["hosts"] = [HOSTS[number % 5 % 4], HOSTS[0]]
    action, object_ = ACTIONS[number % 19 % 5], OBJECTS[number % 23 % 6]
    if number % 29 == 0:
        await asyncio.to_thread(history.denied, actor, action, object_)
    elif number % 31 == 0:
        await history.intend_async(actor, action, object_, detail=detail)
    else:
        await history.event_async(actor, action, object_, detail=detail)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,600 entries of all sorts over several files, indexed but for the newest."""
    folder = tmp_path_factory.mktemp("mixed") / "history"
    clock = SetClock(NOON, step=timedelta(minutes=5))
    history = make_history(folder, clock=clock, segment_bytes=250_000)
    asyncio.run(write_mixed(history))
    history.rebuild()
    for number in range(30):
        history.event(ADA, "host.add", f"host:late-{number}")
    history.close()
    return folder


def truth(folder: Path, query: HistoryQuery) -> list[Entry]:
    """Return what fits by looking at every entry in the plainest way."""
    entries = [msgspec.json.decode(line, type=Entry) for line in all_lines(folder)]
    return [entry for entry in reversed(entries) if fits(entry, query)]


def fits(entry: Entry, query: HistoryQuery) -> bool:
    texts = [entry.id, entry.actor, entry.address, entry.action, entry.object, entry.request, entry.pair]
    for name, value in entry.detail.items():
        texts += [name, *(value if isinstance(value, list) else [str(value)])]
    lower = query.q.encode().lower()
    hosts = [*entry.detail.get("hosts", []), entry.detail.get("host")]
    return all((
        not query.actor or entry.actor == query.actor,
        not query.kind or entry.kind == query.kind,
        not query.action or f"{entry.action}.".startswith(tuple(f"{a}." for a in query.action.split(","))),
        not query.object or f"{entry.object}:".startswith(f"{query.object}:"),
        not query.host or query.host in hosts or entry.object == f"host:{query.host}",
        not query.since or entry.at >= query.since,
        not query.until or entry.at < query.until,
        not query.q or any(lower in text.encode().lower() for text in texts),
    ))  # fmt: skip


def maybe(*values: str) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), st.sampled_from(values))


moments = st.one_of(
    st.none(), st.integers(-10, 90_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    actor=maybe(*NAMES, "nobody"),
    action=maybe(*ACTIONS, "ho", "host.add.a", "host.add,task", "absent,host.add.again,task"),
    object_=maybe(*OBJECTS, "host:web", "run"),
    host=maybe(*HOSTS, "web"),
    kind=maybe(*Kind),
    q=maybe(*TEXTS, "df", "NAÏVE", "n", '"', "2026", "10.0", "1999"),
    since=moments,
    until=moments,
    limit=st.integers(1, 500),
)
def test_filters_find_exactly_what_fits(
    mixed: Path,
    actor: str,
    action: str,
    object_: str,
    host: str,
    kind: str,
    q: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    query = HistoryQuery(actor, action, object_, host, kind, "", q, since, until, limit)
    page = Reader(mixed, Sealer("master", KEY)).page(query)
    expected = truth(mixed, query)
    assert list(page.entries) == expected[:limit]
    assert bool(page.next_cursor) >= (len(expected) > limit)


@pytest.mark.parametrize(
    "query",
    [HistoryQuery(limit=7), HistoryQuery(actor="vera", limit=7), HistoryQuery(q="df", host="web-1", limit=3)],
)
def test_pages_put_together_are_everything(mixed: Path, query: HistoryQuery) -> None:
    for scan_bytes in (5_000, 256_000_000):
        reader = Reader(mixed, Sealer("master", KEY), scan_bytes=scan_bytes)
        found: list[Entry] = []
        turns = 0
        page = reader.page(query)
        while True:
            found += page.entries
            turns += 1
            if not page.next_cursor:
                break
            assert turns < 3_000
            page = reader.page(replace(query, cursor=page.next_cursor))
        assert found == truth(mixed, query)


def test_paused_search_says_how_far_it_looked(mixed: Path) -> None:
    reader = Reader(mixed, Sealer("master", KEY), scan_bytes=70_000)
    page = reader.page(HistoryQuery(q="nothing has this text"))
    assert page.entries == ()
    assert page.next_cursor
    passed = [entry for entry in truth(mixed, HistoryQuery()) if entry.time > page.scanned_back_to]
    assert 100 < len(passed) < 1_000


def test_paging_is_steady_while_entries_are_added(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history", segment_bytes=3_000)
    for number in range(50):
        history.event(ADA, "host.test", f"host:{number}")
    found, cursor = [], ""
    while True:
        page = history.page(HistoryQuery(limit=4, cursor=cursor))
        found += [entry.object for entry in page.entries]
        history.event(OSKAR, "host.test", "host:new")
        cursor = page.next_cursor
        if not cursor:
            break
    history.close()
    assert found == [f"host:{number}" for number in range(49, -1, -1)]


@pytest.mark.parametrize("cursor", ["x", "1", "1.", ".1", "-1.0", "1.x", "²." + "1", "9" * 40 + ".1"])
def test_bad_cursor_is_refused(mixed: Path, cursor: str) -> None:
    with pytest.raises(Invalid):
        Reader(mixed, Sealer("master", KEY)).page(HistoryQuery(cursor=cursor))


@pytest.mark.parametrize("cursor", ["1.3", "1.99999999999", "999999999999.0", "0.0"])
def test_cursor_into_nowhere_shows_whole_entries_only(mixed: Path, cursor: str) -> None:
    for entry in Reader(mixed, Sealer("master", KEY)).page(HistoryQuery(cursor=cursor)).entries:
        assert entry.hash


def test_empty_history_has_an_empty_page(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history")
    assert history.page(HistoryQuery()) == history.page(HistoryQuery(actor="ada"))
    assert history.witness() == ("0" * 64, 0)
    assert history.today().actions == 0


def test_entry_is_found_by_its_id_with_its_pair(tmp_path: Path) -> None:
    history = make_history(tmp_path / "history", segment_bytes=100_000)
    intent = history.intend(ADA, "task.run", "run:1")
    write_events(history, 2_500)
    outcome = history.conclude(intent, True)
    history.rebuild()
    assert history.get(intent.id).pair == outcome
    assert history.get(outcome.id).pair == intent
    assert history.get(outcome.id).raw.encode() in all_lines(tmp_path / "history")
    open_intent = history.intend(ADA, "task.run", "run:2")
    assert history.get(open_intent.id).pair is None
    history.close()


@pytest.mark.parametrize("id_", ["", "x", "0" * 26, "u" * 26, "../../etc/passwd", "0" * 25 + "1"])
def test_unknown_id_is_not_found(mixed: Path, id_: str) -> None:
    with pytest.raises(NotFound):
        Reader(mixed, Sealer("master", KEY)).get(id_)


def test_index_that_is_gone_or_wrong_changes_no_answer(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    history = make_history(folder, segment_bytes=400_000)
    entries = []
    for _ in range(3):
        entries += write_events(history, 1_000, lambda number: OSKAR if number % 900 == 0 else ADA)
    history.rebuild()
    expected = [entry for entry in reversed(entries) if entry.actor == "oskar"]
    indexes = sorted(folder.glob("*.idx"))
    contents = [path.read_bytes() for path in indexes]
    for damaged in (b"", contents[0][:3000], contents[0][:-1], contents[1], b"\xff" * 9000, None):
        if damaged is None:
            indexes[0].unlink()
        else:
            indexes[0].write_bytes(damaged)
        assert list(history.page(HistoryQuery(actor="oskar")).entries) == expected
        assert history.get(entries[3].id).entry == entries[3]
        assert history.get(entries[1500].id).entry == entries[1500]
    history.close()


def test_writer_makes_a_missing_index_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    history = make_history(folder)
    write_events(history, 1_001)
    wait_until(lambda: any(folder.glob("*.idx")), "the index")
    history.close()


def test_a_readable_copy_is_enough_for_reading(mixed: Path, tmp_path: Path) -> None:
    for path in mixed.iterdir():
        if path.name not in ("lock", "head"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    reader = Reader(tmp_path, Sealer("master", KEY))
    assert len(reader.page(HistoryQuery(limit=10)).entries) == 10


def test_a_damaged_line_hides_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    history = make_history(folder)
    for number in range(5):
        history.event(ADA, "host.test", f"host:{number}")
    history.close()
    file = next(folder.glob("*.jsonl"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], lines[1][:50] + b"\xff\n", b"\n", *lines[2:]]))
    assert [entry.object for entry in history.page(HistoryQuery()).entries] == [
        "host:4", "host:3", "host:2", "host:0",
    ]  # fmt: skip


def test_today_counts_since_midnight(tmp_path: Path) -> None:
    clock = SetClock(NOON)
    history = make_history(tmp_path / "history", clock=clock)
    history.event(ADA, "host.test")
    clock.moment += timedelta(days=1)
    with pytest.raises(ValueError), history.action(ADA, "host.add", detail={"kind": "denied"}):  # noqa: PT011
        raise ValueError
    history.denied(ADA, "host.write")
    assert history.today().actions == 1
    history.event(ADA, "host.test")
    today = history.today()
    history.close()
    assert (today.actions, today.denied, today.failed) == (2, 1, 1)


def write_actions(history: History) -> None:
    """Write actions that overlap, some of them open, between events and what nobody did."""
    open_intents: list[Entry] = []
    for number in range(600):
        actor, object_ = (ADA, OSKAR)[number % 2], f"run:{number % 5}"
        if number % 3:
            open_intents.append(
                history.intend(actor, "task.run", object_, detail={"command": f"df {number}"})
            )
        if len(open_intents) > number % 7 and number % 11:
            history.conclude(open_intents.pop(number % len(open_intents)), number % 4 > 0, {"n": number})
        if number % 4 == 0:
            history.note_witness("web1", f"{number:064x}", number)
        if number % 9 == 0:
            history.event(actor, "host.lost", "host:web-1")


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acted") / "history"
    clock = SetClock(NOON, step=timedelta(minutes=5))
    history = make_history(folder, clock=clock, segment_bytes=60_000)
    write_actions(history)
    history.rebuild()
    history.intend(ADA, "task.run", "run:late")
    history.close()
    return folder


def actions_truth(folder: Path, query: HistoryQuery) -> list[Entry]:
    """Return each action once: where its outcome fits, or else where its intent does."""
    everything = [entry for entry in truth(folder, HistoryQuery()) if entry.action != "history.witness"]
    outcomes = {entry.pair: entry for entry in everything if entry.pair}
    found = []
    for entry in everything:
        outcome = outcomes.get(entry.id)
        if fits(entry, replace(query, kind="")) and not (outcome and fits(outcome, replace(query, kind=""))):
            found.append(outcome or entry)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    actor=maybe("ada", "oskar", "system"),
    action=maybe("task", "task.run", "host", "host,absent"),
    object_=maybe("run:3", "run", "host:web-1"),
    q=maybe("df 5", "df", "failed", "oskar", "n"),
    since=moments,
    until=moments,
    limit=st.integers(1, 90),
)
def test_actions_are_listed_once_each_with_their_beginning(
    acted: Path,
    actor: str,
    action: str,
    object_: str,
    q: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    query = HistoryQuery(actor, action, object_, "", "actions", "", q, since, until, limit)
    reader = Reader(acted, Sealer("master", KEY))
    found: list[Entry] = []
    while True:
        page = reader.page(query)
        found += page.entries
        for entry in page.entries:
            assert bool(entry.pair) == (entry.id in page.begun)
            assert not entry.pair or page.begun[entry.id].id == entry.pair
        if not page.next_cursor:
            break
        query = replace(query, cursor=page.next_cursor)
    assert found == actions_truth(acted, query)
