"""What follows when a run ends or takes long: the outcome in the history, and word to its starter."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.history.service import History
from quarterdeck.notify.service import Toasts
from quarterdeck.tasks.jobs import Job
from quarterdeck.tasks.past import Usual, usual_durations
from quarterdeck.tasks.recorder import Recorder
from quarterdeck.tasks.records import RunHostRecord, RunRecord, RunRecords
from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.waiting import Waiting

logger = logging.getLogger(__name__)

LONG_WITHOUT_PAST_SECONDS: Final = 60.0
_TOAST_AFTER_SECONDS: Final = 10.0
NAMED_HOSTS: Final = 50
"""How many hosts an outcome names with their result; those that failed come first."""
_WORDS: Final = {
    RunState.SUCCEEDED: ("succeeded", "success"),
    RunState.FAILED: ("failed", "error"),
    RunState.TIMED_OUT: ("timed out", "error"),
    RunState.CANCELLED: ("was cancelled", "warning"),
    RunState.LOST: ("was lost", "error"),
}

_STOPPED: Final = (RunState.CANCELLED, RunState.TIMED_OUT)
_PROOF: Final = {True: "Proved gone.", False: "Some of it is still there.", None: ""}
"""In words; what can't be known stands in the message already."""


class Endings:
    """Concludes runs. Lives on the loop."""

    def __init__(
        self,
        *,
        db: Database,
        history: History,
        toasts: Toasts,
        recorder: Recorder,
        waiting: Waiting,
        clock: Clock,
    ) -> None:
        self._db, self._history, self._toasts = db, history, toasts
        self._records = RunRecords(db)
        self._recorder, self._waiting, self._clock = recorder, waiting, clock

    async def ended(self, run_id: str) -> None:
        """Record the outcome of a run whose end is stored, then wake who waits and tell who started it."""
        try:
            run = await asyncio.to_thread(self._records.get, run_id)
            first = await asyncio.to_thread(self._records.hosts_worst_first, run_id, limit=NAMED_HOSTS)
            is_good = run.state is RunState.SUCCEEDED
            await self._history.conclude_async(run.intent_id, is_good, outcome_detail(run, first))
            self._recorder.note_run(run_id, is_recorded=True)
            await self._recorder.settle()
        finally:
            self._waiting.end(run_id)
        if (self._clock.now() - run.created_at).total_seconds() > _TOAST_AFTER_SECONDS:
            word, level = _WORDS[run.state]
            await self._tell(run_id, run.person_id, f"{run.title} {word} {_where(run)}.", level)

    async def watch(self, job: Job) -> None:
        """Tell the starter once when a run takes longer than it usually does; cancelled at its end."""
        hosts = [part.host.id for part in job.hosts]
        usual = await asyncio.to_thread(usual_durations, self._db, job.fingerprint, hosts)
        elapsed = (self._clock.now() - job.created_at).total_seconds()
        await asyncio.sleep(max(0.0, long_after_seconds(usual.values()) - elapsed))
        taken = (self._clock.now() - job.created_at).total_seconds()
        text = f"{job.title} is still running after {taken:.0f} s"
        if usual:
            text += f"; usually it takes {max(each.typical_seconds for each in usual.values()):.0f} s"
        await self._tell(job.run_id, job.person_id, f"{text}.", "info")

    async def _tell(self, run_id: str, person_id: str | None, text: str, level: str) -> None:
        if person_id is None:
            return
        try:
            await asyncio.to_thread(
                self._toasts.send, SYSTEM, text, level=level, person_id=person_id, link=f"/runs/{run_id}"
            )
        except QuarterdeckError as error:
            logger.warning("nobody was told of run %s: %s", run_id, error.message)


def long_after_seconds(usual: Iterable[Usual]) -> float:
    """Return after how many seconds a run counts as long."""
    return max((each.p95_seconds for each in usual), default=LONG_WITHOUT_PAST_SECONDS)


def outcome_detail(run: RunRecord, first: Iterable[RunHostRecord]) -> dict[str, Any]:  # Any: JSON
    """Return what the history keeps of a run's end: all counts, and the results of so many hosts."""
    return {
        "run": run.id,
        "state": str(run.state),
        "tally": dict(run.tally),
        "results": [_host_result(host) for host in first],
        "more_hosts": max(0, run.host_count - NAMED_HOSTS),
    }


def _host_result(host: RunHostRecord) -> dict[str, Any]:  # Any: JSON
    result: dict[str, Any] = {"host": host.name, "state": str(host.state), "exit_status": host.exit_status}
    if host.gone is None and host.state not in _STOPPED:
        return result | {"message": host.message} if host.message else result
    return result | {"gone": host.gone, "message": f"{host.message} {_PROOF[host.gone]}".strip()}


def _where(run: RunRecord) -> str:
    if run.host_count == 1:
        return f"on {run.targets}"
    good = run.tally.get(RunState.SUCCEEDED, 0)
    bad = run.host_count - good
    return (
        f"on {run.host_count} hosts" if bad in (0, run.host_count) else f"on {bad} of {run.host_count} hosts"
    )
