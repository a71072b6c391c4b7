"""The watch over all hosts: asks every worker how it is, and makes the first contacts that are due."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from quarterdeck import __version__
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Unreachable
from quarterdeck.history.service import History
from quarterdeck.hosts.changes import ROOM, Publish
from quarterdeck.hosts.contacts import Transition
from quarterdeck.hosts.models import HostKind, HostRecord, HostState, WorkerLink
from quarterdeck.hosts.probing import reason_of, verdict
from quarterdeck.hosts.service import Hosts

logger = logging.getLogger(__name__)

Announce = Callable[[str, str, str], None]
"""Tells operators a text, with its level and a link."""

LATE_AFTER: Final = 2
LOST_AFTER: Final = 4
_AT_ONCE: Final = 100
_LOOKS_AT_ONCE: Final = 20
_LOOK_AGAIN_SECONDS: Final = 60
_SAVE_SECONDS: Final = 60
_SINGLE_NEWS: Final = 3
_SEVERITY: Final = (
    HostState.WELL,
    HostState.UNKNOWN,
    HostState.LATE,
    HostState.LOST,
    HostState.REVOKED,
)


class HealthWatch:
    """Runs on the master's loop for as long as the master does."""

    def __init__(
        self,
        hosts: Hosts,
        history: History,
        clock: Clock,
        settings: Settings,
        *,
        publish: Publish,
        announce: Announce,
    ) -> None:
        self._hosts, self._history, self._clock, self._settings = hosts, history, clock, settings
        self._publish, self._announce = publish, announce
        self._missed: dict[str, int] = {}
        self._next_look: dict[str, float] = {}
        self._known: dict[str, HostRecord] = {}
        self._save_at = clock.monotonic() + _SAVE_SECONDS

    async def run(self) -> None:
        """Watch until cancelled; a round that fails is logged and the next one begins in its time."""
        while True:
            began = self._clock.monotonic()
            try:
                await self.round()
            except Exception:
                logger.exception("a round of the watch over the hosts failed")
            passed = self._clock.monotonic() - began
            await asyncio.sleep(max(0.1, self._settings.health_seconds - passed))

    async def round(self) -> None:
        """Ask all workers once, look at new SSH hosts, and tell what changed."""
        hosts = await asyncio.to_thread(self._hosts.list_hosts)
        self._note_changes_from_outside(hosts)
        workers = await asyncio.to_thread(self._hosts.links.worker_links)
        limit = asyncio.Semaphore(_AT_ONCE)
        transitions = await asyncio.gather(*(self._ask(limit, host, link) for host, link in workers))
        for host in hosts:
            if host.state is HostState.REVOKED:  # perhaps by another process, which follows no orders
                await self._hosts.revoking.end_orders(host)
            if host.kind is HostKind.MASTER:
                await self._note(host, HostState.WELL, "", __version__)
        await self._look_at_new(hosts)
        await asyncio.to_thread(self._tell, [transition for transition in transitions if transition])
        self._tell_ages()
        if self._clock.monotonic() >= self._save_at:
            await self.save()

    async def save(self) -> None:
        """Write the times of contact that only memory holds; call it at the end too."""
        self._save_at = self._clock.monotonic() + _SAVE_SECONDS
        await asyncio.to_thread(self._hosts.contacts.save_times)

    async def _ask(self, limit: asyncio.Semaphore, host: HostRecord, link: WorkerLink) -> Transition | None:
        async with limit:
            try:
                health, fault = await self._hosts.probing.ask_worker(host, link)
            except Unreachable as error:
                return await self._miss(host, reason_of(error, host.name))
        self._missed.pop(host.id, None)
        self._history.note_witness(host.name, health.head, health.seq)
        return await self._note(host, *verdict(health, fault))

    async def _miss(self, host: HostRecord, reason: str) -> Transition | None:
        missed = self._missed[host.id] = self._missed.get(host.id, 0) + 1
        state = host.state
        if missed >= LATE_AFTER:
            state = HostState.LOST if missed >= LOST_AFTER else HostState.LATE
        elif host.state is HostState.WELL:
            return None  # once is nothing
        return await self._note(host, max(state, host.state, key=_SEVERITY.index), reason, host.version)

    async def _note(self, host: HostRecord, state: HostState, reason: str, version: str) -> Transition | None:
        return await asyncio.to_thread(self._hosts.contacts.note, host.id, state, reason, version)

    async def _look_at_new(self, hosts: list[HostRecord]) -> None:
        """Fetch the keys of SSH hosts that nobody has seen yet, a minute apart for those that are down."""
        now = self._clock.monotonic()
        due = [host for host in hosts if host.awaits_key and self._next_look.get(host.id, now) <= now]
        for host in due:
            self._next_look[host.id] = now + _LOOK_AGAIN_SECONDS
        limit = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(host: HostRecord) -> None:
            async with limit:
                await self._hosts.probing.test(host)

        await asyncio.gather(*(look(host) for host in due))

    def _note_changes_from_outside(self, hosts: list[HostRecord]) -> None:
        """Tell the pages of hosts that the command line or another master changed."""
        current = {host.id: replace(host, last_seen=None) for host in hosts}
        if self._known:
            changed = [each for each in current if self._known.get(each) != current[each]]
            self._hosts.changes.note([*changed, *(self._known.keys() - current.keys())])
        for gone in self._missed.keys() - current.keys():
            del self._missed[gone]
        for gone in self._next_look.keys() - current.keys():
            del self._next_look[gone]
        self._known = current

    def _tell(self, transitions: Iterable[Transition]) -> None:
        """Announce lost hosts and those that are back; many at once in one message."""
        lost, back = [], []
        for each in transitions:
            if each.after is HostState.LOST:
                lost.append(each)
            elif each.before is HostState.LOST and each.after is HostState.WELL:
                back.append(each)
        if len(lost) > _SINGLE_NEWS:
            self._announce(f"{len(lost)} hosts are lost.", "error", "/hosts?state=lost")
        else:
            for each in lost:
                self._announce(f"{each.name} is lost. {each.reason}", "error", f"/hosts/{each.name}")
        if len(back) > _SINGLE_NEWS:
            self._announce(f"{len(back)} hosts are back.", "success", "/hosts")
        else:
            for each in back:
                self._announce(f"{each.name} is back.", "success", f"/hosts/{each.name}")

    def _tell_ages(self) -> None:
        """Let open pages renew the ages of all hosts that answered, in one small message."""
        at = self._clock.now().isoformat()
        self._publish("hosts:seen", {"at": at, "missed": sorted(self._missed)}, room=ROOM)
