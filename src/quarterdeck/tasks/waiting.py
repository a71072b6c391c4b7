"""Threads that wait for the end of a run."""

import threading
from collections import defaultdict


class Waiting:
    """Wakes the threads that wait for a run, and lets only so many wait that others get served.

    Made for answers to ``?wait=``: nothing is polled, and when too many wait the next one is answered early.
    """

    def __init__(self, most: int) -> None:
        self._room = threading.BoundedSemaphore(max(1, most))
        self._lock = threading.Lock()
        self._events: dict[str, list[threading.Event]] = defaultdict(list)

    def listen(self, run_id: str) -> threading.Event | None:
        """Return what is set at the run's end, or None when no more may wait. Give it back to ``leave``.

        Look at the run after this and before waiting: its end may have come in between.
        """
        if not self._room.acquire(blocking=False):
            return None
        event = threading.Event()
        with self._lock:
            self._events[run_id].append(event)
        return event

    def leave(self, run_id: str, event: threading.Event) -> None:
        with self._lock:
            self._events[run_id].remove(event)
            if not self._events[run_id]:
                del self._events[run_id]
        self._room.release()

    def end(self, run_id: str) -> None:
        """Wake everybody who waits for this run."""
        with self._lock:
            for event in self._events.get(run_id, ()):
                event.set()
