"""How often something may be tried or asked for, and how much of it at once: in bounded memory.

Buckets of tries fill up again within a minute; the least used ones are forgotten beyond a number.
"""

import ipaddress
import math
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Limited

PER_ADDRESS: Final = 20
"""Failed tries in a row; one more every three seconds."""
IN_ALL: Final = 200
KNOWN_ADDRESSES: Final = 4096
KNOWN_ACTORS: Final = 1024
"""Of each kind of work."""
_REFILL_SECONDS: Final = 60.0
_TURN_SECONDS: Final = 5
"""When to come back for work whose like is under way."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A try that is refused unseen; only the first of a row is worth a record."""

    reason: str
    retry_after: int
    is_first: bool


class _Buckets:
    """Buckets of one size by their keys; whoever uses them locks."""

    def __init__(self, clock: Clock, size: int, most: int) -> None:
        self._clock = clock
        self._size, self._most = size, most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def draw(self, key: str, reason: str) -> Refusal | None:
        bucket, now = self._bucket(key), self._clock.monotonic()
        bucket.left = min(self._size, bucket.left + (now - bucket.at) * self._size / _REFILL_SECONDS)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left -= 1
            bucket.is_told = False
            return None
        seconds = math.ceil((1 - bucket.left) * _REFILL_SECONDS / self._size)
        refusal = Refusal(reason, max(1, seconds), not bucket.is_told)
        bucket.is_told = True
        return refusal

    def give_back(self, key: str) -> None:
        bucket = self._bucket(key)
        bucket.left = min(self._size, bucket.left + 1)

    def __len__(self) -> int:
        return len(self._buckets)

    def _bucket(self, key: str) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._size, self._clock.monotonic())
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


class TryLimit:
    """Limits tries of guessers by address and in all; safe to use from many threads."""

    def __init__(self, clock: Clock, *, per_address: int = PER_ADDRESS, in_all: int = IN_ALL) -> None:
        self._lock = threading.Lock()
        self._addresses = _Buckets(clock, per_address, KNOWN_ADDRESSES)
        self._all = _Buckets(clock, in_all, 1)

    def take(self, address: str) -> Refusal | None:
        """Count a try; returns why it is refused, or None when it may go on."""
        with self._lock:
            of_address = self._addresses.draw(network_of(address), "too many tries from this address")
            return of_address or self._all.draw("", "too many tries in all")

    def give_back(self, address: str) -> None:
        """Uncount a try that succeeded."""
        with self._lock:
            self._addresses.give_back(network_of(address))
            self._all.give_back("")

    def __len__(self) -> int:
        return len(self._addresses)


@dataclass(frozen=True, slots=True)
class Cost:
    """A kind of work that takes seconds of the node, and how much of it one actor may ask for."""

    name: str
    """In the plural, as messages name it."""
    a_minute: int
    at_once: int
    at_once_in_all: int


class Turn:
    """Work under way; ``end`` makes room for the next and does nothing a second time."""

    def __init__(self, limit: "WorkLimit", cost: Cost, key: str) -> None:
        self._limit, self._cost, self._key = limit, cost, key
        self._lock = threading.Lock()
        self._is_over = False

    def end(self) -> None:
        with self._lock:
            is_over, self._is_over = self._is_over, True
        if not is_over:
            self._limit.give_up(self._cost, self._key)

    def give_back(self) -> None:
        """Uncount what turned out to be no work, since nothing could be done; still to be ended."""
        self._limit.give_back(self._cost, self._key)


class WorkLimit:
    """Limits costly work by actor, how often and how much at once; safe to use from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Buckets] = {}
        self._under_way: Counter[tuple[str, str]] = Counter()

    def begin(self, cost: Cost, actor: Actor) -> Turn:
        """Count work that begins, until its turn is ended; raises Limited."""
        key = _key_of(actor)
        with self._lock:
            if self._under_way[cost.name, key] >= cost.at_once:
                raise Limited(
                    f"{cost.at_once} {cost.name} of yours are under way.", retry_after=_TURN_SECONDS
                )
            if self._under_way[cost.name, ""] >= cost.at_once_in_all:
                raise Limited(f"Too many {cost.name} are under way here.", retry_after=_TURN_SECONDS)
            buckets = self._buckets.get(cost.name)
            if buckets is None:
                buckets = self._buckets[cost.name] = _Buckets(self._clock, cost.a_minute, KNOWN_ACTORS)
            if refusal := buckets.draw(key, cost.name):
                raise Limited(f"Too many {cost.name} in a short time.", retry_after=refusal.retry_after)
            self._under_way.update(((cost.name, key), (cost.name, "")))
        return Turn(self, cost, key)

    def give_up(self, cost: Cost, key: str) -> None:
        """Uncount work that is over; called by its turn."""
        with self._lock:
            for place in ((cost.name, key), (cost.name, "")):
                self._under_way[place] -= 1
                if not self._under_way[place]:
                    del self._under_way[place]

    def give_back(self, cost: Cost, key: str) -> None:
        """Uncount work that was not done; called by its turn."""
        with self._lock:
            self._buckets[cost.name].give_back(key)

    def under_way(self) -> int:
        """Return how many turns there are; what is not ended would block others for ever."""
        with self._lock:
            return sum(number for (_, key), number in self._under_way.items() if key)

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64, which a single machine may fill."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _key_of(actor: Actor) -> str:
    """Return what counts as one who asks: a token, a person with all sessions, or else an address."""
    if actor.kind is ActorKind.TOKEN:
        return f"token {actor.credential_id or actor.name}"
    if actor.kind is ActorKind.NOBODY:
        return f"address {network_of(actor.address)}"
    return f"{actor.kind.value} {actor.person_id or actor.name}"
