"""Proves the histories of several nodes against each other.

Each node wrote down ends of the others' chains as it saw them; they must still stand there. Whoever
rewrites one node's history, even with its key, would have to rewrite all the others' too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.history.peers import PeerBook, Peers, SeenHead
from quarterdeck.history.service import History, differences
from quarterdeck.history.verify import Fault, Verification

MOST_SEEN: Final = 2_000
"""Of what one node wrote down of another, so many of the newest are compared."""

_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out for one node; ``trouble`` says why it could not be asked."""

    node: str
    verification: Verification | None
    trouble: str = ""

    @property
    def is_whole(self) -> bool:
        return self.verification is not None and self.verification.is_whole


def verify_all(
    history: History, book: PeerBook, progress: Callable[[int], None] = lambda _: None
) -> Iterator[Verdict]:
    """Yield a verdict on this node's history, then on each peer's, all compared with what the others saw."""
    seen, troubles = _seen_by_peers(book)
    own = history.verify(progress=progress)
    faults = [fault for name, items in seen.items() for fault in history.check_witness(items, name)]
    yield Verdict(history.node, replace(own, faults=(*own.faults, *faults)))
    for name in book.names():
        yield Verdict(name, None, troubles[name]) if name in troubles else _verify_peer(history, book, name)


def _seen_by_peers(book: PeerBook) -> tuple[dict[str, list[SeenHead]], dict[str, str]]:
    """Return what each peer wrote down of this node, and why others could not be asked."""
    seen: dict[str, list[SeenHead]] = {}
    troubles: dict[str, str] = {}
    for name in book.names():
        try:
            seen[name] = _peers(book).witnessed(name)[:MOST_SEEN]
        except QuarterdeckError as error:
            troubles[name] = error.message
    return seen, troubles


def _verify_peer(history: History, book: PeerBook, name: str) -> Verdict:
    try:
        verification = _peers(book).verify(name)
        faults = _differences_at(_peers(book), name, history)
    except QuarterdeckError as error:
        return Verdict(name, None, error.message)
    return Verdict(name, replace(verification, faults=(*verification.faults, *faults)))


def _differences_at(peers: Peers, name: str, history: History) -> list[Fault]:
    seen = [item for item in history.witnessed(name)[:MOST_SEEN] if item.seq]
    real: dict[int, str] = {}
    for some in _pieces([item.seq for item in seen]):
        real |= peers.heads(name, some)
    return differences(name, real, seen, history.node)


def _pieces(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(seqs), _AT_ONCE):
        yield seqs[start : start + _AT_ONCE]


def _peers(book: PeerBook) -> Peers:
    assert book.peers is not None  # noqa: S101 - asked only for names that came from the peers
    return book.peers
