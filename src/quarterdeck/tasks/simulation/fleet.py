"""Which hosts a simulated fleet has and how each behaves: the same for the same seed."""

import random
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, repeat
from typing import Final

from quarterdeck.core.errors import Invalid

MOST_HOSTS: Final = 5_000
PREFIX: Final = "sim-"
"""How every name begins."""
_BY_BLOCK: Final = 250
_SSH_NET: Final = "127.77"
_WORKER_NET: Final = "127.78"
_ONE_ADDRESS: Final = "127.0.0.1"


class Manner(StrEnum):
    """How a simulated host behaves."""

    WELL = "well"
    FAILING = "failing"
    REFUSING = "refusing"
    DROPPING = "dropping"
    SLOW = "slow"
    DIFFERING = "differing"


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """One host of the fleet, and where it answers."""

    name: str
    address: str
    port: int
    manner: Manner
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many of the hosts behave in which manner, in percent; a host has one manner only."""

    failing: float = 0
    refusing: float = 0
    slow: float = 0
    differing: float = 0

    def check(self) -> None:
        """Raise Invalid when there are not enough hosts for all of it."""
        if self.failing + self.refusing + self.slow + self.differing > 100:
            raise Invalid(
                {"percent": "Failing, refusing, slow and differing hosts are more than 100 % in all."}
            )


@dataclass(frozen=True, slots=True)
class Places:
    """Where the hosts answer: an address each and one port, or one address and a port each."""

    port: int
    has_addresses: bool = True

    def ssh(self, number: int) -> tuple[str, int]:
        return self._place(_SSH_NET, number)

    def worker(self, number: int, behind: int) -> tuple[str, int]:
        """Return the place of a worker; where only ports tell, the ``behind`` SSH hosts have the first."""
        return self._place(_WORKER_NET, number if self.has_addresses else number + behind)

    def _place(self, net: str, number: int) -> tuple[str, int]:
        if not self.has_addresses:
            return _ONE_ADDRESS, self.port + number
        block, last = divmod(number, _BY_BLOCK)
        return f"{net}.{block}.{last + 1}", self.port


def places_from(port: int) -> Places:
    """Return places from a port on: Linux has all of 127.0.0.0/8, other systems one address of it."""
    with socket.socket() as probe:
        try:
            probe.bind((f"{_SSH_NET}.0.1", 0))
        except OSError:
            return Places(port, has_addresses=False)
    return Places(port)


def ssh_hosts(count: int, places: Places, shares: Shares, seed: int) -> list[SimulatedHost]:
    """Return the SSH hosts of a fleet."""
    return [
        SimulatedHost(f"{PREFIX}{number + 1:04}", *places.ssh(number), manner, number)
        for number, manner in enumerate(_manners(count, shares, random.Random(f"{seed}/ssh")))  # noqa: S311 - no secret
    ]


def workers(count: int, places: Places, shares: Shares, seed: int, *, behind: int) -> list[SimulatedHost]:
    """Return the workers of a fleet."""
    return [
        SimulatedHost(f"{PREFIX}worker-{number + 1:04}", *places.worker(number, behind), manner, number)
        for number, manner in enumerate(_manners(count, shares, random.Random(f"{seed}/worker")))  # noqa: S311
    ]


def tally(hosts: Iterable[SimulatedHost]) -> str:
    """Say how many hosts behave in which manner: ``900 well, 50 failing, 50 slow``."""
    counts = Counter(host.manner for host in hosts)
    return ", ".join(f"{counts[manner]:,} {manner}" for manner in Manner if counts[manner])


def _manners(count: int, shares: Shares, chance: random.Random) -> Sequence[Manner]:
    """Return a manner for each host: exact numbers, at places that the seed decides."""
    shares.check()
    refusing = round(count * shares.refusing / 100)
    numbers = {
        Manner.FAILING: round(count * shares.failing / 100),
        Manner.REFUSING: refusing - refusing // 2,
        Manner.DROPPING: refusing // 2,
        Manner.SLOW: round(count * shares.slow / 100),
        Manner.DIFFERING: round(count * shares.differing / 100),
    }
    special = chain.from_iterable(repeat(manner, number) for manner, number in numbers.items())
    manners = [*special, *repeat(Manner.WELL, count)][:count]
    chance.shuffle(manners)
    return manners
