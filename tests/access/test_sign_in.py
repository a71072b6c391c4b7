import json
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from quarterdeck.access.passwords import WRONG, HashCost, Passwords
from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.errors import Limited, Unauthenticated
from quarterdeck.core.limits import IN_ALL, PER_ADDRESS
from tests.access.factories import PASSWORD, Deck, add_cast, make_deck, post, sign_in, whoami

As = Callable[[str], FlaskClient]


def test_a_person_signs_in_and_is_who_they_are(app: APIFlask, deck: Deck) -> None:
    client = app.test_client()
    answer = sign_in(client, "oskar")
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/api/v1/me").json == {
        "kind": "person",
        "name": "oskar",
        "role": "operator",
        "scope": None,
        "display_name": "",
        "theme": "system",
        "time_zone": "",
    }
    kinds = [record["kind"] for record in deck.records("login")]
    assert kinds == ["intent", "outcome"]


def test_the_name_counts_in_any_case_of_letters(deck: Deck) -> None:
    cookie = deck.access.sign_in("OSKAR", PASSWORD)
    actor = deck.access.actor_for_session(cookie, "192.0.2.1")
    assert actor is not None
    assert (actor.name, actor.address) == ("oskar", "192.0.2.1")


def test_the_cookie_is_for_this_site_and_not_for_scripts(app: APIFlask) -> None:
    cookie = next(
        value
        for value in sign_in(app.test_client(), "ada").headers.getlist("Set-Cookie")
        if "session" in value
    )
    assert cookie.startswith("quarterdeck_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_over_https(app: APIFlask) -> None:
    client = app.test_client()
    base = "https://localhost"
    page = client.get("/sign-in", base_url=base).text
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    form = {"csrf_token": token, "name": "ada", "password": PASSWORD}
    answer = client.post("/sign-in", data=form, base_url=base)
    cookie = next(value for value in answer.headers.getlist("Set-Cookie") if "session" in value)
    assert "Secure" in cookie


def refusal(deck: Deck, name: str, password: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        deck.access.sign_in(name, password, address="192.0.2.7")
    return caught.value.message


def test_all_refusals_sound_the_same_and_are_told_apart_in_the_history(deck: Deck) -> None:
    deck.access.disable(SYSTEM, "vera")
    messages = {
        refusal(deck, "mallory", PASSWORD),
        refusal(deck, "oskar", "wrong"),
        refusal(deck, "vera", PASSWORD),
        refusal(deck, "a b\r\nc", PASSWORD),
    }
    assert messages == {WRONG}
    refused = deck.records("login.refused")
    assert [(record["object"], record["detail"]["reason"]) for record in refused] == [
        ("person:mallory", "unknown name"),
        ("person:oskar", "wrong password"),
        ("person:vera", "disabled"),
        ("person:(not a name)", "unknown name"),
    ]


def test_five_failures_lock_a_person_also_with_the_right_password(deck: Deck) -> None:
    for _ in range(5):
        refusal(deck, "oskar", "wrong")
    assert refusal(deck, "oskar", PASSWORD) == WRONG
    assert refusal(deck, "oskar", "wrong") == WRONG
    assert deck.records("login.refused")[-1]["detail"]["reason"] == "locked"
    assert len(deck.records("person.lock")) == 1
    deck.clock.forward(seconds=59)
    refusal(deck, "oskar", PASSWORD)
    deck.clock.forward(seconds=1)
    assert deck.access.sign_in("oskar", PASSWORD)


def test_each_lock_lasts_longer_up_to_a_quarter_of_an_hour(deck: Deck) -> None:
    lengths = []
    for _ in range(4):
        refusal(deck, "oskar", "wrong")
    for _ in range(7):
        deck.clock.forward(minutes=20)
        refusal(deck, "oskar", "wrong")
        until = deck.access.person("oskar").locked_until
        assert until is not None
        lengths.append((until - deck.clock.now()).total_seconds() / 60)
    assert lengths == [1, 2, 4, 8, 15, 15, 15]


def test_a_good_sign_in_forgives_the_failures_before(deck: Deck) -> None:
    for _ in range(3):
        for _ in range(4):
            refusal(deck, "oskar", "wrong")
        deck.clock.forward(minutes=1)
        deck.access.sign_in("oskar", PASSWORD)
    assert deck.records("person.lock") == []


def test_tries_at_the_same_moment_do_not_slip_past_the_lock(deck: Deck) -> None:
    def guess(number: int) -> str:
        try:
            return deck.access.sign_in("oskar", PASSWORD if number == 19 else "wrong", address="192.0.2.7")
        except (Unauthenticated, Limited):
            return ""

    for _ in range(4):
        refusal(deck, "oskar", "wrong")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(guess, range(15)))
    assert guess(19) == ""
    assert len(deck.records("person.lock")) == 1


def test_an_address_that_fails_too_often_waits_and_others_do_not(deck: Deck) -> None:
    for number in range(PER_ADDRESS):
        refusal(deck, f"mallory{number}", "wrong")
    with pytest.raises(Limited) as caught:
        deck.access.sign_in("oskar", PASSWORD, address="192.0.2.7")
    assert caught.value.retry_after == 3
    assert deck.access.sign_in("oskar", PASSWORD, address="192.0.2.8")
    deck.clock.forward(seconds=3)
    assert deck.access.sign_in("oskar", PASSWORD, address="192.0.2.7")


def test_the_page_says_when_to_come_back(app: APIFlask) -> None:
    client = app.test_client()
    for number in range(PER_ADDRESS):
        assert sign_in(client, f"m{number}", "wrong").status_code == 401
    answer = sign_in(client, "oskar", "wrong")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "3"
    assert "Wait 3 s" in answer.text


def test_good_sign_ins_do_not_use_the_limit_up(deck: Deck) -> None:
    for _ in range(PER_ADDRESS * 2):
        assert deck.access.sign_in("vera", PASSWORD, address="192.0.2.7")


def test_ten_thousand_bad_tries_leave_memory_history_and_others_alone(deck: Deck) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD, address="198.51.100.1")
    tracemalloc.start()
    before = len(deck.records())
    for number in range(10_000):
        try:
            deck.access.sign_in(f"m{number}", "wrong", address=f"10.{number >> 8 & 255}.{number & 255}.1")
        except (Unauthenticated, Limited):
            continue
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 5_000_000
    assert len(deck.records()) - before <= IN_ALL + 10
    assert deck.access.actor_for_session(cookie, "198.51.100.1") is not None


def test_no_more_than_a_few_wait_for_a_hash() -> None:
    passwords = Passwords(HashCost(rounds=3, memory_kib=16 * 1024), at_once=1, waiting=1)

    def check(_: int) -> bool:
        try:
            return passwords.matches(None, "wrong")
        except Limited:
            return True

    with ThreadPoolExecutor(16) as pool:
        turned_away = sum(pool.map(check, range(64)))
    assert 0 < turned_away < 64


def test_an_unknown_name_takes_as_long_as_a_known_one(tmp_path: Path) -> None:
    deck = add_cast(make_deck(tmp_path / "slow", cost=HashCost(rounds=4, memory_kib=8 * 1024)))
    seconds = {"oskar": 0.0, "mallory": 0.0}
    for name in ("oskar", "mallory") * 4:
        start = time.perf_counter()
        refusal(deck, name, "wrong")
        seconds[name] += time.perf_counter() - start
    deck.close()
    assert seconds["mallory"] > seconds["oskar"] / 3


def test_a_hash_of_an_older_cost_is_renewed_at_sign_in(deck: Deck, tmp_path: Path) -> None:
    later = make_deck(deck.home, deck.clock, cost=HashCost(rounds=2, memory_kib=8))
    cookie = later.access.sign_in("vera", PASSWORD)
    assert later.access.sign_in("vera", PASSWORD)
    assert later.access.actor_for_session(cookie, "") is not None
    later.close()


HOSTILE = ["a\r\nSet-Cookie: x=y", "a\nb", "a\u2028b", "a\x1b[31mb", "\u202egnp.exe", "x" * 100_000]


def test_a_name_with_a_nul_is_told_beside_the_field(app: APIFlask) -> None:
    answer = sign_in(app.test_client(), "a\x00b", "wrong")
    assert answer.status_code == 422
    assert "contain a NUL character" in answer.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_agents_make_one_valid_record(app: APIFlask, deck: Deck, text: str) -> None:
    client = app.test_client()
    agent = text.replace("\r", "").replace("\n", "")
    client.environ_base["HTTP_USER_AGENT"] = agent
    answer = sign_in(client, text, "wrong")
    assert answer.status_code == 401
    records = deck.records("login.refused")
    assert len(records) == 1
    assert json.dumps(records[0]["detail"]["agent"]).isprintable()
    assert "Set-Cookie: x=y" not in str(answer.headers)
    sign_in(client, "vera")
    shown = deck.access.sessions_of(deck.access.person("vera").id)[0].user_agent
    assert shown.isprintable()
    assert len(shown) <= 200


SAFE = [("/hosts?tag=a", "/hosts?tag=a"), ("/", "/"), ("", "/")]
UNSAFE = [
    "//evil.example",
    "https://evil.example",
    "https:evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/a\r\nLocation: //evil.example",
]


@pytest.mark.parametrize(("target", "to"), SAFE + [(each, "/") for each in UNSAFE])
def test_signing_in_never_leads_off_the_site(app: APIFlask, target: str, to: str) -> None:
    assert sign_in(app.test_client(), "vera", next=target).location == to
    signed_in = app.test_client()
    sign_in(signed_in, "vera")
    assert signed_in.get("/sign-in", query_string={"next": target}).location == to


def test_signing_out_ends_the_session_for_ever(app: APIFlask, deck: Deck, as_: As) -> None:
    client = as_("vera")
    cookie = client.get_cookie("quarterdeck_session")
    assert cookie is not None
    answer = post(client, "/sign-out")
    assert answer.location == "/sign-in"
    assert client.get_cookie("quarterdeck_session") is None
    assert deck.access.actor_for_session(cookie.value, "") is None
    assert len(deck.ended) == 1
    assert [record["kind"] for record in deck.records("logout")] == ["intent", "outcome"]


def test_another_person_in_the_same_browser_ends_the_first_session(
    app: APIFlask, deck: Deck, as_: As
) -> None:
    client = as_("vera")
    page = client.get("/account").text
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    client.post("/sign-in", data={"csrf_token": token, "name": "oskar", "password": PASSWORD})
    assert whoami(client)["name"] == "oskar"
    assert deck.access.sessions_of(deck.access.person("vera").id) == []


def test_a_session_ends_after_hours_without_use(deck: Deck) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD)
    deck.clock.forward(hours=12, seconds=-1)
    assert deck.access.actor_for_session(cookie, "") is not None
    deck.clock.forward(hours=12, seconds=-1)
    assert deck.access.actor_for_session(cookie, "") is not None
    deck.clock.forward(hours=12)
    assert deck.access.actor_for_session(cookie, "") is None


def test_a_session_ends_after_thirty_days_however_busy(deck: Deck) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD)
    for _ in range(30 * 4 - 1):
        deck.clock.forward(hours=6)
        assert deck.access.actor_for_session(cookie, "") is not None
    deck.clock.forward(hours=6)
    assert deck.access.actor_for_session(cookie, "") is None


def test_the_oldest_of_too_many_sessions_ends(deck: Deck) -> None:
    first = deck.access.sign_in("vera", PASSWORD)
    for _ in range(50):
        deck.clock.forward(seconds=1)
        last = deck.access.sign_in("vera", PASSWORD)
    assert deck.access.actor_for_session(first, "") is None
    assert deck.access.actor_for_session(last, "") is not None
    assert len(deck.access.sessions_of(deck.access.person("vera").id)) == 50
