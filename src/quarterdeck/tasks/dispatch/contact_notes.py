"""Tells the list of hosts what runs learnt of them: it answered, or why it did not."""

import asyncio
import logging
from typing import Final

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.ssh import SshError
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.states import RunState

logger = logging.getLogger(__name__)

_GATHER_SECONDS: Final = 0.2


class ContactNotes:
    """Gathers notes for a moment, so that a run on 1,000 hosts is one piece of work. Lives on the loop.

    Only SSH hosts are noted: workers are asked for their health all the time, and the master is here.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._latest: dict[str, SshError | None] = {}
        """By host id: why the last contact failed, or None when it was well."""
        self._writer: asyncio.Task[None] | None = None

    def note(self, part: HostRun) -> None:
        """Take in how a host's part ended."""
        if part.host.kind is not HostKind.SSH or isinstance(part.job.task, CallTask):
            return
        if isinstance(part.failure, SshError):
            self._latest[part.host.id] = part.failure
        elif part.started_at is not None and part.state is not RunState.LOST:
            self._latest[part.host.id] = None
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._latest:
            await asyncio.sleep(_GATHER_SECONDS)
            latest, self._latest = self._latest, {}
            try:
                well = [host_id for host_id, error in latest.items() if error is None]
                await asyncio.to_thread(self._hosts.note_well, well)
                for host_id, error in latest.items():
                    if error is not None:
                        await self._hosts.note_ssh_error(host_id, error)
            except QuarterdeckError as error:
                logger.warning("the state of %d hosts was not noted: %s", len(latest), error.message)
        self._writer = None
