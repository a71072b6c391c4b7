"""The log: no secret, one line an entry, private files."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.core.config import load_settings
from quarterdeck.core.log import configure_logging, redact, request_id

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nmarker\n-----END OPENSSH PRIVATE KEY-----"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield tmp_path
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        if handler not in before:
            handler.close()
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)


def configure(home: Path, **environment: str) -> Path:
    configure_logging(load_settings({"QUARTERDECK_HOME": str(home), **environment}))
    return home / "logs" / "master.log"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer marker-0123456789",
        "authorization: bearer  marker/0123=+",
        "Authorization: Basic marker0123==",
        "password=marker",
        "password: marker",
        '{"password": "marker", "name": "ada"}',
        "{'worker_token': 'marker'}",
        "GET /callback?code=marker&state=1",
        "GET /socket.io/?EIO=4&sid=marker HTTP/1.1",
        "postgresql://deck:marker@db/deck",
        "GET /sign-in/link/marker",
        KEY,
        KEY[:60],
    ],
)
def test_what_looks_like_a_secret_is_replaced(text: str) -> None:
    assert "marker" not in redact(text)
    assert "[secret]" in redact(text)


@pytest.mark.parametrize(
    "text", ["exit code: 1", "the token ada/backup expired", "http://127.0.0.1:5000/hosts", "bearer of news"]
)
def test_what_is_none_is_left(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_entry_is_one_line_and_has_no_secret(home: Path, style: str) -> None:
    path = configure(home, QUARTERDECK_LOG_FORMAT=style)
    hostile = "ada\r\n2026-01-01 INFO forged\x1b[2J\x85\x9b\u2028\x00"
    logging.getLogger("test").warning("sign-in of %s with password=%s", hostile, "marker")
    content = path.read_text(encoding="utf-8")
    assert len(content.splitlines()) == 1
    assert "marker" not in content
    assert not any(character in content for character in "\r\x1b\x85\x9b\u2028\x00")


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_forges_no_line_and_shows_no_secret(home: Path, style: str) -> None:
    path = configure(home, QUARTERDECK_LOG_FORMAT=style)
    try:
        raise ValueError("no\n2026-01-01 INFO forged password=marker\x1b[2J")
    except ValueError:
        logging.getLogger("test").exception("failed")
    content = path.read_text(encoding="utf-8")
    assert "ValueError" in content
    assert "marker" not in content
    assert "\x1b" not in content
    first, *rest = content.splitlines()
    assert "failed" in first
    assert all(line.startswith("    ") for line in rest)


def test_a_json_line_has_its_members(home: Path) -> None:
    path = configure(home, QUARTERDECK_LOG_FORMAT="json")
    token = request_id.set("01request")
    logging.getLogger("test").warning("disk of %s is full", "db-1")
    request_id.reset(token)
    line = json.loads(path.read_text(encoding="utf-8"))
    time = line.pop("time")
    assert time.endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "request": "01request",
        "logger": "test",
        "message": "disk of db-1 is full",
    }


def test_the_request_id_stands_in_a_text_line(home: Path) -> None:
    path = configure(home)
    token = request_id.set("01request")
    logging.getLogger("test").warning("hello")
    request_id.reset(token)
    assert "WARNING 01request test: hello" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("setting", "shown"), [("false", False), ("true", True)])
def test_debug_lines_are_shown_on_demand(home: Path, setting: str, shown: bool) -> None:
    path = configure(home, QUARTERDECK_DEBUG=setting)
    logging.getLogger("test").debug("in detail")
    assert ("in detail" in path.read_text(encoding="utf-8")) is shown


@pytest.mark.usefixtures("loose_umask")
def test_log_files_are_private_also_after_rotation(home: Path) -> None:
    path = configure(home, QUARTERDECK_LOG_MEGABYTES="1", QUARTERDECK_LOG_FILES="2")
    for _ in range(5):
        logging.getLogger("test").warning("x" * 600_000)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["master.log", "master.log.1", "master.log.2"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
