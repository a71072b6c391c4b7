"""What can go wrong with SSH, each in words that say what to do next."""

import asyncio
import errno
import socket
from enum import StrEnum
from typing import Final

import asyncssh

from quarterdeck.core.errors import Unreachable
from quarterdeck.hosts.certificates import refusal_of
from quarterdeck.hosts.ssh_target import SshTarget


class Reason(StrEnum):
    """Why an SSH host could not be used."""

    REFUSED = "refused"
    NO_ROUTE = "no-route"
    DNS = "dns"
    TIMEOUT = "timeout"
    AUTH = "auth"
    KEY_UNREADABLE = "key-unreadable"
    HOST_KEY_UNCONFIRMED = "host-key-unconfirmed"
    HOST_KEY_CHANGED = "host-key-changed"
    PROTOCOL = "protocol"
    SESSION = "session"
    LOST = "lost"
    JUMP = "jump"


class SshError(Unreachable):
    """SSH failed; unless it is a StartUnknown, nothing was run on the host."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message, reason=reason.value)
        self.reason = reason


class StartUnknown(SshError):
    """The connection was cut while a command was being started: it may or may not have run."""


_NO_ROUTE: Final = {
    errno.ENETUNREACH: "no route to that network",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETDOWN: "the network is down",
    errno.EHOSTDOWN: "the host is down",
    errno.EADDRNOTAVAIL: "that address can't be used from here",
    errno.EACCES: "this machine forbids the connection",
    errno.EPERM: "this machine forbids the connection",
}
_GONE: Final = (asyncssh.ConnectionLost, ConnectionError, EOFError)


def explain(error: BaseException, target: SshTarget) -> SshError:
    """Turn what asyncssh or the system raised while connecting into an SshError."""
    if isinstance(error, SshError):
        return error
    if isinstance(error, socket.gaierror):
        return SshError(
            Reason.DNS,
            f"The name {target.address} can't be resolved. Is it spelled right, and is DNS working?",
        )
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return _timed_out(target)
    if isinstance(error, ConnectionRefusedError):
        return SshError(
            Reason.REFUSED,
            f"Nothing listens on {target.place} (connection refused). "
            "Is sshd running, and is the port right?",
        )
    if isinstance(error, _GONE):
        return lost_before_sign_in(target)
    if isinstance(error, OSError):
        return _from_system(error, target)
    return _from_protocol(error, target)


def lost_before_sign_in(target: SshTarget) -> SshError:
    return SshError(
        Reason.LOST,
        f"{target.place} accepts connections but closes them before sign-in. The server may be starting, "
        "overloaded, or refusing this node's address.",
    )


def via_jump(jump: SshTarget, error: SshError) -> SshError:
    """Say that it is the jump host, and not the host behind it, that failed."""
    return SshError(Reason.JUMP, f"The jump host {jump.name} failed: {error.message}")


def tunnel_refused(jump: SshTarget, target: SshTarget, error: asyncssh.ChannelOpenError) -> SshError:
    """Say why the jump host did not connect onwards."""
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return SshError(
            Reason.JUMP,
            f"The jump host {jump.name} does not let {jump.username} connect onwards to {target.place}. "
            "Its sshd needs AllowTcpForwarding.",
        )
    return SshError(
        Reason.JUMP, f"The jump host {jump.name} can't reach {target.place}: {error.reason.rstrip('.')}."
    )


def _timed_out(target: SshTarget) -> SshError:
    return SshError(
        Reason.TIMEOUT,
        f"{target.place} did not answer within {target.connect_seconds:g} s. "
        "Is the host up, and does a firewall let this node through?",
    )


def _from_system(error: OSError, target: SshTarget) -> SshError:
    if error.errno == errno.ETIMEDOUT:
        return _timed_out(target)
    cause = _NO_ROUTE.get(error.errno or 0) or (error.strerror or str(error)).lower()
    return SshError(
        Reason.NO_ROUTE,
        f"{target.place} can't be reached: {cause}. Check the address and this node's network.",
    )


def _from_protocol(error: BaseException, target: SshTarget) -> SshError:
    if isinstance(error, asyncssh.PermissionDenied):
        return SshError(Reason.AUTH, _not_let_in(target))
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return SshError(
            Reason.PROTOCOL,
            f"{target.place} and Quarterdeck know no encryption in common; "
            "the server is too old or set too narrowly.",
        )
    if isinstance(error, asyncssh.DisconnectError) and "authentication" in error.reason.lower():
        return SshError(Reason.AUTH, _not_let_in(target))
    text = str(error).rstrip(".") or type(error).__name__
    return SshError(
        Reason.PROTOCOL, f"{target.place} does not answer as an SSH server should: {text}. Is the port right?"
    )


def _not_let_in(target: SshTarget) -> str:
    who = f"{target.place} did not let {target.username} in"
    if target.certificate and (refusal := refusal_of(target.certificate, target.username)):
        return f"{who} with the key's certificate ({refusal.lower()}). Have the key signed again."
    if target.private_key:
        return (
            f"{who} with the private key given. Is the user name right, and is the public key in that user's "
            "authorized_keys?"
        )
    if target.password:
        return (
            f"{who} with the password given. Are user name and password right, "
            "and does the server take passwords?"
        )
    if target.use_agent:
        return (
            f"{who} with any key of the SSH agent. Is the user name right, "
            "and does the agent hold the right key?"
        )
    return f"{who} without a key or password. Give the host a private key or a password."
