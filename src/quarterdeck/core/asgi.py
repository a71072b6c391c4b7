"""The shapes of ASGI, and the small answers that need no framework."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.ids import new_id

Scope = MutableMapping[str, Any]  # Any: the members of a scope and a message have no common type
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of every header of that (lower-case) name, in the order of arrival."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header(scope: Scope, name: bytes) -> str:
    """Return the last header of that (lower-case) name, or an empty text."""
    values = header_values(scope, name)
    return values[-1] if values else ""


async def send_json(
    send: Send, status: int, content: object, *, media_type: bytes = b"application/json", **more: bytes
) -> None:
    """Answer with a JSON document; ``more`` are headers, with underscores for dashes."""
    body = msgspec.json.encode(content)
    await send({"type": "http.response.start", "status": status, "headers": _headers(media_type, body, more)})
    await send({"type": "http.response.body", "body": body})


def problem_document(error: QuarterdeckError) -> tuple[dict[str, Any], bytes]:
    """Return the RFC 9457 document of an error that no framework will answer, and its request id."""
    request_id = new_id()
    document = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.message,
        "request_id": request_id,
        **error.extra,
    }
    return document, request_id.encode()


async def send_problem(send: Send, error: QuarterdeckError, **more: bytes) -> None:
    """Answer an error as a problem document (RFC 9457), in the way of ``core.web.problem``."""
    document, request_id = problem_document(error)
    await send_json(
        send,
        error.status,
        document,
        media_type=b"application/problem+json",
        x_request_id=request_id,
        **more,
    )


async def send_open_problem(send: Send, error: QuarterdeckError) -> None:
    """Answer an error but leave the answer open, so that what the client still sends can be read away."""
    document, request_id = problem_document(error)
    body = msgspec.json.encode(document)
    headers = _headers(
        b"application/problem+json", body, {"x_request_id": request_id, "connection": b"close"}
    )
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _headers(media_type: bytes, body: bytes, more: MutableMapping[str, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *((name.replace("_", "-").encode(), value) for name, value in more.items()),
    ]
