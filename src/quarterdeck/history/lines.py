"""The shape of one line of the journal, and the hash that binds it to the line before.

The encoding is canonical: members in one order, no spaces, ``hash`` last. So a line is checked on
its raw bytes, and a search may look for ``"actor":"ada"`` before it parses anything.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import msgspec

from quarterdeck.core.ids import consecutive_ids, number_of

GENESIS: Final = "0" * 64
"""``prev`` of the first line."""

WITNESS: Final = "history.witness"
"""The action under which the end of another node's chain is written down."""

_HASH_MEMBER: Final = b',"hash":"'
_TAIL_BYTES: Final = len(_HASH_MEMBER) + 64 + 2
_SEQ_MASK: Final = (1 << 60) - 1


class Kind(StrEnum):
    INTENT = "intent"
    OUTCOME = "outcome"
    EVENT = "event"
    DENIED = "denied"


class Record(msgspec.Struct, frozen=True):
    """What is said about an action, before the journal gives it its place."""

    kind: Kind
    actor: str
    address: str = ""
    action: str = ""
    object: str = ""
    request: str = ""
    pair: str = ""
    detail: dict[str, Any] = {}  # Any: what JSON holds


class Entry(msgspec.Struct, frozen=True):
    """One line of the journal."""

    seq: int
    id: str
    time: str
    node: str
    kind: Kind
    actor: str
    address: str
    action: str
    object: str
    request: str
    pair: str
    detail: dict[str, Any]  # Any: what JSON holds
    prev: str
    hash: str

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.time)

    @property
    def result(self) -> str:
        """``ok`` or ``failed`` for an outcome, else the kind."""
        return str(self.detail.get("result", "ok")) if self.kind is Kind.OUTCOME else self.kind.value

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that the entry is about: by its detail, or because its object is one."""
        return hosts_of(self.object, self.detail)


class Place(msgspec.Struct, frozen=True):
    """Where a record has come to stand in the chain."""

    seq: int
    id: str
    time: str
    prev: str
    hash: str


class LineError(ValueError):
    """A line that is not what the journal wrote; the message says what is wrong with it."""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Entry)


def timestamp(moment: datetime) -> str:
    """Return the form of a time in the journal; it sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode_members(record: Record) -> bytes:
    """Return the members that the caller gives, without the braces; raises TypeError for what is no JSON."""
    return _encoder.encode(record)[1:-1]


def encode_text(text: str) -> bytes:
    """Return text as it stands inside a line, without its quotes."""
    return _encoder.encode(text)[1:-1]


def decode(line: bytes) -> Entry:
    """Read a line; raises LineError when it is not one."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LineError("it is not a complete entry") from error


def hosts_of(object_: str, detail: Mapping[str, Any]) -> tuple[str, ...]:
    named = detail.get("hosts")
    hosts = [item for item in named if isinstance(item, str)] if isinstance(named, list) else []
    if isinstance(single := detail.get("host"), str):
        hosts.append(single)
    if object_.startswith("host:"):
        hosts.append(object_.removeprefix("host:"))
    return tuple(dict.fromkeys(hosts))


def seq_of(id_: str) -> int:
    """Return the place in the chain that an entry's id carries; ValueError for what is no id."""
    return number_of(id_) & _SEQ_MASK


class Sealer:
    """Makes and checks the lines of one node: the only place that holds the chain's key."""

    def __init__(self, node: str, key: bytes) -> None:
        self.node = node
        self._node = encode_text(node)
        # 20 bits of the node's name keep the ids of two nodes apart; the other 60 are the seq.
        self._tag = int.from_bytes(blake2b(node.encode(), digest_size=8).digest()) >> 44 << 60
        self._keyed = blake2b(key=key, digest_size=32)

    def mac(self, content: bytes) -> str:
        keyed = self._keyed.copy()  # the key's own block is hashed once, not for every line
        keyed.update(content)
        return keyed.hexdigest()

    def seal(
        self, batch: Sequence[bytes], *, seq: int, moment: datetime, prev: str
    ) -> tuple[bytes, list[Place]]:
        """Return the lines that follow on number ``seq`` with hash ``prev``, and their places."""
        time = timestamp(moment)
        ids = consecutive_ids(int(moment.timestamp() * 1000), self._tag | seq + 1, len(batch))
        lines, places = [], []
        for id_, members in zip(ids, batch, strict=True):
            seq += 1
            body = b'{"seq":%d,"id":"%s","time":"%s","node":"%s",%s,"prev":"%s"}' % (
                seq, id_.encode(), time.encode(), self._node, members, prev.encode(),
            )  # fmt: skip
            digest = self.mac(body)
            lines.append(b'%s,"hash":"%s"}\n' % (body[:-1], digest.encode()))
            places.append(Place(seq, id_, time, prev, digest))
            prev = digest
        return b"".join(lines), places

    def check(self, line: bytes, *, seq: int, prev: str) -> str:
        """Return the line's hash if it follows on ``prev`` as number ``seq``; raises LineError if not."""
        body = line[:-_TAIL_BYTES] + b"}"
        digest = self.mac(body)
        if not line.endswith(b'%s%s"}' % (_HASH_MEMBER, digest.encode())):
            raise LineError("it was changed: its content does not fit its hash")
        if not line.startswith(b'{"seq":%d,' % seq):
            raise LineError(f"it is not number {seq}, which should stand here")
        if not body.endswith(b',"prev":"%s"}' % prev.encode()):
            raise LineError("it does not follow on the line before it")
        return digest
