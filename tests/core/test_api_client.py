"""Whatever answers instead of a master: the token stays here, memory is bounded, the words say what to do."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from quarterdeck import __version__
from quarterdeck.core.api_client import ApiClient, step
from quarterdeck.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    QuarterdeckError,
    Unauthenticated,
    Unreachable,
)
from quarterdeck.core.headers import IDEMPOTENCY_KEY, VERSION
from quarterdeck.core.token_files import read_token_file

TOKEN = "qd_marker-of-the-token"
Reply = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Answers by one function and remembers the heads of what it was asked."""

    daemon_threads = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply
        self.seen: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients hang up here on purpose."""


class Handler(BaseHTTPRequestHandler):
    def answer(
        self, status: int, body: bytes | object, kind: str = "application/json", **headers: str
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        named = {"Content-Type": kind, VERSION: __version__, "Content-Length": str(len(content))}
        for name, value in (named | {key.replace("_", "-"): text for key, text in headers.items()}).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def problem(self, status: int, detail: str, **more: Any) -> None:  # Any: JSON and headers
        headers = {name: more.pop(name) for name in list(more) if name[0].isupper()}
        self.answer(
            status, {"detail": detail, "status": status} | more, "application/problem+json", **headers
        )

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""

    def _call(self) -> None:
        server = cast("Server", self.server)  # what Server passes itself as
        server.seen.append(dict(self.headers) | {"path": self.path})
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server.reply(self)

    do_GET = do_POST = do_DELETE = _call  # noqa: N815 - named by the library


@contextlib.contextmanager
def answering(reply: Reply) -> Iterator[tuple[Server, ApiClient]]:
    server = Server(reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with ApiClient(server.url, TOKEN, advice="Check the address.") as client:
            yield server, client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(reply: Reply) -> QuarterdeckError:
    """Return the error that a read ends in."""
    with answering(reply) as (_, client), pytest.raises(QuarterdeckError) as caught:
        client.get("/api/v1/hosts")
    assert TOKEN not in caught.value.message
    return caught.value


def test_the_token_follows_no_redirect() -> None:
    with answering(lambda call: call.answer(200, {})) as (other, _):
        error = refusal(lambda call: call.answer(307, b"", Location=f"{other.url}/api/v1/hosts"))
        assert f"sends this call on to {other.url}; the token was not sent there" in error.message
        assert other.seen == []


def test_the_token_passes_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda call: call.answer(200, {"x": 1})) as (proxy, _):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with answering(lambda call: call.answer(200, {"hosts": []})) as (server, client):
            assert client.get("/api/v1/hosts") == {"hosts": []}
            assert server.seen[0]["Authorization"] == f"Bearer {TOKEN}"
        assert proxy.seen == []


@pytest.mark.parametrize(
    "reply",
    [
        lambda call: call.answer(200, b"<html><title>Sign in</title>", "text/html", **{VERSION: ""}),
        lambda call: call.answer(200, {"hosts": []}, **{VERSION: ""}),
        lambda call: call.answer(404, b"<html>no such page", "text/html", **{VERSION: ""}),
        lambda call: call.answer(401, {"error": "another API"}),
        lambda call: call.answer(502, b"", "text/html"),
        lambda call: call.answer(200, b"\x1f\x8b\x08\x00", Content_Encoding="gzip"),
    ],
    ids=["page", "other-json", "page-404", "other-401", "proxy-502", "compressed"],
)
def test_what_is_no_master_is_said_to_be_none(reply: Reply) -> None:
    error = refusal(reply)
    assert isinstance(error, Unreachable)
    assert "not as a master of Quarterdeck does" in error.message


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_no_object_is_not_understood(body: bytes) -> None:
    assert "can't be understood" in refusal(lambda call: call.answer(200, body)).message


@pytest.mark.parametrize("status", [200, 422])
def test_a_huge_answer_is_given_up_early(status: int) -> None:
    sent = 0

    def pour(call: Handler) -> None:
        nonlocal sent
        call.send_response(status)
        call.send_header(VERSION, __version__)
        call.end_headers()
        with contextlib.suppress(OSError):
            while sent < 1_000_000_000:
                sent += call.wfile.write(b" " * 1_000_000)

    assert "that is no master" in refusal(pour).message
    assert sent < 200_000_000


def test_a_list_without_an_end_is_given_up() -> None:
    with answering(lambda call: call.answer(200, {"hosts": [], "next_cursor": "again"})) as (server, client):
        with pytest.raises(Unreachable, match="its list never ends"):
            list(client.pages("/api/v1/hosts"))
        assert len(server.seen) == 2


def hang_up(call: Handler) -> None:
    call.close_connection = True


def test_a_cut_read_is_asked_for_again_a_few_times() -> None:
    with answering(lambda call: hang_up(call) if len(server.seen) < 3 else call.answer(200, {"a": 1})) as (
        server,
        client,
    ):
        assert client.get("/api/v1/hosts") == {"a": 1}
    with answering(hang_up) as (server, client):
        with pytest.raises(Unreachable, match=r"cut the connection\. Try again"):
            client.get("/api/v1/hosts")
        assert len(server.seen) == 3


def test_a_cut_change_is_sent_again_only_with_a_key() -> None:
    with answering(hang_up) as (server, client):
        with pytest.raises(Unreachable, match="Look whether it was done before you try again"):
            client.send("POST", "/api/v1/hosts", {})
        assert len(server.seen) == 1
        with pytest.raises(Unreachable):
            client.send("POST", "/api/v1/runs", {}, key="one")
        assert [head.get(IDEMPOTENCY_KEY) for head in server.seen] == [None, "one", "one", "one"]


def test_an_answer_that_is_cut_in_the_middle_is_no_answer() -> None:
    def half(call: Handler) -> None:
        call.send_response(200)
        call.send_header(VERSION, __version__)
        call.send_header("Content-Length", "100")
        call.end_headers()
        call.wfile.write(b'{"hosts": []}')
        call.close_connection = True

    assert "cut the connection" in refusal(half).message
    with answering(half) as (_, client), pytest.raises(Unreachable, match="cut the connection"):
        list(client.stream("/api/v1/history/export"))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, Unauthenticated, "does not accept the token. Told. Make a new one"),
        (403, Forbidden, "Told. A token may do what its scope and the role of its person both allow"),
        (404, NotFound, "Told."),
        (409, Conflict, "Told."),
        (503, Busy, "Told."),
        (500, QuarterdeckError, "Told."),
    ],
)
def test_problems_become_our_own_errors(status: int, kind: type[QuarterdeckError], words: str) -> None:
    error = refusal(lambda call: call.problem(status, "Told.", duplicate_of="one"))
    assert type(error) is kind
    assert words in error.message


def test_too_many_tries_say_when_to_go_on() -> None:
    error = refusal(lambda call: call.problem(429, "Too many.", Retry_After="7"))
    assert isinstance(error, Limited)
    assert (error.message, error.retry_after) == ("Too many. Wait 7 s, then try again.", 7)
    odd = refusal(lambda call: call.problem(429, "Too many.", Retry_After="9" * 90))
    assert "Wait 60 s" in odd.message


def test_faults_keep_their_fields_and_can_not_drive_a_terminal() -> None:
    error = refusal(lambda call: call.problem(422, "x", errors={"name": "bad\x1b[2J\u202e name"}))
    assert isinstance(error, Invalid)
    assert error.fields == {"name": "bad�[2J� name"}


def test_another_version_is_named_where_it_matters() -> None:
    with answering(lambda call: call.answer(200, {"b": 1}, **{VERSION: "99.1.0"})) as (_, client):
        answer = client.get("/api/v1/hosts")
        with pytest.raises(Unreachable, match=r"runs Quarterdeck 99\.1\.0, this command line is"):
            client.part(answer, "hosts")
    error = refusal(lambda call: call.problem(404, "Nothing here.", **{VERSION: "99.1.0"}))
    assert error.message.startswith("Nothing here. http://127.0.0.1:")
    assert "99.1.0" in error.message


def test_nobody_at_the_address_gets_the_advice() -> None:
    with answering(hang_up) as (server, _):
        url = server.url
    client = ApiClient(url, TOKEN, advice="Check the address.")
    with client, pytest.raises(Unreachable, match=f"No master answers at {url}. Check the address."):
        client.get("/api/v1/hosts")


def test_a_name_stays_one_step_of_the_path() -> None:
    assert step("..") == "%2E%2E"
    assert step("a b?c#d") == "a%20b%3Fc%23d"
    for name in ("../people/ada", "", "/"):
        with pytest.raises(NotFound, match="There is nothing named"):
            step(name)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_token_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)
    with pytest.raises(Invalid, match=f"Run: chmod 600 {path}"):
        read_token_file(path)
    path.chmod(0o600)
    assert read_token_file(path) == TOKEN


@pytest.mark.parametrize("content", ["", "\n", "naïve", "two words", "x" * 600])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(Invalid, match="holds no token"):
        read_token_file(path)
    with pytest.raises(Invalid, match="can't be read"):
        read_token_file(tmp_path / "absent")
