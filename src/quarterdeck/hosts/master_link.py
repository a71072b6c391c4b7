"""A worker's HTTP to its master. With the standard library: a whole HTTP client would cost 5 MB of 60."""

import http.client
import json
import ssl
from typing import Final
from urllib.parse import urlsplit

from quarterdeck.core.errors import Unreachable
from quarterdeck.core.pinning import WrongCertificate, tls_context
from quarterdeck.hosts.membership import Member

_SECONDS: Final = 10
_ANSWER_LIMIT: Final = 1_000_000
_JSON: Final = "application/json"


class MasterConnection:
    """One connection that stays open from call to call, for one thread at a time; each call blocks.

    It is opened anew when the master closed it meanwhile, and when another master is meant.
    """

    def __init__(self) -> None:
        self._member: Member | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._tls: ssl.SSLContext | None = None

    def post(
        self, member: Member, path: str, body: bytes, *, media_type: str = _JSON, shows_token: bool = True
    ) -> tuple[int, bytes]:
        """Post a message and return status and body; raises Unreachable."""
        parts = urlsplit(member.master_url)
        headers = {"Content-Type": media_type}
        if shows_token:
            headers["Authorization"] = f"Bearer {member.token}"
        try:
            return self._exchange(member, f"{parts.path.rstrip('/')}{path}", body, headers)
        except WrongCertificate as error:
            raise Unreachable(wrong_certificate(error)) from error
        except ssl.SSLError as error:
            raise Unreachable(f"The master's certificate or TLS is not accepted ({error.reason}).") from error
        except TimeoutError as error:
            raise Unreachable(f"The master did not answer within {_SECONDS} s.") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unreachable(f"The master can't be reached: {reason}.") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _leads_to(self, member: Member) -> bool:
        was = self._member
        return was is not None and (was.master_url, was.pin) == (member.master_url, member.pin)

    def _exchange(
        self, member: Member, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        is_kept = self._connection is not None and self._leads_to(member)
        try:
            return self._ask(member, target, body, headers)
        except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
            if not is_kept:
                raise
            # Closed by the master while nothing was under way: that says nothing of whether it is there.
            return self._ask(member, target, body, headers)

    def _ask(self, member: Member, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = self._open(member)
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            content = answer.read(_ANSWER_LIMIT)
        except BaseException:
            self.close()
            raise
        if answer.will_close or not answer.isclosed():
            self.close()
        return answer.status, content

    def _open(self, member: Member) -> http.client.HTTPConnection:
        if self._connection is None or not self._leads_to(member):
            self.close()
            if not self._leads_to(member):
                self._tls = None
            parts = urlsplit(member.master_url)
            if parts.scheme == "https":
                # Kept: to make one reads every authority that this machine trusts.
                self._tls = self._tls or tls_context(member.pin)
                self._connection = http.client.HTTPSConnection(
                    parts.hostname or "", parts.port, timeout=_SECONDS, context=self._tls
                )
            else:
                self._connection = http.client.HTTPConnection(
                    parts.hostname or "", parts.port, timeout=_SECONDS
                )
            self._member = member
        return self._connection


def exchange(master: Member, path: str, body: bytes, *, shows_token: bool = True) -> tuple[int, bytes]:
    """Post a message to a master over a connection of its own; raises Unreachable."""
    connection = MasterConnection()
    try:
        return connection.post(master, path, body, shows_token=shows_token)
    finally:
        connection.close()


def wrong_certificate(error: WrongCertificate) -> str:
    """Say what a master's certificate that is not the pinned one means."""
    return (
        f"The master's certificate is not the pinned one; it shows SHA256:{error.shown}. Nothing was sent to "
        "it. If the certificate was renewed, pin the new one by QUARTERDECK_MASTER_PIN."
    )


def detail_of(body: bytes) -> str:
    """Return what a problem document says, cut short."""
    try:
        return f": {str(json.loads(body)['detail'])[:300]}"
    except (ValueError, KeyError, TypeError):
        return "."
