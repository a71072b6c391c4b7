"""Those who wait for their record: threads by a lock each, event loops by one call for all of their tasks."""

import asyncio
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from quarterdeck.core.errors import Busy
from quarterdeck.history.lines import Place

logger = logging.getLogger(__name__)

WAIT_SECONDS: Final = 20.0
"""How long a caller waits for the disk before it is refused."""


class Ticket:
    """A record on its way to the disk; this kind has nobody who waits for it."""

    __slots__ = ("error", "essential", "members", "place")

    def __init__(self, members: bytes, essential: bool) -> None:
        self.members = members
        self.essential = essential
        self.place: Place | None = None
        self.error = ""

    def settled(self) -> Place:
        """Return the place, or raise Busy with the reason."""
        if self.place is None:
            raise Busy(f"The history can't be written, so nothing was done. {self.error}")
        return self.place


class ThreadTicket(Ticket):
    __slots__ = ("ready",)

    def __init__(self, members: bytes, essential: bool) -> None:
        super().__init__(members, essential)
        self.ready = threading.Lock()  # cheaper than a Future: taken here, let go by the writer
        self.ready.acquire()

    def wait(self, path: Path) -> Place:
        if not self.ready.acquire(timeout=WAIT_SECONDS):
            raise Busy(_silence(path))
        return self.settled()


class LoopTicket(Ticket):
    __slots__ = ("deadline", "future", "loop")

    def __init__(self, members: bytes, essential: bool, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(members, essential)
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.deadline = loop.time() + WAIT_SECONDS


class _Watch:
    """The waiting tasks of one loop, oldest first, and the one timer that looks after them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: deque[LoopTicket] = deque()
        self._is_armed = False

    def add(self, ticket: LoopTicket) -> None:
        self._waiting.append(ticket)
        if not self._is_armed:
            self._arm(WAIT_SECONDS)

    def _arm(self, seconds: float) -> None:
        self._is_armed = True
        asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Give up those whose time is over; the rest are looked at again a little later."""
        now = asyncio.get_running_loop().time()
        while self._waiting and (self._waiting[0].future.done() or self._waiting[0].deadline <= now):
            ticket = self._waiting.popleft()
            if not ticket.future.done():
                ticket.future.set_exception(Busy(_silence(self._folder)))
        self._is_armed = False
        if self._waiting:
            self._arm(1.0)

    def forget_done(self) -> None:
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()


class LoopWaits:
    """Makes the tickets of tasks; one timer a loop, because a timeout for each would double the cost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()

    def ticket(self, members: bytes, essential: bool) -> LoopTicket:
        """Return a ticket of the running loop; its future ends in time whatever the disk does."""
        loop = asyncio.get_running_loop()
        watch = self._watches.get(loop)
        if watch is None:
            watch = self._watches[loop] = _Watch(self._folder)
        watch.forget_done()
        ticket = LoopTicket(members, essential, loop)
        watch.add(ticket)
        return ticket


def settle(batch: Iterable[Ticket]) -> None:
    """Wake everyone who waits."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[LoopTicket]] = defaultdict(list)
    for ticket in batch:
        if isinstance(ticket, ThreadTicket):
            ticket.ready.release()
        elif isinstance(ticket, LoopTicket):
            by_loop[ticket.loop].append(ticket)
    for loop, tickets in by_loop.items():
        try:
            loop.call_soon_threadsafe(_wake, tickets)
        except RuntimeError:
            logger.debug("a loop closed while %d of its records were written", len(tickets))


def _wake(tickets: list[LoopTicket]) -> None:
    for ticket in tickets:
        if not ticket.future.done():
            ticket.future.set_result(None)


def _silence(path: Path) -> str:
    return f"The history gave no answer within {WAIT_SECONDS:g} s: {path}."
