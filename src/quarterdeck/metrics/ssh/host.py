"""The sampling of one SSH host: a channel, what it said last, and what is made of the two."""

import random
from collections.abc import Awaitable, Callable
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.hosts.models import HostRecord
from quarterdeck.hosts.ssh import SshError
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.ssh.figures import Said, frame_between, read_answer, read_facts
from quarterdeck.metrics.ssh.shell import Parts, ShellChannel
from quarterdeck.protocol.samples import Mount

_DISKS_SECONDS: Final = 15.0
_DISKS_AGAIN_SECONDS: Final = 3600.0
_LEAST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 300.0


class NotSampled(QuarterdeckError):
    """The host can be reached, but there is nothing on it that could be read."""

    status = 409
    title = "Can't be sampled"


class SshHost:
    """Goes on from channel to channel; ``tries`` counts those that failed since one went well."""

    def __init__(self, host: HostRecord, fleet: Fleet, clock: Clock) -> None:
        self._host, self._fleet, self._clock = host, fleet, clock
        self._mounts: list[Mount] = []
        self._disks_due = 0.0
        self.tries = 0

    async def follow(
        self,
        channel: ShellChannel,
        *,
        pause: Callable[[], Awaitable[float]],
        on_well: Callable[[], Awaitable[None]],
    ) -> None:
        """Sample over a channel until it fails; raises SshError or NotSampled.

        ``pause`` waits until the next sample is due and returns how often one is.
        """
        parts = await self._ask(channel, "facts")
        before = self._read(parts)
        now = self._clock.now().timestamp()
        self._fleet.take_facts(self._host.id, read_facts(parts, before, now))
        await on_well()
        while True:
            interval = await pause()
            said = self._read(await self._ask(channel))
            now = self._clock.now().timestamp()
            frame = frame_between(before, said, self._mounts, now)
            self._fleet.take(self._host.id, frame, at=now, interval_seconds=interval)
            before, self.tries = said, 0

    def next_pause_seconds(self) -> float:
        """Return how long to leave the host alone after a failure; longer each time, with jitter."""
        self.tries += 1
        most = min(_LONGEST_PAUSE, _LEAST_PAUSE * 2.0 ** min(self.tries, 10))
        return random.uniform(most / 2, most)  # noqa: S311 - jitter, not a secret

    async def _ask(self, channel: ShellChannel, *wanted: str) -> Parts:
        now = self._clock.monotonic()
        if now < self._disks_due:
            return await channel.ask(*wanted)
        self._disks_due = now + _DISKS_SECONDS
        try:
            return await channel.ask(*wanted, "disks")
        except SshError:
            # Perhaps df hangs on a network file system: the next channel does without it for a while.
            self._disks_due = now + _DISKS_AGAIN_SECONDS
            raise

    def _read(self, parts: Parts) -> Said:
        said = read_answer(parts, self._clock.monotonic())
        if said is None:
            raise NotSampled(f"{self._host.name} has no /proc as Linux has it, so its figures can't be read.")
        if said.mounts is not None:
            self._mounts = said.mounts
        return said
