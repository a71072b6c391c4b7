"""Words for what goes wrong between here and a place: no answer, or an answer that is an error."""

import socket
import ssl
from dataclasses import dataclass

import httpx

from quarterdeck.files.places.answers import clean
from quarterdeck.files.places.place import Missing, PlaceError, Refused, Unanswered


@dataclass(frozen=True, slots=True)
class Timing:
    """How long is waited for what, in seconds."""

    connect: float = 5.0
    read: float = 20.0
    whole: float = 30.0
    """For one request and its whole answer."""
    retry: float = 15.0
    """After this much a failed GET is not tried again."""
    queue: float = 10.0
    """For one of the calls under way to end."""
    honoured: int = 5
    """The longest Retry-After that is waited out."""
    pauses: tuple[float, ...] = (0.3, 1.0)
    """Before each further try, half as much more or less by chance."""


def error_for(status: int, *, host: str, said: str, what: str, needs: str, is_write: bool) -> PlaceError:
    """Return the error that a status stands for; ``said`` is the place's own reason, empty for none."""
    reason = f" It says: “{said}”." if said else ""
    if status == 401:
        return Refused(f"{host} does not accept the token: it is wrong, expired or revoked.{reason}")
    if status == 403:
        wants = f" It needs {needs}." if needs else ""
        return Refused(f"The token is accepted, but may not do this.{wants}{reason}", needs=needs)
    if status in (404, 410):
        return Missing(f"{what} is not there, or the token has no right to see it.{reason}")
    if 300 <= status < 400:
        return Unanswered(f"{host} sends on to another address, which is not followed; check the address.")
    if status >= 500:
        trouble = f"{host} has trouble of its own (status {status}); try again later.{reason}"
        return unsure(trouble) if is_write else Unanswered(trouble)
    return PlaceError(f"{host} did not do it (status {status}).{reason}", place_status=status)


def no_answer(fault: Exception, *, host: str, timing: Timing, is_write: bool) -> Unanswered:
    """Return the error for a request without a whole answer."""
    words = f"No answer from {host}: {reason_of(fault, timing)}."
    return unsure(words) if is_write and not is_unsent(fault) else Unanswered(words)


def unsure(words: str) -> Unanswered:
    """Return the error of a write that may have been done: its ``extra`` holds ``is_unsure``."""
    return Unanswered(f"{words} It may have been done all the same.", is_unsure=True)


def throttled_words(seconds: int) -> str:
    """Say that the limit is reached."""
    return f"The repository's limit of API calls is reached; try again in {seconds} s."


def reason_of(fault: Exception, timing: Timing) -> str:
    """Say why there was no answer; a library's own text may hold more than people should see."""
    if isinstance(fault, httpx.ConnectTimeout):
        return f"no connection within {timing.connect:g} s"
    if isinstance(fault, httpx.TimeoutException):
        return f"connected, but silent for {timing.read:g} s"
    if isinstance(fault, TimeoutError):
        return f"the answer was not whole within {timing.whole:g} s"
    if isinstance(fault, httpx.ConnectError):
        return _connect_reason(fault)
    return "the connection broke off in the middle"


def is_unsent(fault: Exception) -> bool:
    """Tell whether the request surely never reached the other side."""
    return isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def is_worth_another_try(fault: Exception, *, is_write: bool) -> bool:
    """Tell whether another try can help, can't do a thing twice and doesn't double a long wait."""
    if isinstance(fault, httpx.ConnectError):
        return not any(isinstance(cause, ssl.SSLError) for cause in _causes(fault))
    return not is_write and not isinstance(fault, TimeoutError | httpx.TimeoutException)


def _causes(fault: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while fault is not None and fault not in found:
        found.append(fault)
        fault = fault.__cause__ or fault.__context__
    return found


def _connect_reason(fault: httpx.ConnectError) -> str:
    for cause in _causes(fault):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({clean(cause.verify_message, 100)})"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS; check http and https in the address"
        if isinstance(cause, socket.gaierror):
            return "its name can't be resolved"
    return "the connection was refused, or there is no way to it from here"
