"""How late the event loop is."""

import asyncio
from collections.abc import Callable
from typing import Final

_SAMPLE_SECONDS: Final = 0.5


class LoopLag:
    """Knows how late the loop woke what it should have woken, the last time it was looked at."""

    def __init__(self, observe: Callable[[float], None] = lambda _seconds: None) -> None:
        self.seconds = 0.0
        self._observe = observe
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the running loop."""
        self._watching = asyncio.get_running_loop().create_task(self.watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def watch(self) -> None:
        """Sample the lag of the running loop until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _SAMPLE_SECONDS
            await asyncio.sleep(_SAMPLE_SECONDS)
            self.seconds = max(0.0, loop.time() - due)
            self._observe(self.seconds)
