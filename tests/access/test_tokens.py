from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from apiflask import APIFlask

from quarterdeck.access.cli_token import read_cli_token
from quarterdeck.access.forms import NewTokenBody
from quarterdeck.access.identify import Identify
from quarterdeck.access.models import Token
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Level, Role, Scope
from quarterdeck.core.errors import Conflict, Invalid, NotFound, Unauthenticated
from quarterdeck.core.forms import parse
from tests.access.factories import PASSWORD, Deck, post

As = Callable[[str], Any]  # Any: the answers hold JSON


def make_token(deck: Deck, name: str = "oskar", scope: Level = Level.RUN, **more: Any) -> str:
    return deck.access.create_token(SYSTEM, name, more.pop("label", "job"), scope, **more).secret


def call(app: APIFlask, bearer: str, path: str = "/api/v1/me", **more: Any) -> Any:
    return app.test_client().get(path, headers={"Authorization": f"Bearer {bearer}"}, **more)


def test_a_token_acts_for_its_person_within_its_scope(app: APIFlask, deck: Deck) -> None:
    answer = call(app, make_token(deck))
    assert answer.json == {
        "kind": "token",
        "name": "oskar/job",
        "role": "operator",
        "scope": "run",
        "display_name": "",
        "theme": "system",
        "time_zone": "",
    }


def test_a_bad_token_is_refused_with_a_problem_and_a_record(app: APIFlask, deck: Deck) -> None:
    answer = call(app, "qd_mistyped")
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert deck.records("token.refused")[0]["detail"]["reason"] == "unknown"
    assert "qd_mistyped" not in str(deck.records())


def test_a_token_expires_at_the_second(app: APIFlask, deck: Deck) -> None:
    token = make_token(deck, expires_days=1)
    deck.clock.forward(days=1, seconds=-1)
    assert call(app, token).status_code == 200
    deck.clock.forward(seconds=1)
    assert call(app, token).status_code == 401
    deck.clock.forward(seconds=1)
    assert call(app, token).status_code == 401
    refused = deck.records("token.refused")[0]
    assert (refused["object"], refused["detail"]["reason"]) == ("person:oskar", "expired")


def test_expiry_counts_although_the_token_was_just_looked_up(deck: Deck) -> None:
    token = make_token(deck, expires_days=1)
    deck.clock.moment += timedelta(days=1, milliseconds=-500)
    assert deck.access.actor_for_token(token, "") is not None
    deck.clock.moment += timedelta(milliseconds=500)
    assert deck.access.actor_for_token(token, "") is None


def test_a_revoked_token_is_dead_at_once(app: APIFlask, deck: Deck) -> None:
    created = deck.access.create_token(SYSTEM, "oskar", "job", Level.RUN)
    assert call(app, created.secret).status_code == 200
    deck.access.revoke_token(deck.actor("oskar"), created.record.id)
    assert call(app, created.secret).status_code == 401
    assert deck.ended == [created.record.id]


def test_a_token_of_a_disabled_person_is_dead(app: APIFlask, deck: Deck) -> None:
    token = make_token(deck)
    deck.access.disable(SYSTEM, "oskar")
    assert call(app, token).status_code == 401


@pytest.mark.parametrize(
    ("name", "scope", "allowed"),
    [
        ("ada", Level.READ, False),
        ("ada", Level.RUN, False),
        ("ada", Level.WRITE, False),
        ("ada", Level.ADMIN, True),
        ("oskar", Level.RUN, False),
        ("vera", Level.READ, False),
    ],
)
def test_people_are_for_tokens_of_scope_admin_only(
    app: APIFlask, deck: Deck, name: str, scope: Level, allowed: bool
) -> None:
    token = make_token(deck, name, scope)
    assert call(app, token, "/api/v1/people").status_code == (200 if allowed else 403)


def test_a_narrow_token_cannot_make_a_wider_one(app: APIFlask, deck: Deck) -> None:
    token = make_token(deck, "ada", Level.WRITE)
    answer = app.test_client().post(
        "/api/v1/tokens",
        json={"label": "wider", "scope": "admin"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 403
    sentence = "You may not do this (person.self). The token's scope does not include admin."
    assert (answer.json or {})["detail"] == sentence


def test_the_history_names_the_token_that_acted(app: APIFlask, deck: Deck) -> None:
    call(app, make_token(deck, label="backup"), "/api/v1/people")
    denied = deck.records("person.read")[0]
    assert (denied["kind"], denied["actor"]) == ("denied", "token:oskar/backup")
    assert deck.records("token.create")[0]["detail"]["label"] == "backup"


def test_a_bearer_is_never_helped_by_a_cookie(app: APIFlask, as_: As) -> None:
    ada = as_("ada")
    answer = ada.get("/api/v1/me", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert ada.get("/api/v1/me", headers={"Authorization": "Basic YTpi"}).status_code == 401


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.OPERATOR])
def test_a_token_gets_no_scope_beyond_its_persons_role(deck: Deck, role: Role | None) -> None:
    name = {None: "nils", Role.VIEWER: "vera", Role.OPERATOR: "oskar"}[role]
    with pytest.raises(Invalid) as caught:
        make_token(deck, name, Level.WRITE)
    assert list(caught.value.fields) == ["scope"]


@pytest.mark.parametrize("label", ["", " ", "a\r\nb", "a\u2028b", "a\x1b[1m", "\u202eevil", "x" * 65])
def test_labels_that_can_hide_something_are_refused(deck: Deck, label: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_token(deck, label=label)
    assert list(caught.value.fields) == ["label"]


def test_a_label_names_one_living_token(deck: Deck) -> None:
    first = deck.access.create_token(SYSTEM, "oskar", "job", Level.RUN)
    with pytest.raises(Invalid):
        make_token(deck)
    deck.access.revoke_token(SYSTEM, first.record.id)
    assert make_token(deck)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_expiry_has_bounds(deck: Deck, days: int) -> None:
    with pytest.raises(Invalid) as caught:
        make_token(deck, expires_days=days)
    assert list(caught.value.fields) == ["expires_days"]


def test_a_disabled_person_gets_no_token(deck: Deck) -> None:
    deck.access.disable(SYSTEM, "vera")
    with pytest.raises(Conflict):
        make_token(deck, "vera", Level.READ)


def test_last_use_is_noted_once_a_minute(deck: Deck) -> None:
    token = make_token(deck)
    oskar = deck.access.person("oskar").id
    deck.access.actor_for_token(token, "192.0.2.1")
    first = deck.access.tokens_of(oskar)[0].last_used_at
    deck.clock.forward(seconds=30)
    deck.access.actor_for_token(token, "192.0.2.2")
    assert deck.access.tokens_of(oskar)[0].last_used_at == first
    deck.clock.forward(seconds=31)
    deck.access.actor_for_token(token, "192.0.2.3")
    assert deck.access.tokens_of(oskar)[0].last_used_at == deck.clock.now()
    assert deck.access.tokens_of(oskar)[0].last_used_address == "192.0.2.3"


def test_bad_tokens_are_not_remembered(deck: Deck) -> None:
    deck.access.actor_for_token(make_token(deck), "")
    for number in range(2000):
        deck.access.actor_for_token(f"qd_{number}", "")
    assert len(deck.access._credentials) == 1


def test_a_flood_of_bad_tokens_does_not_fill_the_history(app: APIFlask, deck: Deck) -> None:
    for number in range(100):
        assert call(app, f"qd_{number}").status_code == 401
    assert len(deck.records("token.refused")) == 20


def test_the_command_lines_token_counts_on_this_machine_only(deck: Deck) -> None:
    token = read_cli_token(deck.home)
    for address in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        actor = deck.access.actor_for_token(token, address)
        assert actor is not None
        assert (actor.label, actor.role, actor.scopes) == (
            "token:cli",
            Role.ADMINISTRATOR,
            (Scope(Level.ADMIN),),
        )
    for address in ("192.0.2.1", "2001:db8::1", "", "localhost", "127.0.0.1.example"):
        assert deck.access.actor_for_token(token, address) is None


def test_the_command_lines_token_is_for_its_owner_only(deck: Deck) -> None:
    path = deck.home / "keys" / "cli-token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_sockets_identify_by_the_same_rules(deck: Deck) -> None:
    node = Actor(ActorKind.NODE, "worker-1")
    identify = Identify(deck.access, lambda bearer, _address: node if bearer == "node-secret" else None)
    cookie = deck.access.sign_in("vera", PASSWORD)
    headers = {"Cookie": f"theme=dark; quarterdeck_session={cookie}"}
    assert identify.identify_headers(headers, "192.0.2.1").label == "vera"
    assert identify.identify_headers({"cookie": "quarterdeck_session=bad"}, "").kind is ActorKind.NOBODY
    assert identify.identify_headers({}, "").kind is ActorKind.NOBODY
    assert identify.identify_headers({"authorization": "Bearer node-secret"}, "") is node
    with pytest.raises(Unauthenticated):
        identify.identify_headers(headers | {"Authorization": "Bearer wrong"}, "")
    with pytest.raises(Unauthenticated):
        identify.identify_headers(headers | {"Authorization": "Bearer " + "x" * 1000}, "")


def test_the_account_page_makes_a_token_and_shows_it_once(app: APIFlask, as_: As, deck: Deck) -> None:
    oskar = as_("oskar")
    answer = post(oskar, "/account/tokens", label="backup", scope="run", expires_days="30")
    assert answer.status_code == 201
    secret = answer.text.partition("<code>qd_")[2].partition("</code>")[0]
    assert call(app, f"qd_{secret}").json["name"] == "oskar/backup"
    page = oskar.get("/account").text
    assert "backup" in page
    assert secret not in page
    token = deck.access.tokens_of(deck.access.person("oskar").id)[0]
    assert post(oskar, f"/account/tokens/{token.id}/revoke").status_code == 303
    assert call(app, f"qd_{secret}").status_code == 401


def test_the_account_page_says_what_is_wrong_with_a_token(as_: As) -> None:
    answer = post(as_("oskar"), "/account/tokens", label="", scope="admin", expires_days="x")
    assert answer.status_code == 422
    for field in ("label", "expires_days"):
        assert f'id="field-{field}-error"' in answer.text


def test_the_account_page_makes_a_token_that_never_expires(as_: As, deck: Deck) -> None:
    made = post(as_("oskar"), "/account/tokens", label="ever", scope="run", expires_days="")
    assert made.status_code == 201
    (token,) = deck.access.tokens_of(deck.access.person("oskar").id)
    assert token.expires_at is None


def test_the_account_page_ends_sessions(as_: As, deck: Deck) -> None:
    here, there = as_("vera"), as_("vera")
    assert here.get("/account").text.count("/account/sessions/0") == 2
    assert post(here, "/account/sessions/end-others").status_code == 303
    assert there.get("/account").status_code == 303
    own = deck.access.sessions_of(deck.access.person("vera").id)[0]
    assert post(here, f"/account/sessions/{own.id}/end").location == "/sign-in"
    assert here.get("/account").status_code == 303


def test_the_account_page_changes_the_password(as_: As, deck: Deck) -> None:
    vera = as_("vera")
    new = "a new long password"
    wrong = post(vera, "/account/password", old="wrong", password=new, again=new)
    assert wrong.status_code == 422
    assert "This is not your present password." in wrong.text
    differ = post(vera, "/account/password", old=PASSWORD, password=new, again=new + "!")
    assert "The two passwords differ." in differ.text
    assert post(vera, "/account/password", old=PASSWORD, password=new, again=new).status_code == 303
    assert deck.access.sign_in("vera", new)


def test_the_api_makes_lists_and_revokes_tokens(as_: As, deck: Deck) -> None:
    ada = as_("ada")
    page = ada.get("/account").text
    headers = {"X-CSRF-Token": page.partition('name="csrf-token" content="')[2].partition('"')[0]}
    body = {"label": "ci", "scope": "run", "person": "oskar", "expires_days": 7}
    made = ada.post("/api/v1/tokens", json=body, headers=headers)
    assert made.status_code == 201
    assert made.json["token"].startswith("qd_")
    assert made.json["person"] == "oskar"
    assert "digest" not in made.text
    assert ada.get("/api/v1/tokens").json == {"tokens": []}
    assert ada.delete(f"/api/v1/tokens/{made.json['id']}", headers=headers).status_code == 204
    assert deck.access.tokens_of() == []
    ever = ada.post("/api/v1/tokens", json={**body, "expires_days": None}, headers=headers)
    assert (ever.status_code, ever.json["expires_at"]) == (201, None)
    refused = ada.post("/api/v1/tokens", json={**body, "expires_days": 0}, headers=headers)
    assert list(refused.json["errors"]) == ["expires_days"]


def test_the_api_adds_and_changes_people(as_: As) -> None:
    ada = as_("ada")
    page = ada.get("/account").text
    headers = {"X-CSRF-Token": page.partition('name="csrf-token" content="')[2].partition('"')[0]}
    made = ada.post("/api/v1/people", json={"name": "grace", "role": "viewer"}, headers=headers)
    assert made.status_code == 201
    assert made.json["sign_in_path"].startswith("/sign-in/link/")
    changed = ada.patch("/api/v1/people/grace", json={"role": "operator"}, headers=headers)
    assert changed.json["role"] == "operator"
    assert ada.patch("/api/v1/people/grace", json={"is_disabled": True}, headers=headers).json["is_disabled"]
    two = ada.patch("/api/v1/people/grace", json={"role": None, "is_disabled": False}, headers=headers)
    assert two.status_code == 422
    bad = ada.post("/api/v1/people", json={"name": "x" * 65, "role": "captain", "odd": 1}, headers=headers)
    assert bad.status_code == 422
    assert set(bad.json["errors"]) >= {"name", "role", "odd"}
    assert len(ada.get("/api/v1/people").json["people"]) == 5


def test_a_rotated_token_counts_beside_the_new_one_for_the_overlap(app: APIFlask, deck: Deck) -> None:
    old = deck.access.create_token(SYSTEM, "oskar", "job", "runs:run", expires_days=90, host_tags=["web"])
    deck.clock.forward(days=10)
    new = deck.access.rotate_token(deck.actor("oskar"), old.record.id, overlap_hours=2)
    assert (new.record.label, new.record.scope, new.record.host_tags) == ("job", "runs:run", ("web",))
    assert new.record.expires_at == deck.clock.now() + timedelta(days=90)
    assert [call(app, each.secret).status_code for each in (old, new)] == [200, 200]
    deck.clock.forward(seconds=2 * 3600)
    assert [call(app, each.secret).status_code for each in (old, new)] == [401, 200]
    assert deck.records("token.rotate")[0]["detail"]["id"] == old.record.id


def test_without_an_overlap_the_old_secret_ends_at_once(app: APIFlask, deck: Deck) -> None:
    old = deck.access.create_token(SYSTEM, "oskar", "job", "read")
    new = deck.access.rotate_token(deck.actor("oskar"), old.record.id, overlap_hours=0)
    assert [call(app, each.secret).status_code for each in (old, new)] == [401, 200]
    assert old.record.id in deck.ended


def test_nobody_rotates_a_foreign_or_dead_token(deck: Deck) -> None:
    old = deck.access.create_token(SYSTEM, "oskar", "job", "read")
    with pytest.raises(NotFound):
        deck.access.rotate_token(deck.actor("vera"), old.record.id)
    deck.access.revoke_token(SYSTEM, old.record.id)
    with pytest.raises(NotFound):
        deck.access.rotate_token(deck.actor("oskar"), old.record.id)
    with pytest.raises(Invalid):
        deck.access.rotate_token(deck.actor("oskar"), old.record.id, overlap_hours=169)


def test_a_token_makes_none_that_is_wider_or_outlives_it(deck: Deck) -> None:
    own = deck.access.create_token(SYSTEM, "ada", "own", "admin", expires_days=10)
    actor = deck.access.actor_for_token(own.secret, "")
    assert actor is not None
    deck.access.create_token(actor, "ada", "fits", "admin", expires_days=9)
    for days in (11, None):
        with pytest.raises(Invalid) as refused:
            deck.access.create_token(actor, "ada", "late", "read", expires_days=days)
        assert list(refused.value.fields) == ["expires_days"]
    narrow = Actor(
        ActorKind.TOKEN,
        "ada/x",
        role=Role.ADMINISTRATOR,
        scopes=(Scope(Level.ADMIN),),
        person_id=actor.person_id,
    )
    limited = replace(narrow, host_tags=frozenset({"web"}))
    with pytest.raises(NotFound):  # limited to tags, it may not even ask
        deck.access.create_token(limited, "ada", "wide", "read")


@pytest.mark.parametrize(
    "text", ["", " ", "root", "runs", "runs:", ":read", "runs:admin", "RUN", "cook:read"]
)
def test_what_is_no_scope_is_refused(deck: Deck, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        deck.access.create_token(SYSTEM, "ada", "job", text)
    assert list(refused.value.fields) == ["scope"]


@pytest.mark.parametrize("stored", ["", "billing:run", "hosts:admin", "everything"])
def test_a_stored_scope_that_is_none_opens_nothing(app: APIFlask, deck: Deck, stored: str) -> None:
    """As an older version may find it that was put back beside a newer one's database."""
    made = deck.access.create_token(SYSTEM, "ada", "job", "read")
    with deck.db.write() as session:
        session.get_one(Token, made.record.id).scope = stored
    assert call(app, made.secret).status_code == 403


@pytest.mark.parametrize("tags", [[], [""], ["x" * 41], [f"t{number}" for number in range(21)]])
def test_a_limit_to_no_tag_or_odd_tags_is_refused(deck: Deck, tags: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        deck.access.create_token(SYSTEM, "ada", "job", "read", host_tags=tags)
    assert list(refused.value.fields) == ["host_tags"]


def test_no_host_tags_may_be_said_as_null() -> None:
    body = {"label": "ci", "scope": "read", "host_tags": None}
    assert parse(NewTokenBody, body).host_tags is None
    with pytest.raises(Invalid):
        parse(NewTokenBody, body | {"host_tags": ["web"] * 21})
