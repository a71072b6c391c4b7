"""The bridge under a real uvicorn, spoken to with raw sockets."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request, send_file

from quarterdeck.core.bridge import WINDOW_BYTES, Bridge, Wsgi
from quarterdeck.core.environ import HAS_WAITED, PUT_OFF
from tests.core.server import serving, talk, until

LIMIT = 200_000


def bridge(app: Wsgi, threads: int = 4, trusted_proxies: int = 0) -> Bridge:
    return Bridge(app, threads=threads, body_bytes=LIMIT, trusted_proxies=trusted_proxies)


def get(path: str = "/", *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: deck.test", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(body: bytes, *headers: str) -> bytes:
    return get("/", f"Content-Length: {len(body)}", *headers, method="POST") + body


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return get("/", "Transfer-Encoding: chunked", method="POST") + framed


def parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer what the application sees, as JSON; the body is shown by its length."""
    shown = {key: value for key, value in environ.items() if isinstance(value, str)}
    shown["read"] = str(len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]


async def seen(message: bytes, trusted_proxies: int = 0) -> dict[str, str]:
    async with serving(bridge(echo, trusted_proxies=trusted_proxies)) as port:
        status, _, body = parts(await talk(port, message))
    assert status == 200
    shown: dict[str, str] = json.loads(body)
    return shown


class Body:
    """A streaming answer that tells what became of it."""

    def __init__(self, chunks: Iterable[bytes], hold: threading.Event | None = None) -> None:
        self.chunks = chunks
        self.hold = hold
        self.taken = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.taken += 1
            yield chunk
            if self.hold:
                self.hold.wait(10)

    def close(self) -> None:
        self.closed += 1


def answering(body: Iterable[bytes], status: str = "200 OK", *headers: tuple[str, str]) -> Wsgi:
    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, list(headers))
        return body

    return app


async def answer_of(app: Wsgi, message: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    async with serving(bridge(app)) as port:
        return parts(await talk(port, message or get()))


async def test_duplicate_headers_are_joined() -> None:
    shown = await seen(get("/", "X-Tag: one", "X-Tag: two", "Cookie: a=1", "Cookie: b=2"))
    assert shown["HTTP_X_TAG"] == "one,two"
    assert shown["HTTP_COOKIE"] == "a=1; b=2"


async def test_headers_that_would_forge_another_are_left_out() -> None:
    shown = await seen(get("/", "X_Forwarded_For: 1.2.3.4", "Proxy: http://evil.test"))
    assert "HTTP_X_FORWARDED_FOR" not in shown
    assert "HTTP_PROXY" not in shown


async def test_a_request_that_names_two_hosts_is_refused() -> None:
    status, _, _ = await answer_of(echo, get("/", "Host: evil.test"))
    assert status == 422


@pytest.mark.parametrize(
    ("sent", "decoded"),
    [
        ("/hosts/a%2Fb", "/hosts/a/b"),
        ("/z%C3%BCrich", "/zürich"),
        ("/%E2%82%AC", "/€"),
        ("/a%20b", "/a b"),
        ("/100%25", "/100%"),
    ],
)
async def test_encoded_paths_arrive_as_wsgi_has_them(sent: str, decoded: str) -> None:
    shown = await seen(get(f"{sent}?q=%2F%C3%A9"))
    assert shown["PATH_INFO"].encode("latin-1").decode() == decoded
    assert shown["REQUEST_URI"] == shown["RAW_URI"] == f"{sent}?q=%2F%C3%A9"
    assert shown["QUERY_STRING"] == "q=%2F%C3%A9"


async def test_bytes_that_are_not_utf8_stay_what_they_are() -> None:
    shown = await seen(get("/%FF%FE"))
    assert shown["PATH_INFO"].encode("latin-1") == b"/\xff\xfe"


async def test_the_root_path_is_the_script_name() -> None:
    inner = bridge(echo)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        scope |= {"root_path": "/deck", "raw_path": b"/deck" + scope["raw_path"]}
        await inner(scope, receive, send)

    async with serving(mounted) as port:
        shown = json.loads(parts(await talk(port, get("/hosts")))[2])
    assert (shown["SCRIPT_NAME"], shown["PATH_INFO"]) == ("/deck", "/hosts")


async def test_forwarded_addresses_are_believed_for_as_many_proxies_as_are_set() -> None:
    forged = get("/", "X-Forwarded-For: 6.6.6.6, 10.0.0.9, 10.0.0.1", "X-Forwarded-Proto: https")
    assert (await seen(forged))["REMOTE_ADDR"] == "127.0.0.1"
    one = await seen(forged, trusted_proxies=1)
    assert (one["REMOTE_ADDR"], one["wsgi.url_scheme"]) == ("10.0.0.1", "https")
    assert (await seen(forged, trusted_proxies=2))["REMOTE_ADDR"] == "10.0.0.9"
    assert (await seen(forged, trusted_proxies=4))["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("nonsense", ["evil", "<script>", "", "1.2.3.4.5"])
async def test_a_forwarded_address_that_is_none_is_not_believed(nonsense: str) -> None:
    shown = await seen(get("/", f"X-Forwarded-For: {nonsense}"), trusted_proxies=1)
    assert shown["REMOTE_ADDR"] == "127.0.0.1"


async def test_a_body_at_the_limit_arrives_whole() -> None:
    shown = await seen(post(b"x" * LIMIT))
    assert shown["CONTENT_LENGTH"] == shown["read"] == str(LIMIT)


async def test_a_chunked_body_gets_a_length() -> None:
    shown = await seen(chunked(b"abc", b"defgh"))
    assert shown["CONTENT_LENGTH"] == shown["read"] == "8"
    assert "HTTP_TRANSFER_ENCODING" not in shown


async def test_the_time_of_an_answer_is_told_once() -> None:
    def dated(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Date", "Thu, 01 Jan 1970 00:00:00 GMT")])
        return [b"x"]

    async with serving(bridge(dated)) as port:
        answer = await talk(port, get())
    assert answer.lower().count(b"\r\ndate: ") == 1
    assert b"1970" not in answer


async def test_single_byte_chunks_arrive() -> None:
    assert (await seen(chunked(*[b"x"] * 5000)))["read"] == "5000"


@pytest.mark.parametrize("message", [post(b"x" * (LIMIT + 1)), chunked(*[b"x" * 50_000] * 5)])
async def test_a_body_over_the_limit_is_refused_with_a_problem(message: bytes) -> None:
    calls: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        calls.append(1)
        return echo(environ, start_response)

    status, headers, body = await answer_of(app, message)
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    problem = json.loads(body)
    assert problem["status"] == 413
    assert "QUARTERDECK_BODY_MEGABYTES" in problem["detail"]
    assert not calls


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes() -> None:
    message = get("/", "Content-Length: 99999999999", "Expect: 100-continue", method="POST")
    async with serving(bridge(echo)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(message)
        assert (await reader.readline()).split()[1] == b"413"
        writer.close()


async def test_many_large_bodies_at_once_are_bounded() -> None:
    waiting: list[asyncio.StreamWriter] = []
    held = post(b"x" * LIMIT)[:-1]
    async with serving(bridge(echo, threads=1)) as port:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            waiting.append(writer)
            writer.write(held)
            await writer.drain()
        assert (await reader.readline()).split()[1] == b"503"
        assert parts(await talk(port, get()))[0] == 200
        for writer in waiting:
            writer.close()


@pytest.mark.parametrize(
    "smuggled",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nB: c\x00\r\n\r\n",
    ],
)
async def test_requests_with_two_ends_are_refused(smuggled: bytes) -> None:
    async with serving(bridge(echo)) as port:
        answer = await talk(port, smuggled)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_list_goes_out_with_its_length() -> None:
    _, headers, body = await answer_of(answering([b"one", b"two"]))
    assert (headers["content-length"], body) == ("6", b"onetwo")


async def test_what_is_written_the_old_way_comes_first() -> None:
    def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"first ")
        return [b"second"]

    assert (await answer_of(app))[2] == b"first second"


async def test_a_generator_may_start_its_answer_late() -> None:
    def app(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("202 Accepted", [])
        yield b"late"

    status, headers, body = await answer_of(app)
    assert (status, headers["transfer-encoding"]) == (202, "chunked")
    assert body == b"4\r\nlate\r\n0\r\n\r\n"


async def test_chunks_of_a_stream_arrive_as_they_are_made() -> None:
    hold = threading.Event()
    async with serving(bridge(answering(Body([b"one", b"two"], hold)))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get())
        assert await asyncio.wait_for(reader.readuntil(b"3\r\none\r\n"), 5)
        hold.set()
        assert await asyncio.wait_for(reader.readuntil(b"3\r\ntwo\r\n0\r\n\r\n"), 5)
        writer.close()


async def test_a_long_stream_arrives_whole() -> None:
    chunks = [bytes([number % 251]) * 10_000 for number in range(300)]
    body = Body(chunks)
    length = ("Content-Length", str(300 * 10_000))
    _, _, received = await answer_of(answering(body, "200 OK", length))
    assert received == b"".join(chunks)
    assert body.closed == 1


async def test_many_long_streams_at_once_arrive_whole() -> None:
    """Jobs of one answer follow each other closely in different threads, and must never overlap."""

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(8 * WINDOW_BYTES))])
        return Body([b"x" * WINDOW_BYTES] * 8)

    async with serving(bridge(app, threads=8)) as port:
        answers = await asyncio.gather(*(talk(port, get()) for _ in range(40)))
    assert {len(parts(answer)[2]) for answer in answers} == {8 * WINDOW_BYTES}


async def test_a_slow_reader_holds_no_thread() -> None:
    body = Body(b"x" * 65_536 for _ in range(10_000))
    threads: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        threads.append(threading.current_thread().name)
        return body if environ["PATH_INFO"] == "/slow" else [b"quick"]

    async with serving(bridge(app, threads=1)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(get("/slow"))
        await until(lambda: body.taken > 4, "the stream to begin")
        assert parts(await talk(port, get("/quick")))[2] == b"quick"
        assert body.taken < 1000
        writer.close()
        await until(lambda: body.closed == 1, "the stream to be closed")


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, as a crashed client does."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_a_client_that_is_gone_stops_the_stream() -> None:
    endless = iter(lambda: b"x" * 1000, None)
    body = Body(endless)
    async with serving(bridge(answering(body))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get())
        await reader.readexactly(100_000)
        reset(writer)
        await until(lambda: body.closed == 1, "the answer to be closed")


async def test_a_client_that_is_gone_stops_a_silent_stream_too() -> None:
    hold = threading.Event()
    body = Body([b"one", b"two", b"three"], hold)
    target = bridge(answering(body))
    async with serving(target) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get())
        await reader.readuntil(b"one\r\n")
        reset(writer)
        await until(lambda: target.in_flight == 0, "the request to be given up")
        hold.set()
        await until(lambda: body.closed == 1, "the answer to be closed")
    assert body.taken < 3


async def test_a_client_that_is_gone_before_its_body_ended_calls_nothing() -> None:
    calls: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        calls.append(1)
        return echo(environ, start_response)

    target = bridge(app)
    async with serving(target) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"x" * 1000)[:-1])
        await until(lambda: target.in_flight == 1, "the request to begin")
        reset(writer)
        await until(lambda: target.in_flight == 0, "the request to be given up")
    assert not calls


@pytest.mark.parametrize("body", [Body([b"x"]), Body([b"x" * WINDOW_BYTES] * 3)])
async def test_close_is_called_once(body: Body) -> None:
    length = str(sum(map(len, body.chunks)))
    await answer_of(answering(body, "200 OK", ("Content-Length", length)))
    await until(lambda: body.closed == 1, "the answer to be closed")


async def test_an_exception_in_the_application_is_a_problem() -> None:
    def app(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
        raise RuntimeError("marker-secret")

    status, headers, body = await answer_of(app)
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"marker-secret" not in body


async def test_an_application_that_starts_no_answer_is_a_problem() -> None:
    status, _, _ = await answer_of(lambda _environ, _start_response: [b"x"])
    assert status == 500


def failing(before: int) -> Iterator[bytes]:
    yield b"x" * before
    raise RuntimeError("boom")


async def test_an_exception_midway_cuts_the_answer_visibly() -> None:
    status, _, body = await answer_of(answering(failing(10)))
    assert (status, body) == (200, b"a\r\nxxxxxxxxxx\r\n")


async def test_the_server_lives_on_after_failures() -> None:
    async with serving(bridge(answering(failing(10)), threads=1)) as port:
        for _ in range(5):
            assert (await talk(port, get())).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_status_without_body_has_none(status: str) -> None:
    code, headers, body = await answer_of(answering([b"never"], status, ("Content-Length", "5")))
    assert (code, body) == (int(status[:3]), b"")
    assert "content-length" not in headers


async def test_head_has_the_length_and_no_body() -> None:
    app = answering(Body([b"never"]), "200 OK", ("Content-Length", "5"))
    _, headers, body = await answer_of(app, get(method="HEAD"))
    assert (headers["content-length"], body) == ("5", b"")


async def test_a_file_is_sent_whole_and_by_range(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    (tmp_path / "output").write_bytes(content)
    app = Flask("files")

    @app.get("/")
    def download() -> Response:
        return send_file(tmp_path / "output", mimetype="text/plain")

    assert (await answer_of(app))[2] == content
    status, _, body = await answer_of(app, get("/", "Range: bytes=1000-600000"))
    assert (status, body) == (206, content[1000:600_001])


async def test_context_variables_reach_the_application() -> None:
    asked: ContextVar[str] = ContextVar("asked", default="nobody")
    inner = bridge(lambda environ, start: answering([asked.get().encode()])(environ, start))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.set("ada")
        await inner(scope, receive, send)

    async with serving(app) as port:
        assert parts(await talk(port, get()))[2] == b"ada"


async def test_sixty_four_requests_at_once_get_their_own_answers() -> None:
    app = Flask("own")

    @app.get("/<name>")
    def own(name: str) -> str:
        return f"{name} {request.path}"

    async with serving(bridge(app)) as port:
        answers = await asyncio.gather(*(talk(port, get(f"/n{number}")) for number in range(64)))
    assert [parts(answer)[2] for answer in answers] == [f"n{n} /n{n}".encode() for n in range(64)]


async def test_a_request_that_outlasts_the_server_is_told_so() -> None:
    hold = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        hold.wait(10)
        return echo(environ, start_response)

    target = bridge(app)
    async with serving(target) as port:
        asking = asyncio.create_task(talk(port, get()))
        await until(lambda: target.in_flight == 1, "the request to begin")
    status, _, _ = parts(await asking)
    assert status == 503
    hold.set()


def putting_off(wait: Callable[[], Awaitable[object]], asked: list[bool]) -> Wsgi:
    """An application that answers only after it was waited for."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(environ[HAS_WAITED])
        if not environ[HAS_WAITED]:
            environ[PUT_OFF] = wait
        start_response("200 OK", [])
        return [str(len(asked)).encode()]

    return app


async def test_an_answer_that_is_put_off_holds_no_thread_and_comes_in_the_end() -> None:
    event, asked = asyncio.Event(), list[bool]()
    async with serving(bridge(putting_off(event.wait, asked), threads=2)) as port:
        waiting = [asyncio.create_task(talk(port, get())) for _ in range(20)]
        await until(lambda: asked.count(False) == 20, "all to be asked once")
        event.set()
        answers = await asyncio.gather(*waiting)
    assert {parts(answer)[0] for answer in answers} == {200}
    assert asked.count(True) == 20


async def test_a_client_that_is_gone_is_waited_for_no_longer() -> None:
    asked: list[bool] = []
    over = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    async with serving(bridge(putting_off(wait, asked))) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get())
        await until(lambda: bool(asked), "the request to be put off")
        writer.close()
        await asyncio.wait_for(over.wait(), 10)
    assert asked == [False]


async def test_a_wait_that_fails_is_answered_all_the_same() -> None:
    async def wait() -> None:
        raise LookupError

    asked: list[bool] = []
    async with serving(bridge(putting_off(wait, asked))) as port:
        assert parts(await talk(port, get()))[0] == 200
    assert asked == [False, True]
