"""Frees SSH hosts from the output of kept commands, once their end is stored here."""

import asyncio
from typing import Protocol, runtime_checkable

from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.recorder import Recorder


@runtime_checkable
class _Removable(Protocol):
    async def remove(self) -> None: ...


class KeptRemoval:
    """Lives on the loop. What it does not get to is removed by the hosts themselves after some days."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, part: HostRun) -> None:
        """Take in that a host's part has ended."""
        if not part.job.options.keep_running or not isinstance(part.execution, _Removable):
            return
        task = asyncio.get_running_loop().create_task(self._remove(part.execution))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, seconds: float) -> None:
        """Wait a moment for what is under way, then leave it."""
        if self._tasks:
            _, left = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in left:
                task.cancel()

    async def _remove(self, execution: _Removable) -> None:
        await self._recorder.settle()
        await execution.remove()
