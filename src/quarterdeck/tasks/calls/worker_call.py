"""A task on a worker, followed by the master: sent once, resumed by byte offsets, cancelled with proof."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import msgspec

from quarterdeck.core.errors import QuarterdeckError, Unreachable
from quarterdeck.hosts.models import WorkerLink
from quarterdeck.protocol.orders import Order, OrderStatus, OutputPage, Receipt
from quarterdeck.tasks.calls.http import is_returning, is_unsent, open_client, reason_of
from quarterdeck.tasks.executor import Result, Sink, Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.states import TERMINAL, RunState

S = TypeVar("S", bound=msgspec.Struct)
Witness = Callable[[str, str, int], None]
"""Takes a node's name, its latest history hash and that one's number."""

_ANSWER_LIMIT: Final = 8_000_000
_LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may be away: before it has the order, and while it has it."""

    contact_seconds: float = 10
    gone_seconds: float = 60
    wait_seconds: float = 10
    """How long one question for news waits at the worker."""
    read_seconds: float = 30
    connect_seconds: float = 5


class _Away(Unreachable):
    """There was no usable answer; ``is_unsent`` when the question surely never arrived.

    ``is_returning``: the worker dials in and is expected back, so that giving up would be too early.
    """

    def __init__(self, message: str, *, is_unsent: bool, is_returning: bool = False) -> None:
        super().__init__(message)
        self.is_unsent, self.is_returning = is_unsent, is_returning


class _Refused(QuarterdeckError):
    """The worker understood and said no."""


class WorkerExecution:
    """An order on a worker. Sent again after a restart, it goes on after what is ``seen`` already."""

    def __init__(
        self,
        link: WorkerLink,
        order: Order,
        seen: Sizes | None = None,
        *,
        client: httpx.AsyncClient | None = None,
        on_witness: Witness | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._link, self._order = link, order
        self._seen = seen or Sizes()
        self._patience = patience or Patience()
        self._client = client
        self._on_witness = on_witness
        self._is_sent = self._is_accepted = self._is_cancelled = self._has_started = False

    async def run(self, sink: Sink) -> Result:
        """Follow the order to its end. Raises QuarterdeckError when the worker surely did not begin it."""
        if self._is_cancelled:
            return Result(None, RunState.CANCELLED)
        if self._client is not None:
            return await self._run(self._client, sink)
        async with self._open_client() as client:
            return await self._run(client, sink)

    async def cancel(self) -> bool | None:
        """Have the worker end the process tree; None when it does not answer."""
        self._is_cancelled = True
        if not self._is_sent:
            return True
        try:
            status = await self._persist(self._ask_to_cancel, self._patience.contact_seconds)
        except QuarterdeckError:
            return None
        return status.gone

    async def _ask_to_cancel(self) -> OrderStatus:
        async with self._open_client() as client:
            return await self._call(client, "POST", f"/tasks/{self._order.id}/cancel", OrderStatus)

    def _open_client(self) -> httpx.AsyncClient:
        patience = self._patience
        return open_client(
            read_seconds=patience.read_seconds,
            connect_seconds=patience.connect_seconds,
            transport=self._link.transport,
        )

    async def _run(self, client: httpx.AsyncClient, sink: Sink) -> Result:
        try:
            receipt = await self._send(client)
        except _Away as error:
            if error.is_unsent:
                raise Unreachable(error.message) from error
            return self._lost(error)
        self._is_accepted = True
        self._note(receipt.head, receipt.seq)
        try:
            return await self._follow(client, sink, receipt.state)
        except _Away as error:
            return self._lost(error)
        except _Refused as error:
            return Result(None, RunState.LOST, error.message)

    async def _send(self, client: httpx.AsyncClient) -> Receipt:
        body = msgspec.json.encode(self._order)
        return await self._persist(lambda: self._post(client, body), self._patience.contact_seconds)

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> Receipt:
        """Send the order once. It counts as sent from here on, unless it surely never arrived."""
        if self._is_cancelled:
            raise _Away("It was cancelled before it was sent.", is_unsent=True)
        was_sent, self._is_sent = self._is_sent, True
        try:
            return await self._call(client, "POST", "/process_task", Receipt, content=body)
        except _Away as error:
            self._is_sent = was_sent or not error.is_unsent
            raise

    async def _follow(self, client: httpx.AsyncClient, sink: Sink, state: str) -> Result:
        pause = 0.05
        while True:
            page = await self._persist(partial(self._next_page, client, state), self._patience.gone_seconds)
            await self._take(sink, page)
            status = page.status
            if status.is_terminal and self._has_all(page):
                self._note(status.head, status.seq)
                return _result(status)
            if page.chunks or status.state != state:
                state, pause = status.state, 0.05
                continue
            # A worker whose threads are all waiting answers at once: then the asking is slowed down here.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE / 2)

    async def _next_page(self, client: httpx.AsyncClient, state: str) -> OutputPage:
        seen = self._seen
        query = f"out={seen.out}&err={seen.err}&state={state}&wait={self._patience.wait_seconds:g}"
        return await self._call(client, "GET", f"/tasks/{self._order.id}/page?{query}", OutputPage)

    async def _take(self, sink: Sink, page: OutputPage) -> None:
        if not self._has_started and (page.chunks or page.status.started_at is not None):
            self._has_started = True
            await sink.started()
        for chunk in page.chunks:
            stream = Stream.ERR if chunk.stream == Stream.ERR else Stream.OUT
            surplus = self._seen.of(stream) - chunk.offset
            if surplus < 0:
                raise _Refused("The worker has lost a part of the output.")
            if news := chunk.data[surplus:]:
                await sink.write(stream, news)
                self._seen = self._seen.plus(stream, len(news))

    def _has_all(self, page: OutputPage) -> bool:
        return not page.chunks or self._seen.total >= page.status.out_bytes + page.status.err_bytes

    async def _persist(self, ask: Callable[[], Awaitable[S]], seconds: float) -> S:
        """Ask until there is an answer, with growing pauses; raises the last failure after the time."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + seconds, 0.1
        while True:
            try:
                return await ask()
            except _Away as error:
                is_unwanted = self._is_cancelled and not self._is_accepted  # never send it again then
                is_late = loop.time() + pause > deadline and not error.is_returning
                if is_unwanted or is_late:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, kind: type[S], content: bytes = b""
    ) -> S:
        headers = {"Authorization": f"Bearer {self._link.bearer}", "Content-Type": "application/json"}
        url = f"{self._link.url}{path}"
        try:
            async with client.stream(method, url, headers=headers, content=content) as answer:
                body = await _limited(answer)
        except httpx.HTTPError as error:
            reason = reason_of(
                error,
                read_seconds=self._patience.read_seconds,
                connect_seconds=self._patience.connect_seconds,
            )
            message = f"The worker does not answer: {reason}."
            raise _Away(message, is_unsent=is_unsent(error), is_returning=is_returning(error)) from error
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            message = f"The worker can't do it now{_detail(body)}"
            raise _Away(message, is_unsent=answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE)
        if answer.is_error or answer.is_redirect:
            raise _refusal(answer.status_code, body)
        return _decoded(body, kind, is_packed=kind is OutputPage)

    def _note(self, head: str, seq: int) -> None:
        if self._on_witness and head:
            self._on_witness(self._link.name, head, seq)

    def _lost(self, error: _Away) -> Result:
        return Result(
            None,
            RunState.LOST,
            f"{error.message} Whether the task still runs there is not known; look at the worker.",
        )


async def _limited(answer: httpx.Response) -> bytes:
    """Read an answer, but never more than fits: it comes from another machine."""
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > _ANSWER_LIMIT:
            raise _Refused("The worker's answer is too large; what answers there is not a worker.")
    return bytes(content)


def _refusal(status: int, body: bytes) -> QuarterdeckError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _Refused("The worker refuses the master's bearer; give the host the token of this worker.")
    if status == HTTPStatus.NOT_FOUND:
        return _Refused("The worker does not know the order; it was set up anew, or is another one.")
    return _Refused(f"The worker refuses the order{_detail(body)}")


def _detail(body: bytes) -> str:
    """Return what a problem document says, cut short."""
    try:
        detail = msgspec.json.decode(body).get("detail", "")
    except (msgspec.DecodeError, AttributeError):
        return "."
    return f": {str(detail)[:300]}"


def _decoded(body: bytes, kind: type[S], *, is_packed: bool) -> S:
    try:
        return msgspec.msgpack.decode(body, type=kind) if is_packed else msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise _Refused("What answers there is not a worker of Quarterdeck.") from error


def _result(status: OrderStatus) -> Result:
    """Take over a terminal status; what a worker says is checked, not believed."""
    try:
        state = RunState(status.state)
    except ValueError:
        state = RunState.LOST
    if state not in TERMINAL:
        state = RunState.LOST
    return Result(status.exit_status, state, status.message[:500], status.details)
