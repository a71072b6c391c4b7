"""Errors: a page for people, a notice for a part of a page, a problem document for programs."""

from pathlib import Path

import pytest
from flask import Flask

from quarterdeck.core.web import safe_path
from tests.home.factories import as_, make_app


@pytest.fixture
def app() -> Flask:
    return make_app()


def test_a_browser_gets_a_page_with_cause_next_step_request_id_and_retry(app: Flask) -> None:
    answer = as_(app, "vera").get("/fails/busy?a=1", headers={"Accept": "text/html"})
    assert answer.status_code == 503
    assert "history/ can&#39;t be written: no space left." in answer.text
    assert "Nothing was changed." in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
    assert 'href="/fails/busy?a=1"' in answer.text


def test_a_program_gets_a_problem_document(app: Flask) -> None:
    answer = as_(app, "vera").get("/fails/busy", headers={"Accept": "application/json"})
    assert answer.mimetype == "application/problem+json"
    assert answer.json
    assert answer.json["status"] == 503
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_a_part_of_a_page_gets_a_notice_in_its_own_place(app: Flask) -> None:
    answer = as_(app, "vera").get("/fails/busy", headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert answer.headers["HX-Retarget"] == "#notices"
    assert "<html" not in answer.text
    assert "no space left" in answer.text


def test_a_part_of_a_page_says_where_to_sign_in_when_the_session_ended(app: Flask) -> None:
    answer = as_(app).get("/home/figures", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert 'href="/sign-in"' in answer.text


def test_an_unexpected_error_tells_no_cause(app: Flask) -> None:
    answer = as_(app, "ada").get("/fails/unexpected", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "a secret in the cause" not in answer.text


def test_messages_are_escaped(app: Flask) -> None:
    answer = as_(app, "ada").get("/fails/invalid", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "This must be a &lt;number&gt;." in answer.text


def test_a_limit_says_when_to_come_back(app: Flask) -> None:
    answer = as_(app, "ada").get("/fails/limited", headers={"Accept": "text/html"})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "30"


def test_an_unknown_address_is_a_page_also_for_nobody(app: Flask) -> None:
    answer = as_(app).get("/nope", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert 'href="/sign-in"' in answer.text


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/", "/sign-in"),
        ("/search?q=web 1&a=b", "/sign-in?next=/search%3Fq%3Dweb%201%26a%3Db"),
        ("/patterns", "/sign-in?next=/patterns"),
    ],
)
def test_nobody_is_sent_to_the_sign_in_and_back(app: Flask, path: str, location: str) -> None:
    answer = as_(app).get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == location


def test_a_change_by_nobody_is_not_redirected(app: Flask) -> None:
    assert as_(app).post("/change", headers={"Accept": "text/html"}).status_code == 401


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "https:evil",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x",
        "",
        "/\t/evil.example",
    ],
)
def test_a_target_on_another_site_is_never_followed(target: str) -> None:
    assert safe_path(target) == "/"


def test_the_way_back_from_a_refused_form_stays_on_this_site(app: Flask) -> None:
    headers = {"Accept": "text/html", "Referer": "http://evil.example//evil.example/x"}
    answer = as_(app, "ada").post("/change", headers=headers)
    assert 'href="//evil' not in answer.text
    assert 'class="button button-primary" href="/"' in answer.text


def test_templates_of_the_frame_stay_short() -> None:
    folder = Path(__file__).parents[2] / "src/quarterdeck"
    for path in [*folder.glob("core/ui/templates/*.html"), *folder.glob("home/templates/home/*.html")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 150, path
