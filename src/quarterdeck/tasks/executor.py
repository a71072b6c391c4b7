"""What stands behind one call: running a task over SSH, on this node, on a worker, or as an API call.

An executor is made for one task on one host and used once: ``run`` until it returns, and
``cancel`` while it runs. It neither knows who asked nor how long the whole may take; that is the
dispatcher's part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from quarterdeck.tasks.states import RunState


class Stream(StrEnum):
    """The two outputs of a task, kept apart from its start to the screen."""

    OUT = "out"
    ERR = "err"


class Sink(Protocol):
    """Where an execution tells what happens."""

    async def started(self) -> None:
        """The task runs from now on; called once at most, before any output."""

    async def write(self, stream: Stream, data: bytes) -> None:
        """Take the next bytes of a stream; the execution waits until this returns."""


@runtime_checkable
class Notes(Protocol):
    """What a sink can do that shows how a task stands while it runs."""

    async def note(self, message: str) -> None:
        """Show a message; an empty one takes it back."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a task ended on one host.

    ``state`` is terminal. ``exit_status`` is None when there is none to know. ``message`` is for
    people and empty when the exit status says it all. ``details`` are facts that only one kind of
    task has, such as the status and headers of an API call.
    """

    exit_status: int | None
    state: RunState
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)  # Any: what JSON can hold


class Execution(Protocol):
    """One task on one host."""

    async def run(self, sink: Sink) -> Result:
        """Run to the end. Raises QuarterdeckError when the task was surely not started."""

    async def cancel(self) -> bool | None:
        """End the task with everything it started.

        Returns True when all of it is proved gone, False when some of it is still there, and None
        when that can't be known.
        """
