"""The page of what was changed in access: complete, with before and after, and for administrators only."""

import csv
import io
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from quarterdeck.access.changes import KINDS, actions_of
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.errors import Conflict, Unauthenticated
from tests.access.factories import PASSWORD, Deck, post

As = Callable[[str], FlaskClient]


def rows(page: str) -> list[str]:
    """Return each change as one line of text, newest first."""
    found = re.findall(r"<tr>(?!<th scope=\"col\").*?</tr>", page.partition("<tbody>")[2], re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


def newest(client: FlaskClient, query: str = "") -> str:
    return rows(client.get(f"/access/changes{query}").text)[0]


def test_each_change_is_told_with_who_what_before_and_after(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    post(ada, "/people/vera/role", role="operator")
    assert newest(ada).endswith("Role changed vera ada 127.0.0.1 role viewer role operator –")
    post(ada, "/people/vera/disable")
    assert "Person disabled vera ada 127.0.0.1 state active state disabled" in newest(ada)
    post(ada, "/people/vera/enable")
    assert "Person enabled or unlocked vera ada 127.0.0.1 state disabled state active" in newest(ada)
    post(ada, "/people/vera/reset-password")
    link, password = rows(ada.get("/access/changes").text)[:2]
    assert "One-time link made vera ada 127.0.0.1" in link
    assert "Password taken away vera ada 127.0.0.1 password set password none" in password
    post(ada, "/access/grants", person="vera", level="read", object="tag:web")
    assert "Grant given vera ada 127.0.0.1 – object tag:web level read" in newest(ada)
    post(ada, "/access/grants", person="vera", level="run", object="tag:web")
    assert "Grant given vera ada 127.0.0.1 level read object tag:web level run" in newest(ada)


def test_tokens_and_sessions_are_told(as_: As, deck: Deck) -> None:
    ada, vera = as_("ada"), as_("vera")
    token = deck.access.create_token(deck.actor("vera"), "vera", "job", "read", expires_days=30)
    assert "Token made vera vera 127.0.0.1 – label job scope read expires 2026-12-22" in newest(ada)
    made = deck.access.rotate_token(deck.actor("vera"), token.record.id)
    told = newest(ada)
    assert f"id {token.record.id}" in told
    assert f"id {made.record.id}" in told
    post(vera, f"/account/tokens/{made.record.id}/revoke")
    assert "Token revoked vera vera 127.0.0.1 label job scope read" in newest(ada)
    session = deck.access.sessions_of(deck.access.person("vera").id)[0]
    post(ada, f"/people/vera/sessions/{session.id}/end")
    assert "Session ended vera ada 127.0.0.1" in newest(ada)
    assert "session from 127.0.0.1" in newest(ada)


def test_a_refused_change_says_that_it_was_not_done(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    with pytest.raises(Conflict):
        deck.access.set_role(SYSTEM, "ada", Role.VIEWER)
    told = newest(ada)
    assert "Role changed failed ada system" in told
    assert "not done role viewer" in told
    assert "error This is the last administrator" in told


def test_refused_sign_ins_and_denied_looks_are_there_by_their_filter(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    with pytest.raises(Unauthenticated):
        deck.access.sign_in("vera", "wrong")
    as_("oskar").get("/people")
    assert not any("Sign-in refused" in row for row in rows(ada.get("/access/changes").text))
    assert "Sign-in refused vera nobody" in newest(ada, "?kind=refused")
    assert "reason wrong password" in newest(ada, "?kind=refused")
    assert "Look denied denied" in newest(ada, "?kind=denied")
    assert "Signed in oskar" in newest(ada, "?kind=sign-ins")


def test_filters_by_person_actor_and_day_narrow_the_list(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    deck.access.set_role(deck.actor("ada"), "vera", Role.OPERATOR)
    deck.clock.forward(days=2)
    ada = as_("ada")
    deck.access.set_role(SYSTEM, "oskar", Role.VIEWER)
    for query, person in (("?about=vera&by=ada", "vera"), ("?until=2026-11-23&kind=roles", "vera")):
        assert len(rows(ada.get(f"/access/changes{query}").text)) == 1
        assert f"Role changed {person}" in newest(ada, query)
    assert "Role changed oskar" in newest(ada, "?since=2026-11-24")
    assert "Nothing fits" in ada.get("/access/changes?about=nobody-of-this-name").text


def test_a_person_is_found_in_any_case_of_letters(as_: As, deck: Deck) -> None:
    deck.access.set_role(SYSTEM, "VERA", Role.OPERATOR)
    assert deck.records("person.role")[-1]["object"] == "person:vera"
    assert "Role changed vera" in newest(as_("ada"), "?about=Vera")
    deck.access.create_token(deck.actor("oskar"), "OSKAR", "job", "read")
    assert "Token made oskar oskar" in newest(as_("ada"), "?by=Oskar")


def test_bad_filters_are_told_beside_their_fields(as_: As) -> None:
    ada = as_("ada")
    for query, field in (("since=yesterday", "since"), ("kind=odd", "kind")):
        answer = ada.get(f"/access/changes?{query}")
        assert answer.status_code == 422
        assert f'id="field-{field}-error"' in answer.text


def test_older_changes_follow_page_by_page(as_: As, deck: Deck) -> None:
    for number in range(60):
        deck.access.set_role(SYSTEM, "vera", Role.OPERATOR if number % 2 else Role.VIEWER)
    ada, url, seen = as_("ada"), "/access/changes?kind=roles", 0
    while url:
        page = ada.get(url).text
        seen += len(rows(page))
        older = re.search(r'href="([^"]+)" rel="next"', page)
        url = older[1].replace("&amp;", "&") if older else ""
    assert seen == 60


def test_the_exports_hold_the_same_with_both_sides(as_: As, deck: Deck) -> None:
    deck.access.set_role(SYSTEM, "vera", Role.OPERATOR)
    ada = as_("ada")
    page = ada.get("/access/changes?kind=roles&about=vera").text
    (address,) = re.findall(r'href="(/history\.csv\?[^"]+)"', page)
    table = list(csv.DictReader(io.StringIO(ada.get(address.replace("&amp;", "&")).text)))
    assert [row["kind"] for row in table] == ["outcome", "intent"]
    assert '"before":{"role":"viewer"},"after":{"role":"operator"}' in table[0]["detail"]


def test_the_filters_own_request_gets_the_rows_alone(as_: As) -> None:
    part = as_("ada").get("/access/changes", headers={"HX-Request": "true"}).text
    assert "Person added" in part
    assert "<html" not in part


@pytest.mark.parametrize("name", ["oskar", "vera", "nils"])
def test_only_administrators_see_the_changes(as_: As, name: str) -> None:
    assert as_(name).get("/access/changes").status_code == 403


def test_no_secret_is_told(as_: As, deck: Deck) -> None:
    secret = deck.access.create_token(SYSTEM, "vera", "job", "read").secret
    deck.access.set_password(SYSTEM, "vera", "another long password")
    page = "".join(as_("ada").get(f"/access/changes?kind={kind}").text for kind in KINDS)
    assert secret not in page
    assert "another long password" not in page
    assert PASSWORD not in page


def test_every_kind_fits_into_the_filter_of_the_history() -> None:
    assert all(len(actions_of(kind)) <= 500 for kind in KINDS)
