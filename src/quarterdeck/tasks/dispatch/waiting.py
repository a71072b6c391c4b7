"""Those who wait for the end of a run."""

import asyncio
from collections.abc import Callable


class Waiting:
    """Wakes whoever waits for a run. Lives on the loop, where waiting costs no thread and polls nothing."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    async def until_end(self, run_id: str, is_over: Callable[[], bool], seconds: float) -> None:
        """Wait for the run's end, or so many seconds; ``is_over`` reads the store, in a thread."""
        ended = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(run_id, set())
        waiting.add(ended)
        try:
            if not await asyncio.to_thread(is_over):  # asked only now: the end may have come before
                await asyncio.wait({ended}, timeout=seconds)
        finally:
            waiting.discard(ended)
            if not waiting and self._waiting.get(run_id) is waiting:
                del self._waiting[run_id]

    def end(self, run_id: str) -> None:
        """Wake everybody who waits for this run."""
        for ended in self._waiting.pop(run_id, ()):
            if not ended.done():
                ended.set_result(None)
