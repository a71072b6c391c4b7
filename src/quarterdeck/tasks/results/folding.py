"""Folding: hosts whose part of a run ended alike stand together, and what differs comes first.

Alike are parts with the same state, the same exit status (or status of an API's answer) and the same
bytes in both streams, by their hashes. Hosts that print their own name or the time all differ; then
the comparison can ignore these, for which the outputs are read again, each up to a limit.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from quarterdeck.tasks.records import RunHostRecord
from quarterdeck.tasks.states import RunState

Keys = tuple[str, str]
"""What stands for the output of a part: equal exactly when both streams count as equal."""

_SEVERITY: Final = {
    RunState.LOST: 0,
    RunState.FAILED: 1,
    RunState.TIMED_OUT: 2,
    RunState.CANCELLED: 3,
    RunState.SUCCEEDED: 4,
}
_NUMBER: Final = re.compile(rb"\d+")
_GAP: Final = re.compile(rb"[ \t]+")
_SHORTEST_NAME: Final = 2
_OWN: Final = b"<host>"


@dataclass(frozen=True, slots=True)
class Ignored:
    """What does not count when outputs are compared."""

    names: bool = False
    numbers: bool = False

    def __bool__(self) -> bool:
        return self.names or self.numbers


NOTHING: Final = Ignored()


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts that ended alike. ``key`` stays the same from one reading to the next, for addresses."""

    key: str
    state: RunState
    exit_status: int | None
    hosts: tuple[RunHostRecord, ...]

    @property
    def first(self) -> RunHostRecord:
        return self.hosts[0]


@dataclass(frozen=True, slots=True)
class Folding:
    """The groups of what has ended so far."""

    usual: Group | None
    """The largest group; None while nothing has ended, and when no two hosts ended alike."""
    differing: tuple[Group, ...]
    """The others, the worst first."""
    pending: int
    """How many have ended whose output has not been hashed yet."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All of them, in the order in which they are shown."""
        return (*self.differing, self.usual) if self.usual else self.differing

    @property
    def differing_hosts(self) -> int:
        return sum(len(group.hosts) for group in self.differing)

    def group_of(self, name: str) -> Group | None:
        """Return the group of a host; None when it has not ended or is not hashed yet."""
        return next((group for group in self.groups if any(host.name == name for host in group.hosts)), None)


def fold(hosts: Iterable[RunHostRecord], keys: Callable[[RunHostRecord], Keys | None]) -> Folding:
    """Group the hosts that have ended; ``keys`` gives None for an output that can't be compared yet."""
    alike: dict[str, list[RunHostRecord]] = defaultdict(list)
    pending = 0
    for host in hosts:
        if not host.is_over:
            continue
        outputs = keys(host)
        if outputs is None:
            pending += 1
        else:
            alike[_key_of(host, outputs)].append(host)
    groups = [
        Group(key, members[0].state, members[0].exit_status, tuple(members)) for key, members in alike.items()
    ]
    return _arranged(groups, pending)


def _arranged(groups: Sequence[Group], pending: int) -> Folding:
    usual = max(groups, key=lambda group: (len(group.hosts), _SEVERITY[group.state]), default=None)
    if usual is not None and len(usual.hosts) == 1 and len(groups) > 1:
        usual = None
    rest = [group for group in groups if group is not usual]
    rest.sort(key=lambda group: (_SEVERITY[group.state], -len(group.hosts)))
    return Folding(usual, tuple(rest), pending)


def _key_of(host: RunHostRecord, outputs: Keys) -> str:
    """Return what is equal for parts that ended alike; without any output the message tells them apart."""
    said = "" if any(outputs) else _plain_message(host)
    parts = (str(host.state), host.exit_status, host.details.get("status"), *outputs, said)
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def _plain_message(host: RunHostRecord) -> str:
    """Return the message without the numbers and addresses by which each host's own would differ."""
    message = normalised(host.message.encode(), Ignored(names=True, numbers=True), (host.name,))
    return message.decode(errors="replace")


def stored_keys(host: RunHostRecord) -> Keys | None:
    """Return the hashes as stored; None while a stream with content has none yet."""
    is_hashed = bool(host.out_hash or not host.out_bytes) and bool(host.err_hash or not host.err_bytes)
    return (host.out_hash, host.err_hash) if is_hashed else None


def normalised(output: bytes, ignored: Ignored, own: Iterable[str] = ()) -> bytes:
    """Return output in which what is to be ignored looks the same everywhere.

    With numbers go the gaps beside them: columns are as wide as the longest number in them.
    """
    if ignored.names and (pattern := _own_pattern(tuple(own))):
        output = pattern.sub(_OWN, output)
    if ignored.numbers:
        output = _GAP.sub(b" ", _NUMBER.sub(b"0", output))
    return output


@lru_cache(2048)
def _own_pattern(own: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """Return what finds any of a host's names, the longest first, but not in the middle of a word."""
    names = sorted({name for name in own if len(name) >= _SHORTEST_NAME}, key=len, reverse=True)
    if not names:
        return None
    either = b"|".join(re.escape(name.encode()) for name in names)
    return re.compile(rb"(?<![A-Za-z0-9_-])(?:" + either + rb")(?![A-Za-z0-9_-])", re.IGNORECASE)


def own_names(name: str, address: str) -> tuple[str, ...]:
    """Return what a host may call itself: its name here, its address, and the first label of each."""
    labels = [part.partition(".")[0] for part in (name, address) if part and not _is_number(part)]
    return tuple(dict.fromkeys(filter(None, (name, address, *labels))))


def _is_number(address: str) -> bool:
    return ":" in address or address.replace(".", "").isdigit()


def by_group(folding: Folding) -> Mapping[str, str]:
    """Return the key of its group for each host id."""
    return {host.host_id: group.key for group in folding.groups for host in group.hosts}
