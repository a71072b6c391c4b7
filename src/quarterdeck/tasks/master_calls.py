"""A worker's calls to its master. With the standard library: a whole HTTP client would cost 5 MB of 60."""

import http.client
import json
import ssl
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from quarterdeck.core.errors import Conflict, Forbidden, QuarterdeckError, Unreachable
from quarterdeck.core.pinning import WrongCertificate, tls_context
from quarterdeck.protocol.orders import Handed, HandedAnswer, OrderStatus
from quarterdeck.tasks.membership import Member, Membership

S = TypeVar("S", bound=msgspec.Struct)

_SECONDS: Final = 10
_ANSWER_LIMIT: Final = 1_000_000


class Rejected(QuarterdeckError):
    """The master understood and said no; asking again would not help."""

    status = 409
    title = "The master refused"


class MasterCalls:
    """Each call opens a connection of its own and blocks for up to some seconds: call it in a thread."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def hand(self, handed: Handed) -> HandedAnswer:
        """Give the master a task to run on its own machine."""
        body = self._post("/tasks/process", handed)
        try:
            return msgspec.json.decode(body, type=HandedAnswer)
        except msgspec.DecodeError as error:
            raise Unreachable("What answers at the master's address is not a master.") from error

    def report(self, status: OrderStatus) -> None:
        """Tell the master how a task ended that took longer than its answer."""
        self._post("/tasks/result", status)

    def _post(self, path: str, message: msgspec.Struct) -> bytes:
        """Return the body of a 2xx answer; raises Conflict, Forbidden, Rejected or Unreachable."""
        member = self._membership.current()
        if member is None:
            raise Conflict(
                "This worker knows no master yet. Add it there as a host of kind worker, "
                "or set QUARTERDECK_MASTER_URL and QUARTERDECK_WORKER_BEARER_TOKEN."
            )
        status, body = exchange(member, path, msgspec.json.encode(message))
        if status in (401, 403):
            raise Forbidden(f"The master refuses this worker{detail_of(body)}")
        if 400 <= status < 500 and status not in (408, 429):
            raise Rejected(f"The master refused{detail_of(body)}")
        if not 200 <= status < 300:
            raise Unreachable(f"The master answered {status}{detail_of(body)}")
        return body


def exchange(master: Member, path: str, body: bytes, *, shows_token: bool = True) -> tuple[int, bytes]:
    """Post a message to a master and return status and body; raises Unreachable."""
    parts = urlsplit(master.master_url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, master.pin)
    headers = {"Content-Type": "application/json"}
    if shows_token:
        headers["Authorization"] = f"Bearer {master.token}"
    try:
        connection.request("POST", f"{parts.path.rstrip('/')}{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_ANSWER_LIMIT)
    except WrongCertificate as error:
        raise Unreachable(wrong_certificate(error)) from error
    except ssl.SSLError as error:
        raise Unreachable(f"The master's certificate or TLS is not accepted ({error.reason}).") from error
    except TimeoutError as error:
        raise Unreachable(f"The master did not answer within {_SECONDS} s.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Unreachable(f"The master can't be reached: {reason}.") from error
    finally:
        connection.close()


def wrong_certificate(error: WrongCertificate) -> str:
    """Say what a master's certificate that is not the pinned one means."""
    return (
        f"The master's certificate is not the pinned one; it shows SHA256:{error.shown}. Nothing was sent to "
        "it. If the certificate was renewed, pin the new one by QUARTERDECK_MASTER_PIN."
    )


def _connection(scheme: str, host: str, port: int | None, pin: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=tls_context(pin))
    return http.client.HTTPConnection(host, port, timeout=_SECONDS)


def detail_of(body: bytes) -> str:
    """Return what a problem document says, cut short."""
    try:
        return f": {str(json.loads(body)['detail'])[:300]}"
    except (ValueError, KeyError, TypeError):
        return "."
