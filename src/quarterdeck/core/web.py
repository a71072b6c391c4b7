"""The edge that pages and APIs share: who acts, what is allowed, how errors are told.

``allow`` marks each handler with the verb that it needs; a handler without a mark answers nobody.
The judge (``access.may``) and the reader of credentials are handed in by the factory, so that this
module knows no capability and there is still only one permission function.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from flask import Flask, Response, copy_current_request_context, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from quarterdeck import __version__
from quarterdeck.core import headers
from quarterdeck.core.actors import NOBODY, Actor, ActorKind
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.environ import HAS_WAITED, PUT_OFF
from quarterdeck.core.errors import (
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    QuarterdeckError,
    Unauthenticated,
)
from quarterdeck.core.ids import new_id
from quarterdeck.core.limits import Cost, Turn, WorkLimit
from quarterdeck.core.log import request_id
from quarterdeck.core.stays import Stays

logger = logging.getLogger(__name__)

T = TypeVar("T")
Piece = TypeVar("Piece", str, bytes)
Handler = TypeVar("Handler", bound=Callable[..., Any])  # Any: handlers return whatever Flask accepts
Judge = Callable[[Actor, str, str], bool]
"""``may(actor, verb, object)``."""

PUBLIC: Final = "public"
_VERB: Final = "quarterdeck_verb"
_COSTS: Final = "quarterdeck_costs"
_NOT_DONE: Final = frozenset({400, 413, 415, 422})
"""Answers to what can't be read or makes no sense: they cost nothing."""
_SENDING: Final = ("POST", "PUT", "PATCH", "DELETE")
_FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_ROUTINE: Final = "/health"
"""What a master asks each worker all the time; it would drown the rest of the log."""
_SAFE_PATH: Final = re.compile(r"/(?![/\\])[^\\\x00-\x1f\x7f]*\Z")


@dataclass(frozen=True, slots=True)
class Edge:
    """What the factory hands to the edge."""

    identify: Callable[[], Actor]
    """Reads the credentials of the current request; raises Unauthenticated for bad ones."""
    judge: Judge
    on_denied: Callable[[Actor, str, str], None]
    """Puts a refusal into the history."""
    render_error: Callable[[QuarterdeckError, int], Response | None]
    """Makes a page of an error, or returns None where a problem document is wanted."""
    stays: Stays = field(default_factory=Stays)
    """Requests that wait; the factory ends those of whoever lost a right."""
    reason: Callable[[Actor, str], str] = lambda _actor, _verb: ""
    """Says why somebody may not do something, in a sentence for them."""
    work: WorkLimit = field(default_factory=lambda: WorkLimit(SystemClock()))
    """How much of what costs seconds is asked for."""


def install(app: Flask, edge: Edge) -> None:
    """Put request ids, permission and error answers in front of every handler of the app."""
    provide(app, edge)
    app.before_request(_begin_request)
    app.before_request(_check_permission)
    app.before_request(_count_costs)
    app.register_error_handler(QuarterdeckError, answer_error)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)
    app.after_request(_finish_request)
    app.teardown_request(_end_turns)


def provide(app: Flask, *parts: object) -> None:
    """Hand running parts (a journal, a database, a service) to the app's handlers, by their type."""
    for item in parts:
        app.extensions[f"quarterdeck.{type(item).__qualname__}"] = item


def part(kind: type[T]) -> T:
    """Return the running part of that type which the factory provided."""
    return cast("T", current_app.extensions[f"quarterdeck.{kind.__qualname__}"])  # keyed by type in provide


def allow(verb: str) -> Callable[[Handler], Handler]:
    """Mark a handler with the verb that an actor needs; the object is checked by ``require``."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _VERB, verb)
        return handler

    return mark


def verb_of(handler: object) -> str | None:
    """Return the verb that a handler is marked with."""
    return getattr(handler, _VERB, None)


def costs(cost: Cost, when: Callable[[], bool] = lambda: True) -> Callable[[Handler], Handler]:
    """Mark a handler whose work is limited, or that of some of its requests; more than one mark may stand."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _COSTS, (*costs_of(handler), (cost, when)))
        return handler

    return mark


def costs_of(handler: object) -> tuple[tuple[Cost, Callable[[], bool]], ...]:
    """Return what a handler is marked with by ``costs``."""
    return getattr(handler, _COSTS, ())


def actor() -> Actor:
    """Return who acts in the current request."""
    return cast("Actor", g.get("actor", NOBODY))  # set by _begin_request


def may(verb: str, object_: str = "") -> bool:
    """Ask the one judge about the current actor, for example to hide a button."""
    return part(Edge).judge(actor(), verb, object_)


def require(verb: str, object_: str = "") -> None:
    """Raise Unauthenticated, Forbidden or NotFound, and record the denial, unless the current actor may.

    Who may do it to other objects is not told whether there is this one.
    """
    if may(verb, object_):
        return
    part(Edge).on_denied(actor(), verb, object_ or request.path)
    if object_ and may(verb):
        raise NotFound("There is no such thing here, or it is not open to you.")
    if actor().kind is ActorKind.NOBODY:
        raise Unauthenticated("Sign in to continue.")
    raise Forbidden(f"You may not do this ({verb}). {part(Edge).reason(actor(), verb)}".rstrip())


def wants_json() -> bool:
    """Tell whether the client is a program rather than a browser, which sends nothing but forms."""
    if request.path.startswith("/api/") or request.headers.get("Authorization"):
        return True
    if request.method in _SENDING and request.mimetype not in _FORM_TYPES:
        return "text/html" not in request.headers.get("Accept", "")
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def put_off(wait: Callable[[], Awaitable[object]]) -> None:
    """Have the current request answered later, without holding a thread.

    The server drops this answer, awaits ``wait`` on the loop and asks the handler again; then, and under
    a server that can't do so, this does nothing. For handlers that only read. It waits no longer once the
    actor is not who it was: the handler then judges anew.
    """
    if request.environ.get(HAS_WAITED) is False:
        stays, credential_id, is_same = part(Edge).stays, actor().credential_id, _sameness()
        request.environ[PUT_OFF] = lambda: stays.wait(
            wait(), credential_id=credential_id, is_still_open=is_same
        )


def while_same(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Hand on the pieces of a long answer as long as the actor is who it was; then cut it with Forbidden."""
    is_same = _sameness()

    def handed() -> Iterator[Piece]:
        for piece in pieces:
            if not is_same():
                raise Forbidden("Who asked for this may no longer have it.")
            yield piece

    return handed()


def _sameness() -> Callable[[], bool]:
    """Return what tells, from any thread, whether the request's credentials still stand for the same."""
    known = actor()

    def is_same() -> bool:
        try:
            return part(Edge).identify() == known
        except QuarterdeckError:
            return False

    return copy_current_request_context(is_same)


def safe_path(target: str | None, default: str = "/") -> str:
    """Return the target if it is a path on this site, else the default: the only redirect to user input."""
    if not target or not _SAFE_PATH.match(target):
        return default
    parts = urlsplit(target)
    return default if parts.scheme or parts.netloc else target


def answer_error(error: QuarterdeckError) -> Response:
    """Answer an error as a page where one is wanted, else as a problem document (RFC 9457)."""
    if error.status >= 500:
        logger.warning("%s: %s", type(error).__name__, error.message, exc_info=error.__cause__)
    page = part(Edge).render_error(error, error.status)
    return page if page is not None else problem(error)


def problem(error: QuarterdeckError) -> Response:
    """Return the RFC 9457 problem document of an error."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.message,
        "request_id": g.get("request_id", "-"),
        **error.extra,
    }
    if isinstance(error, Invalid):
        document["errors"] = error.fields
    response = Response(msgspec.json.encode(document), error.status, mimetype="application/problem+json")
    if isinstance(error, Limited):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def foreign_error(status: int, message: str | None) -> QuarterdeckError:
    """Translate an error of Flask or APIFlask (404, 405, 413 …) so that there is one shape of answer."""
    error = QuarterdeckError(message or HTTPStatus(status).phrase)
    error.status = status  # type: ignore[misc]  # a class constant everywhere but for foreign errors
    error.title = HTTPStatus(status).phrase  # type: ignore[misc]  # as above
    return error


def _begin_request() -> None:
    g.request_id = new_id()
    request_id.set(g.request_id)
    g.began = time.perf_counter()
    g.actor = part(Edge).identify()


def _check_permission() -> None:
    if request.endpoint is None:
        return  # no such route: Flask answers 404 next
    verb = verb_of(current_app.view_functions[request.endpoint])
    if verb is None and request.endpoint != "static":
        raise NotFound("There is nothing at this address.")
    if verb not in (None, PUBLIC):
        require(str(verb))


def _count_costs() -> None:
    """Begin a turn for each cost of the handler; one that waited has its answer ready and pays once."""
    if request.endpoint is None or request.environ.get(HAS_WAITED):
        return
    turns: list[Turn] = g.setdefault("turns", [])
    for cost, applies in costs_of(current_app.view_functions[request.endpoint]):
        if applies():
            turns.append(part(Edge).work.begin(cost, actor()))


def _end_turns(_error: BaseException | None = None) -> None:
    """End the turns that no answer carries on."""
    for turn in g.pop("turns", ()):
        turn.end()


def _finish_request(response: Response) -> Response:
    if response.status_code in _NOT_DONE:
        for turn in g.get("turns", ()):
            turn.give_back()
    if response.is_streamed and request.method != "HEAD":  # its work is done while it is sent
        for turn in g.pop("turns", ()):
            response.call_on_close(turn.end)
    response.headers["X-Request-Id"] = g.get("request_id", "-")
    if actor().kind is ActorKind.TOKEN:
        response.headers[headers.VERSION] = __version__
    who = actor().label.replace(":", " ")  # token:ada/backup would look like a token and be redacted
    level = logging.DEBUG if request.path == _ROUTINE and response.status_code < 400 else logging.INFO
    logger.log(level, "%s %s %d %s", request.method, request.path, response.status_code, who)
    if began := g.get("began"):
        took = (time.perf_counter() - began) * 1000
        logger.debug("%s from %s took %.1f ms", request.endpoint, request.remote_addr, took)
    return response


def _answer_http(error: HTTPException) -> Response:
    response = answer_error(foreign_error(error.code or 500, error.description))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _answer_unexpected(error: Exception) -> Response:
    logger.error("unexpected error in %s %s", request.method, request.path, exc_info=error)
    return answer_error(QuarterdeckError("A fault of Quarterdeck; the log has the details under this id."))
