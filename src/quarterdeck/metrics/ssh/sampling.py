"""Samples SSH hosts that have no worker, through a shell channel each: those with the tag of the setting.

A channel takes one of the sessions of the connection that runs share. It is asked each 15 s, and each second
while somebody looks. A host that fails is left alone for longer and longer, up to five minutes.
"""

import asyncio
import logging
import random
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.hosts.models import HostKind, HostRecord, HostState
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.ssh import SshError, SshPool
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.ssh.host import SshHost
from quarterdeck.metrics.ssh.shell import ShellChannel

logger = logging.getLogger(__name__)

_LIST_SECONDS: Final = 15.0
_FIRST_SECONDS: Final = 1.0


class SshSampling:
    """Lives on the master's loop; without a ``tag`` it samples nobody."""

    def __init__(
        self, hosts: Hosts, pool: SshPool, fleet: Fleet, attention: Attention, clock: Clock, *, tag: str
    ) -> None:
        self._hosts, self._pool, self._fleet = hosts, pool, fleet
        self._attention, self._clock, self._tag = attention, clock, tag
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Sample until cancelled; every 15 s it is seen which hosts have the tag."""
        if not self._tag:
            return
        try:
            while True:
                try:
                    await self.follow_list()
                except Exception:
                    logger.exception("the SSH hosts to sample could not be listed; it is tried again")
                await asyncio.sleep(_LIST_SECONDS)
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def follow_list(self) -> None:
        """Begin with hosts that have the tag by now, and leave those that have it no more."""
        found = await asyncio.to_thread(self._hosts.list_hosts, tags=(self._tag,), kinds=(HostKind.SSH,))
        wanted = {host.id: host for host in found}
        for gone in self._tasks.keys() - wanted.keys():
            self._tasks.pop(gone).cancel()
            self._looks.pop(gone)
        for new in wanted.keys() - self._tasks.keys():
            self._looks[new] = asyncio.Event()
            self._tasks[new] = asyncio.get_running_loop().create_task(self._keep(wanted[new]))

    def watch(self, host_id: str) -> None:
        """Sample a host at once, for somebody looks at it now. On the loop only."""
        if look := self._looks.get(host_id):
            look.set()

    async def _keep(self, host: HostRecord) -> None:
        """Sample one host until cancelled, over one channel after the other."""
        sampled = SshHost(host, self._fleet, self._clock)
        while True:
            try:
                await self._follow(host, sampled)
            except QuarterdeckError as error:
                logger.info("%s is not sampled now: %s", host.name, error.message)
                if isinstance(error, SshError):
                    await self._hosts.note_ssh_error(host.id, error)
            except Exception:
                logger.exception("sampling %s failed; it is tried again", host.name)
            await asyncio.sleep(sampled.next_pause_seconds())

    async def _follow(self, host: HostRecord, sampled: SshHost) -> None:
        # The record anew: address and keys may have been changed since the channel before.
        host = await asyncio.to_thread(self._hosts.list.get_by_id, host.id)
        target = await self._hosts.ready_target(host)
        channel = await ShellChannel.open(self._pool, target)
        is_first = True

        async def pause() -> float:
            nonlocal is_first
            interval = self._attention.interval_of(host.id)
            # The first sample soon, but not of all hosts at one moment.
            seconds = random.uniform(_FIRST_SECONDS, 2 * _FIRST_SECONDS) if is_first else interval  # noqa: S311
            is_first = False
            look = self._looks[host.id]
            look.clear()
            try:
                await asyncio.wait_for(look.wait(), seconds)
            except TimeoutError:
                return interval
            return self._attention.interval_of(host.id)

        async def on_well() -> None:
            await asyncio.to_thread(self._hosts.note_contact, host.id, HostState.WELL)

        try:
            await sampled.follow(channel, pause=pause, on_well=on_well)
        finally:
            channel.close()
