"""Durable records from many threads and tasks at once: one writer, one sync for all who wait.

Whoever appends waits until the line is on disk. One thread takes everything that waits, appends it
as one batch and wakes the waiters: threads by a lock each, an event loop once for all of its tasks.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy
from quarterdeck.history.appender import Appender, AppendError, Finding, Written, naming
from quarterdeck.history.ballast import Ballast
from quarterdeck.history.disk import Disk
from quarterdeck.history.indexer import Indexer
from quarterdeck.history.lines import Entry, Kind, Place, Record, Sealer, encode_members
from quarterdeck.history.waits import WAIT_SECONDS, LoopWaits, ThreadTicket, Ticket, settle

logger = logging.getLogger(__name__)

_BATCH_RECORDS: Final = 4096
_IDLE_SECONDS: Final = 0.05
_INDEX_BACKLOG: Final = 200
_INDEX_AT_ONCE: Final = 2
_MOST_OWED: Final = 10_000
_RETRY_SECONDS: Final = 1.0
_NOWHERE: Final = Place(0, "", "", "", "")


class _Posted(Ticket):
    """A record that nobody waits for; refused, it is kept and tried again."""


class Journal:
    """The writing side of one node's history; safe for threads, event loops and several processes."""

    def __init__(
        self,
        folder: Path,
        sealer: Sealer,
        *,
        clock: Clock,
        segment_bytes: int,
        ballast_bytes: int,
        disk: Disk | None = None,
    ) -> None:
        disk = disk or Disk()
        self.folder = folder
        self._sealer = sealer
        self._clock = clock
        self._appender = Appender(folder, sealer, clock=clock, segment_bytes=segment_bytes, disk=disk)
        self._ballast = Ballast(folder, ballast_bytes, disk)
        self._indexer = Indexer(folder, sealer, disk)
        self._queue: SimpleQueue[Ticket | None] = SimpleQueue()
        self._owed: deque[bytes] = deque(maxlen=_MOST_OWED)
        self._waits = LoopWaits(folder)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def written(self) -> Written:
        return self._appender.written

    def append(self, record: Record, *, essential: bool = False) -> Entry:
        """Return once the record is on disk; raises Busy with the failing path when it can't be."""
        ticket = ThreadTicket(encode_members(record), essential)
        self._submit(ticket)
        return self._entry(record, ticket.wait(self._appender.path))

    def append_all(self, records: Iterable[Record]) -> None:
        """As ``append`` for each, waiting once for all of them."""
        tickets = [ThreadTicket(encode_members(record), False) for record in records]
        for ticket in tickets:
            self._submit(ticket)
        for ticket in tickets:
            ticket.wait(self._appender.path)

    async def append_async(self, record: Record, *, essential: bool = False) -> Entry:
        """As ``append``, without blocking the loop."""
        ticket = self._waits.ticket(encode_members(record), essential)
        self._submit(ticket)
        await ticket.future
        return self._entry(record, ticket.settled())

    def is_writable(self) -> bool:
        """Tell whether an ordinary record could be written now, by all steps but a line of its own."""
        probe = ThreadTicket(b"", False)
        try:
            self._submit(probe)
            probe.wait(self._appender.path)
        except Busy as error:
            logger.warning("%s", error.message)
            return False
        return True

    def post(self, record: Record) -> None:
        """Send a record on its way without waiting; it is kept until it can be written."""
        try:
            self._submit(_Posted(encode_members(record), True))
        except Busy:
            logger.error("too late for the history: %s %s", record.action, record.object)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep every process of this home from appending meanwhile; raises Busy."""
        holder = Appender(self.folder, self._sealer, clock=self._clock, segment_bytes=0)
        try:
            with holder.locked():
                yield
        except AppendError as error:
            raise Busy(str(error)) from error
        finally:
            holder.close()

    def close(self) -> None:
        """Write what waits, then stop; later records are refused."""
        self._closed = True
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(WAIT_SECONDS)

    def _entry(self, record: Record, place: Place) -> Entry:
        return Entry(
            place.seq, place.id, place.time, self._sealer.node, record.kind, record.actor, record.address,
            record.action, record.object, record.request, record.pair, record.detail, place.prev, place.hash,
        )  # fmt: skip

    def _submit(self, ticket: Ticket) -> None:
        if self._closed:
            raise Busy("The node is stopping; its history is closed.")
        if self._thread is None:
            self._start()
        self._queue.put(ticket)

    def _start(self) -> None:
        """Start the writer with the first record, so that making a journal does no work."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="history-writer", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        try:
            while (first := self._next()) is not None:
                batch = [first]
                self._attempt(batch)
                self._owed.extend(
                    item.members for item in batch if isinstance(item, _Posted) and not item.place
                )
                settle(batch)
        finally:
            if self._owed:
                self._attempt([])
            self._appender.close()
            self._refuse_late_comers()

    def _attempt(self, batch: list[Ticket]) -> None:
        try:
            self._commit(batch)
        except Exception as error:
            logger.exception("unexpected fault of the history's writer")
            _refuse(batch, f"{type(error).__name__}; the log has the details.")

    def _refuse_late_comers(self) -> None:
        late: list[Ticket] = []
        self._gather(late)
        _refuse(late, "The node is stopping.")
        settle(late)

    def _next(self) -> Ticket | None:
        """Return the next record; while there is none, bring the index up to date."""
        wait: float | None = _IDLE_SECONDS
        while True:
            try:
                return self._queue.get(timeout=wait)
            except Empty:
                wait = 0.001 if self._index(1) else None
            if self._owed:
                self._attempt([])
                wait = _RETRY_SECONDS if self._owed else wait

    def _index(self, blocks: int) -> bool:
        """Index some blocks; returns whether there is more to do. The index can always be made later."""
        try:
            with self._appender.locked():
                return self._indexer.advance(blocks)
        except (AppendError, OSError) as error:
            logger.warning("the index of the history waits: %s", error)
            return False

    def _commit(self, batch: list[Ticket]) -> None:
        try:
            with self._appender.locked():
                self._gather(batch)
                self._owed.extend(map(_finding, self._appender.prepare()))
                self._write(batch)
        except AppendError as error:
            _refuse(batch, str(error))
        if self._indexer.backlog(self._appender.head) >= _INDEX_BACKLOG:
            self._index(_INDEX_AT_ONCE)

    def _gather(self, batch: list[Ticket]) -> None:
        """Add everything that waits by now; a stop that is among it is put back for the next turn."""
        try:
            while len(batch) < _BATCH_RECORDS:
                ticket = self._queue.get_nowait()
                if ticket is None:
                    self._queue.put(None)
                    return
                batch.append(ticket)
        except Empty:
            return

    def _write(self, batch: list[Ticket]) -> None:
        with naming(self._ballast.path):
            whole = self._ballast.is_whole()
        admitted = batch if whole else [ticket for ticket in batch if ticket.essential]
        if not whole:
            _refuse(batch, f"The disk is full: {self._appender.path}. Free some space.", ordinary_only=True)
        try:
            self._append(admitted)
        except AppendError as error:
            essential = [ticket for ticket in batch if ticket.essential]
            if not error.full or not essential:
                raise
            _refuse(batch, str(error), ordinary_only=True)
            with naming(self._ballast.path):
                self._ballast.release()
            self._append(essential)

    def _append(self, tickets: list[Ticket]) -> None:
        owed, real = list(self._owed), [ticket for ticket in tickets if ticket.members]
        if owed or real:
            places = self._appender.append([*owed, *(ticket.members for ticket in real)])
            for _ in owed:
                self._owed.popleft()
            for ticket, place in zip(real, places[len(owed) :], strict=True):
                ticket.place = place
        if len(real) < len(tickets):
            self._probe([ticket for ticket in tickets if not ticket.members])

    def _probe(self, probes: list[Ticket]) -> None:
        """Answer those who only ask, whatever became of the records beside them."""
        try:
            self._appender.touch()
        except AppendError as error:
            _refuse(probes, str(error))
            return
        for probe in probes:
            probe.place = _NOWHERE


def _finding(finding: Finding) -> bytes:
    return encode_members(Record(Kind.EVENT, "system", action=finding.action, detail=finding.detail))


def _refuse(batch: Iterable[Ticket], reason: str, *, ordinary_only: bool = False) -> None:
    for ticket in batch:
        if ticket.place is None and not (ordinary_only and ticket.essential):
            ticket.error = reason
