"""The verbs of runs: start, cancel, look, wait."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import select

from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Forbidden, Invalid, QuarterdeckError
from quarterdeck.core.ids import new_id
from quarterdeck.core.log import request_id
from quarterdeck.core.loop import Loop
from quarterdeck.history.service import History
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.ssh import SshPool
from quarterdeck.notify.service import Toasts
from quarterdeck.protocol.orders import Handed, OrderStatus
from quarterdeck.protocol.tasks import BuiltinTask, CallTask
from quarterdeck.tasks.assignments import Assignments
from quarterdeck.tasks.dispatch.contact_notes import ContactNotes
from quarterdeck.tasks.dispatch.dispatcher import Dispatcher, Surroundings
from quarterdeck.tasks.dispatch.endings import Endings, long_after_seconds
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.jobs import Job
from quarterdeck.tasks.dispatch.reach import Reach
from quarterdeck.tasks.dispatch.recorder import Recorder
from quarterdeck.tasks.dispatch.recovery import Recovery
from quarterdeck.tasks.dispatch.waiting import Waiting
from quarterdeck.tasks.drafts import Draft, StartRun, job_of, orders_of, store, with_intent
from quarterdeck.tasks.duplicates import find_overlap
from quarterdeck.tasks.idempotency import Once, check_unused, keep, owner_of
from quarterdeck.tasks.models import Run
from quarterdeck.tasks.order_checks import LONGEST_TIMEOUT, check_limit, check_task
from quarterdeck.tasks.output.feed import Feed
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.past import Usual, usual_durations
from quarterdeck.tasks.records import RunCounts, RunHostRecord, RunPage, RunQuery, RunRecord, RunRecords
from quarterdeck.tasks.results.comparing import Comparing
from quarterdeck.tasks.results.digests import Digests
from quarterdeck.tasks.results.selection import Results
from quarterdeck.tasks.rights import PersonNow, StartingRights, may_read
from quarterdeck.tasks.ssh.kept_removal import KeptRemoval
from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.targets import choose_hosts

__all__ = ["RunQuery", "Runs", "StartRun"]

LONGEST_WAIT_SECONDS: Final = 60.0
_LONGEST_REASON: Final = 500
_MOST_HOSTS: Final = 10_000
_KEPT_PASTS: Final = 64
_REMOVAL_SECONDS: Final = 0.5


class Runs:
    """Runs tasks on hosts; safe to use from many threads. ``recover`` and ``stop`` belong to the loop."""

    def __init__(
        self,
        *,
        db: Database,
        history: History,
        hosts: Hosts,
        toasts: Toasts,
        output: OutputStore,
        pool: SshPool,
        clock: Clock,
        settings: Settings,
        loop: Loop,
        publish: Callable[..., None],
        is_watched: Callable[[str], bool],
        person_now: PersonNow,
    ) -> None:
        self._db, self._history, self._hosts = db, history, hosts
        self._clock, self._settings, self._loop = clock, settings, loop
        self.output = output
        self.records = RunRecords(db)
        self.results = Results(db, output, self.addresses)
        self.comparing = Comparing(output)
        # A page of a run under way asks twice a second for what does not change any more.
        self._usual = lru_cache(_KEPT_PASTS)(
            lambda run_id, task, host_ids, within: usual_durations(
                db, task, host_ids, before=run_id, within=within
            )
        )
        self._waiting = Waiting()
        recorder = Recorder(db, publish)
        self._digests = Digests(db, output, recorder)
        self._contacts, self._removal = ContactNotes(hosts), KeptRemoval(recorder)
        self._endings = Endings(
            db=db, history=history, toasts=toasts, recorder=recorder, waiting=self._waiting, clock=clock
        )
        self._dispatcher = Dispatcher(
            Surroundings(
                loop=loop,
                clock=clock,
                output=output,
                recorder=recorder,
                feed=Feed(publish, is_watched),
                reach=Reach(hosts, pool, clock),
                bar=StartingRights(person_now, history).fault,
                prepare=Assignments(hosts, pool, output, history).prepare,
                on_began=self._endings.watch,
                on_host_end=self._part_ended,
                on_ended=self._ended,
            ),
            concurrency=settings.run_concurrency,
        )
        hosts.revoking.end_orders_by(self._dispatcher.end_host)
        self._recovery = Recovery(db, output, clock)

    # --- starting ---

    def start_run(self, actor: Actor, wanted: StartRun, once: Once | None = None) -> RunRecord:
        """Start a run and return it at once.

        Raises Invalid for bad fields, Conflict when the same is under way on a host in common and is
        not forced, KeyUsed when ``once`` has started a run, and Busy when the history can't be written: then
        nothing has begun or remains.
        """
        if once is not None:
            with self._db.read() as session:
                check_unused(session, owner_of(actor), once, self._clock.now())
        faults = _faults(wanted)
        if faults:
            raise Invalid(faults)
        hosts = choose_hosts(self._hosts, actor, wanted.task, wanted.hosts, wanted.tags)
        if len(hosts) > _MOST_HOSTS:
            raise Invalid({"hosts": f"At most {_MOST_HOSTS:,} hosts at once; these are {len(hosts):,}."})
        return self._start(
            Draft(
                id=new_id(),
                actor=actor,
                task=wanted.task,
                hosts=hosts,
                timeout_seconds=wanted.timeout_seconds or self._settings.run_timeout_seconds,
                options=wanted.options,
                created_at=self._clock.now(),
                request_id=request_id.get(),
                forced_reason=wanted.reason.strip() if wanted.force else None,
                once=once,
            )
        )

    def start_handed(self, actor: Actor, worker: HostRecord, handed: Handed) -> RunRecord:
        """Run on the master itself what a worker hands over; handed again, it is the first one's run."""
        if isinstance(handed.task, CallTask) or (
            not isinstance(handed.task, BuiltinTask) and not self._settings.worker_commands_on_master
        ):
            raise Forbidden(
                "This master runs only built-in tasks for its workers; QUARTERDECK_WORKER_COMMANDS_ON_MASTER "
                "lets them hand over commands."
            )
        check_task(handed.task)
        check_limit(handed.timeout_seconds)
        if handed.deadline <= self._clock.now():
            raise Invalid({"deadline": "The time by which the task should have begun is over."})
        mark = f"{worker.id}/{handed.id}"[:200]
        if known := self._handed_run(mark):
            return known
        limit = math.ceil(handed.timeout_seconds) or self._settings.run_timeout_seconds
        return self._start(
            Draft(
                id=new_id(),
                actor=actor,
                task=handed.task,
                hosts=[self._hosts.list_hosts(kinds=(HostKind.MASTER,))[0]],
                timeout_seconds=limit,
                created_at=self._clock.now(),
                request_id=request_id.get(),
                forced_reason=f"handed over by {worker.name}",
                handed=mark,
            )
        )

    def _handed_run(self, mark: str) -> RunRecord | None:
        with self._db.read() as session:
            run_id = session.scalar(select(Run.id).where(Run.handed == mark))
        return self.records.get(run_id) if run_id else None

    def _start(self, draft: Draft) -> RunRecord:
        self._dispatcher.check_open()
        intent = self._history.intend(draft.actor, "task.run", f"run:{draft.id}", detail=draft.detail())
        try:
            job = self._insert(with_intent(draft, intent.id))
        except Exception as error:
            self._history.conclude(intent.id, False, _refusal(draft, error))
            raise
        self._dispatcher.begin(job)
        return self.records.get(draft.id)

    def _insert(self, draft: Draft) -> Job:
        """Store the rows unless they would repeat a run under way; both in one transaction."""
        orders = orders_of(draft, self._history.witness())
        owner = owner_of(draft.actor)
        with self._db.write() as session:
            now = self._clock.now()
            if draft.once is not None:
                check_unused(session, owner, draft.once, now)
            # Counted from now, not from the draft: who waited for the lock must see what ended meanwhile.
            recent = now - timedelta(seconds=self._settings.duplicate_seconds)
            overlap = find_overlap(
                session, draft.fingerprint, [host.id for host in draft.hosts], ended_after=recent
            )
            if overlap and draft.forced_reason is None:
                is_open = may_read(draft.actor, lambda: self.records.targets(overlap.run_id))
                raise overlap.conflict(is_open=is_open)
            store(session, draft, orders, overlap.run_id if overlap else None)
            if draft.once is not None:
                keep(session, owner, draft.once, draft.id, now)
        return job_of(draft, orders)

    # --- while it runs ---

    def cancel_run(self, actor: Actor, run_id: str) -> RunRecord:
        """Ask to end a run on all its hosts, and return at once; raises Conflict when it has ended."""
        run = self.records.get(run_id)
        if run.is_over:
            raise Conflict(f"The run has ended already ({run.state}); there is nothing to cancel.")
        detail = {"run": run_id, "title": run.title}
        with self._history.action(actor, "run.cancel", f"run:{run_id}", detail=detail, essential=True):
            self._dispatcher.cancel(run_id, f"Cancelled by {actor.label}.")
        return run

    async def until_end(self, run_id: str, seconds: float) -> None:
        """Wait on the loop until the run has ended or the time is over."""
        seconds = min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
        await self._waiting.until_end(run_id, lambda: self.records.get(run_id).is_over, seconds)

    def wait(self, run_id: str, seconds: float) -> RunRecord:
        """Return the run when it has ended or the time is over; holds its thread, unlike ``until_end``."""
        self._loop.run(self.until_end(run_id, seconds), timeout_seconds=seconds + 10)
        return self.records.get(run_id)

    def take_late_result(self, actor: Actor, worker: HostRecord, status: OrderStatus) -> None:
        """Take a worker's word that an order has ended.

        A run that is followed learns it by itself. One that was given up as lost stays lost, but the
        result is put into the history, and so is that of a task that the worker itself was asked for.
        Raises NotFound for an order that this worker never had.
        """
        is_workers_own = status.run == status.id and not self.records.has(status.run)
        host = None if is_workers_own else self.records.host_of_order(status.run, worker.id, status.id)
        if host is not None and host.state is not RunState.LOST:
            return
        detail = {
            "run": status.run,
            "host": host.name if host else worker.name,
            "result": status.state,
            "exit_status": status.exit_status,
            "finished_at": status.finished_at.isoformat() if status.finished_at else None,
        }
        object_ = f"run:{status.run}" if host else f"order:{status.id}"
        self._history.event(actor, "task.late-result", object_, detail=detail)

    # --- looking ---

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run; raises NotFound."""
        return self.records.get(run_id)

    def list_hosts(
        self, run_id: str, *, state: str = "", offset: int = 0, limit: int = -1
    ) -> list[RunHostRecord]:
        """Return the hosts of a run, with the size that their output has by now."""
        hosts = self.records.hosts(run_id, state=state, offset=offset, limit=limit)
        return [self.as_far(run_id, host) for host in hosts]

    def get_host(self, run_id: str, name: str) -> RunHostRecord:
        """Return one host of a run; raises NotFound."""
        return self.as_far(run_id, self.records.host(run_id, name))

    def addresses(self) -> Mapping[str, str]:
        """Return the address of each host by its id; empty for the master itself."""
        return self._hosts.list.addresses()

    def as_far(self, run_id: str, host: RunHostRecord) -> RunHostRecord:
        """Return a host with the size that its output has by now."""
        if host.is_over:
            return host
        sizes = self.output.sizes(run_id, host.name)
        return replace(host, out_bytes=sizes.out, err_bytes=sizes.err)

    def list_runs(self, query: RunQuery) -> RunPage:
        """Return a page of runs, newest first."""
        return self.records.page(query)

    def counts(self, within: Within = None) -> RunCounts:
        """Count the runs under way, and those of today (UTC)."""
        today = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return self.records.counts(today, within)

    def usual(self, run: RunRecord, hosts: Iterable[RunHostRecord], within: Within) -> Mapping[str, Usual]:
        """Return what the run's task usually takes, by host id, from the runs before it that lie within."""
        return self._usual(run.id, run.fingerprint, tuple(host.host_id for host in hosts), within)

    def usual_by_now(
        self, run: RunRecord, hosts: Iterable[RunHostRecord], within: Within
    ) -> Mapping[str, Usual]:
        """Return what a run's task usually takes, by host id, from all of its past that lies within."""
        host_ids = [host.host_id for host in hosts]
        return usual_durations(self._db, run.fingerprint, host_ids, within=within)

    def is_long(self, run: RunRecord, usual: Mapping[str, Usual]) -> bool:
        """Tell whether a run takes longer than it usually does."""
        if run.is_over or run.started_at is None:
            return False
        return (self._clock.now() - run.started_at).total_seconds() > long_after_seconds(usual.values())

    # --- the master's own start and end, on its loop ---

    async def recover(self) -> None:
        """Bring what the last master left in order: conclude what ended, take up again what workers have."""
        hosts = await asyncio.to_thread(self._hosts.list_hosts)
        found = await asyncio.to_thread(self._recovery.look, {host.id: host for host in hosts})
        for run_id in found.unrecorded:
            await self._digests.catch_up(run_id)
            await self._ended(run_id)
        for job in found.jobs:
            await self._digests.catch_up(job.run_id)
            await self._dispatcher.take(job)

    def _part_ended(self, part: HostRun) -> None:
        self._contacts.note(part)
        self._digests.note(part)
        self._removal.note(part)

    async def _ended(self, run_id: str) -> None:
        """Conclude a run once the outputs of its parts are hashed: who waits for its end may compare them."""
        await self._digests.settle(run_id)
        await self._endings.ended(run_id)

    async def stop(self) -> None:
        """End what runs here within a few seconds; what goes on elsewhere is taken up again."""
        await self._dispatcher.stop()
        await self._removal.stop(_REMOVAL_SECONDS)


def _faults(wanted: StartRun) -> dict[str, str]:
    faults = {}
    if wanted.force and not wanted.reason.strip():
        faults["reason"] = "Say why it is run although the same is under way."
    if len(wanted.reason) > _LONGEST_REASON:
        faults["reason"] = f"At most {_LONGEST_REASON} characters."
    if wanted.timeout_seconds is not None and not 1 <= wanted.timeout_seconds <= LONGEST_TIMEOUT:
        faults["timeout_seconds"] = f"From 1 to {LONGEST_TIMEOUT:,} seconds (a week)."
    return faults


def _refusal(draft: Draft, error: Exception) -> dict[str, Any]:  # Any: JSON
    detail = {"run": draft.id, "state": "refused", "error": str(error)}
    return detail | (error.extra if isinstance(error, QuarterdeckError) else {})
