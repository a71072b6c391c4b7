"""How the master's HTTP client asks a worker that dials in: over its line instead of a connection to it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

import httpx

from quarterdeck.hosts.line import Exchange, Line, LineCut, body_of
from quarterdeck.hosts.models import LINE
from quarterdeck.protocol.line import Answer

_UNSENT_HEADERS: Final = frozenset({b"accept-encoding", b"connection", b"host", b"transfer-encoding"})
_UNTAKEN_HEADERS: Final = frozenset({"connection", "content-encoding", "transfer-encoding"})


class NoLine(httpx.ConnectError):
    """The worker has no line now; ``reason`` is for people. ``is_returning``: it may be back any moment."""

    def __init__(self, reason: str, *, is_returning: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_returning = reason, is_returning


class LineBook(Protocol):
    """Who has a line; where none can be, it is not ``is_open``."""

    @property
    def is_open(self) -> bool: ...

    async def line_of(self, host_id: str, seconds: float) -> Line:
        """Return the host's line, waiting up to so long for one that is due; raises NoLine."""


def line_url(host_id: str) -> str:
    """Return the base address by which a worker that dials in is asked."""
    return f"{LINE}://{host_id}"


class LineTransport(httpx.AsyncBaseTransport):
    """For addresses of ``line_url``; shared by all clients, so closing one of them closes nothing here.

    In a process that no worker dials, the ``relay`` asks the master that runs on the same home.
    """

    def __init__(self, book: LineBook, relay: httpx.AsyncBaseTransport) -> None:
        self._book, self._relay = book, relay

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._book.is_open:
            return await self._relay.handle_async_request(request)
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        line = await self._book.line_of(request.url.host, limits.get("connect") or 0)
        await _take_slot(line, limits.get("pool"))
        try:
            exchange = await _sent(line, request, limits.get("write"))
            answer = await _head(line, exchange, limits.get("read"))
        except BaseException:
            line.slots.release()
            raise
        headers = [pair for pair in answer.headers if pair[0].lower() not in _UNTAKEN_HEADERS]
        return httpx.Response(
            answer.status, headers=headers, stream=_Body(line, exchange, limits.get("read"))
        )


class _Body(httpx.AsyncByteStream):
    """An answer's body as it comes; closing it early tells the worker that no more is wanted."""

    def __init__(self, line: Line, exchange: Exchange, seconds: float | None) -> None:
        self._line, self._exchange, self._seconds = line, exchange, seconds
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in body_of(self._line, self._exchange, self._seconds):
                yield piece
        except LineCut as error:
            raise httpx.ReadError(str(error)) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("the answer does not go on") from error

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._line.finish(self._exchange)
            self._line.slots.release()


async def _take_slot(line: Line, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await line.slots.acquire()
    except TimeoutError as error:
        raise httpx.PoolTimeout("too much is under way on this line") from error


async def _sent(line: Line, request: httpx.Request, seconds: float | None) -> Exchange:
    body = await request.aread()
    target = request.url.raw_path.decode("latin-1")
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.lower() not in _UNSENT_HEADERS
    ]
    try:
        async with asyncio.timeout(seconds):
            return await line.begin(request.method, target, headers, body)
    except TimeoutError as error:
        raise httpx.WriteTimeout("the line takes nothing") from error
    except LineCut as error:
        raise httpx.WriteError(str(error)) from error
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from error


async def _head(line: Line, exchange: Exchange, seconds: float | None) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(exchange.head)
    except LineCut as error:
        line.finish(exchange)
        raise httpx.ReadError(str(error)) from error
    except TimeoutError as error:
        line.finish(exchange)
        raise httpx.ReadTimeout("no answer comes over the line") from error
    except asyncio.CancelledError:
        line.finish(exchange)
        raise
