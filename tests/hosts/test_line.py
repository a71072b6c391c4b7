"""Both ends of a line with nothing but memory between them: many answers at once, in bounded room."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import binary

from quarterdeck.hosts.line import BrokenRules as LineRulesBroken
from quarterdeck.hosts.line import Ending, Line
from quarterdeck.hosts.line_transport import LineTransport, NoLine, line_url
from quarterdeck.protocol import line as protocol
from quarterdeck.tasks.worker.line_answers import BrokenRules, LineAnswers
from tests.core.server import until

HOST = "0" * 26
LARGE = 5_000_000


class Wire:
    """Carries messages between the two ends, and counts what is on its way to the master."""

    def __init__(self, app: Any) -> None:  # Any: an application under test
        self.to_master: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.said: list[Any] = []  # Any: messages of the master
        self.is_halted = False
        self.line = Line(HOST, "far", "digest", send=self._to_worker, abort=lambda: None)
        self.answers = LineAnswers(app, self._to_master, "192.0.2.1")

    async def _to_worker(self, content: bytes) -> None:
        self.said.append(msgspec.msgpack.decode(content, type=protocol.FromMaster))
        self.answers.take(content)

    async def _to_master(self, content: bytes) -> None:
        while self.is_halted:
            await asyncio.sleep(0.01)
        self.to_master.put_nowait({"type": "websocket.receive", "bytes": content})

    def drops(self) -> int:
        return sum(isinstance(each, protocol.Drop) for each in self.said)


class Book:
    """The one line that there is, or none."""

    def __init__(self, line: Line | None) -> None:
        self.line = line
        self.is_open = True

    async def line_of(self, host_id: str, _seconds: float) -> Line:
        if self.line is None or host_id != HOST:
            raise NoLine("its line is cut")
        return self.line


@contextlib.asynccontextmanager
async def wired(app: Any) -> AsyncIterator[tuple[Wire, httpx.AsyncClient]]:  # Any: an application under test
    wire = Wire(app)
    serving = asyncio.ensure_future(wire.line.serve(wire.to_master.get))
    transport = LineTransport(Book(wire.line), httpx.AsyncHTTPTransport())
    async with httpx.AsyncClient(transport=transport, base_url=line_url(HOST), timeout=20) as client:
        try:
            yield wire, client
        finally:
            wire.line.end(Ending("the test is over"))
            wire.answers.leave()
            await serving


async def body_of(receive: Any) -> bytes:
    content = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        content += bytes(message["body"])
        if not message["more_body"]:
            return content


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer what was asked, and how."""
    content = await body_of(receive)
    headers = [(b"x-asked", f"{scope['method']} {scope['path']}?{scope['query_string'].decode()}".encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def long_answer(_scope: Any, receive: Any, send: Any) -> None:
    await body_of(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for start in range(0, LARGE, 300_000):
        piece = b"x" * min(300_000, LARGE - start)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def test_request_and_answer_arrive_as_they_were_sent() -> None:
    content = bytes(range(256)) * 4000
    async with wired(echo) as (_, client):
        answer = await client.post("/tasks/a%20b/page?out=1&wait=10", content=content)
    assert answer.headers["x-asked"] == "POST /tasks/a%20b/page?out=1&wait=10"
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest()


async def test_two_hundred_requests_at_once_get_each_its_own_answer() -> None:
    async with wired(echo) as (_, client):
        asked = [client.post(f"/{number}", content=b"%d" % number * 5000) for number in range(200)]
        answers = await asyncio.gather(*asked)
    assert [answer.content for answer in answers] == [b"%d" % number * 5000 for number in range(200)]


async def test_no_more_than_the_window_waits_for_a_slow_reader() -> None:
    async with wired(long_answer) as (wire, client), client.stream("GET", "/") as answer:
        arrived, most = 0, 0
        async for piece in answer.aiter_raw():
            arrived += len(piece)
            exchange = next(iter(wire.line._exchanges.values()), None)
            if exchange is not None:
                most = max(most, exchange._pieces.qsize() * protocol.PIECE_BYTES)
            await asyncio.sleep(0)
        assert arrived == LARGE
    assert 0 < most <= protocol.WINDOW_BYTES + protocol.PIECE_BYTES


async def test_answer_that_does_not_wait_for_room_ends_the_line() -> None:
    async def silent(_content: bytes) -> None:
        pass

    line = Line(HOST, "far", "digest", send=silent, abort=lambda: None)
    exchange = await line.begin("GET", "/", [], b"")
    arriving: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    pieces = [protocol.AnswerBody(exchange.id, b"x" * protocol.PIECE_BYTES, True)] * 5
    for message in (protocol.Answer(exchange.id, 200, []), *pieces):
        arriving.put_nowait({"type": "websocket.receive", "bytes": msgspec.msgpack.encode(message)})
    ending = await line.serve(arriving.get)
    assert (ending.code, "more than there was room for" in ending.reason) == (protocol.BROKEN_RULES, True)


async def test_slow_reader_of_one_answer_holds_up_no_other() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (long_answer if scope["path"] == "/long" else echo)(scope, receive, send)

    async with wired(app) as (_, client), client.stream("GET", "/long"):
        assert (await client.post("/quick", content=b"now")).content == b"now"


async def test_whoever_stops_waiting_is_noticed_by_the_application() -> None:
    noticed = asyncio.Event()

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await body_of(receive)
        assert (await receive())["type"] == "http.disconnect"
        noticed.set()

    async with wired(app) as (wire, client):
        waiting = asyncio.create_task(client.get("/health"))
        await until(lambda: len(wire.said) > 1, "the request to be out")
        waiting.cancel()
        await asyncio.wait_for(noticed.wait(), 5)
        assert wire.drops() == 1


async def test_answer_that_does_not_come_times_out_and_gives_its_place_back() -> None:
    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with wired(app) as (wire, client):
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/", timeout=httpx.Timeout(5, read=0.05))
        assert wire.line.slots._value == protocol.MOST_REQUESTS
        assert wire.line._exchanges == {}


async def test_cut_line_breaks_off_what_is_under_way() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with wired(app) as (wire, client), client.stream("GET", "/") as answer:
        wire.line.end(Ending("the test cuts it"))
        with pytest.raises(httpx.ReadError, match="the test cuts it"):
            await answer.aread()


async def test_application_that_fails_midway_gives_no_half_answer_for_a_whole() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("it breaks")

    async with wired(app) as (_, client):
        with pytest.raises(httpx.ReadError, match="broke off"):
            await client.get("/")


async def test_head_that_is_too_large_is_refused_here_already() -> None:
    async with wired(echo) as (_, client):
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/", headers={"x-long": "y" * protocol.MOST_MESSAGE_BYTES})


async def test_packed_answers_are_not_unpacked() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"\x1f\x8b not unpacked"})

    async with wired(app) as (_, client):
        assert (await client.get("/")).content == b"\x1f\x8b not unpacked"


async def test_without_a_line_the_reason_is_told() -> None:
    transport = LineTransport(Book(None), httpx.AsyncHTTPTransport())
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(NoLine, match="its line is cut"):
            await client.get(f"{line_url(HOST)}/health")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"garbage",
        msgspec.msgpack.encode(["answer", 1, 200, []]),
        msgspec.msgpack.encode(protocol.Request(0, "GET", "/", [])),
        msgspec.msgpack.encode(protocol.Request(1, "GET", "http://elsewhere/", [])),
        "text",
    ],
)
async def test_worker_takes_nothing_but_requests(content: bytes | str) -> None:
    async def out(_content: bytes) -> None:
        raise AssertionError("nothing is answered")

    with pytest.raises(BrokenRules):
        LineAnswers(echo, out, "192.0.2.1").take(content)


@given(binary(max_size=200))
async def test_no_bytes_do_more_to_either_end_than_end_the_line(content: bytes) -> None:
    async def silent(_content: bytes) -> None:
        pass

    line = Line(HOST, "far", "digest", send=silent, abort=lambda: None)
    with contextlib.suppress(LineRulesBroken):
        line._take(content)
    with contextlib.suppress(BrokenRules):
        LineAnswers(echo, silent, "192.0.2.1").take(content)


async def test_requests_go_out_in_the_order_of_their_ids() -> None:
    """Also when the socket takes nothing for a while, and some wait when others come."""
    sent: list[int] = []
    may_go = asyncio.Event()

    async def send(content: bytes) -> None:
        await may_go.wait()
        sent.append(msgspec.msgpack.decode(content, type=protocol.Request).id)
        if len(sent) % 3 == 0:
            may_go.clear()
            asyncio.get_running_loop().call_soon(may_go.set)

    line = Line(HOST, "far", "digest", send=send, abort=lambda: None)
    waiting = [asyncio.create_task(line.begin("GET", "/", [], b"")) for _ in range(20)]
    await asyncio.sleep(0)
    may_go.set()
    late = [asyncio.create_task(line.begin("GET", "/", [], b"")) for _ in range(20)]
    await asyncio.gather(*waiting, *late)
    assert sent == list(range(1, 41))


async def test_worker_refuses_more_requests_than_may_be_under_way() -> None:
    said: list[Any] = []  # Any: messages of the worker

    async def out(content: bytes) -> None:
        said.append(msgspec.msgpack.decode(content, type=protocol.FromWorker))

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    answers = LineAnswers(app, out, "192.0.2.1")
    for number in range(1, protocol.MOST_REQUESTS + 2):
        answers.take(msgspec.msgpack.encode(protocol.Request(number, "GET", "/", [])))
    await until(lambda: len(said) == 2, "the refusal")
    assert said[0] == protocol.Answer(protocol.MOST_REQUESTS + 1, 503, [])
    answers.leave()
    await answers.settle(5)
