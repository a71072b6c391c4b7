"""GitHub: a server of our own that answers what GitHub's documentation and API were seen to answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from quarterdeck.core.actors import Role
from quarterdeck.core.identity_settings import ProviderSettings
from quarterdeck.core.identity_values import ProviderKind
from tests.access.factories import Deck, make_app, whoami
from tests.access.hostile_provider import challenge_of, send, send_json, serving
from tests.access.signing_in import assert_refused, begin, come_back, deck_with

USER = {"login": "OctoCat", "id": 583231, "name": "The Octocat", "email": "octocat@github.example"}


@dataclass
class GitHub:
    user: Any = field(default_factory=lambda: dict(USER))
    organisations: Any = field(default_factory=lambda: [{"login": "Example", "id": 1}])
    teams: Any = field(
        default_factory=lambda: [{"slug": "ops", "name": "Ops", "organization": {"login": "Example"}}]
    )
    token_answer: dict[str, Any] | None = None
    asked: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    url: str = ""

    def authorize(self, url: str) -> str:
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return urlencode({"code": "c0de", "state": self.asked["state"]})

    def redeem(self, form: dict[str, str]) -> dict[str, Any]:
        good = {"code": "c0de", "client_id": "Iv1.deck", "client_secret": "github-secret"}
        if {name: form.get(name) for name in good} != good:
            return {"error": "bad_verification_code", "error_description": "The code is incorrect."}
        assert challenge_of(form["code_verifier"]) == self.asked["code_challenge"]
        return self.token_answer or {"access_token": "gho_x", "token_type": "bearer", "scope": "read:user"}

    def get(self, path: str, page: int) -> Any:
        if path == "/user":
            return self.user
        listed = self.organisations if path == "/user/orgs" else self.teams
        return listed[(page - 1) * 100 : page * 100] if isinstance(listed, list) else listed


def handler_for(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            assert self.headers["Accept"] == "application/json"
            send_json(self, github.redeem({name: values[0] for name, values in body.items()}))

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            github.seen.append(self.path)
            if self.headers["Authorization"] != "Bearer gho_x":
                send(self, '{"message": "Bad credentials"}', 401, "application/json; charset=utf-8")
                return
            page = int(parse_qs(parts.query).get("page", ["1"])[0])
            answer = json.dumps(github.get(parts.path.removeprefix("/api"), page))
            send(self, answer, 200, "application/json; charset=utf-8")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on the terminal of the tests."""

    return Handler


@pytest.fixture
def github() -> Iterator[GitHub]:
    github = GitHub()
    with serving(handler_for(github)) as url:
        github.url = url
        yield github


def settings(github: GitHub, **more: Any) -> ProviderSettings:
    values: dict[str, Any] = {
        "kind": ProviderKind.GITHUB,
        "label": "GitHub",
        "issuer": github.url,
        "web_url": github.url,
        "api_url": f"{github.url}/api",
        "client_id": "Iv1.deck",
        "client_secret": "github-secret",
        "scopes": ("read:user", "read:org"),
        "required_group": "example",
        "role_rules": (("operator", ("EXAMPLE/Ops",)),),
    }
    return ProviderSettings(name="github", **values | more)


@pytest.fixture
def deck(tmp_path: Path, github: GitHub) -> Iterator[Deck]:
    with deck_with(tmp_path / "home", settings(github)) as deck:
        yield deck


def through(client: FlaskClient, github: GitHub) -> Any:  # Any: the test client's answer
    return come_back(client, github.authorize(begin(client, "github")), "github")


def test_a_person_signs_in_with_github(client: FlaskClient, github: GitHub, deck: Deck) -> None:
    assert through(client, github).status_code == 303
    assert (whoami(client)["name"], whoami(client)["role"]) == ("OctoCat", Role.OPERATOR)
    (mine,) = deck.providers.connections(deck.access.person("octocat").id)
    assert (mine.issuer, mine.subject) == (github.url, "583231")
    assert github.asked["scope"] == "read:user read:org"
    assert github.asked["redirect_uri"] == "http://localhost/sign-in/with/github/callback"


def test_the_number_is_the_identity_and_not_the_login(app: APIFlask, github: GitHub, deck: Deck) -> None:
    through(app.test_client(), github)
    github.user["id"] += 1  # somebody else who took the freed login
    client = app.test_client()
    through(client, github)
    assert whoami(client)["name"] == "OctoCat-2"


def test_without_the_organisation_there_is_no_account(
    client: FlaskClient, github: GitHub, deck: Deck
) -> None:
    github.organisations = [{"login": "another"}]
    github.teams = []
    assert_refused(client, through(client, github), deck, "not in the required group")


def test_all_pages_of_organisations_are_read(client: FlaskClient, github: GitHub) -> None:
    github.organisations = [{"login": f"org-{number}"} for number in range(150)] + [{"login": "Example"}]
    assert through(client, github).status_code == 303
    assert any("page=2" in path for path in github.seen)


def test_organisations_are_not_asked_for_when_nothing_depends_on_them(tmp_path: Path, github: GitHub) -> None:
    with deck_with(tmp_path / "plain", settings(github, required_group="", role_rules=())) as deck:
        client = make_app(deck).test_client()
        assert through(client, github).status_code == 303
        assert github.seen == ["/api/user"]


@pytest.mark.parametrize("number", [None, "583231", 0, -1, 1.5, True, 2**70, [583231]])
def test_a_user_without_a_number_is_refused(
    client: FlaskClient, github: GitHub, deck: Deck, number: object
) -> None:
    github.user["id"] = number
    assert_refused(client, through(client, github), deck, "the id is missing or no number")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": "bad_verification_code"}, "bad_verification_code"),
        ({"error": "x", "access_token": "gho_x"}, "refused"),
        ({"access_token": "of-nobody"}, "status 401"),
        ({"access_token": ["gho_x"]}, "no access token"),
        ({"access_token": "a\r\nX: y"}, "no access token"),
        ({"token_type": "bearer"}, "no access token"),
    ],
    ids=str,
)
def test_a_refused_code_is_no_sign_in(
    client: FlaskClient, github: GitHub, deck: Deck, answer: dict[str, Any], reason: str
) -> None:
    github.token_answer = answer
    assert_refused(client, through(client, github), deck, reason)


Change = Callable[[GitHub], None]


@pytest.mark.parametrize(
    "change",
    [
        lambda github: setattr(github, "organisations", {"login": "example"}),
        lambda github: setattr(github, "organisations", ["example"]),
        lambda github: setattr(github, "organisations", [{"login": ["example"]}]),
        lambda github: setattr(github, "teams", [{"slug": "ops"}]),
        lambda github: setattr(github, "user", ["OctoCat"]),
    ],
    ids=["object", "texts", "nested", "no-organisation", "user-list"],
)
def test_odd_answers_of_the_api_are_refused(
    client: FlaskClient, github: GitHub, deck: Deck, change: Change
) -> None:
    change(github)
    assert_refused(client, through(client, github), deck, "")


def test_a_callback_of_another_issuer_is_refused(client: FlaskClient, github: GitHub, deck: Deck) -> None:
    query = github.authorize(begin(client, "github")) + "&iss=https%3A%2F%2Fevil.example"
    assert_refused(client, come_back(client, query, "github"), deck, "another issuer")


def test_the_issuer_of_github_itself_is_its_address() -> None:
    assert ProviderSettings(name="github", kind=ProviderKind.GITHUB).web_url == "https://github.com"
