"""Access and refresh tokens of API clients: what is accepted, what ends them, and every lie in between."""

import base64
import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from quarterdeck.access.agents import Client
from quarterdeck.access.api_sessions import FAMILIES_OF_ONE
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.errors import Conflict, Invalid, Unauthenticated
from quarterdeck.core.security import key_file
from tests.access.factories import PASSWORD, Deck, post

CLIENT = Client("192.0.2.5", "backup/2.1")
Pair = dict[str, Any]


def sign_in(app: APIFlask, name: str = "oskar", **more: str) -> Any:  # Any: the answers hold JSON
    body = {"grant_type": "password", "name": name, "password": PASSWORD} | more
    return app.test_client().post("/api/v1/auth/token", json=body)


def renew(app: APIFlask, refresh_token: str) -> Any:  # Any: the answers hold JSON
    body = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return app.test_client().post("/api/v1/auth/token", json=body)


def me(app: APIFlask, bearer: str) -> Any:  # Any: the answers hold JSON
    return app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {bearer}"})


@pytest.fixture
def pair(app: APIFlask) -> Pair:
    answer = sign_in(app)
    assert answer.status_code == 200, answer.text
    pair: Pair = answer.json
    return pair


def test_last_use_is_noted_once_a_minute_without_renewing(app: APIFlask, pair: Pair, deck: Deck) -> None:
    def used_from(address: str) -> tuple[object, str]:
        assert deck.access.actor_for_token(pair["access_token"], address) is not None
        (family,) = deck.access.api_sessions.of_person(deck.access.person("oskar").id)
        return family.last_used_at, family.address

    began = used_from("192.0.2.1")
    deck.clock.forward(seconds=59)
    assert used_from("192.0.2.2") == began
    deck.clock.forward(seconds=1)
    assert used_from("192.0.2.3") == (deck.clock.now(), "192.0.2.3")
    deck.clock.forward(seconds=59)
    assert used_from("192.0.2.4")[1] == "192.0.2.3"


def test_a_password_gives_a_pair_that_acts_for_the_person(app: APIFlask, pair: Pair, deck: Deck) -> None:
    assert (pair["token_type"], pair["expires_in"], pair["scope"]) == ("Bearer", 600, "run")
    assert pair["refresh_expires_in"] == deck.access.lifetimes.api_refresh.total_seconds()
    assert me(app, pair["access_token"]).json == {
        "kind": "token",
        "name": "oskar/api",
        "role": "operator",
        "scope": "run",
        "display_name": "",
        "theme": "system",
        "time_zone": "",
    }
    (record,) = deck.records("login.api")[:1]
    assert record["actor"].startswith("oskar")
    assert pair["access_token"] not in json.dumps(deck.records())
    assert pair["refresh_token"] not in json.dumps(deck.records())


def test_the_scope_may_be_narrower_and_not_wider(app: APIFlask) -> None:
    narrow = sign_in(app, scope="runs:read hosts:read").json
    assert narrow["scope"] == "hosts:read runs:read"
    for scope in ("admin", "hosts:write", "no-such"):
        answer = sign_in(app, scope=scope)
        assert (answer.status_code, list(answer.json["errors"])) == (422, ["scope"]), scope


def test_wrong_passwords_are_told_nothing_and_counted(app: APIFlask) -> None:
    wrong = sign_in(app, password="not the password")
    unknown = sign_in(app, name="nobody-at-all")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.json["detail"] == unknown.json["detail"]
    answers = {sign_in(app, password="not the password").status_code for _ in range(25)}
    assert answers == {401, 429}


def test_an_access_token_ends_exactly_at_its_time(app: APIFlask, pair: Pair, deck: Deck) -> None:
    deck.clock.moment += deck.access.lifetimes.api_access - timedelta(seconds=1)
    assert me(app, pair["access_token"]).status_code == 200
    deck.clock.moment += timedelta(seconds=1)
    assert me(app, pair["access_token"]).status_code == 401


def test_a_refresh_token_is_good_once_and_a_second_use_ends_the_family(
    app: APIFlask, pair: Pair, deck: Deck
) -> None:
    second = renew(app, pair["refresh_token"]).json
    assert second["refresh_token"] != pair["refresh_token"]
    assert me(app, second["access_token"]).status_code == 200
    assert renew(app, pair["refresh_token"]).status_code == 401
    for dead in (second["access_token"], pair["access_token"]):
        assert me(app, dead).status_code == 401
    assert renew(app, second["refresh_token"]).status_code == 401
    refused = [record["detail"]["reason"] for record in deck.records("token.refused")]
    assert "a refresh token was shown a second time" in refused


def test_of_two_that_renew_at_once_one_at_most_is_served(deck: Deck) -> None:
    pair = deck.access.sign_in_api("oskar", PASSWORD, CLIENT)
    served, together = [], threading.Barrier(8)

    def try_it() -> None:
        together.wait()
        try:
            served.append(deck.access.api_sessions.renew(pair.refresh_token, CLIENT))
        except Unauthenticated:
            return

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(served) == 1


def test_a_refresh_token_ends_at_its_time_and_renewing_does_not_move_it(
    app: APIFlask, pair: Pair, deck: Deck
) -> None:
    deck.clock.moment += deck.access.lifetimes.api_refresh - timedelta(minutes=1)
    late = renew(app, pair["refresh_token"]).json
    assert (late["expires_in"], late["refresh_expires_in"]) == (60, 60)
    deck.clock.moment += timedelta(minutes=1)
    assert renew(app, late["refresh_token"]).status_code == 401


@pytest.mark.parametrize(
    "end", ["password", "role", "disabled", "everywhere", "client", "revoked", "by hand"]
)
def test_what_ends_a_person_s_sessions_ends_these_at_once(
    app: APIFlask, pair: Pair, deck: Deck, end: str
) -> None:
    access, family = deck.access, deck.access.api_sessions.of_person(deck.access.person("oskar").id)[0]
    assert me(app, pair["access_token"]).status_code == 200
    match end:
        case "password":
            access.set_password(SYSTEM, "oskar", "another long password")
        case "role":
            access.set_role(SYSTEM, "oskar", Role.VIEWER)
        case "disabled":
            access.disable(SYSTEM, "oskar")
        case "everywhere":
            access.end_all(SYSTEM, "oskar")
        case "by hand":
            access.api_sessions.end(deck.actor("oskar"), family.id)
        case _:
            body = {"refresh_token": pair["refresh_token"]}
            assert app.test_client().post("/api/v1/auth/revoke", json=body).status_code == 204
    assert me(app, pair["access_token"]).status_code == 401
    assert renew(app, pair["refresh_token"]).status_code == 401
    assert family.id in deck.ended


def test_nobody_ends_what_is_not_theirs(deck: Deck, pair: Pair) -> None:
    (family,) = deck.access.api_sessions.of_person(deck.access.person("oskar").id)
    with pytest.raises(Exception, match="no such session"):
        deck.access.api_sessions.end(deck.actor("vera"), family.id)
    deck.access.api_sessions.end(deck.actor("ada"), family.id)


def forged(deck: Deck, header: dict[str, Any], key: Any = None, **claims: Any) -> str:
    own = OctKey.import_key(key_file(deck.home / "keys" / "jwt.key"))
    (family,) = deck.access.api_sessions.of_person(deck.access.person("oskar").id)
    now = int(deck.clock.now().timestamp())
    body = {"iss": "quarterdeck", "aud": "quarterdeck-api", "sid": family.id, "exp": now + 60} | claims
    return jwt.encode({"alg": "HS256", "typ": "at+jwt"} | header, body, key or own, algorithms=None)


def test_the_forger_of_these_tests_can_make_a_good_one(app: APIFlask, pair: Pair, deck: Deck) -> None:
    assert me(app, forged(deck, {})).status_code == 200


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "JWT"}, {}),
        ({"typ": "refresh"}, {}),
        ({}, {"iss": "somebody-else"}),
        ({}, {"aud": "another-api"}),
        ({}, {"aud": None}),
        ({}, {"exp": 0}),
        ({}, {"exp": "tomorrow"}),
        ({}, {"exp": None}),
        ({}, {"sid": "01jd8xk3v0abcdefghjkmnpqrs"}),
        ({}, {"sid": ["a"]}),
        ({}, {"sid": None}),
    ],
)
def test_a_genuine_signature_under_wrong_words_is_refused(
    app: APIFlask, pair: Pair, deck: Deck, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert me(app, forged(deck, header, **claims)).status_code == 401


def test_other_keys_and_algorithms_are_refused(app: APIFlask, pair: Pair, deck: Deck) -> None:
    head, body, signature = pair["access_token"].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    lies = [
        forged(deck, {}, OctKey.import_key(b"x" * 32)),
        forged(deck, {"alg": "RS256"}, RSAKey.generate_key(2048)),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-2]}AA",
        "a.b.c",
        "..",
        f"{head}.{'A' * 1500}.{signature}",
    ]
    assert [me(app, lie).status_code for lie in lies] == [401] * len(lies)


@pytest.mark.parametrize(
    "token", ["", "qdr_", "qdr_x", "qdr_../..", "qdr_a.b", "qd_x.y", "qdr_" + "a" * 2000]
)
def test_what_is_no_refresh_token_is_refused(app: APIFlask, token: str) -> None:
    assert renew(app, token).status_code == 401
    assert app.test_client().post("/api/v1/auth/revoke", json={"refresh_token": token}).status_code in (
        204,
        401,
    )


def test_the_oldest_client_makes_room(deck: Deck) -> None:
    first = deck.access.sign_in_api("oskar", PASSWORD, CLIENT)
    for _ in range(FAMILIES_OF_ONE):
        deck.clock.moment += timedelta(seconds=1)
        deck.access.sign_in_api("oskar", PASSWORD, CLIENT)
    assert len(deck.access.api_sessions.of_person(deck.access.person("oskar").id)) == FAMILIES_OF_ONE
    with pytest.raises(Unauthenticated):
        deck.access.api_sessions.renew(first.refresh_token, CLIENT)


def test_the_account_page_lists_clients_and_ends_them(
    app: APIFlask, as_: Callable[[str], FlaskClient], deck: Deck
) -> None:
    pair = deck.access.sign_in_api("oskar", PASSWORD, CLIENT)
    browser = as_("oskar")
    page = browser.get("/account").text
    assert "backup/2.1" in page
    action = re.search(r'action="(/account/clients/[^"]+)"', page)
    assert action
    assert post(browser, action[1]).status_code == 303
    assert me(app, pair.access_token).status_code == 401
    assert "backup/2.1" not in browser.get("/account").text


def test_a_service_account_owns_tokens_and_never_signs_in(deck: Deck, app: APIFlask) -> None:
    ada = deck.actor("ada")
    deck.access.add_person(ada, "backup", role=Role.OPERATOR, is_service=True)
    made = deck.access.create_token(ada, "backup", "nightly", "runs:run")
    assert me(app, made.secret).json["name"] == "backup/nightly"
    with pytest.raises(Conflict, match="service account"):
        deck.access.new_sign_in_link(ada, "backup")
    with pytest.raises(Conflict, match="service account"):
        deck.access.set_password(ada, "backup", "a long enough password")
    with pytest.raises(Invalid):
        deck.access.add_person(ada, "other", password="a long enough password", is_service=True)
    with pytest.raises(Unauthenticated):
        deck.access.sign_in("backup", "")


def test_a_made_up_token_of_a_known_family_ends_nothing(app: APIFlask, pair: Pair, deck: Deck) -> None:
    (family,) = deck.access.api_sessions.of_person(deck.access.person("oskar").id)
    head = pair["refresh_token"].rpartition(".")[0]
    for lie in (f"qdr_{family.id}.{'x' * 43}.{'0' * 64}", f"{head}.{'0' * 64}", f"{head}."):
        assert renew(app, lie).status_code == 401
    assert renew(app, pair["refresh_token"]).status_code == 200


def test_a_flood_of_made_up_tokens_is_limited_and_others_are_served(
    app: APIFlask, pair: Pair, deck: Deck
) -> None:
    answers = {renew(app, f"qdr_{number}.x.y").status_code for number in range(40)}
    assert answers == {401, 429}
    assert renew(app, pair["refresh_token"]).status_code == 200
