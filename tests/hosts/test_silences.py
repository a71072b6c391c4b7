"""Silences: of hosts and tags, now and later, by whoever may operate them, and what they change."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from quarterdeck.access.permissions import Bounds
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.hosts.changes import Changes
from quarterdeck.hosts.models import HostRecord, SilencePhase
from quarterdeck.hosts.silence_commands import silence
from quarterdeck.hosts.silences import LONGEST, SilenceDraft, Silences
from tests.hosts.factories import ADA, Api, Browser, Node, draft

WEB: tuple[Bounds, ...] = (Bounds(tags=frozenset({"web"})),)
NAMED: tuple[Bounds, ...] = (Bounds(names=frozenset({"web1"})),)


@pytest.fixture(autouse=True)
def hosts(node: Node) -> dict[str, HostRecord]:
    drafts = [draft("web1", tags=("web", "rack-1")), draft("web2", tags=("web",)), draft("db1", tags=("db",))]
    return {each.name: node.hosts.register(ADA, each) for each in drafts}


def of(host: str = "", tag: str = "", reason: str = "new disks", **times: datetime) -> SilenceDraft:
    return SilenceDraft(host, tag, reason, times.get("begins"), times.get("ends"))


def silenced(node: Node) -> list[str]:
    return [host.name for host in node.hosts.list_hosts() if host.silenced_until]


def test_host_is_silenced_for_two_hours(node: Node) -> None:
    made = node.hosts.silences.add(ADA, of("web1"))
    assert made.ends_at == node.clock.now() + timedelta(hours=2)
    assert silenced(node) == ["web1"]
    assert node.hosts.get("web1").silenced_until == made.ends_at
    node.clock.forward(7_199)
    assert silenced(node) == ["web1"]
    node.clock.forward(1)
    assert silenced(node) == []


def test_tag_silences_all_that_has_it_or_gets_it(node: Node) -> None:
    node.hosts.silences.add(ADA, of(tag="web"))
    assert silenced(node) == ["web1", "web2"]
    node.hosts.set_tags(ADA, "db1", ["db", "web"])
    node.hosts.set_tags(ADA, "web2", [])
    assert silenced(node) == ["db1", "web1"]


def test_silence_that_is_to_come_begins_by_itself(node: Node) -> None:
    begins = node.clock.now() + timedelta(hours=1)
    made = node.hosts.silences.add(ADA, of("web1", begins=begins))
    assert (made.phase(node.clock.now()), silenced(node)) == (SilencePhase.PLANNED, [])
    node.clock.forward(3_600)
    assert silenced(node) == ["web1"]


def test_silence_ends_early_and_says_by_whom(node: Node) -> None:
    made = node.hosts.silences.add(ADA, of("web1"))
    node.clock.forward(60)
    node.hosts.silences.end(ADA, made.id)
    assert silenced(node) == []
    (over,) = node.hosts.silences.select(("over",))
    assert (over.ends_at, over.ended_by) == (node.clock.now(), ADA.label)
    with pytest.raises(Conflict, match="over already"):
        node.hosts.silences.end(ADA, made.id)


def test_longest_of_several_silences_counts(node: Node) -> None:
    node.hosts.silences.add(ADA, of("web1", ends=node.clock.now() + timedelta(hours=8)))
    node.hosts.silences.add(ADA, of(tag="web"))
    assert node.hosts.get("web1").silenced_until == node.clock.now() + timedelta(hours=8)


def test_both_are_in_the_history_with_their_reason(node: Node) -> None:
    made = node.hosts.silences.add(ADA, of("web1"))
    node.hosts.silences.end(ADA, made.id)
    intents = [each for each in node.records() if each["action"].startswith("silence.")]
    told = [(each["action"], each["object"], each["kind"]) for each in intents]
    assert told == [
        ("silence.add", "host:web1", "intent"),
        ("silence.add", "host:web1", "outcome"),
        ("silence.end", "host:web1", "intent"),
        ("silence.end", "host:web1", "outcome"),
    ]
    assert intents[0]["detail"]["reason"] == "new disks"
    assert intents[0]["detail"]["until"] == made.ends_at.isoformat()


def test_silences_of_a_removed_host_go_with_it(node: Node) -> None:
    node.hosts.silences.add(ADA, of("web1"))
    node.hosts.remove_host(ADA, "web1")
    assert node.hosts.silences.select() == []


def test_memory_of_another_process_catches_up(node: Node) -> None:
    assert silenced(node) == []
    changes = Changes(lambda *_words, **_more: None, node.loop, node.clock)
    made = Silences(node.db, node.history, node.clock, changes).add(ADA, of("web1"))
    node.clock.forward(10)
    assert node.hosts.get("web1").silenced_until == made.ends_at


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (of(), "host"),
        (of("web1", "web"), "host"),
        (of("absent"), "host"),
        (of(tag="absent"), "tag"),
        (of("web1", reason=" "), "reason"),
        (of("web1", reason="x" * 501), "reason"),
        (of("web1", ends=datetime(2020, 1, 1, tzinfo=UTC)), "ends_at"),
        (of("web1", ends=datetime(2028, 1, 1, tzinfo=UTC)), "ends_at"),
        (of("web1", begins=datetime.max.replace(tzinfo=UTC)), "begins_at"),
    ],
)
def test_what_makes_no_sense_is_told_beside_its_field(node: Node, wanted: SilenceDraft, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        node.hosts.silences.add(ADA, wanted)
    assert list(refusal.value.fields) == [field]
    assert node.hosts.silences.select() == []


def test_longest_silence_is_taken(node: Node) -> None:
    assert node.hosts.silences.add(ADA, of("web1", ends=node.clock.now() + LONGEST))


def test_whoever_is_narrowed_silences_their_own_hosts_and_tags_alone(node: Node) -> None:
    silences = node.hosts.silences
    assert silences.add(ADA, of("web2"), WEB)
    assert silences.add(ADA, of(tag="web"), WEB)
    for refused in (of("db1"), of(tag="db"), of(tag="rack-1")):
        with pytest.raises(Invalid):
            silences.add(ADA, refused, WEB)
    with pytest.raises(Invalid, match="single hosts only"):
        silences.add(ADA, of(tag="web"), NAMED)


def test_foreign_silences_are_absent(node: Node) -> None:
    silences = node.hosts.silences
    foreign = [silences.add(ADA, of("db1")), silences.add(ADA, of(tag="db"))]
    own = [silences.add(ADA, of("web1")), silences.add(ADA, of(tag="web"))]
    assert {each.id for each in silences.select((), WEB)} == {each.id for each in own}
    for each in foreign:
        with pytest.raises(NotFound):
            silences.end(ADA, each.id, WEB)
    for each in own:
        assert silences.end(ADA, each.id, WEB).ended_by


# By page and API, tried by everybody


def add(browser: Browser, **values: str) -> TestResponse:
    return browser.post("/fleet/silences", **{"host": "web1", "reason": "new disks"} | values)


@pytest.mark.parametrize(
    ("name", "status"), [("ada", 303), ("oskar", 303), ("vera", 403), ("nils", 403), ("", 401)]
)
def test_operators_silence_by_the_page(
    node: Node, as_: Callable[[str], Browser], name: str, status: int
) -> None:
    answer = add(as_(name))
    assert answer.status_code == status
    assert silenced(node) == (["web1"] if name in ("ada", "oskar") else [])


@pytest.mark.parametrize(
    ("name", "read", "write"),
    [("ada", 200, 201), ("oskar", 200, 201), ("vera", 200, 403), ("nils", 403, 403), ("", 401, 401)],
)
def test_operators_silence_by_the_api(api_as: Callable[[str], Api], name: str, read: int, write: int) -> None:
    api = api_as(name)
    made = api("POST", "/silences", {"tag": "web", "reason": "new disks"})
    assert (api("GET", "/silences").status_code, made.status_code) == (read, write)
    if write == 201:
        silence_id = made.get_json()["id"]
        assert made.get_json()["phase"] == "active"
        assert api("POST", f"/silences/{silence_id}/end").get_json()["phase"] == "over"
        assert api("POST", f"/silences/{silence_id}/end").status_code == 409


def test_page_shows_what_goes_on_what_comes_and_what_is_over(
    node: Node, as_: Callable[[str], Browser]
) -> None:
    later = node.clock.now() + timedelta(days=1)
    node.hosts.silences.add(ADA, of("web1", reason="new disks"))
    node.hosts.silences.add(ADA, of(tag="web", reason="the move", begins=later))
    node.hosts.silences.end(ADA, node.hosts.silences.add(ADA, of("db1", reason="by mistake")).id)
    page = as_("oskar").get("/fleet/silences").text
    for words in ("Now", "new disks", "To come", "the move", "1 that is over", "by mistake", "End now"):
        assert words in page
    assert "End now" not in as_("vera").get("/fleet/silences").text
    assert "New silence" not in as_("vera").get("/fleet/silences").text


def test_fault_stands_beside_its_field_and_what_was_typed_is_kept(as_: Callable[[str], Browser]) -> None:
    answer = add(as_("oskar"), host="absent", ends_at="never", reason="<b>disks</b>")
    assert answer.status_code == 422
    assert 'id="field-ends_at-error"' in answer.text
    assert 'value="absent"' in answer.text
    assert "&lt;b&gt;disks&lt;/b&gt;" in answer.text


def test_times_of_the_page_are_read_and_the_host_says_until_when(
    node: Node, as_: Callable[[str], Browser]
) -> None:
    add(as_("oskar"), ends_at="2026-11-22T12:30")
    assert node.hosts.get("web1").silenced_until == datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    for path in ("/hosts", "/hosts/web1"):
        assert "silenced" in as_("vera").get(path).text


def test_silence_is_ended_on_the_page(node: Node, as_: Callable[[str], Browser]) -> None:
    made = node.hosts.silences.add(ADA, of("web1"))
    assert as_("vera").post(f"/fleet/silences/{made.id}/end").status_code == 403
    assert as_("oskar").post(f"/fleet/silences/{made.id}/end").status_code == 303
    assert as_("oskar").post("/fleet/silences/absent/end").status_code == 404
    assert silenced(node) == []


@pytest.mark.parametrize("body", [{"host": "web1"}, {"host": "web1", "reason": "x", "more": 1}])
def test_api_refuses_what_is_not_whole(api_as: Callable[[str], Api], body: dict[str, object]) -> None:
    assert api_as("oskar")("POST", "/silences", body).status_code == 422


def test_api_filters_by_phase(node: Node, api_as: Callable[[str], Api]) -> None:
    node.hosts.silences.add(ADA, of("web1"))
    node.hosts.silences.add(ADA, of("web2", begins=node.clock.now() + timedelta(days=1)))
    found = api_as("vera")("GET", "/silences?phase=planned").get_json()["silences"]
    assert [each["host"] for each in found] == ["web2"]
    assert api_as("vera")("GET", "/silences?phase=never").status_code == 422


def test_command_line_adds_lists_and_ends(node: Node) -> None:
    node.clock.moment = datetime.now(UTC)  # the command's own times are the machine's
    run = CliRunner().invoke
    added = run(silence, ["add", "--tag", "web", "--for", "3 h", "--reason", "the move"], obj=node)
    assert added.exit_code == 0, added.output
    silence_id = added.output.split()[-1]
    assert silenced(node) == ["web1", "web2"]
    assert "the move" in run(silence, ["list"], obj=node).output
    assert run(silence, ["end", silence_id], obj=node).output == "The silence of tag:web is over.\n"
    assert silenced(node) == []
    assert silence_id not in run(silence, ["list"], obj=node).output
    assert silence_id in run(silence, ["list", "--all"], obj=node).output


@pytest.mark.parametrize(
    "words", [["--for", "soon"], ["--until", "soon"], ["--for", "1 h", "--until", "2030-01-01"]]
)
def test_command_line_refuses_times_that_are_none(node: Node, words: list[str]) -> None:
    result = CliRunner().invoke(silence, ["add", "--host", "web1", "--reason", "x", *words], obj=node)
    assert result.exit_code != 0
    assert silenced(node) == []
