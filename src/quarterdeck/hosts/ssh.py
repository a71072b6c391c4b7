"""Connections to SSH hosts, kept open and shared by all that is run there.

One pool lives on the node's event loop. A connection carries a few sessions at once, as sshd's
MaxSessions allows; a host gets more connections when more is asked of it, and loses them when idle.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from quarterdeck.core.clock import Clock, SystemClock
from quarterdeck.core.config import KeyExchange
from quarterdeck.hosts.host_keys import HostKey, read_host_key
from quarterdeck.hosts.ssh_connect import Connector, KeyChanged
from quarterdeck.hosts.ssh_errors import Reason, SshError, StartUnknown, via_jump
from quarterdeck.hosts.ssh_target import SshTarget, check_target, name_problem

__all__ = [
    "HostKey",
    "Lease",
    "Reason",
    "SshError",
    "SshPool",
    "SshTarget",
    "StartUnknown",
    "check_target",
    "name_problem",
    "read_host_key",
]

SESSIONS_A_CONNECTION: Final = 8  # sshd's MaxSessions is 10 by default; two stay free for cancelling
_SPARE_SESSIONS: Final = 2
CONNECTIONS_A_HOST: Final = 6
HANDSHAKES_A_HOST: Final = 5
HANDSHAKES_IN_ALL: Final = 50
IDLE_SECONDS: Final = 300
_SESSIONS_BEFORE_RAISE: Final = 32

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Line:
    """One connection and how many sessions it carries."""

    connection: asyncssh.SSHClientConnection
    sessions: int = 0
    opened: int = 0
    tunnels: int = 0
    idle_since: float = 0
    jump: "Lease | None" = None

    @property
    def is_idle(self) -> bool:
        return not self.sessions and not self.tunnels


@dataclass(eq=False, slots=True)
class _Host:
    """All connections to one target, and who waits for a session there."""

    target: SshTarget
    cap: int = SESSIONS_A_CONNECTION
    ended_well: int = 0
    most_lines: int = CONNECTIONS_A_HOST
    most_openings: int = HANDSHAKES_A_HOST
    lines: list[_Line] = field(default_factory=list)
    openings: set["asyncio.Task[None]"] = field(default_factory=set)
    waiting: "deque[asyncio.Future[_Line]]" = field(default_factory=deque)

    def free_line(self) -> _Line | None:
        """Return the fullest connection that has a place left, so that the others can become idle."""
        free = [line for line in self.lines if line.sessions < self.cap]
        return max(free, key=lambda line: line.sessions) if free else None

    def spare_line(self) -> _Line | None:
        """Return a connection for what can't wait, when all are full and no more may be opened."""
        if self.cap < SESSIONS_A_CONNECTION or len(self.lines) < self.most_lines:
            return None
        line = min(self.lines, key=lambda line: line.sessions)
        return line if line.sessions < self.cap + _SPARE_SESSIONS else None

    def wants_line(self) -> bool:
        opening = len(self.openings)
        return (
            len(self.waiting) > opening * self.cap
            and len(self.lines) + opening < self.most_lines
            and opening < self.most_openings
        )

    def lower_cap(self, opened: int) -> None:
        """Ask no more sessions of a connection than the server has open there."""
        self.cap = max(1, min(self.cap, opened))
        self.ended_well = 0

    def raise_cap(self) -> None:
        """After a while without refusals try one session more: the refusal may have been a passing one."""
        self.ended_well += 1
        if self.ended_well >= _SESSIONS_BEFORE_RAISE and self.cap < SESSIONS_A_CONNECTION:
            self.cap += 1
            self.ended_well = 0

    def slow_down(self) -> None:
        """Shake hands one at a time, because the server dropped a connection before sign-in."""
        self.most_openings = 1


class Lease:
    """A place for one session on a connection, to be given back by ``end``."""

    def __init__(self, pool: "SshPool", host: _Host, line: _Line) -> None:
        self._pool = pool
        self._host = host
        self._line = line
        self._opened = False
        self._ended = False

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        return self._line.connection

    def opened(self) -> None:
        """Note that the server opened the session."""
        self._opened = True
        self._line.opened += 1

    def refused(self) -> bool:
        """Note that the server refuses one more session; returns whether any is open on this connection."""
        self._host.lower_cap(self._line.opened)
        return self._line.opened > 0

    def become_tunnel(self) -> None:
        """Keep the connection open for a host behind it, without taking a session's place."""
        self._line.tunnels += 1
        self._pool.give_back(self._host, self._line)

    def end_tunnel(self) -> None:
        self._line.tunnels -= 1

    def end(self) -> None:
        """Give the place back; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        if self._opened:
            self._line.opened -= 1
            self._host.raise_cap()
        self._pool.give_back(self._host, self._line)


class SshPool:
    """The connections to all SSH hosts; lives on the event loop and is used from there only."""

    def __init__(
        self,
        *,
        exchange: KeyExchange = KeyExchange.FAST,
        clock: Clock | None = None,
        agent_path: str | None = None,
        on_key_changed: KeyChanged | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """``on_key_changed`` is told of a target whose key is not the pinned one, with the offered one."""
        asyncssh.set_log_level(logging.WARNING)  # below that asyncssh logs commands, which may hold secrets
        self._connector = Connector(exchange=exchange, agent_path=agent_path, on_key_changed=on_key_changed)
        self._clock = clock or SystemClock()
        self._idle_seconds = idle_seconds
        self._hosts: dict[SshTarget, _Host] = {}
        self._handshakes = asyncio.Semaphore(HANDSHAKES_IN_ALL)
        self._closing = False
        self._sweeping: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def session(self, target: SshTarget) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Lend a connection for one session at a time; raises SshError or Invalid."""
        lease = await self.lease(target)
        try:
            yield lease.connection
        finally:
            lease.end()

    async def lease(self, target: SshTarget, *, is_urgent: bool = False) -> Lease:
        """Wait for a place for one session; raises SshError, or Invalid for a name nobody may connect to.

        What ends a command is urgent: it does not wait for the end of the others that run there.
        """
        host = self._hosts.get(target)
        if host is None:
            check_target(target)
            host = self._hosts[target] = _Host(target)
        line = host.free_line() or (host.spare_line() if is_urgent else None)
        if line is None:
            line = await self._wait_for_line(host)
        else:
            line.sessions += 1
        return Lease(self, host, line)

    async def scan_host_key(self, target: SshTarget) -> HostKey:
        """Read the key that the host shows, without signing in (a jump host is signed in to)."""
        check_target(target)
        jump = await self._jump(target)
        try:
            async with self._handshakes:
                return await self._connector.scan(target, jump.connection if jump else None)
        finally:
            if jump:
                jump.end_tunnel()

    async def forget(self, host_id: str) -> None:
        """Close what is open to a host, because it was changed or removed."""
        for target in [target for target in self._hosts if target.host_id == host_id]:
            await self._close_host(self._hosts.pop(target))

    async def close(self) -> None:
        """Close all connections; nothing can be leased afterwards."""
        self._closing = True
        if self._sweeping:
            self._sweeping.cancel()
        while self._hosts:
            await self._close_host(self._hosts.popitem()[1])

    def connections(self) -> int:
        """Count the open connections."""
        return sum(len(host.lines) for host in self._hosts.values())

    def give_back(self, host: _Host, line: _Line) -> None:
        """Take a session's place back and hand it to who waits longest."""
        line.sessions -= 1
        line.idle_since = self._clock.monotonic()
        self._hand_out(host)

    def sweep(self) -> None:
        """End the connections that nobody used for a while, and forget hosts without any."""
        before = self._clock.monotonic() - self._idle_seconds
        for target, host in list(self._hosts.items()):
            for line in [line for line in host.lines if line.is_idle and line.idle_since <= before]:
                host.lines.remove(line)
                line.connection.close()
            if not host.lines and not host.openings and not host.waiting:
                del self._hosts[target]

    async def _wait_for_line(self, host: _Host) -> _Line:
        if self._closing:
            raise SshError(Reason.LOST, "The node is stopping; try again in a moment.")
        waiting: asyncio.Future[_Line] = asyncio.get_running_loop().create_future()
        host.waiting.append(waiting)
        self._open_more(host)
        try:
            return await waiting
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                host.waiting.remove(waiting)
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.give_back(host, waiting.result())
            raise

    def _open_more(self, host: _Host) -> None:
        while host.wants_line():
            opening = asyncio.ensure_future(self._open(host))
            host.openings.add(opening)
            opening.add_done_callback(lambda done: self._opening_ended(host, done))

    def _opening_ended(self, host: _Host, opening: "asyncio.Task[None]") -> None:
        host.openings.discard(opening)
        error = None if opening.cancelled() else opening.exception()
        if error and (host.lines or host.openings):
            # The other connections serve those who wait; a server under pressure is not asked again at once.
            host.most_lines = max(1, len(host.lines) + len(host.openings))
        elif error:
            _refuse_all(host, error)
        if not self._closing:
            self._hand_out(host)
            self._open_more(host)

    async def _open(self, host: _Host) -> None:
        jump = await self._jump(host.target)
        try:
            async with self._handshakes:
                connection, gate = await self._connector.connect(
                    host.target, jump.connection if jump else None, host.slow_down
                )
        except BaseException:
            if jump:
                jump.end_tunnel()
            raise
        line = _Line(connection, idle_since=self._clock.monotonic(), jump=jump)
        host.lines.append(line)
        gate.on_lost = lambda: self._line_lost(host, line)
        if connection.is_closed():
            self._line_lost(host, line)
        self._sweep_later()

    async def _jump(self, target: SshTarget) -> Lease | None:
        if target.jump is None:
            return None
        try:
            lease = await self.lease(target.jump)
        except SshError as error:
            raise via_jump(target.jump, error) from error
        lease.become_tunnel()
        return lease

    def _hand_out(self, host: _Host) -> None:
        while host.waiting and (line := host.free_line()):
            waiting = host.waiting.popleft()
            if not waiting.done():
                line.sessions += 1
                waiting.set_result(line)

    def _line_lost(self, host: _Host, line: _Line) -> None:
        if line in host.lines:
            host.lines.remove(line)
        if line.jump:
            line.jump.end_tunnel()
            line.jump = None
        if not self._closing:
            self._open_more(host)

    def _sweep_later(self) -> None:
        if self._sweeping is None and not self._closing:
            self._sweeping = asyncio.get_running_loop().call_later(self._idle_seconds / 4, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweeping = None
        self.sweep()
        if self._hosts:
            self._sweep_later()

    async def _close_host(self, host: _Host) -> None:
        for opening in list(host.openings):
            opening.cancel()
        _refuse_all(
            host, SshError(Reason.LOST, f"The connection to {host.target.name} was ended by this node.")
        )
        lines, host.lines = host.lines, []
        for line in lines:
            line.connection.close()
        await asyncio.gather(
            *(_closed(line.connection) for line in lines), *host.openings, return_exceptions=True
        )


async def _closed(connection: asyncssh.SSHClientConnection) -> None:
    """Wait until a connection is closed, and cut it when the other side doesn't answer."""
    try:
        async with asyncio.timeout(2):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()


def _refuse_all(host: _Host, error: BaseException) -> None:
    """Fail everyone who waits, each with an error of their own."""
    while host.waiting:
        waiting = host.waiting.popleft()
        if not waiting.done():
            waiting.set_exception(_copy(error))


def _copy(error: BaseException) -> BaseException:
    return SshError(error.reason, error.message) if isinstance(error, SshError) else error
