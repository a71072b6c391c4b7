"""How large an object is, by its head alone: a file of gigabytes is never unpacked to find that out."""

import zlib
from pathlib import Path

from dulwich.object_store import BaseObjectStore, DiskObjectStore
from dulwich.objects import ObjectID

_OFFSET_DELTA, _REF_DELTA = 6, 7
_HEAD_BYTES = 4096


def size_of(objects: BaseObjectStore, id_: ObjectID) -> int:
    """Return the size in bytes; raises KeyError when it is not there, and ValueError for a damaged one."""
    stores: list[BaseObjectStore] = [objects]
    seen: set[str] = set()
    while stores:
        store = stores.pop(0)
        if not isinstance(store, DiskObjectStore) or str(store.path) in seen:
            continue
        seen.add(str(store.path))
        size = _loose_size(store, id_)
        if size is None:
            size = _packed_size(store, id_)
        if size is not None:
            return size
        stores += store.alternates
    raise KeyError(id_)


def _loose_size(store: DiskObjectStore, id_: bytes) -> int | None:
    name = id_.decode("ascii")
    try:
        with (Path(store.path) / name[:2] / name[2:]).open("rb") as file:
            head = zlib.decompressobj().decompress(file.read(_HEAD_BYTES), 64)
    except FileNotFoundError:
        return None
    return int(head.partition(b"\0")[0].split(b" ")[1])


def _packed_size(store: DiskObjectStore, id_: ObjectID) -> int | None:
    for pack in store.packs:
        try:
            offset = pack.index.object_offset(id_)
        except KeyError:
            continue
        with Path(pack.data.path).open("rb") as file:
            file.seek(offset)
            return _size_in_pack(file.read(_HEAD_BYTES))
    return None


def _size_in_pack(head: bytes) -> int:
    """Read the head of a packed object; of a delta the size that it makes, which its first bytes tell."""
    kind, size, at = (head[0] >> 4) & 7, head[0] & 15, 1
    if head[0] & 0x80:
        more, at = _number(head, at)
        size |= more << 4
    if kind not in (_OFFSET_DELTA, _REF_DELTA):
        return size
    at = _number(head, at)[1] if kind == _OFFSET_DELTA else at + 20
    delta = zlib.decompressobj().decompress(head[at:], 64)
    return _number(delta, _number(delta, 0)[1])[0]


def _number(text: bytes, at: int) -> tuple[int, int]:
    """Return a number in groups of seven bits, lowest first, and where it ends."""
    number = shift = 0
    while True:
        number |= (text[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not text[at - 1] & 0x80:
            return number, at
