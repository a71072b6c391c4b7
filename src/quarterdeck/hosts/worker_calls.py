"""Calls of a worker's API from the master's loop, with each failure in plain words."""

import asyncio
import ssl
from typing import Any, Final, TypeVar

import httpx
import msgspec

from quarterdeck.core.errors import NotFound, Unreachable
from quarterdeck.hosts.line_transport import NoLine
from quarterdeck.hosts.models import LINE, WorkerLink
from quarterdeck.protocol.orders import Health, JoinAnswer, JoinRequest

T = TypeVar("T")

MAX_ANSWER_BYTES: Final = 8_000_000
_TIMEOUT: Final = httpx.Timeout(8, connect=4)
_HEALTH_TIMEOUT: Final = httpx.Timeout(4)
_LINE_HEALTH_TIMEOUT: Final = httpx.Timeout(4, connect=0)
"""A worker that dials in is asked as soon as it does: the watch need not wait for it."""
_LIMITS: Final = httpx.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=60)


class WorkerRefused(Unreachable):
    """The worker answers, but does not accept the token."""


class WorkerCalls:
    """One pool of connections to all workers, and their ``lines``; use it on the loop only."""

    def __init__(self, lines: httpx.AsyncBaseTransport) -> None:
        self._lines = lines
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def health(self, link: WorkerLink) -> Health:
        """Ask how the worker is; raises Unreachable with the reason."""
        timeout = _LINE_HEALTH_TIMEOUT if link.transport else _HEALTH_TIMEOUT
        return decoded(await self.call(link, "GET", "/health", timeout=timeout), Health, link)

    async def join(self, link: WorkerLink, request: JoinRequest) -> JoinAnswer:
        """Make this master known to the worker; raises WorkerRefused or Unreachable."""
        body = msgspec.json.encode(request)
        return decoded(await self.call(link, "POST", "/join", content=body), JoinAnswer, link)

    async def call(
        self, link: WorkerLink, method: str, path: str, **more: Any
    ) -> bytes:  # Any: handed on to httpx
        """Return the body of a 2xx answer; raises NotFound, WorkerRefused or Unreachable."""
        headers = {
            "Authorization": f"Bearer {link.bearer}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        try:
            async with self._open().stream(method, f"{link.url}{path}", headers=headers, **more) as answer:
                content = await _limited(answer, link)
        except httpx.HTTPError as error:
            raise Unreachable(f"{link.name}: {_reason(error)}") from error
        if answer.status_code in (401, 403):
            raise WorkerRefused(
                f"{link.name}: the worker refuses the token. Give it the worker's own bearer."
            )
        if answer.status_code == 404:
            raise NotFound(f"{link.name}: the worker knows nothing of that{_detail(content)}")
        if answer.is_error or answer.is_redirect:
            raise Unreachable(
                f"{link.name}: the worker answered {answer.status_code} to {path}{_detail(content)}"
            )
        return content

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # No proxy of the environment: a worker's bearer goes to the worker and to nobody else.
            self._client = httpx.AsyncClient(
                timeout=_TIMEOUT,
                limits=_LIMITS,
                follow_redirects=False,
                trust_env=False,
                mounts={f"{LINE}://": self._lines},
            )
            self._loop = loop
        return self._client


def _reason(error: httpx.HTTPError) -> str:
    """Say why there was no answer; the library's own text may hold the whole address."""
    if isinstance(error, NoLine):
        return f"{error.reason}."
    if reason := _deeper_reason(error):
        return reason
    if isinstance(error, httpx.ConnectTimeout):
        return "it does not answer: no connection within 4 s."
    if isinstance(error, httpx.TimeoutException):
        return "it takes the connection but does not answer."
    if isinstance(error, httpx.ConnectError):
        return _connect_reason(str(error))
    return "it broke off the connection."


def _deeper_reason(error: httpx.HTTPError) -> str:
    """Return what the errors below say, or an empty text."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})."
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS; check http and https in its address."
        if isinstance(cause, ConnectionRefusedError):
            return "it refuses the connection; no worker listens there."
        cause = cause.__cause__ or cause.__context__
    return ""


def _connect_reason(text: str) -> str:
    lower = text.lower()
    if "name or service" in lower or "getaddrinfo" in lower or "nodename" in lower or "resolution" in lower:
        return "its name can't be resolved."
    if "refused" in lower or "all connection attempts failed" in lower:
        return "it refuses the connection; no worker listens there."
    return "there is no way to it from here."


async def _limited(answer: httpx.Response, link: WorkerLink) -> bytes:
    """Read an answer, but never more than fits: it comes from another machine."""
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise Unreachable(f"{link.name}: the worker's answer is too large.")
    return bytes(content)


def _detail(content: bytes) -> str:
    """Return what a problem document says, cut short."""
    try:
        detail = msgspec.json.decode(content).get("detail", "")
    except (msgspec.DecodeError, AttributeError):
        return "."
    return f": {str(detail)[:200]}"


def decoded(content: bytes, kind: type[T], link: WorkerLink) -> T:
    """Return what a worker answered; raises Unreachable for anything but that."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise Unreachable(f"{link.name}: what answers there is not a worker of Quarterdeck.") from error
