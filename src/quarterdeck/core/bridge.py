"""The one-hop bridge from ASGI to WSGI (docs/decisions/0001-bridge.md).

The body is read on the loop, up to a limit. Then the whole WSGI call happens in one job of a thread
pool, and an answer of known, moderate size goes out at once. A longer or open-ended answer is pulled
by further jobs, a window at a time: a client that reads slowly holds no thread, a client that is gone
stops the pulling, and the answer's ``close()`` is called in every case.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final

from quarterdeck.core.asgi import Receive, Scope, Send, header, send_open_problem, send_problem
from quarterdeck.core.environ import HAS_WAITED, PUT_OFF, make_environ
from quarterdeck.core.errors import Busy, Invalid, QuarterdeckError, TooLarge

logger = logging.getLogger(__name__)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]  # Any: PEP 3333's environ and start_response

WINDOW_BYTES: Final = 256 * 1024
"""Answers up to this size are sent at once; longer ones are pulled by so much at a time."""
_SMALL_BODY_BYTES: Final = 64 * 1024
_LINGER_SECONDS: Final = 5


class _Mark:
    """What a job hands over besides chunks."""


_PAUSED: Final = _Mark()
_ENDED: Final = _Mark()


class _Pool(ThreadPoolExecutor):
    @property
    def waiting(self) -> int:
        return self._work_queue.qsize()


class Bridge:
    """An ASGI application that serves a WSGI one from a pool of threads."""

    def __init__(self, app: Wsgi, *, threads: int, body_bytes: int, trusted_proxies: int = 0) -> None:
        self._app = app
        self._threads = _Pool(threads, thread_name_prefix="web")
        self._body_bytes = body_bytes
        self._buffered_bytes = 0
        self._most_buffered_bytes = threads * body_bytes  # more bodies than threads would only wait
        self._trusted_proxies = trusted_proxies
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._threads.waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.in_flight += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.in_flight -= 1

    def close(self) -> None:
        """Take no more requests; threads that still work are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader = _Body(scope, receive, self._body_bytes)
        counted = 0
        try:
            async for size in reader.read():
                if size > _SMALL_BODY_BYTES:
                    counted += self._count(size - counted)
            await self._call(scope, bytes(reader.content), receive, send)
        except _ClientGone:
            logger.debug("the client went away while it sent %s %s", scope["method"], scope["path"])
        except (TooLarge, Busy) as error:
            await _refuse(error, reader, send)
        except Invalid as error:
            await send_problem(send, error, connection=b"close")
        finally:
            self._buffered_bytes -= counted

    def _count(self, added: int) -> int:
        """Count buffered bytes over all requests, so that many large bodies can't use up the memory."""
        if self._buffered_bytes + added > self._most_buffered_bytes:
            raise Busy("Too many large uploads at once; try again in a moment.")
        self._buffered_bytes += added
        return added

    async def _call(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        call = self._make_call(scope, body)
        try:
            await call.begin()
            if call.put_off is not None:
                if not await _wait(call.put_off(), receive):
                    return
                call.release()
                call = self._make_call(scope, body, has_waited=True)
                await call.begin()
            if call.has_failed:
                await send_problem(send, QuarterdeckError("A fault of Quarterdeck; the log has the details."))
                return
            call.is_sent = True
            await send({"type": "http.response.start", "status": call.status, "headers": call.headers})
            if call.body is None:
                await _stream(call, receive, send)
            else:
                await send({"type": "http.response.body", "body": call.body})
        except asyncio.CancelledError:  # the node ends, and this request took longer than it is given
            if not call.is_sent:
                await send_problem(send, Busy("The node is stopping; try again in a moment."))
        finally:
            call.release()

    def _make_call(self, scope: Scope, body: bytes, *, has_waited: bool = False) -> "_Call":
        environ = make_environ(scope, body, self._trusted_proxies)
        environ[HAS_WAITED] = has_waited
        return _Call(self._app, environ, self._threads)


class _ClientGone(Exception):
    """The client went away before its body was complete."""


class _Call:
    """One WSGI call: jobs in the pool that follow one another and never overlap."""

    def __init__(self, app: Wsgi, environ: dict[str, Any], threads: ThreadPoolExecutor) -> None:
        self._app = app
        self._environ = environ
        self._threads = threads
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._job: Future[Any] | None = None
        self._mark: _Mark = _ENDED
        self._written: list[bytes] = []
        self._answer: Iterable[bytes] | None = None
        self._chunks: Iterator[bytes] = iter(())
        self.is_sent = False
        self._is_stopped = False
        self.has_failed = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: bytes | None = None
        self.arrived: asyncio.Queue[bytes | _Mark] = asyncio.Queue()

    @property
    def put_off(self) -> Callable[[], Awaitable[object]] | None:
        """What the application wants to be waited for before it is asked again (``web.put_off``)."""
        wait: Callable[[], Awaitable[object]] | None = self._environ.get(PUT_OFF)
        return wait

    async def begin(self) -> None:
        """Call the application; ``has_failed`` tells whether it failed before it answered anything."""
        await asyncio.wrap_future(self._submit(self._begin))

    def resume(self) -> None:
        """Pull the next window of a long answer; its chunks and a mark come to ``arrived``.

        The mark is handed over when the job has ended: only then may the next one enter the context.
        """
        self._submit(self._pull).add_done_callback(self._hand_mark)

    def stop(self) -> None:
        """Pull no more: the client is gone."""
        self._is_stopped = self.has_failed = True
        self.arrived.put_nowait(_ENDED)

    def release(self) -> None:
        """Close the answer, in a thread, as soon as no job works on it."""
        self._is_stopped = True
        job, self._job = self._job, None  # the job knows this call: a circle would be left to the collector
        if job is not None:
            job.add_done_callback(self._close_later)

    def _submit(self, work: Callable[[], None]) -> Future[None]:
        self._job = self._threads.submit(self._context.run, work)
        return self._job

    def _begin(self) -> None:
        try:
            self._start()
        except Exception:  # the top of a thread's work: the client must get an answer, the log the reason
            logger.exception(
                "the application failed on %s %s", self._environ["REQUEST_METHOD"], self._environ["PATH_INFO"]
            )
            self.has_failed = True

    def _start(self) -> None:
        self._answer = self._app(self._environ, self._start_response)
        size = self._known_size()
        if size is not None and size <= WINDOW_BYTES:
            body = b"".join((*self._written, *self._answer))
            self._close()
            self._settle(body)
            return
        self._chunks = iter(self._answer)
        if not self.status:  # a generator starts its answer when its first chunk is asked for
            self._written.append(next(self._chunks, b""))
        self._settle(None)

    def _known_size(self) -> int | None:
        if isinstance(self._answer, list | tuple):
            return sum(map(len, self._answer))
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
        return None

    def _settle(self, body: bytes | None) -> None:
        """Fit body and length to the method and status (RFC 9110 sections 8.6 and 9.3.2)."""
        if not self.status:
            raise RuntimeError("the application did not call start_response")
        is_bare = self.status < 200 or self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if is_bare:
            self.headers = [item for item in self.headers if item[0] != b"content-length"]
        if is_bare or self._environ["REQUEST_METHOD"] == "HEAD":
            self.body = b""
            return
        self.body = body
        if body is not None and not any(name == b"content-length" for name, _ in self.headers):
            self.headers.append((b"content-length", str(len(body)).encode()))

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info and self.is_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.status and not exc_info:
            raise RuntimeError("the application called start_response twice")
        self.status = int(status[:3])
        pairs = ((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        self.headers = [pair for pair in pairs if pair[0] != b"date"]  # the server tells it
        return self._written.append

    def _pull(self) -> None:
        self._mark = _ENDED
        try:
            self._mark = self._pull_window()
        except Exception:  # the top of a thread's work; the answer is cut, which the client can see
            logger.exception("the answer to %s failed midway", self._environ["PATH_INFO"])
            self.has_failed = True

    def _pull_window(self) -> _Mark:
        pulled = 0
        while pulled < WINDOW_BYTES and not self._is_stopped:
            chunk = self._written.pop(0) if self._written else next(self._chunks, None)
            if chunk is None:
                return _ENDED
            if chunk:
                pulled += len(chunk)
                self._hand(chunk)
        return _PAUSED

    def _hand_mark(self, job: Future[None]) -> None:
        if job.cancelled():  # the node ends
            self.has_failed, self._mark = True, _ENDED
        self._hand(self._mark)

    def _hand(self, item: bytes | _Mark) -> None:
        try:
            self._loop.call_soon_threadsafe(self.arrived.put_nowait, item)
        except RuntimeError:  # the loop has ended, and whoever waited there with it
            self._is_stopped = True

    def _close_later(self, _job: Future[Any]) -> None:
        if self._answer is None:
            return
        try:
            self._threads.submit(self._context.run, self._close)
        except RuntimeError:  # the pool is shut down: this thread will do
            self._close()

    def _close(self) -> None:
        answer, self._answer = self._answer, None
        close: Callable[[], None] | None = getattr(answer, "close", None)
        if close is None:
            return
        try:
            close()
        except Exception:  # the answer is out already; the reason belongs into the log
            logger.exception("closing the answer to %s failed", self._environ["PATH_INFO"])


class _Body:
    """The body of a request, read up to a limit."""

    def __init__(self, scope: Scope, receive: Receive, most: int) -> None:
        self._declared = header(scope, b"content-length")
        self._receive = receive
        self._most = most
        self._is_complete = False
        self.content = bytearray()

    async def read(self) -> AsyncIterator[int]:
        """Read to the end, yielding how much there is so far; raises TooLarge, or _ClientGone."""
        if self._declared.isdecimal() and int(self._declared) > self._most:
            raise self._too_large()
        while not self._is_complete:
            self.content += await self._next_chunk()
            if len(self.content) > self._most:
                raise self._too_large()
            yield len(self.content)

    async def read_away(self) -> None:
        """Read the rest and forget it."""
        self.content.clear()
        while not self._is_complete:
            await self._next_chunk()

    async def _next_chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        self._is_complete = not message.get("more_body")
        chunk: bytes = message.get("body", b"")
        return chunk

    def _too_large(self) -> TooLarge:
        most = f"{self._most / 1_000_000:g} MB"
        return TooLarge(f"The body is over the limit of {most} (QUARTERDECK_BODY_MEGABYTES).")


async def _refuse(error: QuarterdeckError, body: _Body, send: Send) -> None:
    """Answer at once, then read away what still comes for a while.

    Closing at once would reset the connection, and a client that is busy sending would never see why.
    """
    await send_open_problem(send, error)
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            await body.read_away()
    except (TimeoutError, _ClientGone):
        logger.debug("the rest of a refused body was not waited for")
    await send({"type": "http.response.body"})


async def _wait(wait: Awaitable[object], receive: Receive) -> bool:
    """Wait for what an answer was put off for; returns False when the client went away meanwhile."""
    waiting = asyncio.ensure_future(wait)
    watch = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({waiting, watch}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and (error := waiting.exception()):
            logger.error("what an answer was put off for failed; it is given now", exc_info=error)
        return not watch.done()
    finally:
        waiting.cancel()
        watch.cancel()


async def _stream(call: _Call, receive: Receive, send: Send) -> None:
    watch = asyncio.ensure_future(_stop_when_gone(call, receive))
    try:
        call.resume()
        while (item := await call.arrived.get()) is not _ENDED:
            if isinstance(item, _Mark):
                call.resume()
            else:
                await send({"type": "http.response.body", "body": item, "more_body": True})
        if not call.has_failed:  # else the server cuts the connection, so that half isn't taken for all
            await send({"type": "http.response.body"})
    finally:
        watch.cancel()


async def _stop_when_gone(call: _Call, receive: Receive) -> None:
    await _until_gone(receive)
    call.stop()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
