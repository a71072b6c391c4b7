"""A second machine on this one: a network namespace behind a link that can be taken down."""

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.needs import need

_IP = shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin")


@dataclass(frozen=True)
class FarMachine:
    """``command`` before a program's own starts it there; ``address`` is where it is reached from here."""

    name: str
    address: str

    @property
    def command(self) -> tuple[str, ...]:
        return (str(_IP), "netns", "exec", self.name)

    def unplug(self) -> None:
        """Take the link down: packets are lost from now on, and nobody is told."""
        _ip("link", "set", self.name, "down")

    def plug(self) -> None:
        _ip("link", "set", self.name, "up")


@contextlib.contextmanager
def far_machine() -> Iterator[FarMachine]:
    """Make a namespace and a link to it; skips where that can't be done."""
    machine = FarMachine(f"qd{secrets.token_hex(4)}", f"10.213.{secrets.randbelow(256)}.2")
    need(_missing(machine.name))
    near = f"{machine.address.rpartition('.')[0]}.1"
    try:
        _ip("link", "add", machine.name, "type", "veth", "peer", "name", "far", "netns", machine.name)
        _ip("address", "add", f"{near}/30", "dev", machine.name)
        _ip("-n", machine.name, "address", "add", f"{machine.address}/30", "dev", "far")
        for side in (("link", "set", machine.name), ("-n", machine.name, "link", "set", "far")):
            _ip(*side, "up")
        yield machine
    finally:
        _ip("netns", "delete", machine.name)


def _missing(name: str) -> str:
    """Make the namespace; returns why there can be none, or an empty string."""
    if _IP is None:
        return "ip is not installed (Debian: iproute2)"
    made = subprocess.run([_IP, "netns", "add", name], capture_output=True, text=True, check=False)
    return f"network namespaces can't be made here: {made.stderr.strip()}" if made.returncode else ""


def _ip(*words: str) -> None:
    subprocess.run([str(_IP), *words], check=True, capture_output=True)
