"""The histories of other nodes, as a master shows them; who the nodes are is somebody else's to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quarterdeck.core.errors import Invalid
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.reader import Found, HistoryPage
from quarterdeck.history.verify import Verification


@dataclass(frozen=True, slots=True)
class SeenHead:
    """A hash of another node's chain that this node wrote down, and when."""

    seq: int
    hash: str
    time: str


class Peers(Protocol):
    """Asks other nodes; every call may raise Unreachable. The types are those of ``worker.py``'s answers."""

    def names(self) -> list[str]: ...

    def page(self, name: str, query: HistoryQuery) -> HistoryPage: ...

    def get(self, name: str, id_: str) -> Found: ...

    def verify(self, name: str) -> Verification: ...

    def heads(self, name: str, seqs: Sequence[int]) -> dict[int, str]:
        """Return the hash of each of the node's lines with those numbers that it has."""

    def witnessed(self, name: str) -> list[SeenHead]:
        """Return what the node wrote down of this node's chain."""


class Source(Protocol):
    """A history that can be read: this node's or a peer's."""

    def page(self, query: HistoryQuery) -> HistoryPage: ...

    def get(self, id_: str) -> Found: ...


@dataclass(frozen=True, slots=True)
class _PeerHistory:
    peers: Peers
    name: str

    def page(self, query: HistoryQuery) -> HistoryPage:
        return self.peers.page(self.name, query)

    def get(self, id_: str) -> Found:
        return self.peers.get(self.name, id_)


class PeerBook:
    """Where the routes find the peers; a node without any has an empty one."""

    def __init__(self, peers: Peers | None = None) -> None:
        self._peers = peers

    @property
    def peers(self) -> Peers | None:
        return self._peers

    def names(self) -> list[str]:
        return self._peers.names() if self._peers else []

    def history_of(self, own: Source, own_name: str, name: str) -> Source:
        """Return the history of a node: this one's for its own name or none. Raises Invalid."""
        if name in ("", own_name):
            return own
        if self._peers is None or name not in self._peers.names():
            raise Invalid({"node": f"There is no node {name[:63]} whose history could be shown."})
        return _PeerHistory(self._peers, name)
