"""Signing in through an OpenID provider that behaves: accounts, rules, connecting, signing out."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from joserfc.jwk import ECKey, OKPKey, RSAKey

from quarterdeck.access.agents import Client
from quarterdeck.access.providers.service import STARTS_IN_ALL
from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.errors import Forbidden, Limited
from quarterdeck.core.limits import KNOWN_ADDRESSES
from tests.access.factories import PASSWORD, Deck, make_app, make_deck, post, sign_in, whoami
from tests.access.hostile_provider import CLIENT_SECRET, HostileProvider
from tests.access.hostile_provider import provider as provider
from tests.access.signing_in import (
    assert_refused,
    begin,
    come_back,
    company,
    deck_with,
    is_signed_in,
    sign_in_at,
)

RULES: Final[dict[str, Any]] = {
    "role_rules": (("administrator", ("admins",)), ("operator", ("ops", "sre"))),
    "group_rules": (("oncall", ("sre", "night")), ("web", ("ops",))),
}


@pytest.fixture
def deck(tmp_path: Path, provider: HostileProvider) -> Iterator[Deck]:
    with deck_with(tmp_path / "home", company(provider, **RULES)) as deck:
        provider.now = deck.clock.now
        yield deck


def test_the_first_sign_in_makes_an_account_without_password(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    answer = sign_in_at(client, provider)
    assert (answer.status_code, answer.location) == (303, "/")
    assert (whoami(client)["name"], whoami(client)["role"]) == ("gilda", None)
    person = deck.access.person("gilda")
    assert (person.has_password, person.is_connected) == (False, True)
    states = {each.name: each.state(deck.clock.now()) for each in deck.access.list_people()}
    assert states["gilda"] == "active"
    assert deck.records("login")[-2]["detail"]["by"] == "company"
    assert deck.records("person.add")[-2]["detail"]["subject"] == provider.subject


def test_the_same_subject_is_the_same_account_whatever_it_is_called(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    sign_in_at(app.test_client(), provider)
    provider.claims["preferred_username"] = "renamed"
    client = app.test_client()
    sign_in_at(client, provider)
    assert whoami(client)["name"] == "gilda"
    assert len(deck.providers.connections(deck.access.person("gilda").id)) == 1


@pytest.mark.parametrize(
    ("login", "name"),
    [
        ("ada", "ada-2"),
        ("ADA", "ADA-2"),
        ("Zoë Kravitz", "Zo-Kravitz"),
        ("system", "system-2"),
        ("../../etc", "etc"),
        ("<script>", "script"),
        ("", "person"),
        (7, "person"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_new_account_gets_a_free_name_like_the_login(
    client: FlaskClient, provider: HostileProvider, login: object, name: str
) -> None:
    provider.claims["preferred_username"] = login
    sign_in_at(client, provider)
    assert whoami(client)["name"] == name


def test_an_unverified_email_of_somebody_else_connects_nothing(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    deck.access.add_person(SYSTEM, "boss@example.org", role=Role.ADMINISTRATOR, password=PASSWORD)
    provider.claims |= {"email": "boss@example.org", "preferred_username": "boss@example.org"}
    provider.claims["email_verified"] = False
    sign_in_at(client, provider)
    assert (whoami(client)["name"], whoami(client)["role"]) == ("boss@example.org-2", None)


def test_rules_give_the_highest_role_and_all_groups(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    provider.claims["groups"] = ["ops", "sre", "admins", "else"]
    sign_in_at(client, provider)
    person = deck.access.person("gilda")
    assert (person.role, person.groups) == (Role.ADMINISTRATOR, ("oncall", "web"))


def test_rules_are_read_again_and_a_changed_role_ends_what_was_given_for_the_old_one(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    provider.claims["groups"] = ["ops"]
    first = app.test_client()
    sign_in_at(first, provider)
    token = deck.access.create_token(SYSTEM, "gilda", "backup", Level.RUN).secret
    provider.claims["groups"] = ["night"]
    second = app.test_client()
    sign_in_at(second, provider)
    person = deck.access.person("gilda")
    assert (person.role, person.groups) == (None, ("oncall",))
    assert not is_signed_in(first)
    assert deck.access.actor_for_token(token, "127.0.0.1") is None
    assert whoami(second)["name"] == "gilda"
    intent, outcome = deck.records("person.role")[-2:]
    assert intent["detail"] == {"role": None, "by": "company"}
    assert outcome["detail"]["before"] == {"role": "operator"}


def test_an_unchanged_role_ends_nothing(app: APIFlask, provider: HostileProvider) -> None:
    first, second = app.test_client(), app.test_client()
    sign_in_at(first, provider)
    sign_in_at(second, provider)
    assert whoami(first)["name"] == whoami(second)["name"] == "gilda"


def test_the_last_administrator_is_kept(app: APIFlask, provider: HostileProvider, deck: Deck) -> None:
    provider.claims["groups"] = ["admins"]
    sign_in_at(app.test_client(), provider)
    deck.access.set_role(SYSTEM, "ada", Role.VIEWER)
    provider.claims["groups"] = []
    client = app.test_client()
    assert sign_in_at(client, provider).status_code == 303
    assert whoami(client)["role"] == "administrator"
    kept = deck.records("person.role_kept")[-1]
    assert (kept["object"], kept["detail"]["rules_give"]) == ("person:gilda", None)


def test_without_rules_roles_are_given_by_hand(tmp_path: Path, provider: HostileProvider) -> None:
    with deck_with(tmp_path / "other", company(provider)) as deck:
        app = make_app(deck)
        sign_in_at(app.test_client(), provider)
        deck.access.set_role(SYSTEM, "gilda", Role.OPERATOR)
        client = app.test_client()
        sign_in_at(client, provider)
        assert whoami(client)["role"] == "operator"


def test_the_required_group_is_required_before_there_is_an_account(
    tmp_path: Path, provider: HostileProvider
) -> None:
    with deck_with(tmp_path / "other", company(provider, required_group="deck-users")) as deck:
        client = make_app(deck).test_client()
        people = len(deck.access.list_people())
        assert_refused(client, sign_in_at(client, provider), deck, "not in the required group")
        assert len(deck.access.list_people()) == people
        provider.claims["groups"] = ["deck-users"]
        assert sign_in_at(client, provider).status_code == 303


def test_groups_may_come_from_userinfo(client: FlaskClient, provider: HostileProvider, deck: Deck) -> None:
    provider.claims["groups"] = None
    provider.userinfo = {"groups": ["ops"], "preferred_username": "other", "name": "Gilda Gray"}
    sign_in_at(client, provider)
    person = deck.access.person("gilda")
    assert (person.role, person.display_name) == (Role.OPERATOR, "Gilda Gray")


def test_somebody_disabled_stays_out(app: APIFlask, provider: HostileProvider, deck: Deck) -> None:
    sign_in_at(app.test_client(), provider)
    deck.access.disable(SYSTEM, "gilda")
    client = app.test_client()
    answer = sign_in_at(client, provider)
    assert answer.status_code == 400
    assert "disabled" in answer.text
    assert deck.records("login.refused")[-1]["detail"]["reason"].startswith("gilda is kept out")
    assert len(deck.records("login")) == 2  # the first one's intent and outcome


@pytest.mark.parametrize(
    ("given", "ends_at"),
    [
        ("/hosts?q=a%26b", "/hosts?q=a&b"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/%0d%0aSet-Cookie:x=1", "/"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_one_comes_back_to_where_one_was_going_on_this_site(
    client: FlaskClient, provider: HostileProvider, given: str, ends_at: str
) -> None:
    assert sign_in_at(client, provider, query=f"?next={given}").location == ends_at


def test_sign_in_to_continue_leads_through_the_button(client: FlaskClient) -> None:
    page = client.get("/hosts/web1", follow_redirects=True, headers={"Accept": "text/html"})
    page = client.get("/sign-in?next=/people%3Fq%3Da")
    assert "/sign-in/with/company?next=/people%3Fq%3Da" in page.text
    assert "Sign in with Company" in page.text


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("PS256", RSAKey.generate_key(2048, {"kid": "one"})),
        ("ES256", ECKey.generate_key("P-256", {"kid": "one"})),
        ("ES512", ECKey.generate_key("P-521", {"kid": "one"})),
        ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "one"})),
        ("RS256", RSAKey.generate_key(2048)),
    ],
    ids=["PS256", "ES256", "ES512", "EdDSA", "no-kid"],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_each_allowed_algorithm_is_verified(
    client: FlaskClient, provider: HostileProvider, alg: str, key: object
) -> None:
    provider.alg, provider.key = alg, key
    assert sign_in_at(client, provider).status_code == 303


def test_a_new_key_of_the_provider_is_found_and_looked_for_seldom(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    sign_in_at(app.test_client(), provider)
    provider.key = RSAKey.generate_key(2048, {"kid": "two"})
    assert sign_in_at(app.test_client(), provider).status_code == 303
    assert provider.requests.count("/keys") == 2
    provider.key = RSAKey.generate_key(2048, {"kid": "three"})
    assert sign_in_at(app.test_client(), provider).status_code == 400
    assert provider.requests.count("/keys") == 2  # somebody who invents keys makes us ask no more often
    deck.clock.forward(seconds=61)
    assert sign_in_at(app.test_client(), provider).status_code == 303
    assert provider.requests.count("/.well-known/openid-configuration") == 1


def test_a_skew_of_clocks_up_to_a_minute_is_forgiven(client: FlaskClient, provider: HostileProvider) -> None:
    now = int(provider.now().timestamp())
    provider.claims |= {"iat": now + 59, "nbf": now + 59, "exp": now - 59}
    assert sign_in_at(client, provider).status_code == 303


def test_several_audiences_need_the_party_to_be_us(client: FlaskClient, provider: HostileProvider) -> None:
    provider.claims |= {"aud": ["other", "quarterdeck"], "azp": "quarterdeck"}
    assert sign_in_at(client, provider).status_code == 303


def test_signing_out_leads_to_the_provider_with_the_id_token_as_a_hint(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    provider.document["end_session_endpoint"] = f"{provider.url}/end"
    sign_in_at(client, provider)
    answer = post(client, "/sign-out")
    url = answer.headers["Refresh"].removeprefix("0; url=")
    assert url.startswith(f"{provider.url}/end?")
    asked = parse_qs(urlsplit(url).query)
    assert asked["post_logout_redirect_uri"] == ["http://localhost/sign-in"]
    assert asked["id_token_hint"][0].count(".") == 2
    assert not is_signed_in(client)
    assert (deck.home / "quarterdeck.db").read_bytes().count(asked["id_token_hint"][0].encode()) == 0


def test_signing_out_here_works_whatever_the_provider_does(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    sign_in_at(client, provider)
    provider.answers["/.well-known/openid-configuration"] = lambda handler: handler.send_error(500)
    deck.clock.forward(hours=2)
    answer = post(client, "/sign-out")
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert deck.records("logout")


def test_a_local_session_ends_here_alone(app: APIFlask) -> None:
    client = app.test_client()
    sign_in(client, "ada")
    assert post(client, "/sign-out").location == "/sign-in"


def connect(client: FlaskClient, provider: HostileProvider) -> object:
    page = post(client, "/account/providers/company/connect")
    assert page.status_code == 200
    return come_back(client, provider.authorize(page.headers["Refresh"].removeprefix("0; url=")))


def test_a_person_connects_a_provider_and_signs_in_with_it(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    client = app.test_client()
    sign_in(client, "oskar")
    answer = connect(client, provider)
    assert answer.location == "/account#providers"  # type: ignore[attr-defined]
    assert "Connect Company" not in client.get("/account").text
    other = app.test_client()
    sign_in_at(other, provider)
    assert whoami(other)["name"] == "oskar"
    assert deck.records("person.connect")[-1]["kind"] == "outcome"


def test_connecting_needs_the_form_of_this_site(app: APIFlask) -> None:
    client = app.test_client()
    sign_in(client, "oskar")
    assert client.post("/account/providers/company/connect").status_code == 403
    assert client.get("/account/providers/company/connect").status_code in (404, 405)


def test_a_token_connects_nothing(client: FlaskClient, deck: Deck) -> None:
    token = deck.access.create_token(SYSTEM, "ada", "all", Level.ADMIN).secret
    answer = client.post("/account/providers/company/connect", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 409
    assert "quarterdeck_flow" not in str(answer.headers)


def test_an_identity_of_somebody_else_is_not_connected(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    sign_in_at(app.test_client(), provider)
    client = app.test_client()
    sign_in(client, "oskar")
    answer = connect(client, provider)
    assert answer.status_code == 400  # type: ignore[attr-defined]
    assert "belongs to another account" in answer.text  # type: ignore[attr-defined]
    assert deck.providers.connections(deck.access.person("oskar").id) == []


def test_a_connection_that_another_person_began_is_refused(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    client = app.test_client()
    sign_in(client, "oskar")
    page = post(client, "/account/providers/company/connect")
    post(client, "/sign-out")
    sign_in(client, "vera")
    answer = come_back(client, provider.authorize(page.headers["Refresh"].removeprefix("0; url=")))
    assert answer.status_code == 400
    for name in ("oskar", "vera"):
        assert deck.providers.connections(deck.access.person(name).id) == []


def test_a_provider_is_disconnected_but_never_the_last_way_in(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    client = app.test_client()
    sign_in(client, "oskar")
    connect(client, provider)
    (mine,) = deck.providers.connections(deck.access.person("oskar").id)
    other = app.test_client()
    sign_in(other, "vera")
    assert post(other, f"/account/providers/{mine.id}/disconnect").status_code == 404
    assert post(client, f"/account/providers/{mine.id}/disconnect").status_code == 303
    assert deck.providers.connections(deck.access.person("oskar").id) == []
    gilda = app.test_client()
    sign_in_at(gilda, provider)
    (hers,) = deck.providers.connections(deck.access.person("gilda").id)
    assert post(gilda, f"/account/providers/{hers.id}/disconnect").status_code == 409


def test_an_administrator_sees_the_settings_and_no_secret(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    sign_in_at(client, provider)
    (view,) = deck.providers.listing()
    assert (view.name, view.issuer, view.people) == ("company", provider.url, 1)
    assert view.callback_path == "/sign-in/with/company/callback"
    assert view.has_secret
    assert "a secret" not in repr(view)
    ada = ada_of(client.application)
    page = ada.get("/access/providers").text
    for told in (
        "Company",
        provider.url,
        "http://localhost/sign-in/with/company/callback",
        "1 account",
        "sre",
    ):
        assert told in page
    assert CLIENT_SECRET not in page


def test_an_administrator_asks_a_provider_now_and_sees_what_came_out(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    ada = ada_of(app)
    assert "not asked yet" in ada.get("/access/providers").text
    answer = post(ada, "/access/providers/company/check")
    assert (answer.status_code, answer.location) == (303, "/access/providers?checked=company#company")
    assert 'data-state="answers"' in ada.get(answer.location).text
    provider.document["issuer"] = "https://elsewhere.example.org"
    post(ada, "/access/providers/company/check")
    page = ada.get("/access/providers").text
    assert 'data-state="does not answer"' in page
    assert "the discovery document is of another issuer" in page
    assert (
        deck.records("provider.check")[-1]["detail"]["answer"]
        == "the discovery document is of another issuer"
    )
    assert sign_in_at(app.test_client(), provider).status_code == 303, "the document of before stays in use"
    assert post(ada, "/access/providers/other/check").status_code == 404


def test_programs_of_administrators_see_and_ask_the_providers(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    bearer = deck.access.create_token(SYSTEM, "ada", "all", "admin").secret
    client, headers = app.test_client(), {"Authorization": f"Bearer {bearer}"}
    listed = client.get("/api/v1/providers", headers=headers)
    (told,) = (listed.json or {})["providers"]
    assert (told["name"], told["issuer"], told["has_secret"]) == ("company", provider.url, True)
    assert told["role_rules"] == {"administrator": ["admins"], "operator": ["ops", "sre"]}
    assert told["state"] == {"discovery": None, "refusal": None, "last_used_at": None}
    assert CLIENT_SECRET not in listed.text
    checked = client.post("/api/v1/providers/company/check", headers=headers).json or {}
    assert checked["state"]["discovery"]["error"] == ""
    assert client.post("/api/v1/providers/other/check", headers=headers).status_code == 404
    read = deck.access.create_token(SYSTEM, "ada", "read", "read").secret
    refused = client.get("/api/v1/providers", headers={"Authorization": f"Bearer {read}"})
    assert refused.status_code == 403


def test_only_administrators_see_the_providers(app: APIFlask, deck: Deck) -> None:
    for name, status in (("oskar", 403), ("vera", 403), ("nils", 403), ("", 303)):
        client = app.test_client()
        if name:
            sign_in(client, name)
        assert client.get("/access/providers").status_code == status, name


def test_without_providers_the_page_says_how_to_add_one(tmp_path: Path) -> None:
    with deck_with(tmp_path / "bare") as deck:
        page = ada_of(make_app(deck)).get("/access/providers").text
    assert "No identity provider yet" in page
    assert "[identity.company]" in page
    assert "http://localhost/sign-in/with/company/callback" in page


def ada_of(app: Any) -> FlaskClient:  # Any: Flask's own type of a client's application
    client: FlaskClient = app.test_client()
    sign_in(client, "ada")
    return client


def test_ten_thousand_begun_sign_ins_are_limited_and_leave_nothing(
    client: FlaskClient, deck: Deck, provider: HostileProvider
) -> None:
    begun = 0
    for number in range(10_000):
        address = f"10.{number // 60_000}.{number // 250}.{number % 250}"
        with contextlib.suppress(Limited):
            deck.providers.start("company", Client(address), base_url="http://localhost", next_path="/")
            begun += 1
    assert 0 < begun <= STARTS_IN_ALL
    assert len(deck.providers._flows) == 0
    assert len(deck.providers._starts) <= KNOWN_ADDRESSES
    assert len(deck.records("login.limited")) == 1
    assert client.get("/sign-in").status_code == 200
    assert client.get("/sign-in/with/company").status_code == 429


def test_first_sign_ins_at_the_same_moment_make_one_account(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    browsers = [app.test_client() for _ in range(4)]
    queries = [provider.authorize(begin(browser)) for browser in browsers]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(come_back, browsers, queries))
    assert {answer.status_code for answer in answers} == {303}
    assert {whoami(browser)["name"] for browser in browsers} == {"gilda"}


def test_the_list_of_people_calls_somebody_connected_active(
    app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    sign_in_at(app.test_client(), provider)
    deck.access.add_person(SYSTEM, "newcomer")
    ada = app.test_client()
    sign_in(ada, "ada")
    assert ada.get("/people").text.count('data-state="invited"') == 1  # the newcomer, and not Gilda


class TestWithoutPasswords:
    """``local_sign_in`` is off."""

    @pytest.fixture
    def deck(self, tmp_path: Path, provider: HostileProvider) -> Iterator[Deck]:
        with deck_with(tmp_path / "home", company(provider), local_sign_in=False) as deck:
            yield deck

    def test_the_form_is_hidden_and_refuses(self, client: FlaskClient, deck: Deck) -> None:
        assert 'name="password"' not in client.get("/sign-in").text
        answer = sign_in(client, "ada")
        assert answer.status_code == 403
        assert "Passwords are not used here" in answer.text
        assert deck.records("login.refused")[-1]["detail"]["reason"] == "sign-in by password is off"
        with pytest.raises(Forbidden):
            deck.access.sign_in("ada", PASSWORD)
        with pytest.raises(Forbidden):
            deck.access.sign_in_api("ada", PASSWORD, Client("127.0.0.1"))

    def test_a_link_of_the_command_line_still_opens(
        self, app: APIFlask, client: FlaskClient, provider: HostileProvider, deck: Deck
    ) -> None:
        sign_in_at(app.test_client(), provider)
        for name in ("ada", "gilda"):
            path = deck.access.new_sign_in_link(SYSTEM, name)
            browser = app.test_client()
            assert 'name="password"' not in browser.get(path).text
            token = browser.get(path).text.partition('name="csrf-token" content="')[2].partition('"')[0]
            assert browser.post(path, data={"csrf_token": token}).status_code == 303
            assert whoami(browser)["name"] == name

    def test_the_first_administrator_gets_in(self, tmp_path: Path, provider: HostileProvider) -> None:
        bare = make_deck(tmp_path / "bare", identity=(company(provider),), local_sign_in=False)
        path = bare.access.first_sign_in_link()
        assert path is not None
        browser = make_app(bare).test_client()
        token = browser.get(path).text.partition('name="csrf-token" content="')[2].partition('"')[0]
        form = {"csrf_token": token, "name": "first", "password": PASSWORD, "again": PASSWORD}
        assert browser.post(path, data=form).status_code == 303
        assert whoami(browser)["role"] == "administrator"
        bare.close()

    def test_the_account_offers_no_password(self, client: FlaskClient, provider: HostileProvider) -> None:
        sign_in_at(client, provider)
        assert "Change the password" not in client.get("/account").text
