import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.errors import Conflict, Invalid, NotFound, QuarterdeckError, Unauthenticated
from quarterdeck.core.log import redact
from tests.access.factories import PASSWORD, Deck, make_app, make_deck, post, whoami

As = Callable[[str], FlaskClient]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Deck]:
    """A home in which nobody has an account yet."""
    deck = make_deck(tmp_path / "fresh")
    yield deck
    deck.close()


def first_token(deck: Deck) -> str:
    path = deck.access.first_sign_in_link()
    assert path is not None
    return path.removeprefix("/sign-in/link/")


def test_the_first_link_makes_the_first_administrator(fresh: Deck) -> None:
    client = make_app(fresh).test_client()
    path = f"/sign-in/link/{first_token(fresh)}"
    page = client.get(path)
    assert "first administrator" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    answer = post(client, path, name="grace", password=PASSWORD, again=PASSWORD)
    assert (answer.status_code, answer.location) == (303, "/")
    assert whoami(client)["role"] == "administrator"
    assert fresh.access.person("grace").role is Role.ADMINISTRATOR


def test_looking_at_a_link_does_not_use_it_up(fresh: Deck) -> None:
    client = make_app(fresh).test_client()
    path = f"/sign-in/link/{first_token(fresh)}"
    for _ in range(3):
        assert client.get(path).status_code == 200


def test_set_up_is_closed_for_ever_by_an_administrator(fresh: Deck) -> None:
    token = first_token(fresh)
    fresh.access.add_person(SYSTEM, "ada", role=Role.ADMINISTRATOR, password=PASSWORD)
    with pytest.raises(NotFound):
        fresh.access.set_up(token, "mallory", PASSWORD)
    with pytest.raises(NotFound):
        fresh.access.link_purpose(token)
    assert fresh.access.first_sign_in_link() is None


def test_each_start_replaces_the_first_link(fresh: Deck) -> None:
    old, new = first_token(fresh), first_token(fresh)
    with pytest.raises(NotFound):
        fresh.access.link_purpose(old)
    assert fresh.access.link_purpose(new).person is None


def test_the_first_link_lasts_a_day(fresh: Deck) -> None:
    token = first_token(fresh)
    fresh.clock.forward(hours=24, seconds=-1)
    assert fresh.access.link_purpose(token).needs_password
    fresh.clock.forward(seconds=1)
    with pytest.raises(NotFound):
        fresh.access.set_up(token, "grace", PASSWORD)


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [("", PASSWORD, "name"), ("a b", PASSWORD, "name"), ("grace", "short", "password")],
)
def test_a_mistake_does_not_use_the_first_link_up(fresh: Deck, name: str, password: str, field: str) -> None:
    client = make_app(fresh).test_client()
    path = f"/sign-in/link/{first_token(fresh)}"
    answer = post(client, path, name=name, password=password, again=password)
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert post(client, path, name="grace", password=PASSWORD, again=PASSWORD).status_code == 303


def test_of_simultaneous_set_ups_one_wins(fresh: Deck) -> None:
    token = first_token(fresh)

    def try_it(number: int) -> str:
        try:
            return fresh.access.set_up(token, f"grace{number}", PASSWORD)
        except QuarterdeckError:
            return ""

    with ThreadPoolExecutor(4) as pool:
        won = [cookie for cookie in pool.map(try_it, range(4)) if cookie]
    assert len(won) == 1
    assert len(fresh.access.list_people()) == 1


def test_of_simultaneous_uses_of_a_link_one_wins(deck: Deck) -> None:
    token = deck.access.new_sign_in_link(SYSTEM, "vera").rpartition("/")[2]

    def try_it(_: int) -> str:
        try:
            return deck.access.sign_in_by_link(token)
        except QuarterdeckError:
            return ""

    with ThreadPoolExecutor(4) as pool:
        won = [cookie for cookie in pool.map(try_it, range(8)) if cookie]
    assert len(won) == 1


def test_a_persons_link_signs_in_once_and_keeps_the_password(deck: Deck) -> None:
    client = make_app(deck).test_client()
    path = deck.access.new_sign_in_link(SYSTEM, "vera")
    assert "vera" in client.get(path).text
    assert post(client, path).status_code == 303
    assert whoami(client)["name"] == "vera"
    assert deck.access.sign_in("vera", PASSWORD)
    assert client.get(path).status_code == 404
    assert deck.records("login")[0]["detail"]["by"] == "link"


def test_a_persons_link_lasts_a_quarter_of_an_hour(deck: Deck) -> None:
    token = deck.access.new_sign_in_link(SYSTEM, "vera").rpartition("/")[2]
    deck.clock.forward(minutes=15)
    with pytest.raises(NotFound):
        deck.access.sign_in_by_link(token)


def test_a_link_can_set_a_new_password_and_ends_what_the_old_one_opened(deck: Deck) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD)
    token = deck.access.create_token(SYSTEM, "vera", "job", Level.READ).secret
    link = deck.access.new_sign_in_link(SYSTEM, "vera").rpartition("/")[2]
    mine = deck.access.sign_in_by_link(link, password="a new long password")
    assert deck.access.actor_for_session(mine, "") is not None
    assert deck.access.actor_for_session(cookie, "") is None
    assert deck.access.actor_for_token(token, "") is None


def test_a_reset_takes_the_password_away_until_the_link_is_used(deck: Deck) -> None:
    link = deck.access.reset_password(deck.actor("ada"), "vera").rpartition("/")[2]
    with pytest.raises(Unauthenticated):
        deck.access.sign_in("vera", PASSWORD)
    with pytest.raises(Invalid):
        deck.access.sign_in_by_link(link)
    assert deck.access.sign_in_by_link(link, password="a new long password")
    assert deck.access.sign_in("vera", "a new long password")


def test_nobody_resets_their_own_password_away(deck: Deck) -> None:
    with pytest.raises(Conflict):
        deck.access.reset_password(deck.actor("ada"), "ada")
    assert deck.access.sign_in("ada", PASSWORD)


def test_a_link_ends_a_lock_out(deck: Deck) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            deck.access.sign_in("vera", "wrong")
    link = deck.access.new_sign_in_link(SYSTEM, "vera").rpartition("/")[2]
    deck.access.sign_in_by_link(link)
    assert deck.access.sign_in("vera", PASSWORD)


def test_a_disabled_person_gets_no_link_and_loses_the_old_one(deck: Deck) -> None:
    link = deck.access.new_sign_in_link(SYSTEM, "vera").rpartition("/")[2]
    deck.access.disable(SYSTEM, "vera")
    with pytest.raises(NotFound):
        deck.access.sign_in_by_link(link)
    with pytest.raises(Conflict):
        deck.access.new_sign_in_link(SYSTEM, "vera")


@pytest.mark.parametrize("token", ["x", "..%2F..%2Fkeys", "%00", "a" * 5000])
def test_made_up_links_are_not_found(deck: Deck, token: str) -> None:
    client = make_app(deck).test_client()
    assert client.get(f"/sign-in/link/{token}").status_code == 404


def test_a_link_reaches_neither_history_nor_log(fresh: Deck, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client = make_app(fresh).test_client()
    token = first_token(fresh)
    post(client, f"/sign-in/link/{token}", name="grace", password=PASSWORD, again=PASSWORD)
    log = "\n".join(redact(record.getMessage()) for record in caplog.records)
    assert "POST /sign-in/link/[secret] 303" in log
    assert token not in log
    assert token not in str(fresh.records())


def test_keys_are_private_also_under_a_loose_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        deck = make_deck(tmp_path / "loose")
        deck.access.first_sign_in_link()
        deck.close()
    finally:
        os.umask(before)
    assert (tmp_path / "loose/keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "loose/keys/cli-token").stat().st_mode & 0o777 == 0o600
