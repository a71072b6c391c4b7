"""The history of this node: what is about to be done goes in first, how it ended follows.

No record, no action: every verb here raises Busy, with the failing path, when the disk does not hold
the record, and whoever calls must not go on.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, QuarterdeckError
from quarterdeck.core.log import request_id
from quarterdeck.history import segments, verify
from quarterdeck.history.appender import Written
from quarterdeck.history.counting import DayCounts, Today
from quarterdeck.history.disk import Disk
from quarterdeck.history.indexer import Indexer
from quarterdeck.history.journal import Journal
from quarterdeck.history.lines import GENESIS, WITNESS, Entry, Kind, Record, Sealer
from quarterdeck.history.peers import SeenHead
from quarterdeck.history.query import HistoryQuery
from quarterdeck.history.reader import Found, HistoryPage, Reader, walk
from quarterdeck.history.segments import HeadError
from quarterdeck.history.texts import kept, kept_detail, kept_name
from quarterdeck.history.verify import Fault, Verification

logger = logging.getLogger(__name__)

BALLAST_BYTES: Final = 4 * 1024 * 1024
_MEANINGFUL: Final = ("host", "hosts", "run")
_MOST_OPEN: Final = 100_000

Detail = Mapping[str, Any]  # Any: what JSON holds


class History:
    """Writes and reads one node's history; safe for threads, event loops and several processes."""

    def __init__(
        self,
        folder: Path,
        *,
        key: bytes,
        node: str,
        clock: Clock,
        segment_bytes: int,
        ballast_bytes: int = BALLAST_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self.folder = folder
        self.node = node
        self._disk = disk or Disk()
        self._sealer = Sealer(node, key)
        self._journal = Journal(
            folder, self._sealer, clock=clock, segment_bytes=segment_bytes, ballast_bytes=ballast_bytes,
            disk=self._disk,
        )  # fmt: skip
        self._reader = Reader(folder, self._sealer)
        self._counts = DayCounts(folder, node, clock)
        self._open: dict[str, Entry] = {}
        self._seen_heads: dict[str, str] = {}
        self._verifying = threading.Lock()

    @contextmanager
    def action(
        self,
        actor: Actor,
        action: str,
        object_: str = "",
        *,
        detail: Detail | None = None,
        essential: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Record an action around its body; what is put into the yielded dict joins the outcome."""
        intent = self.intend(actor, action, object_, detail=detail, essential=essential)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except BaseException as error:
            self._conclude_failed(intent, outcome, error)
            raise
        self.conclude(intent, True, outcome)

    @asynccontextmanager
    async def action_async(
        self,
        actor: Actor,
        action: str,
        object_: str = "",
        *,
        detail: Detail | None = None,
        essential: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """As ``action``, without blocking the loop."""
        intent = await self.intend_async(actor, action, object_, detail=detail, essential=essential)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except BaseException as error:
            record = _outcome(intent, False, outcome | {"error": _reason(error)})
            self._journal.post(record)  # not awaited: a cancelled task must not wait again
            self._open.pop(intent.id, None)
            raise
        await self.conclude_async(intent, True, outcome)

    def intend(
        self,
        actor: Actor,
        action: str,
        object_: str = "",
        *,
        detail: Detail | None = None,
        essential: bool = False,
    ) -> Entry:
        """Record that something is about to be done; ``conclude`` it, also much later or after a restart."""
        record = _record(Kind.INTENT, actor, action, object_, detail)
        return self._remember(self._journal.append(record, essential=essential))

    async def intend_async(
        self,
        actor: Actor,
        action: str,
        object_: str = "",
        *,
        detail: Detail | None = None,
        essential: bool = False,
    ) -> Entry:
        """As ``intend``; when the task is cancelled meanwhile, the intent is concluded as not begun."""
        record = _record(Kind.INTENT, actor, action, object_, detail)
        writing = asyncio.ensure_future(self._journal.append_async(record, essential=essential))
        try:
            return self._remember(await asyncio.shield(writing))
        except asyncio.CancelledError:
            writing.add_done_callback(self._conclude_unbegun)
            raise

    def conclude(self, intent: Entry | str, ok: bool, detail: Detail | None = None) -> Entry:
        """Record how an intent (or the one with that id) ended; raises NotFound for an unknown id.

        An id whose outcome stands there already keeps it: a crash may come between the two places where
        an end is written down, and the next start then concludes the same once more.
        """
        entry = intent if isinstance(intent, Entry) else self._unconcluded(intent)
        if entry.kind is Kind.OUTCOME:
            return entry
        record = _outcome(entry, ok, detail)
        try:
            outcome = self._journal.append(record, essential=True)
        except Busy as error:
            raise self._owed(record, error) from error
        self._open.pop(entry.id, None)
        return outcome

    async def conclude_async(self, intent: Entry | str, ok: bool, detail: Detail | None = None) -> Entry:
        """As ``conclude``, without blocking the loop."""
        entry = intent if isinstance(intent, Entry) else await asyncio.to_thread(self._unconcluded, intent)
        if entry.kind is Kind.OUTCOME:
            return entry
        record = _outcome(entry, ok, detail)
        try:
            outcome = await self._journal.append_async(record, essential=True)
        except Busy as error:
            raise self._owed(record, error) from error
        self._open.pop(entry.id, None)
        return outcome

    def event(
        self,
        actor: Actor,
        action: str,
        object_: str = "",
        *,
        detail: Detail | None = None,
        essential: bool = False,
    ) -> Entry:
        """Record something that has no outcome of its own."""
        return self._journal.append(_record(Kind.EVENT, actor, action, object_, detail), essential=essential)

    def events(self, actor: Actor, happened: Iterable[tuple[str, str, Detail]]) -> None:
        """As ``event`` for each action, object and detail, in this order; a thousand at once wait once."""
        self._journal.append_all(
            _record(Kind.EVENT, actor, action, object_, detail) for action, object_, detail in happened
        )

    async def event_async(
        self,
        actor: Actor,
        action: str,
        object_: str = "",
        *,
        detail: Detail | None = None,
        essential: bool = False,
    ) -> Entry:
        """As ``event``, without blocking the loop."""
        record = _record(Kind.EVENT, actor, action, object_, detail)
        return await self._journal.append_async(record, essential=essential)

    def denied(self, actor: Actor, verb: str, object_: str = "") -> None:
        """Record a refusal. It stays a refusal when the record can't be written, so that is only logged."""
        try:
            self._journal.append(_record(Kind.DENIED, actor, verb, object_, None))
        except Busy as error:
            logger.error(
                "the refusal of %s to %s is not in the history: %s", verb, actor.label, error.message
            )

    def note_witness(self, peer: str, head: str, seq: int = 0) -> None:
        """Write down the end of another node's chain, so that it can't be rewritten unseen; never waits."""
        if head and self._seen_heads.get(peer) != head:
            self._seen_heads[peer] = head
            record = _record(Kind.EVENT, SYSTEM, WITNESS, f"node:{peer}", {"head": head, "seq": seq})
            self._journal.post(record)

    def is_writable(self) -> bool:
        """Tell whether actions can be recorded now."""
        return self._journal.is_writable()

    @property
    def written(self) -> Written:
        """What this process has written since it started."""
        return self._journal.written

    def stored_bytes(self) -> int:
        """Return how much room the lines take; the disk is asked."""
        return sum(item.path.stat().st_size for item in segments.list_segments(self.folder))

    def witness(self) -> tuple[str, int]:
        """Return the hash and number of the last line; zeros for an empty history."""
        try:
            head = segments.read_head(self.folder, self._sealer)
        except (HeadError, OSError):
            last = self._reader.last()
            return (last.hash, last.seq) if last else (GENESIS, 0)
        return head.hash, head.seq

    def head(self) -> str:
        """Return the hash of the last line."""
        return self.witness()[0]

    def page(self, query: HistoryQuery) -> HistoryPage:
        """Return the newest entries that fit, and where older ones begin."""
        return self._reader.page(query)

    def get(self, id_: str) -> Found:
        """Return one entry with its pair and its raw line; raises NotFound."""
        return self._reader.get(id_)

    def export(self, query: HistoryQuery) -> Iterator[Entry]:
        """Yield every entry that fits, newest first, in bounded memory."""
        return walk(self._reader.page, query)

    def today(self) -> Today:
        """Return the figures of the landing page."""
        return self._counts.today()

    def verify(
        self, expected: Collection[str] = (), progress: Callable[[int], None] = lambda _: None
    ) -> Verification:
        """Prove the whole chain; ``expected`` are hashes that other nodes saw. Raises Busy."""
        try:
            return verify.verify(self.folder, self._sealer, expected=expected, progress=progress)
        except OSError as error:
            raise Busy(f"The history can't be read: {error.filename}: {error.strerror}.") from error

    @contextmanager
    def verifying(self) -> Iterator[None]:
        """Be the only one who asks this process for a proof, which keeps it busy; raises Busy."""
        if not self._verifying.acquire(blocking=False):
            raise Busy("The history is being proved already; try again when that has ended.")
        try:
            yield
        finally:
            self._verifying.release()

    def heads(self, seqs: Iterable[int]) -> dict[int, str]:
        """Return the hash of each of those lines that is there."""
        found = ((seq, self._reader.by_seq(seq)) for seq in seqs)
        return {seq: entry.hash for seq, entry in found if entry}

    def check_witness(self, seen: Iterable[SeenHead], by: str) -> list[Fault]:
        """Compare what another node saw of this chain with what stands here now."""
        seen = [item for item in seen if item.seq]
        return differences(self.node, self.heads({item.seq for item in seen}), seen, by)

    def witnessed(self, peer: str) -> list[SeenHead]:
        """Return what was written down here of a peer's chain, newest first."""
        found = self.export(HistoryQuery(action=WITNESS, object=f"node:{peer}"))
        return [
            SeenHead(int(item.detail.get("seq", 0)), str(item.detail.get("head")), item.time)
            for item in found
        ]

    def rebuild(self, progress: Callable[[int], None] = lambda _: None) -> int:
        """Make every index anew while writing goes on; returns the number of blocks. Raises Busy, OSError."""
        with self._journal.paused():
            for segment in segments.list_segments(self.folder):
                self._disk.remove(segment.index)
        indexer, more = Indexer(self.folder, self._sealer, self._disk), True
        while more:
            with self._journal.paused():
                more = indexer.advance(8)
            progress(indexer.made)
        return indexer.made

    def close(self) -> None:
        """Write what waits, then stop."""
        self._journal.close()

    def _remember(self, intent: Entry) -> Entry:
        if len(self._open) < _MOST_OPEN:  # the rest is found again on disk
            self._open[intent.id] = intent
        return intent

    def _unconcluded(self, id_: str) -> Entry:
        """Return the intent of this id, or its outcome when it has one already."""
        if intent := self._open.get(id_):
            return intent
        found = self._reader.get(id_)
        return found.pair or found.entry

    def _owed(self, record: Record, error: Busy) -> Busy:
        """Keep an outcome that could not be written, for when it can, and say that the action was done."""
        self._journal.post(record)
        return Busy(f"{record.action} was carried out, but its outcome is not on disk yet. {error.message}")

    def _conclude_failed(self, intent: Entry, outcome: Detail, error: BaseException) -> None:
        try:
            self.conclude(intent, False, {**outcome, "error": _reason(error)})
        except Busy as busy:
            logger.error("%s", busy.message)  # the action's own error is the one to tell

    def _conclude_unbegun(self, writing: asyncio.Future[Entry]) -> None:
        if not writing.cancelled() and writing.exception() is None:
            self._journal.post(_outcome(writing.result(), False, {"error": "Cancelled before it began."}))


def differences(node: str, real: Mapping[int, str], seen: Iterable[SeenHead], by: str) -> list[Fault]:
    """Return a fault for each line of a node's chain that is not as another node once saw it."""
    return [
        Fault(node, 0, f"{by} saw the hash {item.hash} for line number {item.seq} on {item.time}, "
              + (f"but it is {real[item.seq]} now" if item.seq in real else "but that line is gone"))
        for item in seen
        if item.seq and real.get(item.seq) != item.hash
    ]  # fmt: skip


def _record(kind: Kind, actor: Actor, action: str, object_: str, detail: Detail | None) -> Record:
    request = request_id.get()
    return Record(
        kind, kept_name(actor.label), kept(actor.address), kept(action), kept(object_),
        "" if request == "-" else request, "", kept_detail(detail),
    )  # fmt: skip


def _outcome(intent: Entry, ok: bool, detail: Detail | None) -> Record:
    """Return the outcome's record; what it is found by (host, run) is taken over from the intent."""
    known: dict[str, Any] = {name: intent.detail[name] for name in _MEANINGFUL if name in intent.detail}
    result = {"result": "ok" if ok else "failed"}
    told: dict[str, Any] = {**result, **known, **kept_detail(detail), **result}
    return Record(
        Kind.OUTCOME, intent.actor, intent.address, intent.action, intent.object, intent.request, intent.id,
        told,
    )  # fmt: skip


def _reason(error: BaseException) -> str:
    if isinstance(error, QuarterdeckError):
        return error.message
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit | GeneratorExit):
        return "Cut off before its end."
    return f"{type(error).__name__}: {error}"
