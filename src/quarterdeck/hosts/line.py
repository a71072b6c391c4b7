"""The master's end of one line: many requests at once, each with an answer of its own or none."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from quarterdeck.core.asgi import Receive
from quarterdeck.protocol import line as protocol

logger = logging.getLogger(__name__)

SendBytes = Callable[[bytes], Awaitable[None]]
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_MOST_HEADERS: Final = 100
_decoder: Final = msgspec.msgpack.Decoder(protocol.FromWorker)


class BrokenRules(Exception):
    """The worker said what it may not say; the line must be closed."""


class LineCut(Exception):
    """The line was cut while something was under way on it; the text says why."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a line ended, in words for people, and the code that the other end is told."""

    reason: str
    code: int = 1000


class Exchange:
    """One request and its answer. Made by ``Line.begin`` and always given back by ``Line.finish``."""

    def __init__(self, id_: int) -> None:
        self.id = id_
        self.head: asyncio.Future[protocol.Answer] = asyncio.get_running_loop().create_future()
        self.is_whole = False
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._room = protocol.WINDOW_BYTES

    def take(self, message: protocol.Answer | protocol.AnswerBody | protocol.Broken) -> None:
        """Take in a part of the answer; raises BrokenRules for one that can't come now."""
        if self.is_whole:
            raise BrokenRules("it went on after the end of an answer")
        match message:
            case protocol.Answer():
                self._begin(message)
            case protocol.AnswerBody():
                self._add(message)
            case protocol.Broken():
                self.fail(LineCut("the worker broke off its answer"))

    def give(self, size: int) -> None:
        """Note that room for so many bytes was granted."""
        self._room += size

    def fail(self, error: Exception) -> None:
        """End the answer early, whatever there is of it."""
        self.is_whole = True
        if not self.head.done():
            self.head.set_exception(error)
            self.head.exception()  # whoever gave up waiting must not be told by the collector
        self._pieces.put_nowait(error)

    async def next_piece(self) -> bytes | None:
        """Return the next piece of the body, or None at its end; raises LineCut."""
        piece = await self._pieces.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def _begin(self, answer: protocol.Answer) -> None:
        if self.head.done():
            raise BrokenRules("it began an answer twice")
        if not 200 <= answer.status <= 599 or len(answer.headers) > _MOST_HEADERS:
            raise BrokenRules("the head of an answer can't be right")
        if not all(_HEADER_NAME.match(name) and _HEADER_VALUE.match(value) for name, value in answer.headers):
            raise BrokenRules("a header of an answer can't be right")
        self.head.set_result(answer)

    def _add(self, body: protocol.AnswerBody) -> None:
        if not self.head.done():
            raise BrokenRules("an answer began with its body")
        self._room -= len(body.data)
        if self._room < 0:
            raise BrokenRules("it sent more than there was room for")
        if body.data:
            self._pieces.put_nowait(body.data)
        if not body.has_more:
            self.is_whole = True
            self._pieces.put_nowait(None)


class Line:
    """Lives on the loop. ``send`` writes one message, ``abort`` cuts the connection without waiting."""

    def __init__(
        self, host_id: str, name: str, digest: str, *, send: SendBytes, abort: Callable[[], None]
    ) -> None:
        self.host_id, self.name, self.digest = host_id, name, digest
        self.slots = asyncio.Semaphore(protocol.MOST_REQUESTS)
        self._send, self._abort = send, abort
        self._exchanges: dict[int, Exchange] = {}
        self._last_id = 0
        self._heard = 0
        self._writing = asyncio.Lock()
        self._posts: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        return self._ended.done()

    # --- asking ---

    async def begin(self, method: str, target: str, headers: protocol.Headers, body: bytes) -> Exchange:
        """Send a request; raises LineCut, or ValueError for a head that is too large."""
        if self.is_over:
            raise LineCut(self._ended.result().reason)
        self._last_id += 1
        exchange = self._exchanges[self._last_id] = Exchange(self._last_id)
        try:
            await self._send_request(exchange.id, method, target, headers, body)
        except BaseException:
            self.finish(exchange)
            raise
        return exchange

    async def _send_request(
        self, id_: int, method: str, target: str, headers: protocol.Headers, body: bytes
    ) -> None:
        size = protocol.PIECE_BYTES
        first, rest = body[:size], len(body) > size
        message = msgspec.msgpack.encode(protocol.Request(id_, method, target, headers, first, rest))
        if len(message) > protocol.MOST_MESSAGE_BYTES:
            raise ValueError("the address and the headers are too long")
        await self._write(message)
        for start in range(size, len(body), size):
            piece = protocol.RequestBody(id_, body[start : start + size], start + size < len(body))
            await self._write(msgspec.msgpack.encode(piece))

    async def grant(self, exchange: Exchange, size: int) -> None:
        """Let the worker send so much more of an answer."""
        exchange.give(size)
        if not exchange.is_whole:
            await self._write(msgspec.msgpack.encode(protocol.Credit(exchange.id, size)))

    def finish(self, exchange: Exchange) -> None:
        """Forget a request; the worker is told when its answer is no longer wanted."""
        self._exchanges.pop(exchange.id, None)
        if not exchange.is_whole:
            exchange.is_whole = True
            self._post(protocol.Drop(exchange.id))

    # --- being answered ---

    async def serve(self, receive: Receive) -> Ending:
        """Take messages until the line ends; returns why."""
        reading = asyncio.ensure_future(self._read(receive))
        beating = asyncio.ensure_future(self._beat())
        try:
            await asyncio.wait({reading, beating, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            if not self._ended.done():
                self.end((reading if reading.done() else beating).result())
            return self._ended.result()
        finally:
            reading.cancel()
            beating.cancel()
            self.end(Ending("this master ended", protocol.ENDED))

    def end(self, ending: Ending) -> None:
        """End the line, once; everybody who waits for an answer is told."""
        if self.is_over:
            return
        self._ended.set_result(ending)
        for exchange in list(self._exchanges.values()):
            exchange.fail(LineCut(ending.reason))
        self._exchanges.clear()
        for post in self._posts:
            post.cancel()

    def abort(self) -> None:
        """Cut the connection itself: a peer that does not read would hold up an orderly end."""
        self._abort()

    async def _read(self, receive: Receive) -> Ending:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return Ending(_closing(message))
            try:
                self._take(message.get("bytes"))
            except BrokenRules as error:
                return Ending(f"the worker broke the rules of the line: {error}", protocol.BROKEN_RULES)

    def _take(self, content: bytes | None) -> None:
        self._heard += 1
        if content is None or len(content) > protocol.MOST_MESSAGE_BYTES:
            raise BrokenRules("a message that is none of ours")
        try:
            message = _decoder.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BrokenRules("a message that can't be read") from error
        if isinstance(message, protocol.Beat):
            return
        exchange = self._exchanges.get(message.id)
        if exchange is not None:
            exchange.take(message)
        elif not 0 < message.id <= self._last_id:
            raise BrokenRules("an answer to what was never asked")
        # Else it answers what is no longer wanted: it was on its way already.

    async def _beat(self) -> Ending:
        """Say and hear signs of life. Beats are counted, not seconds: this loop may be late itself."""
        silent, heard = 0, self._heard
        while silent < protocol.SILENT_BEATS:
            self._post(protocol.Beat())
            await asyncio.sleep(protocol.BEAT_SECONDS)
            silent = silent + 1 if heard == self._heard else 0
            heard = self._heard
        seconds = protocol.SILENT_BEATS * protocol.BEAT_SECONDS
        return Ending(f"nothing was heard of the worker for {seconds:g} s", protocol.SILENT)

    def _post(self, message: msgspec.Struct) -> None:
        """Send something small when there is room for it, without waiting."""
        if not self.is_over:
            self._keep(self._write_quietly(msgspec.msgpack.encode(message)))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _write_quietly(self, content: bytes) -> None:
        try:
            await self._write(content)
        except LineCut:
            logger.debug("the line of %s ended before a message was out", self.name)

    async def _write(self, content: bytes) -> None:
        if self.is_over:
            raise LineCut(self._ended.result().reason)
        try:
            async with self._writing:  # in turn: the worker wants requests in the order of their ids
                await self._send(content)
        except (
            OSError,
            RuntimeError,
        ) as error:  # the server's ways to say that the socket is closed or closing
            raise LineCut("the connection is gone") from error


async def body_of(line: Line, exchange: Exchange, seconds: float | None) -> AsyncIterator[bytes]:
    """Yield an answer's body, letting more come as it is taken; raises LineCut or TimeoutError."""
    taken = 0
    while True:
        async with asyncio.timeout(seconds):
            piece = await exchange.next_piece()
        if piece is None:
            return
        yield piece
        taken += len(piece)
        if taken >= protocol.WINDOW_BYTES // 2:
            await line.grant(exchange, taken)
            taken = 0


def _closing(message: Any) -> str:  # Any: a message of ASGI
    reason = str(message.get("reason") or "")[:120]
    if reason and reason.isprintable():
        return f"the worker closed it ({reason})"
    return "the connection ended"
