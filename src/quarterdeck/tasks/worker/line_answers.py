"""The worker's end of its line: what the master asks over it is answered by the worker's own application.

Each request becomes a call of the ASGI application as the server would make it, so bearer, permission,
digest and nonce are checked where they are for every other request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from quarterdeck.core.asgi import App, Message, Scope
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.protocol import line as protocol

logger = logging.getLogger(__name__)

SendBytes = Callable[[bytes], Awaitable[None]]
_decoder: Final = msgspec.msgpack.Decoder(protocol.FromMaster)
_BUSY: Final = 503


class BrokenRules(QuarterdeckError):
    """The master said what it may not say; the line must be closed."""


class _Asked:
    """One request as the application sees it."""

    def __init__(self, request: protocol.Request, send: Callable[[msgspec.Struct], Awaitable[None]]) -> None:
        self.id = request.id
        self.is_gone = self.is_answered = False
        self._send = send
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self._credit = protocol.WINDOW_BYTES
        self._may_go_on = asyncio.Event()
        self.add(request.body, has_more=request.has_more)

    def add(self, data: bytes, *, has_more: bool) -> None:
        """Take in a piece of the body."""
        self._arrived.put_nowait({"type": "http.request", "body": data, "more_body": has_more})

    def give(self, size: int) -> None:
        """Let so many more bytes of the answer go out."""
        self._credit += size
        self._may_go_on.set()

    def leave(self) -> None:
        """Note that nobody waits for the answer any more."""
        self.is_gone = True
        self._may_go_on.set()
        self._arrived.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        return await self._arrived.get()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
            ]
            await self._say(protocol.Answer(self.id, message["status"], headers))
        elif message["type"] == "http.response.body":
            await self._send_body(message.get("body", b""), has_more=message.get("more_body", False))

    async def _send_body(self, body: bytes, *, has_more: bool) -> None:
        start = 0
        while len(body) - start > (size := await self._next_size()):
            await self._send_piece(body[start : start + size], has_more=True)
            start += size
        await self._send_piece(body[start:], has_more=has_more)
        self.is_answered = not has_more

    async def _send_piece(self, piece: bytes, *, has_more: bool) -> None:
        self._credit -= len(piece)
        if piece or not has_more:
            await self._say(protocol.AnswerBody(self.id, piece, has_more))

    async def _next_size(self) -> int:
        """Wait until something may go out; return how much."""
        while self._credit <= 0 and not self.is_gone:
            self._may_go_on.clear()
            await self._may_go_on.wait()
        return protocol.PIECE_BYTES if self.is_gone else min(protocol.PIECE_BYTES, self._credit)

    async def _say(self, message: msgspec.Struct) -> None:
        if not self.is_gone:
            await self._send(message)


class LineAnswers:
    """Lives as long as one line; ``send`` writes one message, ``address`` is the master's."""

    def __init__(self, app: App, send: SendBytes, address: str) -> None:
        self._app, self._send_bytes, self._address = app, send, address
        self._asked: dict[int, _Asked] = {}
        self._last_id = 0
        self._calls: set[asyncio.Task[None]] = set()

    def take(self, content: bytes | str) -> None:
        """Take in a message of the master; raises BrokenRules."""
        try:
            message = _decoder.decode(content if isinstance(content, bytes) else b"")
        except (msgspec.DecodeError, RecursionError) as error:
            raise BrokenRules("The master sent a message that can't be read.") from error
        if isinstance(message, protocol.Request):
            self._begin(message)
        elif not isinstance(message, protocol.Beat) and (asked := self._asked.get(message.id)):
            match message:
                case protocol.RequestBody():
                    asked.add(message.data, has_more=message.has_more)
                case protocol.Credit():
                    asked.give(message.size)
                case protocol.Drop():
                    asked.leave()

    async def settle(self, seconds: float) -> None:
        """Wait a while for the answers that are under way."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=seconds)

    def leave(self) -> None:
        """Let every request know that the line is gone; what it works at is not undone."""
        for asked in self._asked.values():
            asked.leave()

    def _begin(self, request: protocol.Request) -> None:
        if request.id <= self._last_id or not request.target.startswith("/"):
            raise BrokenRules("The master sent a request that can't be right.")
        self._last_id = request.id
        if len(self._asked) >= protocol.MOST_REQUESTS:
            self._keep(self._refuse(request.id))
            return
        asked = self._asked[request.id] = _Asked(request, self._send)
        self._keep(self._answer(request, asked))

    async def _answer(self, request: protocol.Request, asked: _Asked) -> None:
        try:
            await self._app(self._scope(request), asked.receive, asked.send)
        except Exception:  # the top of a request's work: the master must hear that no answer comes
            logger.exception("the application failed on %s over the line", request.method)
        finally:
            del self._asked[request.id]
        if not asked.is_answered and not asked.is_gone:
            await self._send(protocol.Broken(request.id))

    async def _refuse(self, id_: int) -> None:
        await self._send(protocol.Answer(id_, _BUSY, []))
        await self._send(protocol.AnswerBody(id_, b"", False))

    async def _send(self, message: msgspec.Struct) -> None:
        try:
            await self._send_bytes(msgspec.msgpack.encode(message))
        except OSError as error:
            logger.debug("the line ended before an answer was out: %s", error)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _scope(self, request: protocol.Request) -> Scope:
        path, _, query = request.target.partition("?")
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers
        ]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(b"host", b"worker"), *headers],
            "client": (self._address, 0),
            "server": ("worker", None),
        }
