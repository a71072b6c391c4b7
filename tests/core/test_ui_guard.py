"""Headers on every answer, and who may change something."""

import re
from typing import Any

import pytest
from flask import Flask

from tests.home.factories import ORIGIN, as_, make_app

ANSWERS = ["/", "/nope", "/fails/busy", "/fails/unexpected", "/static/dist/third-party.txt", "/patterns"]


@pytest.fixture
def app() -> Flask:
    return make_app()


def token_of(client: Any, path: str = "/help/keyboard") -> str:
    found = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', client.get(path).text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", ANSWERS)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_answer_carries_the_policy(app: Flask, path: str, accept: str) -> None:
    headers = as_(app, "ada").get(path, headers={"Accept": accept}).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Permissions-Policy" in headers
    assert "Strict-Transport-Security" not in headers


def test_pages_are_not_kept_by_caches(app: Flask) -> None:
    assert as_(app, "ada").get("/").headers["Cache-Control"] == "no-store"


def test_https_is_made_sticky_behind_an_https_address() -> None:
    client = as_(make_app(public_url="https://deck.example.org"), "ada")
    assert "max-age" in client.get("/").headers["Strict-Transport-Security"]


def test_a_form_with_the_token_of_its_session_is_accepted(app: Flask) -> None:
    client = as_(app, "ada")
    answer = client.post("/change", data={"csrf_token": token_of(client)}, headers={"Origin": ORIGIN})
    assert answer.text == "changed"


def test_a_script_sends_the_token_in_a_header(app: Flask) -> None:
    client = as_(app, "ada")
    assert client.post("/api/v1/change", headers={"X-CSRF-Token": token_of(client)}).status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
@pytest.mark.parametrize("path", ["/change", "/api/v1/change"])
def test_a_change_without_a_good_token_is_refused(app: Flask, path: str, token: str) -> None:
    answer = as_(app, "ada").post(path, data={"csrf_token": token})
    assert answer.status_code == 403
    assert "Load the page again" in answer.text


def test_the_token_of_another_session_is_refused(app: Flask) -> None:
    token = token_of(as_(app, "oskar"))
    assert as_(app, "ada").post("/change", data={"csrf_token": token}).status_code == 403


def test_the_token_of_the_visit_before_the_sign_in_is_refused_after_it(app: Flask) -> None:
    client = as_(app)
    token = token_of(client, "/nope")
    client.set_cookie("quarterdeck_session", "ada.session")
    assert client.post("/change", data={"csrf_token": token}).status_code == 403


def test_a_visitor_signs_in_with_the_token_of_the_visit(app: Flask) -> None:
    client = as_(app)
    token = token_of(client, "/nope")
    assert client.post("/sign-in", data={"csrf_token": token}).text == "tried"


def test_a_sign_in_without_a_visit_is_refused(app: Flask) -> None:
    token = token_of(as_(app), "/nope")
    assert as_(app).post("/sign-in", data={"csrf_token": token}).status_code == 403


def test_the_visit_cookie_is_out_of_reach_of_scripts_and_other_sites(app: Flask) -> None:
    cookie = as_(app).get("/nope").headers["Set-Cookie"]
    assert cookie.startswith("qd_visit=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://localhost",
        "http://localhost:81",
        "http://localhost.evil.example",
        "http://evil.example",
        "http://evil.example/localhost",
        "",
    ],
)
def test_a_foreign_origin_is_refused_even_with_a_token(app: Flask, origin: str) -> None:
    client = as_(app, "ada")
    answer = client.post("/change", data={"csrf_token": token_of(client)}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "another site" in answer.text


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)])
def test_what_the_browser_says_about_the_site_counts(app: Flask, site: str, status: int) -> None:
    client = as_(app, "ada")
    answer = client.post("/change", data={"csrf_token": token_of(client)}, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == status


@pytest.mark.parametrize(("site", "status"), [("same-origin", 200), ("same-site", 403), ("cross-site", 403)])
def test_an_own_page_that_hides_its_address_may_send_a_form(app: Flask, site: str, status: int) -> None:
    client = as_(app, "ada")
    headers = {"Origin": "null", "Sec-Fetch-Site": site}
    assert (
        client.post("/change", data={"csrf_token": token_of(client)}, headers=headers).status_code == status
    )


def test_hiding_the_address_spares_no_token(app: Flask) -> None:
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert as_(app, "ada").post("/change", headers=headers).status_code == 403


def test_the_public_address_is_an_own_origin() -> None:
    client = as_(make_app(public_url="https://deck.example.org"), "ada")
    origin = {"Origin": "https://deck.example.org"}
    assert client.post("/change", data={"csrf_token": token_of(client)}, headers=origin).status_code == 200


def test_a_token_in_the_authorization_header_needs_no_csrf_token(app: Flask) -> None:
    answer = as_(app).post("/api/v1/change", headers={"Authorization": "Bearer good"})
    assert answer.status_code == 200


def test_beside_an_authorization_header_no_cookie_counts(app: Flask) -> None:
    answer = as_(app, "ada").post("/api/v1/change", headers={"Authorization": "Bearer bad"})
    assert answer.status_code == 401


def test_a_foreign_origin_is_refused_beside_an_authorization_header_too(app: Flask) -> None:
    headers = {"Authorization": "Bearer good", "Origin": "http://evil.example"}
    assert as_(app).post("/api/v1/change", headers=headers).status_code == 403


def test_nobody_is_asked_to_sign_in_before_the_token_is_looked_at(app: Flask) -> None:
    answer = as_(app).post("/api/v1/change")
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
