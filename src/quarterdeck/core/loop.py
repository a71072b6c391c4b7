"""The only way from Flask's threads to the event loop."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from quarterdeck.core.errors import Busy

T = TypeVar("T")


class Loop:
    """The node's event loop, as threads see it. Bound when the server starts."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def is_running(self) -> bool:
        """Tell whether there is a loop to submit to; on the command line there is none."""
        return self._loop is not None and self._loop.is_running()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop from any thread; raises Busy when the loop is not running."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise Busy("The node is starting or stopping; try again in a moment.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], *, timeout_seconds: float = 30) -> T:
        """Run a coroutine on the loop and wait for its result; never call this on the loop itself."""
        future = self.submit(work)
        try:
            return future.result(timeout_seconds)
        except FutureTimeout as error:
            future.cancel()
            raise Busy(f"No answer within {timeout_seconds:g} s; try again.") from error
