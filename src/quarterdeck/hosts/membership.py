"""Which master a worker belongs to: learned when it was joined, or set by the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from quarterdeck.core.config import LOOPBACK_NAMES, Settings
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.security import same, write_private
from quarterdeck.protocol.line import CodeJoined
from quarterdeck.protocol.orders import JoinRequest

_SHORTEST_TOKEN: Final = 24


@dataclass(frozen=True, slots=True)
class Member:
    """Where the master is and what is shown to it; with a ``pin``, to that certificate alone."""

    master_url: str
    token: str
    pin: str = ""


class _Joined(msgspec.Struct, frozen=True):
    master_url: str
    master_name: str
    audience: str
    token: str
    dials_out: bool = False
    pin: str = ""
    code_digest: str = ""
    """Of the code that the worker joined by, so that the same one is not tried again at the next start."""


class Membership:
    """Kept in ``keys/master.json`` in the worker's home; the settings win where they say something."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.home / "keys" / "master.json"
        self._joined = _read(self._path)

    @property
    def audience(self) -> str:
        """The worker's id in its master's list; empty when it was not joined."""
        return self._joined.audience if self._joined else ""

    def current(self) -> Member | None:
        """Return the master and the token for it, or None when either is not known."""
        joined = self._joined
        url = self._settings.master_url or (joined.master_url if joined else "")
        token = self._settings.worker_bearer_token or (joined.token if joined else "")
        pin = self._settings.master_pin or (joined.pin if joined else "")
        return Member(url, token, pin) if url and token else None

    @property
    def dials_out(self) -> bool:
        """Tell whether the worker keeps a line open to its master, and so needs to listen nowhere."""
        return self._settings.dial_out or (self._joined is not None and self._joined.dials_out)

    def has_joined_by(self, digest: str) -> bool:
        """Tell whether the code of this digest made the worker a member already."""
        return self._joined is not None and same(self._joined.code_digest, digest)

    def join_by_code(self, member: Member, joined: CodeJoined, digest: str) -> None:
        """Take over what the master answered to a code; from now on the worker dials out."""
        self._keep(
            _Joined(
                member.master_url,
                joined.master_name,
                joined.audience,
                member.token,
                dials_out=True,
                pin=member.pin,
                code_digest=digest,
            )
        )

    def join(self, request: JoinRequest) -> None:
        """Take over what the master says; raises Invalid for an address or token that can't be right.

        Raises Conflict for a worker that joined by a code: only another code moves it.
        """
        if self._joined is not None and self._joined.dials_out:
            raise Conflict("This worker has joined a master by a code, and dials out to it.")
        faults = {}
        if fault := _url_fault(request.master_url):
            faults["master_url"] = fault
        if len(request.worker_token) < _SHORTEST_TOKEN or not request.worker_token.isascii():
            faults["worker_token"] = f"A token has at least {_SHORTEST_TOKEN} characters."
        if faults:
            raise Invalid(faults)
        joined = _Joined(
            request.master_url.rstrip("/"), request.master_name, request.audience, request.worker_token
        )
        self._keep(joined)

    def _keep(self, joined: _Joined) -> None:
        write_private(self._path, msgspec.json.encode(joined))
        self._joined = joined

    def leave(self) -> None:
        """Forget the master that has revoked this worker; what the settings say stays theirs."""
        self._path.unlink(missing_ok=True)
        self._joined = None


def _url_fault(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not an address."
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "This must be an http or https address."
    if parts.username is not None or parts.query or parts.fragment or any(ord(c) <= 32 for c in url):
        return "This must be an address and nothing more."
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        return "This must be https: plain http is accepted on loopback only."
    return ""


def _read(path: Path) -> _Joined | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Joined)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Conflict(f"{path} can't be read; remove it and join the worker again.") from error
