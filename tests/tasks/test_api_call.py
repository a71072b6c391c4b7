"""Calls of remote APIs against a real server on loopback."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.calls.api_call import METHODS, ApiCallExecution, CallLimits
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.states import RunState

SECRET = "stored-bearer-0123456789"


class Api(BaseHTTPRequestHandler):
    """Answers what the path asks for and echoes what it was sent."""

    protocol_version = "HTTP/1.1"
    held = threading.Event()

    def answer(self) -> None:
        getattr(self, f"_{self.path.partition('?')[0].strip('/').replace('-', '_')}")()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _echo(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        received = {
            "method": self.command,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(size).decode(),
        }
        self.send(200, msgspec.json.encode(received), X_Seen=self.headers.get("Authorization", ""))

    def _missing(self) -> None:
        self.send(404, b"no such thing")

    def _redirect(self) -> None:
        self.send(302, b"", Location="http://169.254.169.254/latest/meta-data")

    def _large(self) -> None:
        self.send(200, b"x" * 60_000, Set_Cookie="session=abc")

    def _packed(self) -> None:
        self.send(200, gzip.compress(b"\0" * 5_000_000), Content_Encoding="gzip")

    def _silent(self) -> None:
        self.held.wait(20)

    def _slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.held.wait(0.05):
            self.wfile.write(b".")

    def _broken(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def _leak(self) -> None:
        """Send the bearer back, cut in the middle by two chunks."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"a " + SECRET[:7].encode(), SECRET[7:].encode() + b" b", b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients leave in the middle here
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Api.held.set()
    server.shutdown()
    thread.join()
    server.server_close()
    Api.held.clear()


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.streams = {Stream.OUT: b"", Stream.ERR: b""}
        self.arrived = asyncio.Event()

    async def started(self) -> None:
        pass

    async def write(self, stream: Stream, data: bytes) -> None:
        self.streams[stream] += data
        self.arrived.set()


async def call(
    url: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: str = "",
    bearer: str = "",
    limits: CallLimits | None = None,
) -> tuple[Result, bytes, bytes]:
    sink = Kept()
    task = CallTask(method, url, headers or {}, body)
    result = await ApiCallExecution(task, url, bearer, limits).run(sink)
    return result, sink.streams[Stream.OUT], sink.streams[Stream.ERR]


async def test_a_call_gives_status_headers_body_and_time(base: str) -> None:
    result, out, _ = await call(f"{base}/echo", "POST", headers={"X-Trace": "7"}, body="hällo")
    received = msgspec.json.decode(out)
    assert (received["method"], received["body"], received["headers"]["x-trace"]) == ("POST", "hällo", "7")
    assert (result.state, result.exit_status, result.details["status"]) == (RunState.SUCCEEDED, None, 200)
    assert result.details["headers"]["content-length"] == str(len(out))
    assert 0 < result.details["elapsed_ms"] < 10_000


@pytest.mark.parametrize("method", METHODS)
async def test_each_method_can_be_called(base: str, method: str) -> None:
    result, _, _ = await call(f"{base}/echo", method.lower())
    assert result.state is RunState.SUCCEEDED


async def test_an_error_of_the_api_is_a_failed_call_with_its_body(base: str) -> None:
    result, out, _ = await call(f"{base}/missing")
    assert (result.state, result.message, out) == (RunState.FAILED, "HTTP 404 Not Found", b"no such thing")


async def test_a_redirect_is_shown_and_never_followed(base: str) -> None:
    result, _, _ = await call(f"{base}/redirect", bearer=SECRET)
    assert (result.state, result.details["status"]) == (RunState.SUCCEEDED, 302)
    assert result.details["headers"]["location"].startswith("http://169.254.169.254")


async def test_the_bearer_is_sent_and_never_shown(base: str) -> None:
    result, out, err = await call(f"{base}/echo", bearer=SECRET)
    assert msgspec.json.decode(out)["headers"]["authorization"] == "Bearer [secret]"
    assert result.details["headers"]["x-seen"] == "Bearer [secret]"
    assert SECRET not in f"{result}{out!r}{err!r}"


async def test_a_bearer_that_comes_back_in_pieces_is_not_shown(base: str) -> None:
    _, out, _ = await call(f"{base}/leak", bearer=SECRET)
    assert out == b"a [secret] b"


async def test_the_secret_of_an_answer_is_not_kept(base: str) -> None:
    result, _, _ = await call(f"{base}/large")
    assert result.details["headers"]["set-cookie"] == "[secret]"


async def test_a_long_answer_is_cut_with_a_mark(base: str) -> None:
    result, out, err = await call(f"{base}/large", limits=CallLimits(body_bytes=1000))
    assert (out, result.details["cut"]) == (b"x" * 1000, True)
    assert b"longer than 1,000 bytes" in err


async def test_an_answer_of_just_the_limit_is_whole(base: str) -> None:
    result, out, err = await call(f"{base}/large", limits=CallLimits(body_bytes=60_000))
    assert (len(out), err, result.details["cut"]) == (60_000, b"", False)


async def test_a_packed_answer_is_not_unpacked(base: str) -> None:
    _, out, _ = await call(f"{base}/packed")
    assert len(out) < 10_000


@pytest.mark.parametrize(
    ("headers", "method", "field"),
    [
        ({"X-A": "1\r\nX-B: 2"}, "GET", "headers"),
        ({"X-A": "1\n2"}, "GET", "headers"),
        ({"X-A": "\x00"}, "GET", "headers"),
        ({"X-A": "\ud800"}, "GET", "headers"),
        ({"X A": "1"}, "GET", "headers"),
        ({"X-A:": "1"}, "GET", "headers"),
        ({"": "1"}, "GET", "headers"),
        ({"Host": "other"}, "GET", "headers"),
        ({"transfer-encoding": "chunked"}, "GET", "headers"),
        ({"Content-Length": "3"}, "GET", "headers"),
        ({"Connection": "close"}, "GET", "headers"),
        ({"Authorization": "Bearer mine"}, "GET", "headers"),
        ({}, "TRACE", "method"),
        ({}, "CONNECT", "method"),
        ({}, "GET /\r\nX: y", "method"),
    ],
)
def test_what_would_change_the_request_is_refused_before_it_is_made(
    headers: dict[str, str], method: str, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        ApiCallExecution(CallTask(method, "http://127.0.0.1/", headers), "http://127.0.0.1/", SECRET)
    assert list(caught.value.fields) == [field]
    assert SECRET not in str(caught.value)


async def test_without_a_stored_bearer_one_may_be_given(base: str) -> None:
    _, out, _ = await call(f"{base}/echo", headers={"authorization": "Bearer mine"})
    assert msgspec.json.decode(out)["headers"]["authorization"] == "Bearer mine"


async def test_nothing_listening_is_said_plainly() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result, _, _ = await call(
            f"http://127.0.0.1:{unused.getsockname()[1]}/?token={SECRET}", bearer=SECRET
        )
    assert result.state is RunState.FAILED
    assert "refused" in result.message
    assert SECRET not in result.message


async def test_a_name_that_is_none_is_said_plainly() -> None:
    result, _, _ = await call("http://no-such-host.invalid/")
    assert (result.state, result.message) == (RunState.FAILED, "No answer: its name can't be resolved.")


async def test_plain_http_where_tls_is_expected_is_said_plainly(base: str) -> None:
    result, _, _ = await call(f"{base.replace('http:', 'https:')}/echo")
    assert "does not speak TLS" in result.message


async def test_each_time_limit_has_its_own_message(base: str) -> None:
    silent, _, _ = await call(f"{base}/silent", limits=CallLimits(silence_seconds=0.2))
    whole, out, _ = await call(f"{base}/slow", limits=CallLimits(total_seconds=0.4))
    assert (silent.state, silent.message) == (
        RunState.TIMED_OUT,
        "No answer: connected, but silent for 0.2 s.",
    )
    assert whole.state is RunState.TIMED_OUT
    assert "whole call took longer than 0.4 s" in whole.message
    assert out


async def test_an_answer_that_breaks_off_is_a_failure_and_what_came_is_kept(base: str) -> None:
    result, out, _ = await call(f"{base}/broken")
    assert (result.state, out) == (RunState.FAILED, b"half")
    assert "broken off" in result.message


async def test_cancel_breaks_the_call_off_and_claims_nothing(base: str) -> None:
    sink = Kept()
    execution = ApiCallExecution(CallTask("GET", f"{base}/slow"), f"{base}/slow")
    running = asyncio.ensure_future(execution.run(sink))
    await asyncio.wait_for(sink.arrived.wait(), 5)
    assert await execution.cancel() is None
    assert (await running).state is RunState.CANCELLED
