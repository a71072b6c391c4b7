"""Host keys: what one looks like, and the check that a server shows the pinned one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import asyncssh

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.ssh_errors import Reason, SshError
from quarterdeck.hosts.ssh_target import SshTarget


@dataclass(frozen=True, slots=True)
class HostKey:
    """A server's public key, as a line for known_hosts and as the fingerprint that people compare."""

    line: str
    algorithm: str
    fingerprint: str

    @classmethod
    def of(cls, key: asyncssh.SSHKey) -> Self:
        line = key.export_public_key("openssh").decode().strip()
        return cls(" ".join(line.split()[:2]), key.get_algorithm(), key.get_fingerprint())


def read_host_key(line: str) -> HostKey:
    """Read an OpenSSH public key line; raises Invalid when it is none."""
    return HostKey.of(parse_host_key(line))


def parse_host_key(line: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(line.strip())
    except (asyncssh.KeyImportError, ValueError) as error:
        raise Invalid({"host_key": "Give a public key such as “ssh-ed25519 AAAA…”."}) from error


def unconfirmed(target: SshTarget) -> SshError:
    return SshError(
        Reason.HOST_KEY_UNCONFIRMED,
        f"The host key of {target.name} is not confirmed yet. "
        "Compare its fingerprint and confirm it on the host's page.",
    )


class HostKeyGate(asyncssh.SSHClient):
    """Lets asyncssh go on only with the pinned key, and remembers what else was offered.

    asyncssh asks here about keys that are not the pinned one; the answer is always no.
    """

    def __init__(self) -> None:
        self.offered = ""
        self.signed_in = False
        self.on_lost: Callable[[], None] | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key.get_fingerprint()
        return False

    def auth_completed(self) -> None:
        self.signed_in = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.on_lost:
            self.on_lost()

    def changed(self, target: SshTarget) -> SshError:
        """Return the hard stop for a key that is not the pinned one."""
        pinned = read_host_key(target.host_key).fingerprint
        return SshError(
            Reason.HOST_KEY_CHANGED,
            f"The host key of {target.name} has changed: {pinned} was confirmed, {self.offered} was offered. "
            "Nothing was sent. If the host was reinstalled, confirm the new key on its page; if not, "
            "somebody may be in between.",
        )
