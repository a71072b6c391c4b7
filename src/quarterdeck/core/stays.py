"""Requests that stay for long: each waits no longer once its actor is not who it was."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Stay:
    """A request that waits on a loop."""

    credential_id: str | None
    is_still_open: Callable[[], bool]
    over: asyncio.Future[None]


class Stays:
    """Knows who waits. ``wait`` belongs to the loop; ``end`` and ``check`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stays: set[_Stay] = set()

    async def wait(
        self, work: Awaitable[object], *, credential_id: str | None, is_still_open: Callable[[], bool]
    ) -> None:
        """Wait for the work, or until the credential is ended or a check finds the stay no longer open."""
        stay = _Stay(credential_id, is_still_open, asyncio.get_running_loop().create_future())
        with self._lock:
            self._stays.add(stay)
        waiting = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {waiting, stay.over}  # Any: their results differ
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            with self._lock:
                self._stays.discard(stay)
            waiting.cancel()
            stay.over.cancel()

    def end(self, credential_ids: list[str]) -> None:
        """End the stays of these sessions and tokens."""
        for stay in self._all():
            if stay.credential_id in credential_ids:
                _end(stay)

    def check(self) -> None:
        """End the stays of whoever may do something else by now."""
        for stay in self._all():
            if not stay.is_still_open():
                _end(stay)

    def __len__(self) -> int:
        return len(self._stays)

    def _all(self) -> list[_Stay]:
        with self._lock:
            return list(self._stays)


def _end(stay: _Stay) -> None:
    def wake() -> None:
        if not stay.over.done():
            stay.over.set_result(None)

    try:
        stay.over.get_loop().call_soon_threadsafe(wake)
    except RuntimeError:  # closed since we looked, and whoever waited there is gone
        logger.debug("a stay was to be ended after the end of its loop")
