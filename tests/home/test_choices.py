"""What a browser remembers: colours, and whether single keys do something."""

import re
from typing import Any

import pytest
from flask import Flask

from tests.home.factories import as_


def send(client: Any, path: str, **values: str) -> Any:
    token = re.search(r'content="([0-9a-f]{64})"', client.get("/help/keyboard").text)
    assert token
    return client.post(path, data={"csrf_token": token[1], **values})


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_the_chosen_colours_are_kept_without_script(app: Flask, theme: str) -> None:
    client = as_(app, "vera")
    answer = send(client, "/theme", theme=theme, next="/search?q=a")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/search?q=a"
    assert f'data-theme="{theme}"' in client.get("/").text


def test_colours_that_do_not_exist_are_refused(app: Flask) -> None:
    assert send(as_(app, "vera"), "/theme", theme="pink").status_code == 422


def test_a_cookie_with_other_colours_means_the_system(app: Flask) -> None:
    client = as_(app, "vera")
    client.set_cookie("qd_theme", '"><script>')
    assert 'data-theme="system"' in client.get("/").text


def test_the_way_back_stays_on_this_site(app: Flask) -> None:
    answer = send(as_(app, "vera"), "/theme", theme="dark", next="//evil.example")
    assert answer.headers["Location"] == "/"


def test_shortcuts_can_be_turned_off_and_on(app: Flask) -> None:
    client = as_(app, "vera")
    assert 'data-keys="on"' in client.get("/").text
    assert send(client, "/help/keyboard", shortcuts="off").status_code == 303
    assert 'data-keys="off"' in client.get("/").text
    send(client, "/help/keyboard", shortcuts="on")
    assert 'data-keys="on"' in client.get("/").text


def test_the_help_lists_the_shortcuts(app: Flask) -> None:
    page = as_(app, "nils").get("/help/keyboard").text
    assert "<kbd>/</kbd>" in page
    assert "Go to the hosts" in page
