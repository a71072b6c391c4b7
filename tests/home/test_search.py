import pytest
from flask import Flask

from quarterdeck.home.service import FOUND_EACH, Finding
from tests.home.factories import as_, make_app, make_home


def test_hosts_and_pages_are_found(app: Flask) -> None:
    page = as_(app, "vera").get("/search?q=web").text
    assert '<a href="/hosts/web-1">web-1</a>' in page


def test_pages_are_found_by_any_word_of_their_purpose(app: Flask) -> None:
    assert '<a href="/history">History</a>' in as_(app, "vera").get("/search?q=record+proves").text


def test_pages_that_are_closed_are_not_found(app: Flask) -> None:
    assert "/people" not in as_(app, "vera").get("/search?q=people").text


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_search_asks_nobody(text: str) -> None:
    def refuse(*_asked: object) -> list[Finding]:
        raise AssertionError("asked")

    app = make_app(home=make_home(searches=(refuse,)))
    assert as_(app, "vera").get("/search", query_string={"q": text}).status_code == 200


def test_nothing_found_says_so_and_escapes_the_words(app: Flask) -> None:
    page = as_(app, "vera").get("/search", query_string={"q": "<script>alert(1)</script>"}).text
    assert "Nothing matches" in page
    assert "<script>alert" not in page


def test_each_kind_is_limited() -> None:
    many = [Finding("Hosts", f"web-{number}", "/hosts/web") for number in range(1000)]
    page = as_(make_app(home=make_home(searches=(lambda *_: many,))), "vera").get("/search?q=w").text
    assert page.count('href="/hosts/web"') == FOUND_EACH


def test_the_live_search_gets_the_part_only(app: Flask) -> None:
    part = as_(app, "vera").get("/search?q=web", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "web-1" in part


def test_nobody_searches(app: Flask) -> None:
    assert as_(app).get("/search?q=web", headers={"Accept": "text/html"}).status_code == 303
