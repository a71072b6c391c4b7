"""The places of a fleet, taken before anything is answered there, so that nobody else can have them."""

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from quarterdeck.tasks.simulation.fleet import SimulatedHost

_BACKLOG: Final = 128


def listening_sockets(hosts: Iterable[SimulatedHost]) -> list[socket.socket]:
    """Listen for every host, on loopback and nowhere else; raises OSError, and then has no place at all."""
    taken: list[socket.socket] = []
    try:
        for host in hosts:
            taken.append(_listening(host.address, host.port))
    except OSError:
        for each in taken:
            each.close()
        raise
    return taken


def _listening(address: str, port: int) -> socket.socket:
    if not ip_address(address).is_loopback:
        raise ValueError(f"a simulated host answers on loopback only, not on {address}")
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, port))
        taken.listen(_BACKLOG)
        taken.setblocking(False)
    except OSError:
        taken.close()
        raise
    return taken
