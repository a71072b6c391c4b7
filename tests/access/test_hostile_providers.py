"""Each lie of a provider or a browser ends in an error page, without a session and without a 5xx."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from quarterdeck.access.providers.flow import LIFETIME, MOST_USED
from quarterdeck.access.providers.routes import FLOW_COOKIE
from tests.access.factories import Deck, make_app, whoami
from tests.access.hostile_provider import (
    HostileProvider,
    Sign,
    endless,
    running,
    send,
    send_json,
    signed_by_another_key,
    signed_with_the_public_key,
    silent,
    trickling,
    unsigned,
)
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
from tests.clocks import SetClock

NOW = int(SetClock().now().timestamp())
NESTED: Any = []
for _ in range(200):
    NESTED = [NESTED]


@pytest.fixture
def deck(tmp_path: Path, provider: HostileProvider) -> Iterator[Deck]:
    with deck_with(tmp_path / "home", company(provider), call_seconds=2) as deck:
        provider.now = deck.clock.now
        yield deck


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "another"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": {"quarterdeck": 1}}, "another audience"),
        ({"aud": ["quarterdeck", "another"]}, "another party"),
        ({"aud": ["quarterdeck", "another"], "azp": "another"}, "another party"),
        ({"azp": "another"}, "another party"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 1}, "nonce"),
        ({"exp": NOW - 61}, "expired"),
        ({"exp": None}, "no time exp"),
        ({"exp": "tomorrow"}, "no time exp"),
        ({"exp": True}, "no time exp"),
        ({"exp": 1e300}, "no time exp"),
        ({"iat": NOW + 61}, "from the future"),
        ({"iat": None}, "no time iat"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"sub": None}, "sub is missing"),
        ({"sub": ""}, "sub is missing"),
        ({"sub": 248289761001}, "sub is missing"),
        ({"sub": ["x"]}, "sub is missing"),
        ({"sub": "x" * 256}, "sub is missing"),
        ({"sub": "x" * 20_000}, "sub is missing"),
        ({"sub": "ä"}, "no printable ASCII"),
        ({"sub": "a\nb"}, "no printable ASCII"),
        ({"groups": "staff admins"}, "not a list of texts"),
        ({"groups": {"admins": True}}, "not a list of texts"),
        ({"groups": [["admins"], {"a": 1}, None]}, "not a list of texts"),
        ({"groups": NESTED}, "not a list of texts"),
        ({"groups": ["x"] * 2_001}, "too long"),
        ({"groups": ["x" * 256]}, "too long"),
        ({"at_hash": "of-another-access-token"}, "access token is not the one"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_lie_in_the_id_token_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, claims: dict[str, Any], reason: str
) -> None:
    provider.claims |= claims
    assert_refused(client, sign_in_at(client, provider), deck, reason)


def huge(_provider: HostileProvider, _claims: dict[str, Any]) -> str:
    return "a." + "b" * 200_000 + ".c"


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        (unsigned, "not allowed"),
        (signed_with_the_public_key, "not allowed"),
        (signed_by_another_key, "not by a key of the provider"),
        (lambda _provider, _claims: "", "not the form"),
        (lambda _provider, _claims: "a.b", "not the form"),
        (lambda _provider, _claims: "!!!.b.c", "header is broken"),
        (lambda _provider, _claims: "W10.e30.c", "no JSON object"),
        (huge, "not the form"),
    ],
    ids=["none", "hs256", "key-swap", "empty", "two-parts", "no-base64", "header-list", "huge"],
)
def test_a_lie_in_the_signature_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, sign: Sign, reason: str
) -> None:
    provider.sign = sign
    assert_refused(client, sign_in_at(client, provider), deck, reason)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"token_endpoint": None}, "token_endpoint is no address"),
        ({"token_endpoint": "http://evil.example/token"}, "not an https address"),
        ({"token_endpoint": "file:///etc/passwd"}, "not an https address"),
        ({"token_endpoint": "https://a:b@evil.example/"}, "not an https address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "not an https address"),
        ({"authorization_endpoint": "https://evil.example/\r\nX: y"}, "is no address"),
        ({"jwks_uri": ["https://evil.example"]}, "is no address"),
        ({"end_session_endpoint": "http://evil.example/"}, "not an https address"),
    ],
    ids=str,
)
def test_a_lie_in_the_discovery_document_is_refused_before_anybody_goes_there(
    client: FlaskClient, provider: HostileProvider, deck: Deck, document: dict[str, Any], reason: str
) -> None:
    provider.document |= document
    assert_refused(client, client.get("/sign-in/with/company"), deck, reason)


Answer = Callable[[BaseHTTPRequestHandler], None]
BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "endless": (endless, "more than"),
    "silent": (silent, "no answer within"),
    "trickling": (trickling, "no answer within"),
    "redirecting": (lambda each: send(each, "", 302, "text/html", Location="/elsewhere"), "redirect"),
    "html": (lambda each: send(each, "<h1>Welcome</h1>", 200, "text/html"), "no JSON"),
    "html that says it is JSON": (lambda each: send(each, "<h1>", 200, "application/json"), "broken JSON"),
    "500": (lambda each: send(each, "secret-of-the-provider", 500, "text/plain"), "status 500"),
    "packed": (
        lambda each: send(each, "{}", 200, "application/json", Content_Encoding="gzip"),
        "packed answer",
    ),
    "a list": (lambda each: send_json(each, [1]), "no JSON object"),
    "nothing": (lambda each: send_json(each, {}), ""),
    "deep": (lambda each: send(each, "[" * 100_000, 200, "application/json"), "broken JSON"),
    "no number": (lambda each: send(each, '{"a": NaN}', 200, "application/json"), "broken JSON"),
    "gone": (lambda each: each.connection.close(), "broke off"),
}


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys", "/userinfo"])
@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_an_answer_that_is_none_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, path: str, kind: str
) -> None:
    provider.userinfo = {}
    instead, reason = BAD_ANSWERS[kind]
    provider.answers[path] = instead
    started = client.get("/sign-in/with/company")
    if started.status_code == 303:
        started = come_back(client, provider.authorize(started.headers["Location"]))
    assert_refused(client, started, deck, reason)
    assert "/elsewhere" not in provider.requests
    assert "secret-of-the-provider" not in str(deck.records())


@pytest.mark.parametrize("sub", ["another", None, 7])
def test_userinfo_of_somebody_else_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, sub: object
) -> None:
    provider.userinfo = {"sub": sub, "groups": ["admins"]}
    assert_refused(client, sign_in_at(client, provider), deck, "another sub")


@pytest.mark.parametrize("groups", ["admins", [["admins"]], {"admins": 1}])
def test_odd_groups_of_userinfo_are_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, groups: object
) -> None:
    provider.claims["groups"] = None
    provider.userinfo = {"groups": groups}
    assert_refused(client, sign_in_at(client, provider), deck, "not a list of texts")


def test_a_code_that_was_redeemed_already_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    query = provider.authorize(begin(client))
    provider.used.add(parse_qs(query)["code"][0])
    assert_refused(client, come_back(client, query), deck, "status 400 (invalid_grant)")


def test_a_callback_counts_once_also_for_somebody_who_kept_the_cookie(
    app: APIFlask, client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    query = provider.authorize(begin(client))
    kept = client.get_cookie(FLOW_COOKIE, path="/sign-in/with")
    assert kept is not None
    assert come_back(client, query).status_code == 303
    assert client.get_cookie(FLOW_COOKIE, path="/sign-in/with") is None
    thief = app.test_client()
    thief.set_cookie(FLOW_COOKIE, kept.value, path="/sign-in/with")
    provider.used.clear()
    answer = come_back(thief, query)
    assert answer.status_code == 400
    assert deck.records("login.refused")[-1]["detail"]["reason"] == "state was used already"
    assert "quarterdeck_session" not in str(answer.headers)


def changed(query: str, **values: str | None) -> str:
    parts = {name: each[0] for name, each in parse_qs(query).items()} | values
    return urlencode({name: value for name, value in parts.items() if value is not None})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"state": None}, "state is missing"),
        ({"state": ""}, "state is missing"),
        ({"state": "x" * 43}, "state is missing or foreign"),
        ({"state": "x" * 5_000}, "too long"),
        ({"code": None}, "no code"),
        ({"code": "x" * 5_000}, "too long"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": "a\r\nb"}, "invalid_grant"),
        ({"iss": None}, "iss is missing"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": ""}, "another issuer"),
        ({"error": "access_denied", "code": None}, "access_denied"),
        ({"error": "<script>alert(1)</script>"}, "an error"),
    ],
    ids=str,
)
def test_a_callback_with_other_parameters_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, values: dict[str, str | None], reason: str
) -> None:
    answer = come_back(client, changed(provider.authorize(begin(client)), **values))
    assert_refused(client, answer, deck, reason)
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("name", ["state", "code", "iss"])
def test_a_doubled_parameter_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, name: str
) -> None:
    query = provider.authorize(begin(client))
    assert_refused(client, come_back(client, f"{query}&{name}=other"), deck, "doubled")


def test_a_state_of_another_browser_is_refused(app: APIFlask, provider: HostileProvider, deck: Deck) -> None:
    """Login CSRF: the attacker's callback in the victim's browser."""
    query = provider.authorize(begin(app.test_client()))
    victim = app.test_client()
    assert_refused(victim, come_back(victim, query), deck, "no sign-in was begun in this browser")
    begin(victim)
    assert_refused(victim, come_back(victim, query), deck, "state is missing or foreign")


@pytest.mark.parametrize("cookie", ["", "x", "AAAA" * 20, "ä", "=" * 50, "A" * 3_000])
def test_a_forged_cookie_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck, cookie: str
) -> None:
    query = provider.authorize(begin(client))
    client.set_cookie(FLOW_COOKIE, cookie, path="/sign-in/with")
    assert_refused(client, come_back(client, query), deck, "")


def test_a_sign_in_that_began_too_long_ago_is_refused(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    query = provider.authorize(begin(client))
    deck.clock.moment += LIFETIME
    assert client.get_cookie(FLOW_COOKIE, path="/sign-in/with") is not None  # the browser's clock may differ
    assert_refused(client, come_back(client, query), deck, "too long ago")


def test_a_mix_up_between_two_providers_is_refused(tmp_path: Path, provider: HostileProvider) -> None:
    with running(SetClock().now) as evil:
        homes = (company(provider), company(evil, "evil"))
        with deck_with(tmp_path / "two", *homes) as deck:
            client = make_app(deck).test_client()
            # The browser began at the evil one, which sends it on to the honest one.
            query = provider.authorize(begin(client, "evil"))
            assert_refused(client, come_back(client, query, "evil"), deck, "another issuer")
            assert "/token" not in evil.requests
            query = provider.authorize(begin(client, "evil"))
            assert_refused(client, come_back(client, query, "company"), deck, "")


def test_the_same_subject_at_another_issuer_is_somebody_else(
    tmp_path: Path, provider: HostileProvider
) -> None:
    with (
        running(SetClock().now) as other,
        deck_with(tmp_path / "two", company(provider), company(other, "other")) as deck,
    ):
        app = make_app(deck)
        clients = [app.test_client(), app.test_client()]
        sign_in_at(clients[0], provider)
        sign_in_at(clients[1], other, "other")
        assert [whoami(client)["name"] for client in clients] == ["gilda", "gilda-2"]


def test_a_provider_that_is_not_configured_is_not_found(client: FlaskClient) -> None:
    for path in ("/sign-in/with/evil", "/sign-in/with/evil/callback?state=x&code=y", "/sign-in/with/%2e%2e"):
        assert client.get(path).status_code == 404


def test_no_code_token_or_secret_is_kept_in_the_history(
    client: FlaskClient, provider: HostileProvider, deck: Deck
) -> None:
    provider.claims["nonce"] = "another"
    url = begin(client)
    state = parse_qs(urlsplit(url).query)["state"][0]
    come_back(client, provider.authorize(url))
    kept = str(deck.records())
    for secret in (state, "code-0", "an-access-token", "eyJ", "a secret"):
        assert secret not in kept


def test_used_states_are_bounded(deck: Deck) -> None:
    flows = deck.providers._flows
    for _ in range(MOST_USED + 100):
        flow = flows.begin("company", redirect_uri="", next_path="/")
        flows.use(flow, flow.state)
    assert len(flows) == MOST_USED
    deck.clock.moment += LIFETIME
    flow = flows.begin("company", redirect_uri="", next_path="/")
    flows.use(flow, flow.state)
    assert len(flows) == 1


def test_a_provider_that_hangs_leaves_threads_for_others(
    client: FlaskClient, app: APIFlask, provider: HostileProvider, deck: Deck
) -> None:
    taken = [deck.providers._talks.acquire(blocking=False) for _ in range(4)]
    assert all(taken)
    answer = client.get("/sign-in/with/company")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "5"
    assert client.get("/sign-in").status_code == 200
    for _ in taken:
        deck.providers._talks.release()
    begun = begin(client)
    for _ in taken:
        deck.providers._talks.acquire()
    answer = come_back(client, provider.authorize(begun))
    assert answer.status_code == 429
    assert not is_signed_in(client)
