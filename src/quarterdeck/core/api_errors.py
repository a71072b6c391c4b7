"""What came back from a master's API, or did not, as our own errors and in words that say what to do."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from quarterdeck import __version__
from quarterdeck.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    QuarterdeckError,
    TooLarge,
    Unauthenticated,
    Unreachable,
)
from quarterdeck.core.pinning import WrongCertificate

_KINDS: Final[Mapping[int, type[QuarterdeckError]]] = {
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    502: Unreachable,
    503: Busy,
}
_OWN_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "request_id", "errors"})
_LONGEST: Final = 2_000


def error_of(server: str, status: int, headers: Mapping[str, str], content: bytes) -> QuarterdeckError:
    """Return the error that a problem document (RFC 9457) tells, or that this is no master's answer."""
    problem = _problem(content)
    if problem is None:
        return not_a_master(server, status)
    detail = _plain(problem["detail"])
    if status == Unauthenticated.status:
        return Unauthenticated(
            f"{server} does not accept the token. {detail} Make a new one on the account page or by "
            "`quarterdeck token create`, and put it into the token file."
        )
    if status == Forbidden.status:
        return Forbidden(
            f"{detail} A token may do what its scope and the role of its person both allow; "
            "use one that may, or ask an administrator."
        )
    if status == Limited.status:
        return _limited(detail, headers.get("retry-after", ""))
    if status == Invalid.status:
        return Invalid(_fields(problem.get("errors")) or {"input": detail})
    extra = {str(name): value for name, value in problem.items() if name not in _OWN_MEMBERS}
    extra = {name: value for name, value in extra.items() if name != "message"}
    return _KINDS.get(status, QuarterdeckError)(detail, **extra)


def not_a_master(server: str, status: int) -> Unreachable:
    """Return the error for whatever else answers there."""
    return Unreachable(
        f"{server} answered {status}, not as a master of Quarterdeck does. Check the address, and whether "
        "a proxy in front lets /api/v1 through."
    )


def unreachable(server: str, error: Exception, advice: str, *, may_be_done: bool = False) -> Unreachable:
    """Return why a call got no answer; ``advice`` says what to do when nobody is there."""
    if (fault := _tls_fault(error)) is not None:
        return Unreachable(f"{server} {fault}")
    if isinstance(
        error, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL | httpx.UnsupportedProtocol
    ):
        return Unreachable(f"No master answers at {server}. {advice}".strip())
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cut the connection"
    after = "Look whether it was done before you try again." if may_be_done else "Try again."
    return Unreachable(f"{server} {what}. {after}")


def versions_differ(server: str, theirs: str) -> str:
    """Return a sentence when the master is of another minor version than this program, else nothing."""
    if not theirs or theirs.split(".")[:2] == __version__.split(".")[:2]:
        return ""
    other = _plain(theirs)
    return f"{server} runs Quarterdeck {other}, this command line is {__version__}: use the same version."


def _limited(detail: str, after: str) -> Limited:
    seconds = int(after) if after.isascii() and after.isdecimal() and len(after) < 6 else 60
    return Limited(detail.removesuffix(Limited.advice(seconds)), retry_after=seconds)


def _tls_fault(error: BaseException) -> str | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    if isinstance(cause, WrongCertificate):
        return (
            f"showed another certificate than the pinned one: SHA256:{cause.shown}. Nothing was sent to it. "
            "If its administrator has changed it, pin the new one by --pin."
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that nobody here vouches for ({cause.verify_message}). Nothing was sent to "
            "it. Name its authority by --ca-file, or pin the certificate by --pin."
        )
    return f"does not speak TLS as it should ({cause.reason or 'handshake failed'}). Nothing was sent to it."


def _problem(content: bytes) -> dict[str, Any] | None:  # Any: JSON
    try:
        problem = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return problem if isinstance(problem, dict) and isinstance(problem.get("detail"), str) else None


def _fields(errors: object) -> dict[str, str]:
    if not isinstance(errors, dict):
        return {}
    return {_plain(str(name)): _plain(str(text)) for name, text in list(errors.items())[:1_000]}


def _plain(text: str) -> str:
    """Return a foreign text so that it can't drive a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text[:_LONGEST])
