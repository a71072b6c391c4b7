"""The keys of a simulated fleet: made on first use and kept in the home, so that its hosts stay the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh

from quarterdeck.core.security import private_directory, token_file, write_private

_HOST_KEYS: Final = 4


@dataclass(frozen=True, slots=True)
class FleetKeys:
    """One key to sign in with, a few keys that hosts show, and the bearer that workers want."""

    client_file: Path
    client: asyncssh.SSHKey = field(repr=False)
    hosts: Sequence[asyncssh.SSHKey] = field(repr=False)
    bearer: str = field(repr=False)

    @property
    def members_file(self) -> Path:
        """Where the workers keep which master they have joined, with their tokens."""
        return self.client_file.with_name("members.json")

    @property
    def client_text(self) -> str:
        return self.client_file.read_text(encoding="ascii")

    def of(self, number: int) -> asyncssh.SSHKey:
        """Return the key that the host of this number shows."""
        return self.hosts[number % len(self.hosts)]

    def line_of(self, number: int) -> str:
        """Return the same as a public line, as hosts are pinned by it."""
        return " ".join(self.of(number).export_public_key("openssh").decode().split()[:2])


def fleet_keys(folder: Path) -> FleetKeys:
    """Read the keys of a folder, making those that are missing."""
    private_directory(folder)
    client_file = folder / "client_key"
    return FleetKeys(
        client_file,
        _key(client_file),
        [_key(folder / f"host_key_{number}") for number in range(_HOST_KEYS)],
        token_file(folder / "worker_token"),
    )


def _key(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        write_private(path, asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh"))
    return asyncssh.import_private_key(path.read_bytes())
