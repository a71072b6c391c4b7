"""Passwords are off and the provider is down: the command line of the machine still opens a way in."""

import re
from pathlib import Path

import httpx

from tests.deck import PASSWORD, free_port, running_deck


def test_a_link_of_the_command_line_opens_a_master_without_passwords_and_provider(tmp_path: Path) -> None:
    settings = {
        "QUARTERDECK_LOCAL_SIGN_IN": "off",
        "QUARTERDECK_IDENTITY_COMPANY_ISSUER": f"http://127.0.0.1:{free_port()}",
        "QUARTERDECK_IDENTITY_COMPANY_CLIENT_ID": "quarterdeck",
    }
    with running_deck(tmp_path / "home", **settings) as deck, httpx.Client(base_url=deck.url) as browser:
        refused = browser.get("/sign-in/with/company")
        assert refused.status_code == 400
        assert "can&#39;t be reached" in refused.text
        page = browser.get("/sign-in").text
        form = {"csrf_token": csrf_of(page), "name": "ada", "password": PASSWORD}
        assert browser.post("/sign-in", data=form).status_code == 403
        link = deck.cli("person", "link", "ada").stdout.strip()
        token = csrf_of(browser.get(link).text)
        assert browser.post(link, data={"csrf_token": token}).status_code == 303
        assert browser.get("/api/v1/me").json()["name"] == "ada"


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found, page
    return found[1]
