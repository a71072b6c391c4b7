"""What follows when a run ends or takes long: the outcome in the history, and word to its starter."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.ui.words import duration_text
from quarterdeck.history.service import History
from quarterdeck.notify.service import Toasts
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.jobs import Job
from quarterdeck.tasks.dispatch.recorder import Recorder
from quarterdeck.tasks.dispatch.spread import why_stopped
from quarterdeck.tasks.dispatch.waiting import Waiting
from quarterdeck.tasks.past import Usual, usual_durations
from quarterdeck.tasks.records import RunHostRecord, RunRecord, RunRecords
from quarterdeck.tasks.states import RunState

logger = logging.getLogger(__name__)

LONG_WITHOUT_PAST_SECONDS: Final = 60.0
_TOLD_AFTER_SECONDS: Final = 10.0
"""Who waits for something shorter still looks at it."""
_CALL_TOLD_AFTER_SECONDS: Final = 2.0
"""A call is waited for like an answer of a page; when it is not there by then, it comes with a link."""
NAMED_HOSTS: Final = 50
"""How many hosts an outcome names with their result; those that failed come first."""
_BAD: Final = (RunState.FAILED, RunState.TIMED_OUT, RunState.LOST)
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
            detail = outcome_detail(run, first)
            stopped = await asyncio.to_thread(why_stopped, self._db, run)
            if stopped:
                detail["stopped"] = stopped
            await self._history.conclude_async(run.intent_id, is_good, detail)
            self._recorder.note_run(run_id, is_recorded=True)
            await self._recorder.settle()
        finally:
            self._waiting.end(run_id)
        told_after = _CALL_TOLD_AFTER_SECONDS if isinstance(run.task, CallTask) else _TOLD_AFTER_SECONDS
        if (self._clock.now() - run.created_at).total_seconds() > told_after:
            _, level = _WORDS[run.state]
            await self._tell(run_id, run.person_id, end_text(run, stopped), level)

    async def watch(self, job: Job, parts: Sequence[HostRun]) -> None:
        """Tell the starter when the first host takes longer than it usually does; cancelled at the end.

        A run on 1,000 hosts tells it once, of the host that was first.
        """
        hosts = [part.host.id for part in parts]
        usual = await asyncio.to_thread(usual_durations, self._db, job.fingerprint, hosts)
        if (slow := await self._first_long(parts, usual)) is None:
            return
        taken = (self._clock.now() - (slow.started_at or job.created_at)).total_seconds()
        text = f"{job.title} is still running on {slow.host.name} after {duration_text(taken)}"
        if (past := usual.get(slow.host.id)) is not None:
            text += f"; usually it takes {duration_text(past.typical_seconds)} there"
        await self._tell(job.run_id, job.person_id, f"{text}.", "info")

    async def _first_long(self, parts: Sequence[HostRun], usual: Mapping[str, Usual]) -> HostRun | None:
        """Wait for the first host to pass its limit of what is usual; None when all ended before."""
        other = long_after_seconds(usual.values())
        known = {host_id: past.p95_seconds for host_id, past in usual.items()}
        limits = [(part, known.get(part.host.id, other)) for part in parts]
        while limits := [(part, limit) for part, limit in limits if not part.is_over]:
            now = self._clock.now()
            # What has not begun can't be late before its whole limit is over from now on.
            left = [
                (max(limit, _TOLD_AFTER_SECONDS) - (now - (part.started_at or now)).total_seconds(), part)
                for part, limit in limits
            ]
            shortest, first = min(left, key=itemgetter(0))
            if shortest <= 0:
                return first
            await asyncio.sleep(shortest)
        return None

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


def end_text(run: RunRecord, stopped: str = "") -> str:
    """Return what its starter is told of the end of a run, and why it did not come to all its hosts."""
    text = f"{run.title} {_WORDS[run.state][0]} {_where(run)}."
    return f"{text} It went no further: {stopped}" if stopped else text


def _where(run: RunRecord) -> str:
    """Return where it ended so; hosts that another one's failure kept from beginning don't count."""
    if run.host_count == 1:
        return f"on {run.targets}"
    alike = _BAD if run.state in _BAD else (run.state,)
    count = sum(run.tally.get(state, 0) for state in alike)
    of = "" if count == run.host_count else f"{count} of "
    return f"on {of}{run.host_count} hosts"
