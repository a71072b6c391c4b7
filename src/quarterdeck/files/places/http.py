"""Calls to the API of a Bitbucket: one client for both flavours, synchronous towards the adapters.

Within a node the calls wait on its event loop; on the command line, where none runs, each has a loop of its
own. A call is tried again only when that can't do anything twice. Redirects and links are followed on the
place's own origin only, so that the token stays there.
"""

import asyncio
import base64
import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
import msgspec

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.addresses import host_of, join, own_link, read_base, tls_context
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.answers import Answer
from quarterdeck.files.places.faults import (
    Timing,
    error_for,
    is_worth_another_try,
    no_answer,
    throttled_words,
)
from quarterdeck.files.places.multipart import Part, multipart
from quarterdeck.files.places.place import Budget, Missing, PlaceError, Throttled, Unanswered, Unsupported

MOST_CALLS: Final = 8
MOST_JSON_BYTES: Final = 16 * 1024 * 1024
_MOST_ERROR_BYTES: Final = 64 * 1024
_MOST_REDIRECTS: Final = 3
_LEAST_SECRET: Final = 4
_BUSY_STATUSES: Final = frozenset({502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # nothing that grows when it is unpacked
    "User-Agent": "Quarterdeck",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a place's API is and how to get in: Basic when there is a user name, else Bearer, else nobody."""

    base_url: str
    username: str = ""
    token: str = field(default="", repr=False)
    authorities: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. Segments are plain text and percent-encoded one by one; a last empty one ends in "/"."""

    method: str = "GET"
    segments: tuple[str, ...] = ()
    query: Sequence[tuple[str, str]] = ()
    link: str = ""
    """Instead of segments and query: an address that the place gave (a ``next``), checked before use."""
    json: Any = None  # Any: whatever can be written as JSON
    parts: Sequence[Part] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accepts: frozenset[int] = frozenset({200})
    """Statuses that are returned; any other is raised as a PlaceError."""
    most_bytes: int | None = None
    """Of a body that is returned: TooLarge beyond, unread. None: a bound for JSON, Unanswered beyond."""
    is_listing: bool = False
    """Costly and not urgent: refused here already when the hour's calls are used up."""
    follows: bool = False
    """Redirects on the place's own origin are followed (GET only)."""
    needs: str = ""
    """The scope or permission that a 403 is for."""
    what: str = "The repository"
    """What a 404 is for: the beginning of a sentence."""

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class _Request:
    """What is sent, as often as it is."""

    call: Call
    url: str
    headers: Mapping[str, str]
    content: bytes | None


class Client:
    """Calls one place. Make it once and keep it: connections stay open; ``close`` lets them go."""

    def __init__(
        self,
        endpoint: Endpoint,
        loop: Loop,
        clock: Clock,
        *,
        allowance: Allowance | None = None,
        timing: Timing = Timing(),  # noqa: B008 - a frozen value
    ) -> None:
        """Raises ValueError, with words for people, for what can't be an address or a credential."""
        self.base = read_base(endpoint.base_url)
        self.host = host_of(self.base)
        try:
            httpx.URL(self.base)
        except httpx.InvalidURL as error:
            raise ValueError("Write an address that begins with https://.") from error
        self.allowance = allowance or Allowance(clock)
        self._credential, self._secrets = _credential_of(endpoint)
        self.is_anonymous = not endpoint.token
        self._authorities = endpoint.authorities
        self._loop = loop
        self._clock = clock
        self._timing = timing
        self._slots = threading.BoundedSemaphore(MOST_CALLS)
        self._kept: httpx.AsyncClient | None = None  # lives on the node's loop

    def __repr__(self) -> str:
        return f"Client({self.base!r})"

    def call(self, call: Call) -> Answer:
        """Make a call and return its answer; blocks, so never on the loop.

        Raises Refused, Missing, Throttled, Unanswered, a plain PlaceError for any other status that is not
        in ``accepts``, core.errors.TooLarge when the body is over ``most_bytes``, and Busy when too many
        calls wait. An Unanswered write may have been done when its ``extra`` holds ``is_unsure``.
        """
        request = self._request(call)
        tls_context(self._authorities)  # read here once, since it takes too long for the loop
        if call.is_listing and (seconds := self.allowance.seconds_until_free()):
            raise Throttled(throttled_words(seconds), retry_after=seconds)
        if not self._slots.acquire(timeout=self._timing.queue):
            raise Busy(f"{MOST_CALLS} calls to this repository are under way; try again in a moment.")
        try:
            answer = self._blocking(request)
        finally:
            self._slots.release()
        if answer.status in call.accepts:
            return answer
        raise self.error(answer, what=call.what, needs=call.needs, is_write=call.is_write)

    def without_secrets(self, answer: Answer) -> Answer:
        """Return an answer in which the credential is hidden, should the place's own words repeat it."""
        return replace(answer, body=self._hidden(answer.body))

    def budget(self) -> Budget:
        """Return the calls of the last hour by our own count."""
        return self.allowance.budget()

    def close(self) -> None:
        """Let the connections go; a later call opens new ones."""
        kept, self._kept = self._kept, None
        if kept is not None and self._loop.is_running:
            self._loop.submit(kept.aclose())

    def _address(self, call: Call) -> str:
        if call.link:
            link = own_link(self.base, call.link)
            if link is None:
                raise Unanswered(f"An answer of {self.host} leads to another address, which is not followed.")
            return link
        try:
            return join(self.base, call.segments, call.query)
        except ValueError as error:
            raise Missing(
                f"{call.what} can't be asked for: its name has empty parts, “.” or “..”."
            ) from error

    def _request(self, call: Call) -> _Request:
        url = self._address(call)
        headers = _HEADERS | self._credential | dict(call.headers)
        if call.json is not None:
            headers["Content-Type"] = "application/json"
            return _Request(call, url, headers, msgspec.json.encode(call.json))
        if call.parts is None:
            return _Request(call, url, headers, None)
        try:
            headers["Content-Type"], body = multipart(call.parts)
        except ValueError as error:
            raise Unsupported(
                "A name with a quotation mark, a backslash or a line break can't be sent to Bitbucket."
            ) from error
        return _Request(call, url, headers, body)

    def _blocking(self, request: _Request) -> Answer:
        if not self._loop.is_running:
            return asyncio.run(self._once(request))
        longest = self._timing.whole * 2 + self._timing.retry + 10
        return self._loop.run(self._tries(self._kept_client, request), timeout_seconds=longest)

    async def _once(self, request: _Request) -> Answer:
        async with self._new_client() as client:
            return await self._tries(lambda: client, request)

    def _kept_client(self) -> httpx.AsyncClient:
        if self._kept is None:
            self._kept = self._new_client()
        return self._kept

    def _new_client(self) -> httpx.AsyncClient:
        timing = self._timing
        return httpx.AsyncClient(
            verify=tls_context(self._authorities),
            timeout=httpx.Timeout(timing.read, connect=timing.connect, pool=timing.queue),
            limits=httpx.Limits(max_connections=MOST_CALLS, max_keepalive_connections=MOST_CALLS // 2),
            follow_redirects=False,
            trust_env=False,
        )

    async def _tries(self, client: Callable[[], httpx.AsyncClient], request: _Request) -> Answer:
        """Send, and send again where that is harmless; raises Unanswered when nothing helped."""
        last_start = self._clock.monotonic() + self._timing.retry
        honours = True
        for pause in self._timing.pauses:
            answer, fault = await self._try(client(), request)
            if self._clock.monotonic() >= last_start:
                return self._final(request, answer, fault)
            told = self._short_wait(answer) if honours else None
            if told is not None:
                honours, pause = False, told
            elif not _is_to_be_repeated(request.call, answer, fault):
                return self._final(request, answer, fault)
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311 - jitter, not a secret
        return self._final(request, *await self._try(client(), request))

    def _short_wait(self, answer: Answer | None) -> int | None:
        """Return the seconds that a 429 asks to wait when these are few."""
        if answer is None or answer.status != 429:
            return None
        told = _told_seconds(answer)
        return told if told is not None and told <= self._timing.honoured else None

    def _final(self, request: _Request, answer: Answer | None, fault: Exception | None) -> Answer:
        if answer is not None:
            return answer
        assert fault is not None  # noqa: S101 - one of the two is there
        call = request.call
        error = no_answer(fault, host=self.host, timing=self._timing, is_write=call.is_write)
        log.warning("%s: %s", call.method, error.message)
        raise error from fault

    async def _try(
        self, client: httpx.AsyncClient, request: _Request
    ) -> tuple[Answer | None, Exception | None]:
        try:
            async with asyncio.timeout(self._timing.whole):
                return await self._followed(client, request), None
        except (httpx.HTTPError, TimeoutError) as fault:
            return None, fault

    async def _followed(self, client: httpx.AsyncClient, request: _Request) -> Answer:
        call, url = request.call, request.url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._send(client, request, url)
            if call.is_write or not call.follows or answer.status not in _REDIRECTS:
                return answer
            link = own_link(self.base, answer.headers.get("location"), relative_to=url)
            if link is None:
                raise Unanswered(f"{self.host} sends on to another address, which is not followed.")
            url = link
        raise Unanswered(f"{self.host} sends from one address to the next without end.")

    async def _send(self, client: httpx.AsyncClient, request: _Request, url: str) -> Answer:
        self.allowance.count()
        call = request.call
        client.cookies.clear()  # the credential alone says who asks
        sent = client.build_request(call.method, url, headers=request.headers, content=request.content)
        response = await client.send(sent, stream=True)
        try:
            found = {name.lower(): value for name, value in response.headers.items()}
            self._note(response.status_code, found)
            return Answer(response.status_code, found, await _body(response, call))
        finally:
            await response.aclose()

    def _note(self, status: int, headers: Mapping[str, str]) -> None:
        self.allowance.learn(headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-nearlimit", ""))
        if status < 400:
            self.allowance.accepted()

    def error(
        self, answer: Answer, *, what: str = "It", needs: str = "", is_write: bool = False
    ) -> PlaceError:
        """Return what to raise for an answer that is an error, and log the place's own marks of it."""
        problem = self.without_secrets(answer).problem()
        said = self._hidden(problem.message.encode()).decode()
        mark = self._hidden(problem.name.encode()).decode()
        level = logging.INFO if answer.status == 404 else logging.WARNING
        log.log(level, "%s answered %s: %s (%s)", self.host, answer.status, said, mark)
        if answer.status == 429:
            seconds = self.allowance.refused(_told_seconds(answer))
            return Throttled(throttled_words(seconds), retry_after=seconds)
        about = {"what": what, "needs": needs, "host": self.host, "said": said}
        return error_for(answer.status, is_write=is_write, **about)

    def _hidden(self, text: bytes) -> bytes:
        """Return a stranger's words without the credential, should they repeat it."""
        for secret in self._secrets:
            text = text.replace(secret, "•••".encode())
        return text


def _credential_of(endpoint: Endpoint) -> tuple[dict[str, str], tuple[bytes, ...]]:
    """Return the header, and the texts that nobody may see; raises ValueError."""
    token, name = endpoint.token, endpoint.username
    if not token:
        return {}, ()
    if not (token.isascii() and token.isprintable()) or " " in token or len(token) > 4096:
        raise ValueError("A token has no spaces, line breaks or letters beyond ASCII; paste it again.")
    if not name.isprintable() or ":" in name:
        raise ValueError("A user name or an e-mail address has no colon.")
    basic = base64.b64encode(f"{name}:{token}".encode()).decode()
    header = f"Basic {basic}" if name else f"Bearer {token}"
    return {"Authorization": header}, tuple(
        each.encode() for each in (basic, token) if len(each) >= _LEAST_SECRET
    )


def _is_to_be_repeated(call: Call, answer: Answer | None, fault: Exception | None) -> bool:
    if fault is not None:
        return is_worth_another_try(fault, is_write=call.is_write)
    return answer is not None and answer.status in _BUSY_STATUSES and not call.is_write


def _told_seconds(answer: Answer) -> int | None:
    """Return the seconds of a Retry-After header; None without one, and for one that is a date."""
    text = answer.headers.get("retry-after", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


async def _body(response: httpx.Response, call: Call) -> bytes:
    """Return the body; of an error no more than its beginning."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unanswered("The repository's server packed its answer, which was not asked for.")
    is_error = response.status_code not in call.accepts
    allowed = MOST_JSON_BYTES if call.most_bytes is None else call.most_bytes
    most = _MOST_ERROR_BYTES if is_error else allowed
    length = response.headers.get("Content-Length", "")
    body = bytearray()
    if is_error or not (length.isdigit() and int(length) > most):
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    if is_error:
        return bytes(body[:most])
    if call.most_bytes is None:
        raise Unanswered(f"An answer of more than {most} bytes was not read to its end.")
    raise TooLarge(f"That is larger than {most} bytes.")
