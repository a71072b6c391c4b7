"""A certified OpenID provider (npm ``oidc-provider``) in its own process, gone through as a browser does."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from flask.testing import FlaskClient

from quarterdeck.core.actors import Role
from quarterdeck.core.identity_settings import ProviderSettings
from tests.access.factories import Deck, make_app, post, whoami
from tests.access.signing_in import begin, come_back, deck_with, is_signed_in
from tests.clocks import SetClock
from tests.deck import free_port
from tests.needs import need

ROOT: Final = Path(__file__).parents[2]
NODE: Final = shutil.which("node") or shutil.which("node", path=str(ROOT / ".venv/bin"))
CLIENT: Final = {
    "client_id": "quarterdeck",
    "client_secret": "a-secret-of-the-client-with-+-and-%",
    "redirect_uris": ["http://localhost/sign-in/with/company/callback"],
    "post_logout_redirect_uris": ["http://localhost/sign-in"],
}


@contextlib.contextmanager
def certified(port: int, client: dict[str, Any], **given: Any) -> Iterator[str]:
    """Run the provider; yields its issuer."""
    if NODE is None or not (ROOT / "node_modules/oidc-provider").exists():
        need("oidc-provider is not installed (make node_modules/.ready)")
    configuration = {"port": port, "clients": [client], "kid": "first", "groups": ["ops", "staff"], **given}
    with subprocess.Popen(
        [str(NODE), str(ROOT / "tests/access/oidc_provider.mjs"), json.dumps(configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout)
            assert any("listening" in line for line in lines), "the provider did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def settings(issuer: str, **more: Any) -> ProviderSettings:
    values: dict[str, Any] = {
        "label": "Company",
        "issuer": issuer,
        "client_id": CLIENT["client_id"],
        "client_secret": CLIENT["client_secret"],
        "scopes": ("openid", "profile", "groups"),
        "role_rules": (("operator", ("ops",)),),
        "required_group": "staff",
    }
    return ProviderSettings(name="company", **values | more)


def at_the_provider(browser: httpx.Client, url: str, login: str = "gilda") -> str:
    """Sign in and consent; returns the query of the callback."""
    for _ in range(12):
        if url.startswith("http://localhost/"):
            return urlsplit(url).query
        answer = browser.get(url)
        if answer.status_code == 200:
            answer = submit(browser, url, answer.text, login=login, password="any")
        assert answer.is_redirect, answer.text[:2000]
        url = urljoin(url, answer.headers["Location"])
    raise AssertionError(f"it went round in circles, at last to {url}")


def submit(browser: httpx.Client, url: str, page: str, **values: str) -> httpx.Response:
    """Send the page's form with its hidden fields."""
    action = re.search(r'<form[^>]* action="([^"]+)"', page)
    assert action, page
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    return browser.post(urljoin(url, unescape(action[1])), data=hidden | values)


def sign_in_through(client: FlaskClient, login: str = "gilda") -> Any:  # Any: the test client's answer
    with httpx.Client(trust_env=False, timeout=20) as browser:
        return come_back(client, at_the_provider(browser, begin(client), login))


@contextlib.contextmanager
def deck_at(home: Path, provider: ProviderSettings) -> Iterator[tuple[Deck, FlaskClient]]:
    clock = SetClock(datetime.now(UTC))  # the provider's tokens are of today
    with deck_with(home, provider, clock=clock) as deck:
        yield deck, make_app(deck).test_client()


def test_the_whole_way_with_groups_from_userinfo(tmp_path: Path) -> None:
    with (
        certified(free_port(), CLIENT) as issuer,
        deck_at(tmp_path / "home", settings(issuer)) as (deck, client),
    ):
        answer = sign_in_through(client)
        assert answer.status_code == 303, answer.text
        assert (whoami(client)["name"], whoami(client)["role"]) == ("gilda", Role.OPERATOR)
        assert deck.access.person("gilda").display_name == "gilda of the provider"


def test_groups_from_the_id_token_and_a_key_on_a_curve(tmp_path: Path) -> None:
    client_of_curve = CLIENT | {"id_token_signed_response_alg": "ES256"}
    given: dict[str, Any] = {"conforms": False, "curve": "P-256", "alg": "ES256"}
    with (
        certified(free_port(), client_of_curve, **given) as issuer,
        deck_at(tmp_path / "home", settings(issuer)) as (_, client),
    ):
        assert sign_in_through(client).status_code == 303
        assert whoami(client)["role"] == Role.OPERATOR


@pytest.mark.parametrize("method", ["client_secret_post", "none"])
def test_other_ways_of_the_client_to_show_itself(tmp_path: Path, method: str) -> None:
    """A public client, whom PKCE alone protects; a secret in the form is for providers that take no other."""
    client = CLIENT | {"token_endpoint_auth_method": method}
    if method == "none":
        del client["client_secret"]
    with (
        certified(free_port(), client) as issuer,
        deck_at(tmp_path / "home", settings(issuer, client_secret="" if method == "none" else "x")) as (
            deck,
            browser,
        ),
    ):
        answer = sign_in_through(browser)
        # This provider offers the header too, so that a client set to the form is refused there.
        assert answer.status_code == (303 if method == "none" else 400)
        if method != "none":
            assert "invalid_client" in deck.records("login.refused")[-1]["detail"]["reason"]


def test_somebody_without_the_required_group_is_refused(tmp_path: Path) -> None:
    with (
        certified(free_port(), CLIENT, groups=["ops"]) as issuer,
        deck_at(tmp_path / "home", settings(issuer)) as (_, client),
    ):
        answer = sign_in_through(client)
        assert answer.status_code == 400
        assert "not in the group" in answer.text
        assert not is_signed_in(client)


def test_the_provider_may_change_its_keys(tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        first = contextlib.ExitStack()
        issuer = first.enter_context(certified(port, CLIENT))
        _, client = stack.enter_context(deck_at(tmp_path / "home", settings(issuer)))
        assert sign_in_through(client).status_code == 303
        first.close()
        stack.enter_context(certified(port, CLIENT, kid="second"))
        post(client, "/sign-out")
        assert sign_in_through(client).status_code == 303
        assert is_signed_in(client)


def test_somebody_who_cancels_there_is_told_so(tmp_path: Path) -> None:
    with (
        certified(free_port(), CLIENT) as issuer,
        deck_at(tmp_path / "home", settings(issuer)) as (deck, client),
        httpx.Client(trust_env=False, timeout=20, follow_redirects=True) as browser,
    ):
        page = browser.get(begin(client))
        abort = browser.get(f"{page.url}/abort", follow_redirects=False)
        while not abort.headers["Location"].startswith("http://localhost/"):
            abort = browser.get(urljoin(str(abort.url), abort.headers["Location"]), follow_redirects=False)
        answer = come_back(client, urlsplit(abort.headers["Location"]).query)
        assert answer.status_code == 400
        assert "chose not to" in answer.text
        assert deck.records("login.refused")[-1]["detail"]["reason"] == "the provider says access_denied"


def test_signing_out_ends_the_session_there_too(tmp_path: Path) -> None:
    with (
        certified(free_port(), CLIENT) as issuer,
        deck_at(tmp_path / "home", settings(issuer)) as (_, client),
        httpx.Client(trust_env=False, timeout=20) as browser,
    ):
        assert come_back(client, at_the_provider(browser, begin(client))).status_code == 303
        url = post(client, "/sign-out").headers["Refresh"].removeprefix("0; url=")
        assert not is_signed_in(client)
        page = browser.get(url)
        assert page.status_code == 200, page.text
        answer = submit(browser, url, page.text, logout="yes")
        assert answer.headers["Location"] == "http://localhost/sign-in"
        again = browser.get(begin(client), follow_redirects=True)
        assert 'name="login"' in again.text  # it asks who one is
