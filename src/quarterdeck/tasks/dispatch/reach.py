"""Whether a host can be reached at all, found out without beginning anything there.

An order that may wait for its host looks here first: as long as it is queued it has surely not begun, so it
can go on waiting after a restart of the master.
"""

import asyncio
import contextlib
import random
import socket
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError, Unreachable
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.ssh import Reason, SshError, SshPool
from quarterdeck.hosts.worker_calls import WorkerRefused
from quarterdeck.protocol.tasks import CallTask
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.jobs import Job
from quarterdeck.tasks.dispatch.limits import target_within
from quarterdeck.tasks.states import RunState

_AWAY: Final = frozenset({Reason.REFUSED, Reason.NO_ROUTE, Reason.TIMEOUT, Reason.LOST, Reason.JUMP})
"""What passes by itself. A name nobody knows, a key or a password is for a person to mend."""
_AT_ONCE: Final = 10
_LEAST_SECONDS: Final = 1.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_CONNECT_SECONDS: Final = 10
_PORTS: Final = {"http": 80, "https": 443}


class Reach:
    """Looks for hosts. Of those that wait for theirs a few look at a time, without a slot of the runs."""

    def __init__(self, hosts: Hosts, pool: SshPool, clock: Clock) -> None:
        self._hosts, self._pool, self._clock = hosts, pool, clock
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def look(self, job: Job, part: HostRun, expires_at: datetime) -> Unreachable | None:
        """Return why the host can't be reached now; None when it can, or when waiting would not help.

        What a person must mend is not told here: then the task is begun, and fails with that reason.
        """
        left = (expires_at - self._clock.now()).total_seconds()
        try:
            async with asyncio.timeout(max(left, _LEAST_SECONDS)):
                await self._look(job, part.host)
        except TimeoutError:
            return Unreachable("It does not answer.")
        except SshError as error:
            return error if error.reason in _AWAY else None
        except WorkerRefused:
            return None
        except Unreachable as error:
            return error
        except QuarterdeckError:
            return None
        return None

    async def until_there(self, job: Job, part: HostRun, expires_at: datetime, fault: Unreachable) -> None:
        """Return when the host answers again, or when the order has expired and so has ended."""
        tries, found = 0, fault
        while part.may_begin:
            now = self._clock.now()
            left, until = (expires_at - now).total_seconds(), clock_text(expires_at, now)
            if left <= 0:
                told = f"Expired: {part.host.name} could not be reached until {until}. {found.message}"
                part.fail(found, RunState.TIMED_OUT, told)
                return
            part.wait(f"{part.host.name} can't be reached; trying until {until}.")
            await asyncio.sleep(min(pause_seconds(tries), left))
            tries += 1
            async with self._few:
                again = await self.look(job, part, expires_at)
            if again is None:
                part.wait("")
                return
            found = again

    async def _look(self, job: Job, host: HostRecord) -> None:
        """Raise QuarterdeckError when the host, or the address that is to be called, does not answer."""
        if isinstance(job.task, CallTask) and not job.task.url.startswith("/"):
            await _look_at_address(job.task.url, job.options.connect_seconds or _CONNECT_SECONDS)
        elif host.kind is HostKind.SSH:
            target = target_within(await self._hosts.ready_target(host), job.options)
            async with self._pool.session(target):
                pass  # the connection stays open for the command
        elif host.kind is HostKind.WORKER:
            link = await asyncio.to_thread(self._hosts.worker_link, host)
            await self._hosts.calls.health(link)


async def _look_at_address(url: str, seconds: int) -> None:
    """Connect and send nothing: what may be asked there begins below the registered address only."""
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(*place)
    except socket.gaierror:
        return
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"{place[0]} port {place[1]} takes no connection.") from error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def pause_seconds(tries: int) -> float:
    """Return how long to wait after so many vain tries: longer each time, never the same for two hosts."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(tries, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing


def expiry_of(created_at: datetime, expires_seconds: int | None) -> datetime | None:
    """Return until when the parts of a run wait for their hosts; None when they don't."""
    return created_at + timedelta(seconds=expires_seconds) if expires_seconds is not None else None


def clock_text(moment: datetime, now: datetime) -> str:
    """Return a time as a message tells it, with the day when it is another one."""
    return f"{moment:%H:%M} UTC" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M} UTC"
