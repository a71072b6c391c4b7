"""An event loop on which waiting takes no time: with nothing to do, its clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Jumping(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.jumped_seconds = 0.0

    def select(self, timeout: float | None = None) -> Any:  # Any: the library's own list of events
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.jumped_seconds += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """``timers`` counts those that were set."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self.timers = 0
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.jumped_seconds

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def run_jumping(work: Callable[[JumpingLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on such a loop, which it is given."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(work(loop))
    finally:
        loop.close()
