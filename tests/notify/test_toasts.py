from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.core.actors import NOBODY, SYSTEM, Level, Role
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.notify.models import Toast
from tests.access.factories import PASSWORD, Deck, post

As = Callable[[str], Any]  # Any: the answers hold JSON


def texts(toasts: list[Toast]) -> list[str]:
    return [toast.text for toast in toasts]


def send(deck: Deck, text: str = "hello", **more: Any) -> Toast:
    return deck.toasts.send(deck.actor("ada"), text, **more)


def test_a_toast_reaches_open_pages_and_the_record(deck: Deck) -> None:
    toast = send(deck, "disk is full", level="error", link="/runs")
    event, news, room = deck.news[-1]
    assert (event, room) == ("toast:new", "all")
    assert news["id"] == toast.id
    assert (news["text"], news["level"], news["link"]) == ("disk is full", "error", "/runs")
    assert [record["kind"] for record in deck.records("toast.send")] == ["intent", "outcome"]


def test_what_the_system_tells_is_not_recorded_again(deck: Deck) -> None:
    deck.toasts.send(SYSTEM, "your run ended")
    assert deck.records("toast.send") == []


def test_a_toast_to_a_person_is_theirs_alone(deck: Deck) -> None:
    send(deck, person_id=deck.access.person("vera").id)
    seen = {name: len(deck.toasts.recent(deck.actor(name))) for name in ("ada", "oskar", "vera", "nils")}
    assert seen == {"ada": 0, "oskar": 0, "vera": 1, "nils": 0}
    assert deck.news[-1][2] == f"person:{deck.access.person('vera').id}"


def test_a_toast_to_a_role_reaches_those_above_too(deck: Deck) -> None:
    send(deck, role=Role.OPERATOR)
    seen = {name: len(deck.toasts.recent(deck.actor(name))) for name in ("ada", "oskar", "vera", "nils")}
    assert seen == {"ada": 1, "oskar": 1, "vera": 0, "nils": 0}
    assert deck.news[-1][2] == "role:operator"


def test_a_toast_to_all_reaches_whoever_is_signed_in(deck: Deck) -> None:
    send(deck)
    for name in ("ada", "oskar", "vera", "nils"):
        assert texts(deck.toasts.recent(deck.actor(name))) == ["hello"]
    assert deck.toasts.recent(NOBODY) == []


def test_what_was_said_before_somebody_came_is_not_news_to_them(deck: Deck) -> None:
    send(deck)
    deck.access.add_person(SYSTEM, "grace", role=Role.ADMINISTRATOR, password=PASSWORD)
    assert deck.toasts.recent(deck.actor("grace")) == []


def test_a_token_reads_its_persons_toasts(deck: Deck) -> None:
    send(deck, person_id=deck.access.person("vera").id)
    assert texts(deck.toasts.recent(deck.actor("vera", Level.READ))) == ["hello"]


def test_a_toast_waits_until_it_is_shown_and_an_error_until_it_is_closed(deck: Deck) -> None:
    vera = deck.actor("vera")
    send(deck, "calm")
    error = send(deck, "alarm", level="error")
    assert texts(deck.toasts.waiting(vera)) == ["calm", "alarm"]
    deck.toasts.mark_shown(vera, [toast.id for toast in deck.toasts.waiting(vera)])
    assert texts(deck.toasts.waiting(vera)) == ["alarm"]
    assert texts(deck.toasts.waiting(deck.actor("oskar"))) == ["calm", "alarm"]
    deck.toasts.close(vera, error.id)
    assert deck.toasts.waiting(vera) == []
    assert texts(deck.toasts.recent(vera)) == ["calm"]


def test_the_bell_counts_what_the_drawer_has_not_shown(deck: Deck) -> None:
    vera = deck.actor("vera")
    ids = [send(deck, f"toast {number}").id for number in range(3)]
    assert deck.toasts.unread_count(vera) == 3
    deck.toasts.mark_shown(vera, ids)
    assert deck.toasts.unread_count(vera) == 3
    deck.toasts.mark_read(vera, ids[:2])
    assert deck.toasts.unread_count(vera) == 1
    deck.toasts.close(vera, ids[2])
    assert deck.toasts.unread_count(vera) == 0


def test_nobody_closes_a_foreign_toast(deck: Deck) -> None:
    toast = send(deck, person_id=deck.access.person("ada").id)
    with pytest.raises(NotFound):
        deck.toasts.close(deck.actor("vera"), toast.id)
    with pytest.raises(NotFound):
        deck.toasts.close(deck.actor("vera"), "../../x")


def test_the_drawer_pages_from_newest_to_oldest(deck: Deck) -> None:
    for number in range(5):
        send(deck, f"toast {number}", level="error" if number % 2 else "info")
    vera = deck.actor("vera")
    first = deck.toasts.recent(vera, limit=2)
    assert texts(first) == ["toast 4", "toast 3"]
    assert texts(deck.toasts.recent(vera, before=first[-1].id, limit=2)) == ["toast 2", "toast 1"]
    assert texts(deck.toasts.recent(vera, level="error")) == ["toast 3", "toast 1"]


def test_toasts_go_after_thirty_days_when_others_come(deck: Deck) -> None:
    send(deck, "old")
    deck.toasts.mark_shown(deck.actor("vera"), [toast.id for toast in deck.toasts.recent(deck.actor("vera"))])
    deck.clock.forward(days=30, seconds=1)
    send(deck, "new")
    assert texts(deck.toasts.recent(deck.actor("vera"))) == ["new"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", "a b"),
        ("a\u2028b", "a b"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("\u200bhidden\ufeff", "hidden"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("x" * 600, "x" * 499 + "…"),
    ],
)
def test_hostile_text_becomes_one_plain_line(deck: Deck, text: str, shown: str) -> None:
    assert send(deck, text).text == shown


@pytest.mark.parametrize("text", ["", "   ", "\r\n", "\u202e\u200b", "\x00"])
def test_a_toast_without_a_visible_word_is_refused(deck: Deck, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        send(deck, text)
    assert list(caught.value.fields) == ["text"]


BAD_LINKS = ["//evil.example", "https://evil.example", "javascript:alert(1)", "/\\evil", "/a\nb", "runs"]


@pytest.mark.parametrize("link", [*BAD_LINKS, "/" + "a" * 300])
def test_a_link_leads_nowhere_else(deck: Deck, link: str) -> None:
    with pytest.raises(Invalid) as caught:
        send(deck, link=link)
    assert list(caught.value.fields) == ["link"]


def test_a_level_that_there_is_not_is_refused(deck: Deck) -> None:
    with pytest.raises(Invalid):
        send(deck, level="fatal")


def test_a_toast_goes_to_a_person_or_to_a_role(deck: Deck) -> None:
    with pytest.raises(Invalid):
        send(deck, person_id=deck.access.person("vera").id, role=Role.VIEWER)


def test_a_toast_appears_on_the_next_page_once(as_: As, deck: Deck) -> None:
    vera = as_("vera")
    send(deck, "<b>tea</b> is ready")
    assert "&lt;b&gt;tea&lt;/b&gt; is ready" in vera.get("/account").text
    assert "is ready" not in vera.get("/account").text
    assert "is ready" in vera.get("/toasts").text


def test_a_partial_does_not_swallow_what_waits_for_a_page(as_: As, deck: Deck) -> None:
    vera = as_("vera")
    send(deck)
    vera.get("/toasts", headers={"HX-Request": "true"})
    assert deck.toasts.unread_count(deck.actor("vera")) == 0


def test_the_drawer_closes_one_and_all(as_: As, deck: Deck) -> None:
    vera = as_("vera")
    first, _ = send(deck, "one"), send(deck, "two")
    assert post(vera, f"/toasts/{first.id}/close").location == "/toasts"
    assert texts(deck.toasts.recent(deck.actor("vera"))) == ["two"]
    assert post(vera, "/toasts/close-all").status_code == 303
    assert "No messages" in vera.get("/toasts").text
    assert len(deck.toasts.recent(deck.actor("oskar"))) == 2


def test_the_drawer_shows_one_level_and_older_pages(as_: As, deck: Deck) -> None:
    for number in range(51):
        send(deck, f"toast {number:02}", level="warning")
    vera = as_("vera")
    page = vera.get("/toasts?level=warning").text
    assert "toast 50" in page
    assert "toast 00" not in page
    older = page.partition('href="/toasts?level=warning&amp;before=')[2].partition('"')[0]
    assert "toast 00" in vera.get(f"/toasts?level=warning&before={older}").text
    assert "No messages" in vera.get("/toasts?level=error").text


def headers_of(client: Any) -> dict[str, str]:
    page = client.get("/toasts").text
    return {"X-CSRF-Token": page.partition('name="csrf-token" content="')[2].partition('"')[0]}


def test_the_api_sends_to_a_person_a_role_or_all(as_: As, deck: Deck) -> None:
    oskar = as_("oskar")
    headers = headers_of(oskar)
    for body in (
        {"text": "to all", "level": "info"},
        {"text": "to vera", "level": "success", "person": "Vera"},
        {"text": "to viewers", "level": "error", "role": "viewer"},
    ):
        assert oskar.post("/api/v1/toasts", json=body, headers=headers).status_code == 202
    listed = as_("vera").get("/api/v1/toasts").json["toasts"]
    assert [toast["text"] for toast in listed] == ["to viewers", "to vera", "to all"]
    assert listed[0]["by"] == "oskar"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"level": "info"}, "text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 501}, "text"),
        ({"text": "x", "level": "fatal"}, "level"),
        ({"text": "x", "person": "mallory"}, "person"),
        ({"text": "x", "role": "captain"}, "role"),
        ({"text": "x", "link": "//evil.example"}, "link"),
        ({"text": "x", "odd": 1}, "odd"),
    ],
)
def test_the_api_says_which_field_is_wrong(as_: As, deck: Deck, body: dict[str, Any], field: str) -> None:
    ada = as_("ada")
    answer = ada.post("/api/v1/toasts", json=body, headers=headers_of(ada))
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert list(answer.json["errors"]) == [field]
    assert deck.toasts.recent(deck.actor("ada")) == []


@pytest.mark.parametrize(("name", "status"), [("ada", 202), ("oskar", 202), ("vera", 403), ("nils", 403)])
def test_operators_send_toasts_and_others_do_not(as_: As, name: str, status: int) -> None:
    client = as_(name)
    answer = client.post("/api/v1/toasts", json={"text": "x"}, headers=headers_of(client))
    assert answer.status_code == status


def test_nobody_has_no_toasts(as_: As) -> None:
    nobody = as_("")
    assert nobody.get("/toasts").location == "/sign-in?next=/toasts"
    assert nobody.get("/api/v1/toasts").status_code == 401
    assert nobody.post("/api/v1/toasts", json={"text": "x"}).status_code == 401
