import re

import pytest
from flask import Flask

from tests.home.factories import Toast, as_, busy_figure, make_app, make_home

EVERYONE = {"Messages", "Account"}
VIEWER = EVERYONE | {"Hosts", "Runs", "Files", "History"}


def titles(page: str) -> set[str]:
    return set(re.findall(r'<h2><a href="[^"]+">([^<]+)</a>', page))


def nav(page: str) -> list[str]:
    return re.findall(r"</svg>([A-Z][A-Za-z ]+)</a></li>", page.partition("</nav>")[0])


@pytest.mark.parametrize(
    ("name", "cards"),
    [
        ("ada", VIEWER | {"Run a command", "People", "API bases"}),
        ("oskar", VIEWER | {"Run a command", "API bases"}),
        ("vera", VIEWER | {"API bases"}),
        ("nils", EVERYONE),
    ],
)
def test_each_sees_the_doors_that_open(app: Flask, name: str, cards: set[str]) -> None:
    assert titles(as_(app, name).get("/").text) == cards


def test_the_navigation_follows_the_role_and_marks_the_page(app: Flask) -> None:
    pages = ["Home", "Hosts", "Fleet", "Runs", "Files", "History", "API bases"]
    assert nav(as_(app, "vera").get("/").text) == pages
    assert nav(as_(app, "nils").get("/").text) == ["Home"]
    assert '<a href="/" aria-current="page">' in as_(app, "vera").get("/").text


def test_doors_bear_live_figures(app: Flask) -> None:
    page = as_(app, "vera").get("/").text
    assert "12 of 13" in page
    assert "One host needs a look" in page


def test_who_has_no_role_is_told_why_and_learns_nothing_of_the_hosts(app: Flask) -> None:
    page = as_(app, "nils").get("/").text
    assert "you have no role yet" in page
    assert "Welcome, nils" in page
    assert "One host needs a look" not in page


def test_a_part_that_cannot_answer_costs_its_figure_and_not_the_page() -> None:
    app = make_app(home=make_home(figures={"hosts": busy_figure}))
    answer = as_(app, "vera").get("/")
    assert answer.status_code == 200
    assert "not available now" in answer.text


def test_the_refresh_is_the_part_of_the_page(app: Flask) -> None:
    client = as_(app, "vera")
    part = client.get("/home/figures").text
    assert "<html" not in part
    assert part.strip() in client.get("/").text


def test_waiting_toasts_stand_on_the_page_without_script() -> None:
    app = make_app(
        toasts=lambda: [Toast("1", "The <backup> is done.", "success", "/runs/1")], count=lambda: 3
    )
    page = as_(app, "vera").get("/").text
    assert "The &lt;backup&gt; is done." in page
    assert 'data-level="success" data-id="1"' in page
    assert re.search(r"data-toast-count><span data-number>3<", page)


def test_version_and_node_are_for_those_who_are_signed_in(app: Flask) -> None:
    assert "· master" in as_(app, "vera").get("/").text
    assert "· master" not in as_(app).get("/nope", headers={"Accept": "text/html"}).text


def test_only_signed_in_pages_open_a_live_connection(app: Flask) -> None:
    assert " data-live" in as_(app, "vera").get("/").text
    page = as_(app).get("/nope", headers={"Accept": "text/html"}).text
    assert " data-live" not in page
    assert "live." not in page


def test_the_pattern_page_shows_every_state_and_needs_a_role(app: Flask) -> None:
    page = as_(app, "vera").get("/patterns").text
    for word in ("running", "timed-out", "lost", "late", "denied"):
        assert f'data-state="{word}"' in page
    assert as_(app, "nils").get("/patterns").status_code == 403


def test_the_pattern_page_shows_the_parts_for_texts(app: Flask) -> None:
    page = as_(app, "vera").get("/patterns").text
    for part in ("<q-picker", "<q-editor", "diff-six", 'id="L2"', "Conflict 1 of 1", "no newline at the end"):
        assert part in page
