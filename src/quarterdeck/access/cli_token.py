"""The token by which the command line talks to the node of its own home."""

import ipaddress
from pathlib import Path

from quarterdeck.core.actors import Actor, ActorKind, Level, Role, Scope
from quarterdeck.core.security import key_file


def read_cli_token(home: Path) -> str:
    """Return the token, made on first use; whoever can read the file owns the node anyway."""
    return key_file(home / "keys" / "cli-token").hex()


def cli_actor(address: str) -> Actor:
    return Actor(ActorKind.TOKEN, "cli", address, Role.ADMINISTRATOR, (Scope(Level.ADMIN),))


def is_loopback(address: str) -> bool:
    """Tell whether a caller is on this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
