import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from tests.access.factories import PASSWORD, Deck, make_deck, post

As = Callable[[str], FlaskClient]
OTHER = "another long password"


def test_an_administrator_adds_somebody_on_record(deck: Deck) -> None:
    deck.access.add_person(deck.actor("ada"), "Grace", role=Role.OPERATOR, password=PASSWORD)
    assert deck.access.person("grace").role is Role.OPERATOR
    intent, outcome = deck.records("person.add")[-2:]
    assert (intent["kind"], outcome["kind"], outcome["pair"]) == ("intent", "outcome", intent["id"])
    assert intent["object"] == "person:Grace"
    assert PASSWORD not in str(deck.records())


def test_a_name_is_taken_in_any_case_of_letters(deck: Deck) -> None:
    with pytest.raises(Conflict):
        deck.access.add_person(SYSTEM, "ADA")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-ada",
        ".ada",
        "a b",
        "a/b",
        "a\r\nb",
        "a\u2028b",
        "a\x1b",
        "ädä",
        "a" * 65,
        "nobody",
        "System",
        "cli",
        "a:b",
    ],
)
def test_names_that_could_mean_something_else_are_refused(deck: Deck, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        deck.access.add_person(SYSTEM, name)
    assert list(caught.value.fields) == ["name"]


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "eleven char",
        "passwordpassword",
        "Password1234",
        "aaaaaaaaaaaaaaaa",
        "oskar_oskar_oskar",
        "oskar1234567890",
        "twelve\tcharacters",
        "twelve\ncharacters",
        "x y z" * 100,
    ],
)
def test_weak_passwords_are_refused(deck: Deck, password: str) -> None:
    with pytest.raises(Invalid) as caught:
        deck.access.set_password(SYSTEM, "oskar", password)
    assert list(caught.value.fields) == ["password"]
    assert deck.access.sign_in("oskar", PASSWORD)


def test_a_password_is_the_same_however_the_keyboard_composes_it(deck: Deck) -> None:
    deck.access.set_password(SYSTEM, "oskar", "ma\u00f1ana por la tarde")
    assert deck.access.sign_in("oskar", "man\u0303ana por la tarde")


def end_by_role(deck: Deck) -> None:
    deck.access.set_role(SYSTEM, "vera", Role.OPERATOR)


def end_by_disabling(deck: Deck) -> None:
    deck.access.disable(SYSTEM, "vera")


def end_by_password(deck: Deck) -> None:
    deck.access.set_password(SYSTEM, "vera", OTHER)


def end_by_reset(deck: Deck) -> None:
    deck.access.reset_password(SYSTEM, "vera")


@pytest.mark.parametrize("end", [end_by_role, end_by_disabling, end_by_password, end_by_reset])
def test_old_cookies_and_tokens_are_dead_after(deck: Deck, end: Callable[[Deck], None]) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD)
    token = deck.access.create_token(deck.actor("vera"), "vera", "job", Level.READ)
    session = deck.access.actor_for_session(cookie, "")
    assert session is not None
    assert deck.access.actor_for_token(token.secret, "") is not None
    end(deck)
    assert deck.access.actor_for_session(cookie, "") is None
    assert deck.access.actor_for_token(token.secret, "") is None
    assert set(deck.ended) == {session.credential_id, token.record.id}


def test_a_disabled_person_comes_back_without_the_old_sessions(deck: Deck) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD)
    deck.access.disable(SYSTEM, "vera")
    with pytest.raises(Unauthenticated):
        deck.access.sign_in("vera", PASSWORD)
    deck.access.enable(SYSTEM, "vera")
    assert deck.access.actor_for_session(cookie, "") is None
    assert deck.access.sign_in("vera", PASSWORD)


def test_changing_ones_own_password_keeps_this_session_only(deck: Deck) -> None:
    here, there = deck.access.sign_in("vera", PASSWORD), deck.access.sign_in("vera", PASSWORD)
    me = deck.access.actor_for_session(here, "")
    assert me is not None
    deck.access.change_own_password(me, PASSWORD, OTHER)
    assert deck.access.actor_for_session(here, "") is not None
    assert deck.access.actor_for_session(there, "") is None
    with pytest.raises(Unauthenticated):
        deck.access.sign_in("vera", PASSWORD)
    assert deck.access.sign_in("vera", OTHER)


def test_the_old_password_is_needed_to_change_it(deck: Deck) -> None:
    with pytest.raises(Invalid) as caught:
        deck.access.change_own_password(deck.actor("vera"), "wrong", OTHER)
    assert list(caught.value.fields) == ["old"]
    assert "present password" in str(deck.records("person.password")[-1]["detail"])


@pytest.mark.parametrize("take_away", ["role", "none", "disable"])
def test_the_last_administrator_stays(deck: Deck, take_away: str) -> None:
    verbs: dict[str, Callable[[], object]] = {
        "role": lambda: deck.access.set_role(SYSTEM, "ada", Role.OPERATOR),
        "none": lambda: deck.access.set_role(SYSTEM, "ada", None),
        "disable": lambda: deck.access.disable(SYSTEM, "ada"),
    }
    with pytest.raises(Conflict, match="last administrator"):
        verbs[take_away]()
    deck.access.add_person(SYSTEM, "grace", role=Role.ADMINISTRATOR, password=PASSWORD)
    verbs[take_away]()
    with pytest.raises(Conflict, match="last administrator"):
        deck.access.disable(SYSTEM, "grace")


def test_nobody_edits_somebody_with_more_rights(deck: Deck) -> None:
    oskar = deck.actor("oskar")
    verbs: list[Callable[[], object]] = [
        lambda: deck.access.set_role(oskar, "ada", Role.VIEWER),
        lambda: deck.access.disable(oskar, "ada"),
        lambda: deck.access.enable(oskar, "ada"),
        lambda: deck.access.set_password(oskar, "ada", OTHER),
        lambda: deck.access.reset_password(oskar, "ada"),
        lambda: deck.access.new_sign_in_link(oskar, "ada"),
        lambda: deck.access.set_role(oskar, "vera", Role.ADMINISTRATOR),
        lambda: deck.access.add_person(oskar, "eve", role=Role.ADMINISTRATOR),
    ]
    for verb in verbs:
        with pytest.raises(Forbidden):
            verb()
    assert deck.access.sign_in("ada", PASSWORD)


def test_nobody_ends_the_sessions_or_tokens_of_others(deck: Deck) -> None:
    cookie = deck.access.sign_in("ada", PASSWORD)
    session = deck.access.sessions_of(deck.access.person("ada").id)[0]
    token = deck.access.create_token(deck.actor("ada"), "ada", "job", Level.ADMIN)
    for name in ("oskar", "vera", "nils"):
        with pytest.raises(NotFound):
            deck.access.end_session(deck.actor(name), session.id)
        with pytest.raises(NotFound):
            deck.access.end_all(deck.actor(name), "ada")
        with pytest.raises(NotFound):
            deck.access.revoke_token(deck.actor(name), token.record.id)
        with pytest.raises(NotFound):
            deck.access.create_token(deck.actor(name), "ada", "mine", Level.READ)
    assert deck.access.actor_for_session(cookie, "") is not None


def test_another_process_is_noticed_within_two_seconds(deck: Deck) -> None:
    beside = make_deck(deck.home, deck.clock)
    cookie = deck.access.sign_in("vera", PASSWORD)
    assert deck.access.actor_for_session(cookie, "") is not None
    beside.access.set_role(SYSTEM, "vera", Role.OPERATOR)
    deck.clock.forward(seconds=2)
    assert deck.access.actor_for_session(cookie, "") is None
    deck.access.report_ended()
    assert len(deck.ended) == 1
    beside.close()


def test_sockets_of_expired_sessions_and_tokens_are_reported(deck: Deck) -> None:
    deck.access.sign_in("vera", PASSWORD)
    token = deck.access.create_token(SYSTEM, "oskar", "job", Level.RUN, expires_days=1)
    deck.clock.forward(hours=11)
    deck.access.report_ended()
    assert deck.ended == []
    deck.clock.forward(hours=2)
    deck.access.report_ended()
    deck.clock.forward(hours=11)
    deck.access.report_ended()
    assert len(deck.ended) == 2
    assert deck.ended[1] == token.record.id


def test_people_are_found_by_a_part_of_the_name(deck: Deck) -> None:
    assert [person.name for person in deck.access.list_people("K")] == ["oskar"]
    assert deck.access.list_people("%") == []
    assert len(deck.access.list_people()) == 4


def test_the_home_keeps_no_secret_in_the_clear(deck: Deck, tmp_path: Path) -> None:
    cookie = deck.access.sign_in("vera", PASSWORD)
    token = deck.access.create_token(deck.actor("vera"), "vera", "job", Level.READ).secret
    link = deck.access.new_sign_in_link(SYSTEM, "vera").rpartition("/")[2]
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (PASSWORD, cookie, token, link):
        assert secret.encode() not in content


def test_the_pages_add_somebody_and_show_the_link_once(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    answer = post(ada, "/people", name="grace", role="viewer")
    assert answer.status_code == 201
    assert "/sign-in/link/" in answer.text
    assert "/sign-in/link/" not in ada.get("/people/grace").text
    assert "invited" in ada.get("/people").text


def test_the_pages_say_what_is_wrong_beside_the_field(as_: As) -> None:
    ada = as_("ada")
    taken = post(ada, "/people", name="vera", role="viewer")
    assert taken.status_code == 422
    assert "There is a person named vera already." in taken.text
    bad = post(ada, "/people", name="a b", role="captain")
    assert bad.status_code == 422
    assert 'value="a b"' in bad.text


def test_the_pages_change_role_disable_and_enable(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    assert post(ada, "/people/vera/role", role="operator").status_code == 303
    assert deck.access.person("vera").role is Role.OPERATOR
    assert post(ada, "/people/vera/disable").status_code == 303
    assert "disabled" in ada.get("/people/vera").text
    assert post(ada, "/people/vera/enable").status_code == 303
    assert deck.access.person("vera").is_disabled is False


def test_the_pages_find_people_and_refresh_a_part(as_: As) -> None:
    ada = as_("ada")
    part = ada.get("/people?q=osk", headers={"HX-Request": "true"}).text
    assert "oskar" in part
    assert "vera" not in part
    assert "<html" not in part


ROUTES = [
    ("GET", "/people"),
    ("GET", "/people/new"),
    ("POST", "/people"),
    ("GET", "/people/ada"),
    ("POST", "/people/ada/role"),
    ("POST", "/people/ada/disable"),
    ("POST", "/people/ada/enable"),
    ("POST", "/people/ada/reset-password"),
    ("POST", "/people/ada/link"),
    ("POST", "/people/ada/sessions/end-all"),
    ("POST", "/people/ada/sessions/01/end"),
    ("POST", "/people/ada/tokens/01/revoke"),
    ("GET", "/api/v1/people"),
    ("GET", "/api/v1/people/ada"),
    ("POST", "/api/v1/people"),
    ("PATCH", "/api/v1/people/ada"),
]


@pytest.mark.parametrize("name", ["oskar", "vera", "nils", ""])
def test_only_administrators_reach_people(as_: As, deck: Deck, name: str) -> None:
    client = as_(name)
    page = client.get("/account" if name else "/sign-in").text
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    for method, path in ROUTES:
        answer = client.open(path, method=method, headers={"X-CSRF-Token": token})
        expected = {403} if name else {401, 303}
        assert answer.status_code in expected, (method, path)
    denied = deck.records("person.read") + deck.records("person.write")
    assert len(denied) == len(ROUTES)
    assert {record["kind"] for record in denied} == {"denied"}


@pytest.mark.parametrize(
    ("path", "field", "values", "message"),
    [
        ("/people/ada/role", "role", {"role": "operator"}, "This is the last administrator"),
        ("/people/ada/role", "role", {"role": ""}, "This is the last administrator"),
        ("/people/ada/disable", "disable", {}, "This is the last administrator"),
        ("/people/ada/reset-password", "reset", {}, "Change your own password on the account page"),
        ("/people/robot/reset-password", "reset", {}, "is a service account"),
        ("/people/robot/link", "link", {}, "is a service account"),
        ("/people/gone/link", "link", {}, "gone is disabled; enable the person first"),
    ],
)
def test_what_clashes_is_told_beside_its_form_with_the_choice_kept(
    as_: As, deck: Deck, path: str, field: str, values: dict[str, str], message: str
) -> None:
    deck.access.add_person(SYSTEM, "robot", is_service=True)
    deck.access.add_person(SYSTEM, "gone")
    deck.access.disable(SYSTEM, "gone")
    answer = post(as_("ada"), path, **values)
    assert answer.status_code == 409
    assert message in answer.text
    assert f'href="#field-{field}"' in answer.text
    assert f'id="field-{field}"' in answer.text
    assert f'id="field-{field}-error"' in answer.text
    for chosen in values.values():
        assert re.search(rf'name="role" value="{chosen}"[^>]* checked', answer.text)
    assert deck.access.person("ada").role is Role.ADMINISTRATOR


def test_a_role_that_is_none_is_told_beside_the_field(as_: As, deck: Deck) -> None:
    answer = post(as_("ada"), "/people/vera/role", role="captain")
    assert answer.status_code == 422
    assert 'id="field-role-error"' in answer.text
    assert deck.access.person("vera").role is Role.VIEWER
