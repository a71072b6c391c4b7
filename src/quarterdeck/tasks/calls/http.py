"""HTTP calls of the master's executors: one way to open a client, and plain words for what goes wrong."""

import ssl
from functools import cache
from typing import Final

import httpx

from quarterdeck.hosts.line_transport import NoLine

CONNECT_SECONDS: Final = 10.0


@cache
def _tls() -> ssl.SSLContext:
    """Read the trusted certificates once; that costs more than a whole call."""
    return ssl.create_default_context()


def open_client(
    *,
    read_seconds: float,
    connect_seconds: float = CONNECT_SECONDS,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Return a client that verifies certificates and uses no redirect and no proxy of the environment.

    ``transport`` is another way than HTTP, to a worker that dials in.
    """
    timeout = httpx.Timeout(read_seconds, connect=connect_seconds)
    return httpx.AsyncClient(
        verify=_tls(), timeout=timeout, follow_redirects=False, trust_env=False, transport=transport
    )


def is_unsent(error: httpx.HTTPError) -> bool:
    """Tell whether the request surely never reached the other side."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)


def is_returning(error: httpx.HTTPError) -> bool:
    """Tell whether the other side is a worker that dials in, and is expected to do so any moment."""
    return isinstance(error, NoLine) and error.is_returning


def reason_of(
    error: httpx.HTTPError, *, read_seconds: float, connect_seconds: float = CONNECT_SECONDS
) -> str:
    """Say why there was no answer; the library's own text may hold the whole address."""
    if isinstance(error, NoLine):
        return error.reason
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return f"no connection within {connect_seconds:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"connected, but silent for {read_seconds:g} s"
    if isinstance(error, httpx.ConnectError):
        return _connect_reason(error)
    if isinstance(error, httpx.UnsupportedProtocol):
        return "the address is neither http nor https"
    return "the connection was broken off in the middle"


def _connect_reason(error: httpx.ConnectError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS; check http and https in the address"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused; nothing listens there"
        cause = cause.__cause__ or cause.__context__
    text = str(error).lower()
    if any(word in text for word in ("name or service", "getaddrinfo", "nodename", "resolution")):
        return "its name can't be resolved"
    if "all connection attempts failed" in text:
        return "the connection was refused; nothing listens there"
    return "there is no way to it from here"
