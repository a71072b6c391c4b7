"""What the commands need of a history, and how a home gives it; ``remote`` gives it over a master's API."""

from collections.abc import Callable, Iterator
from typing import Protocol

from quarterdeck.core.actors import Actor
from quarterdeck.history.export import csv_of, json_of
from quarterdeck.history.lines import Entry
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.reader import walk
from quarterdeck.history.service import History
from quarterdeck.history.witness import Verdict, verify_all


class HistoryBook(Protocol):
    """Reads and proves; an empty ``node`` is the master itself, else one of its workers."""

    def entries(self, node: str, query: HistoryQuery) -> Iterator[Entry]:
        """Yield all that fits, newest first."""

    def export(self, node: str, query: HistoryQuery, form: str) -> Iterator[bytes]:
        """Record the export, and yield it as ``csv`` or ``json``."""

    def verify(self, *, with_workers: bool, progress: Callable[[int], None]) -> Iterator[Verdict]: ...


class HomeNode(Protocol):
    """A node whose home is at hand."""

    @property
    def history(self) -> History: ...
    @property
    def peers(self) -> PeerBook: ...
    @property
    def actor(self) -> Actor: ...


class HomeHistory:
    """The history in the home's own files, and those of its workers."""

    def __init__(self, node: HomeNode) -> None:
        self._node = node

    def entries(self, node: str, query: HistoryQuery) -> Iterator[Entry]:
        own = self._node.history
        # Reading this node's own files must not need whatever knows the workers.
        book = self._node.peers if node not in ("", own.node) else PeerBook()
        return walk(book.history_of(own, own.node, node).page, query)

    def export(self, node: str, query: HistoryQuery, form: str) -> Iterator[bytes]:
        own, entries = self._node.history, self.entries(node, query)
        detail = {"filters": query.filters(), "node": node or own.node, "format": form}
        own.event(self._node.actor, "history.export", "history", detail=detail)
        return (piece.encode() for piece in csv_of(entries)) if form == "csv" else json_of(entries)

    def verify(self, *, with_workers: bool, progress: Callable[[int], None]) -> Iterator[Verdict]:
        book = self._node.peers if with_workers else PeerBook()
        return verify_all(self._node.history, book, progress)
