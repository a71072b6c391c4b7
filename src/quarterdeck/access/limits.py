"""How often sign-in may be tried: per address and in all, in bounded memory."""

import ipaddress
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from quarterdeck.core.clock import Clock

PER_ADDRESS: Final = 20
"""Failed tries in a row; one more every three seconds."""
IN_ALL: Final = 200
KNOWN_ADDRESSES: Final = 4096
_REFILL_SECONDS: Final = 60.0


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


class TryLimit:
    """Buckets of tries that fill up again within a minute; safe to use from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all = _Bucket(IN_ALL, clock.monotonic())
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str) -> Refusal | None:
        """Count a try; returns why it is refused, or None when it may go on."""
        with self._lock:
            bucket = self._bucket(network_of(address))
            return self._draw(bucket, PER_ADDRESS, "too many tries from this address") or self._draw(
                self._all, IN_ALL, "too many tries in all"
            )

    def give_back(self, address: str) -> None:
        """Uncount a try that succeeded."""
        with self._lock:
            bucket = self._bucket(network_of(address))
            bucket.left = min(PER_ADDRESS, bucket.left + 1)
            self._all.left = min(IN_ALL, self._all.left + 1)

    def __len__(self) -> int:
        return len(self._addresses)

    def _bucket(self, key: str) -> _Bucket:
        bucket = self._addresses.get(key)
        if bucket is None:
            bucket = self._addresses[key] = _Bucket(PER_ADDRESS, self._clock.monotonic())
            if len(self._addresses) > KNOWN_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(key)
        return bucket

    def _draw(self, bucket: _Bucket, size: int, reason: str) -> Refusal | None:
        now = self._clock.monotonic()
        bucket.left = min(size, bucket.left + (now - bucket.at) * size / _REFILL_SECONDS)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left -= 1
            bucket.is_told = False
            return None
        refusal = Refusal(reason, _seconds_to_one(bucket.left, size), not bucket.is_told)
        bucket.is_told = True
        return refusal


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64, which a single machine may fill."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _seconds_to_one(left: float, size: int) -> int:
    return max(1, math.ceil((1 - left) * _REFILL_SECONDS / size))
