"""Who runs what: makes the execution that fits the kind of the task and of the host."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.history.service import History
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.protocol.tasks import CallTask, CommandTask
from quarterdeck.tasks.calls.api_call import ApiCallExecution, CallLimits
from quarterdeck.tasks.calls.worker_call import Patience, WorkerExecution
from quarterdeck.tasks.dispatch.jobs import Job, JobHost
from quarterdeck.tasks.dispatch.limits import target_within
from quarterdeck.tasks.executor import Execution, Result, Sink
from quarterdeck.tasks.local.execution import LocalExecution
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.ssh.execution import SshExecution
from quarterdeck.tasks.ssh.kept import KeptExecution
from quarterdeck.tasks.ssh.kept_shell import Visit
from quarterdeck.tasks.states import RunState

_MARGIN_SECONDS: Final = 5.0
"""The dispatcher watches the limits of a run; what an execution limits by itself comes after that."""


class Assignments:
    """Makes executions; reads addresses and opens secrets, so call it in a thread."""

    def __init__(self, hosts: Hosts, pool: SshPool, output: OutputStore, history: History) -> None:
        self._hosts, self._pool, self._output, self._history = hosts, pool, output, history

    def prepare(self, job: Job) -> Mapping[str, Execution | QuarterdeckError]:
        """Return the execution of each host by its id, or why there can be none."""
        over_ssh = self._over_ssh(job)
        return {
            part.host.id: over_ssh.get(part.host.id) or self._execution_or_fault(job, part)
            for part in job.hosts
        }

    def _over_ssh(self, job: Job) -> dict[str, Execution | QuarterdeckError]:
        """Return the executions on SSH hosts, whose addresses and secrets are read together."""
        if not isinstance(task := job.task, CommandTask):
            return {}
        parts = {part.host.id: part for part in job.hosts if part.host.kind is HostKind.SSH}
        made: dict[str, Execution | QuarterdeckError] = {
            part.host.id: _FirstContact(self._hosts, part.host, partial(self._on_target, job, task, part))
            for part in parts.values()
            if part.host.pin_first
        }
        known = [host_id for host_id in parts if host_id not in made]
        for host_id, target in self._hosts.ssh_targets(known).items():
            if isinstance(target, QuarterdeckError):
                made[host_id] = target
            else:
                made[host_id] = self._on_target(job, task, parts[host_id], target)
        return made

    def _on_target(
        self, job: Job, task: CommandTask, part: JobHost, target: SshTarget
    ) -> SshExecution | KeptExecution:
        target = target_within(target, job.options)
        if not part.kept_mark:
            return SshExecution(self._pool, target, task.command)
        return KeptExecution(
            self._pool,
            target,
            task.command,
            part.kept_mark,
            visit=Visit.ATTACH if part.is_taken_up else Visit.START,
            seen=self._output.sizes(job.run_id, part.host.name),
            was_begun=part.started_at is not None,
            output_bytes=job.options.output_bytes,
        )

    def _execution_or_fault(self, job: Job, part: JobHost) -> Execution | QuarterdeckError:
        try:
            return self._execution(job, part)
        except QuarterdeckError as error:
            return error

    def _execution(self, job: Job, part: JobHost) -> Execution:
        if isinstance(job.task, CallTask):
            return self._call(job.task, part, _call_limits(job))
        if part.host.kind is HostKind.MASTER:
            return LocalExecution(job.task)
        if part.order is None:
            raise QuarterdeckError(f"{part.host.name} can't run a task of this kind.")
        link = self._hosts.worker_link(part.host)
        seen = self._output.sizes(job.run_id, part.host.name)
        return WorkerExecution(
            link,
            part.order,
            seen,
            on_witness=self._history.note_witness,
            patience=_patience(job.options.connect_seconds),
        )

    def _call(self, call: CallTask, part: JobHost, limits: CallLimits) -> Execution:
        if part.host.kind is HostKind.WORKER:
            link = self._hosts.worker_link(part.host)
            url = f"{link.url}{call.url}" if call.url.startswith("/") else call.url
            return ApiCallExecution(call, url, link.bearer, limits, transport=link.transport)
        base = self._hosts.base_for(call.url)
        if base is None:
            raise QuarterdeckError("The API base of this address was removed.")
        return ApiCallExecution(call, call.url, self._hosts.bearer_of(base), limits)


class _FirstContact:
    """A command on an SSH host whose key is to be pinned at its first contact, which is this one."""

    def __init__(
        self, hosts: Hosts, host: HostRecord, make: Callable[[SshTarget], SshExecution | KeptExecution]
    ) -> None:
        self._hosts, self._host, self._make = hosts, host, make
        self._execution: SshExecution | KeptExecution | None = None
        self._is_cancelled = False

    async def run(self, sink: Sink) -> Result:
        target = await self._hosts.ready_target(self._host)
        if self._is_cancelled:
            return Result(None, RunState.CANCELLED, "Cancelled before the command was sent.")
        self._execution = self._make(target)
        return await self._execution.run(sink)

    async def cancel(self) -> bool | None:
        self._is_cancelled = True
        return await self._execution.cancel() if self._execution else True

    async def remove(self) -> None:
        """Remove what its host holds of a kept command whose end is stored."""
        if isinstance(self._execution, KeptExecution):
            await self._execution.remove()


def _patience(connect_seconds: int | None) -> Patience:
    usual = Patience()
    if connect_seconds is None:
        return usual
    first = min(usual.connect_seconds, connect_seconds)
    return replace(usual, contact_seconds=connect_seconds + _MARGIN_SECONDS, connect_seconds=first)


def _call_limits(job: Job) -> CallLimits:
    usual, options = CallLimits(), job.options
    own = [limit for limit in (options.first_byte_seconds, options.silence_seconds) if limit is not None]
    return CallLimits(
        connect_seconds=options.connect_seconds or usual.connect_seconds,
        silence_seconds=max(own) + _MARGIN_SECONDS if own else usual.silence_seconds,
        total_seconds=job.timeout_seconds + _MARGIN_SECONDS,
    )
