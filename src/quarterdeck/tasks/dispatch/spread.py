"""How a run spreads over its hosts: the canary first, and no further host when too many have failed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select

from quarterdeck.core.db import Database
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.jobs import Job
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.records import RunRecord
from quarterdeck.tasks.states import RunState

NOT_BEGUN: Final = "Not begun: "
"""How the message of each host begins that a stopped run did not come to."""
_BAD: Final = (RunState.FAILED, RunState.TIMED_OUT, RunState.LOST)
_WORDS: Final = {
    RunState.FAILED: "failed",
    RunState.TIMED_OUT: "timed out",
    RunState.LOST: "was lost",
    RunState.CANCELLED: "was cancelled",
}


class Spread:
    """Decides which hosts of one run may begin. Lives on the loop; the order of the hosts is kept."""

    def __init__(self, job: Job, parts: Sequence[HostRun]) -> None:
        self._options = job.options
        self._total = len(parts) + sum(job.ended.values())
        self._canaries = {part.host.id for part in parts[: max(0, job.options.canary - len(job.canaries))]}
        self._rest_may_begin = asyncio.Event()
        self._is_deciding = True
        bad = (each for each in job.canaries if each[1] is not RunState.SUCCEEDED)
        self.stopped = next((_canary_reason(name, state) for name, state in bad), "")
        """Why no further host is begun; empty while they are."""
        self._release()

    def must_wait(self, part: HostRun) -> bool:
        """Tell whether a host has to wait for the canary."""
        return part.host.id not in self._canaries and not self._rest_may_begin.is_set()

    async def turn(self, part: HostRun) -> None:
        """Wait until this host may begin."""
        if part.host.id not in self._canaries:
            await self._rest_may_begin.wait()

    def note_end(self, part: HostRun, tally: Mapping[RunState, int]) -> bool:
        """Take in how a host ended; returns whether that stops the run, which is told once."""
        if self.stopped or not self._is_deciding:
            return False
        self.stopped = self._reason(part, tally)
        self._canaries.discard(part.host.id)
        self._release()
        return bool(self.stopped)

    def stand_back(self) -> None:
        """Decide nothing any more: all hosts end, and for another reason."""
        self._is_deciding = False

    def _reason(self, part: HostRun, tally: Mapping[RunState, int]) -> str:
        if part.host.id in self._canaries and part.state is not RunState.SUCCEEDED:
            return _canary_reason(part.host.name, part.state)
        percent = self._options.stop_at_failed_percent
        bad = sum(tally.get(state, 0) for state in _BAD)
        if percent is not None and bad and bad * 100 >= percent * self._total:
            return f"{NOT_BEGUN}{bad} of {self._total} hosts did not succeed; the run stops at {percent} %."
        return ""

    def _release(self) -> None:
        if not self._canaries and not self.stopped:
            self._rest_may_begin.set()


def _canary_reason(name: str, state: RunState) -> str:
    return f"{NOT_BEGUN}the canary {_WORDS[state]} on {name}."


def why_stopped(db: Database, run: RunRecord) -> str:
    """Return why a run did not come to all its hosts, as the first of those says it; empty when it did."""
    if not run.options.canary and run.options.stop_at_failed_percent is None:
        return ""
    query = (
        select(RunHost.message)
        .where(RunHost.run_id == run.id, RunHost.state == RunState.CANCELLED)
        .where(RunHost.message.startswith(NOT_BEGUN))
        .order_by(RunHost.position)
        .limit(1)
    )
    with db.read() as session:
        return (session.scalar(query) or "").removeprefix(NOT_BEGUN)
