"""The JSON API of a master as its command line calls it: one bearer, bounded answers, our own errors.

The token goes to the named server and nobody else: no proxy of the environment, no redirect. What is read
that was cut off is asked for again a few times; what changes something only when it carries a key.
"""

import random
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from quarterdeck.core.api_errors import error_of, not_a_master, unreachable, versions_differ
from quarterdeck.core.errors import NotFound, QuarterdeckError, Unreachable
from quarterdeck.core.headers import IDEMPOTENCY_KEY, VERSION

T = TypeVar("T")
Json = dict[str, Any]  # Any: JSON

_CONNECT_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 75.0
"""Longer than the longest wait of the API."""
_MOST_BYTES: Final = 64_000_000
_MOST_ERROR_BYTES: Final = 100_000
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.5
_CUT: Final = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    params: Json
    body: Json | None = None
    seconds: float = PATIENCE_SECONDS
    """The longest pause of the server, and the longest that an answer in one piece may take."""
    key: str = ""
    """Makes it safe to send again what starts something."""

    @property
    def may_repeat(self) -> bool:
        return self.method == "GET" or bool(self.key)


class ApiClient:
    """Calls one master; raises the same errors as the services themselves would."""

    def __init__(
        self, server: str, token: str, *, tls: ssl.SSLContext | None = None, advice: str = ""
    ) -> None:
        self.server = server.rstrip("/")
        self.version = ""
        """Which version of Quarterdeck answered; empty before the first answer."""
        self._advice = advice
        # Not compressed: a small answer must not become a large one here.
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._http = httpx.Client(
            base_url=self.server,
            headers=headers,
            verify=tls or True,
            trust_env=False,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Json:  # Any: what a query string holds
        return self._json(_Call("GET", path, params))

    def send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        seconds: float = PATIENCE_SECONDS,
        key: str = "",
        params: Json | None = None,
    ) -> Json:
        """Change something; returns an empty object where the answer has no content."""
        return self._json(_Call(method, path, params or {}, body, seconds, key))

    def pages(self, path: str, **params: Any) -> Iterator[Json]:  # Any: what a query string holds
        """Yield the pages of a list from the first to the last."""
        page = self.get(path, **params)
        yield page
        seen = set()
        while cursor := page.get("next_cursor"):
            if not isinstance(cursor, str) or cursor in seen:
                raise self._odd("its list never ends")
            seen.add(cursor)
            page = self.get(path, **params, cursor=cursor)
            yield page

    def content(self, path: str, /, **params: Any) -> bytes:  # Any: what a query string holds
        """Return an answer that is no JSON."""
        return self._whole(_Call("GET", path, params))

    def stream(self, path: str, **params: Any) -> Iterator[bytes]:  # Any: what a query string holds
        """Yield an answer of any size, piece by piece; it is not asked for twice."""
        try:
            with self._open(_Call("GET", path, params)) as answer:
                yield from answer.iter_raw()
        except httpx.HTTPError as error:
            raise unreachable(self.server, error, self._advice) from error

    def read(self, kind: type[T], value: object) -> T:
        """Return a part of an answer as an object; raises Unreachable when it has another shape."""
        try:
            return msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            raise self._odd(str(error)) from error

    def part(self, answer: Json, name: str) -> Any:  # Any: JSON
        """Return a member of an answer; raises Unreachable when it is not there."""
        if name not in answer:
            raise self._odd(f"there is no `{name}` in it")
        return answer[name]

    def _json(self, call: _Call) -> Json:
        content = self._whole(call)
        if not content:
            return {}
        try:
            answer = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._odd("it is no JSON") from error
        if not isinstance(answer, dict):
            raise self._odd("it is no object")
        return answer

    def _whole(self, call: _Call) -> bytes:
        for left in reversed(range(_TRIES)):
            try:
                with self._open(call) as answer:
                    return self._body(answer, call.seconds)
            except _CUT as error:
                if not (left and call.may_repeat):
                    raise unreachable(
                        self.server, error, self._advice, may_be_done=not call.may_repeat
                    ) from error
                threading.Event().wait(_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise unreachable(
                    self.server, error, self._advice, may_be_done=not call.may_repeat
                ) from error
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _open(self, call: _Call) -> Iterator[httpx.Response]:
        """Send a call and yield a good answer whose body is still to be read."""
        timeout = httpx.Timeout(call.seconds, connect=_CONNECT_SECONDS)
        headers = {IDEMPOTENCY_KEY: call.key} if call.key else {}
        with self._http.stream(
            call.method, call.path, params=call.params, json=call.body, headers=headers, timeout=timeout
        ) as answer:
            self.version = answer.headers.get(VERSION, "")[:40]
            if not answer.is_success:
                raise self._refusal(answer)
            if not self.version or answer.headers.get("Content-Encoding", "identity") != "identity":
                raise not_a_master(self.server, answer.status_code)
            yield answer

    def _refusal(self, answer: httpx.Response) -> QuarterdeckError:
        if answer.is_redirect:
            target = urlsplit(answer.headers.get("Location", ""))
            place = f"{target.scheme}://{target.netloc}"[:200] if target.netloc else "another path"
            return Unreachable(
                f"{self.server} sends this call on to {place}; the token was not sent there. If that is the "
                "master, name its own address by --server."
            )
        content = self._body(answer, PATIENCE_SECONDS, most=_MOST_ERROR_BYTES)
        error = error_of(self.server, answer.status_code, dict(answer.headers), content)
        if isinstance(error, NotFound) and (note := versions_differ(self.server, self.version)):
            return NotFound(f"{error.message} {note}")
        return error

    def _body(self, answer: httpx.Response, seconds: float, most: int = _MOST_BYTES) -> bytes:
        """Return a body of bounded size and time, however the server pieces it out."""
        body, deadline = bytearray(), time.monotonic() + 2 * seconds
        for piece in answer.iter_raw():
            body += piece
            if len(body) > most:
                raise Unreachable(
                    f"{self.server} answered with more than {most // 1000:,} kB; that is no master."
                )
            if time.monotonic() > deadline:
                raise Unreachable(f"{self.server} did not get to the end of its answer in time.")
        return bytes(body)

    def _odd(self, what: str) -> Unreachable:
        note = versions_differ(self.server, self.version)
        return Unreachable(f"The answer of {self.server} can't be understood: {what[:200]}. {note}".strip())


def step(name: str) -> str:
    """Return a name as one step of a path: it can't become two, nor one that climbs. Raises NotFound."""
    if not name or "/" in name:  # the server would read an escaped slash as one
        raise NotFound(f"There is nothing named “{name}”.")
    return quote(name, safe="").replace(".", "%2E")
