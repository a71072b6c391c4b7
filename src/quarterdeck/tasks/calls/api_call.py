"""A call of a remote API. Whether the address may be called is decided before (hosts.service)."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import httpx

from quarterdeck.core.errors import Invalid
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.calls.http import open_client, reason_of
from quarterdeck.tasks.executor import Result, Sink, Stream
from quarterdeck.tasks.states import RunState

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODY_LIMIT: Final = 5_000_000
"""Bytes of an answer that are kept."""
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_BAD_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_RESERVED: Final = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_HIDDEN: Final = "[secret]"
_SECRET_ANSWERS: Final = frozenset({"set-cookie", "authorization", "proxy-authorization"})
_SHOWN_HEADERS: Final = 100
_SHOWN_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take and how much it may answer."""

    connect_seconds: float = 10
    silence_seconds: float = 60
    total_seconds: float = 300
    body_bytes: int = BODY_LIMIT


def check_call(call: CallTask, *, has_bearer: bool) -> None:
    """Raise Invalid for a method or header that can't be sent, or that would replace the stored bearer."""
    faults = {}
    if call.method.upper() not in METHODS:
        faults["method"] = f"The method must be one of {', '.join(METHODS)}."
    for name, value in call.headers.items():
        if fault := _header_fault(name, value, has_bearer=has_bearer):
            faults["headers"] = fault
    if faults:
        raise Invalid(faults)


def _header_fault(name: str, value: str, *, has_bearer: bool) -> str:
    if not _NAME.match(name):
        return f"“{name[:40]!a}” can't be the name of a header."
    if name.lower() in _RESERVED:
        return f"{name} belongs to the connection and can't be set; leave it out."
    if name.lower() == "authorization" and has_bearer:
        return "Authorization comes from the bearer stored with the API base; leave it out."
    if _BAD_VALUE.search(value) or not _is_sendable(value):
        return f"The value of {name} has a line end or another character that no header can hold."
    return ""


def _is_sendable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class ApiCallExecution:
    """One HTTP request from the master: the body goes to ``out``, status, headers and time to the details.

    Raises Invalid at once for what ``check_call`` refuses. The bearer is never shown, even when the
    other side sends it back.
    """

    def __init__(
        self,
        call: CallTask,
        url: str,
        bearer: str | None = None,
        limits: CallLimits | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        check_call(call, has_bearer=bool(bearer))
        self._transport = transport
        self._call, self._url, self._bearer = call, url, bearer or ""
        self._limits = limits or CallLimits()
        self._request: asyncio.Task[Result] | None = None
        self._is_cancelled = False

    async def run(self, sink: Sink) -> Result:
        if self._is_cancelled:
            return Result(None, RunState.CANCELLED)
        self._request = asyncio.ensure_future(self._request_in_time(sink))
        try:
            return await self._request
        except asyncio.CancelledError:
            self._request.cancel()
            if self._is_cancelled:
                return Result(None, RunState.CANCELLED)
            raise

    async def cancel(self) -> bool | None:
        """Break off the request. What the other side makes of that can't be known."""
        self._is_cancelled = True
        if self._request is None:
            return True
        self._request.cancel()
        return None

    async def _request_in_time(self, sink: Sink) -> Result:
        limits = self._limits
        try:
            async with asyncio.timeout(limits.total_seconds):
                return await self._exchange(sink)
        except TimeoutError:
            message = f"The whole call took longer than {limits.total_seconds:g} s and was broken off."
            return Result(None, RunState.TIMED_OUT, message)
        except httpx.TimeoutException as error:
            return Result(None, RunState.TIMED_OUT, f"No answer: {self._reason(error)}.")
        except httpx.HTTPError as error:
            return Result(None, RunState.FAILED, f"No answer: {self._reason(error)}.")
        except (httpx.InvalidURL, UnicodeError):
            return Result(None, RunState.FAILED, "The address or a header can't be sent; check them.")

    def _reason(self, error: httpx.HTTPError) -> str:
        limits = self._limits
        return reason_of(error, read_seconds=limits.silence_seconds, connect_seconds=limits.connect_seconds)

    async def _exchange(self, sink: Sink) -> Result:
        limits, call = self._limits, self._call
        began = asyncio.get_running_loop().time()
        async with open_client(
            read_seconds=limits.silence_seconds,
            connect_seconds=limits.connect_seconds,
            transport=self._transport,
        ) as client:
            await sink.started()
            request = client.build_request(
                call.method.upper(), self._url, headers=self._headers(), content=call.body.encode()
            )
            answer = await client.send(request, stream=True)
            try:
                is_cut = await self._take(answer, sink)
            finally:
                await answer.aclose()
        milliseconds = round((asyncio.get_running_loop().time() - began) * 1000, 1)
        return self._result(answer, {"elapsed_ms": milliseconds, "cut": is_cut})

    async def _take(self, answer: httpx.Response, sink: Sink) -> bool:
        """Hand the body over and return whether it had to be cut."""
        room = self._limits.body_bytes
        # Raw: an answer that would unpack to gigabytes stays as small as it was sent.
        async with aclosing(self._cleaned(answer.aiter_raw())) as chunks:
            async for chunk in chunks:
                if chunk and room:
                    await sink.write(Stream.OUT, chunk[:room])
                if len(chunk) > room:
                    limit = f"{self._limits.body_bytes:,} bytes"
                    mark = f"The answer is longer than {limit}; the rest was not read.\n"
                    await sink.write(Stream.ERR, mark.encode())
                    return True
                room -= len(chunk)
        return False

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Quarterdeck"}
        given = {name.title(): value.strip() for name, value in self._call.headers.items()}
        headers |= given | ({"Authorization": f"Bearer {self._bearer}"} if self._bearer else {})
        return [(name.encode(), value.encode()) for name, value in headers.items()]

    async def _cleaned(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield the body with the bearer taken out, also where two chunks share it."""
        secret = self._bearer.encode()
        rest = b""
        async for chunk in chunks:
            text = rest + chunk
            if secret:
                text = text.replace(secret, _HIDDEN.encode())
            held = _shared_end(text, secret)
            rest = text[len(text) - held :]
            yield text[: len(text) - held]
        yield rest

    def _result(self, answer: httpx.Response, details: dict[str, Any]) -> Result:  # Any: JSON
        details |= {
            "status": answer.status_code,
            "reason": self._clean(answer.reason_phrase),
            "headers": self._shown(answer.headers),
        }
        if answer.status_code < 400:
            return Result(None, RunState.SUCCEEDED, details=details)
        return Result(
            None, RunState.FAILED, f"HTTP {answer.status_code} {details['reason']}".strip(), details
        )

    def _shown(self, headers: httpx.Headers) -> dict[str, str]:
        shown: dict[str, str] = {}
        for name, value in headers.multi_items()[:_SHOWN_HEADERS]:
            text = _HIDDEN if name.lower() in _SECRET_ANSWERS else self._clean(value)
            shown[name] = f"{shown[name]}, {text}" if name in shown else text
        return shown

    def _clean(self, text: str) -> str:
        text = text.replace(self._bearer, _HIDDEN) if self._bearer else text
        return text[:_SHOWN_CHARACTERS]


def _shared_end(text: bytes, secret: bytes) -> int:
    """Return how many bytes at the end may be the beginning of the secret."""
    for length in range(min(len(secret) - 1, len(text)), 0, -1):
        if text.endswith(secret[:length]):
            return length
    return 0
