"""The SSH side of a simulated fleet: one process that is a server for each host, and has no shell.

A session's line is read, its answer made up (``answers``), and nothing else is served: no terminal,
no shell, no files, no forwarding.
"""

import asyncio
import itertools
import logging
import random
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import asyncssh

from quarterdeck.tasks.simulation.answers import Err, Exit, Out, Pause, Step, steps_of
from quarterdeck.tasks.simulation.fleet import Manner, SimulatedHost
from quarterdeck.tasks.simulation.keys import FleetKeys
from quarterdeck.tasks.simulation.lines import Ending, Plain, Running, read_line
from quarterdeck.tasks.simulation.sockets import listening_sockets
from quarterdeck.tasks.simulation.timing import Latency, MaxStartups

_BANNER: Final = "Quarterdeck_simulation"
_SIGN_IN_SECONDS: Final = 60
_FIRST_GROUP: Final = 1_000
_MOST_MARKS: Final = 200
_TERMINATED: Final = "TERM"


class SimulatedSsh:
    """All SSH hosts of a fleet. ``listen`` takes their places, ``serve`` and ``close`` belong to the loop."""

    def __init__(
        self,
        hosts: Sequence[SimulatedHost],
        keys: FleetKeys,
        latency: Latency,
        *,
        max_startups: MaxStartups | None = None,
        seed: int = 0,
    ) -> None:
        asyncssh.set_log_level(logging.CRITICAL)  # it is the client whose errors are of interest
        self.latency, self.max_startups = latency, max_startups
        self.client_key = keys.client.export_public_key("openssh")
        self.chance = random.Random(f"{seed}/startups")  # noqa: S311 - a simulation, no secret
        self.groups = itertools.count(_FIRST_GROUP)
        self._keys = keys
        self._served = [ServedHost(host, self) for host in hosts if host.manner is not Manner.REFUSING]
        self._sockets: list[socket.socket] = []
        self._acceptors: list[asyncssh.SSHAcceptor] = []

    def listen(self) -> None:
        """Take the place of every host that does not refuse; raises OSError, and then has none of them."""
        self._sockets = listening_sockets(served.host for served in self._served)

    async def serve(self) -> None:
        """Answer from now on."""
        options = {
            number: asyncssh.SSHServerConnectionOptions(
                config=None,
                server_host_keys=[key],
                server_version=_BANNER,
                login_timeout=_SIGN_IN_SECONDS,
                password_auth=False,
                kbdint_auth=False,
                host_based_auth=False,
                gss_host=None,
                allow_pty=False,
                agent_forwarding=False,
                x11_forwarding=False,
                line_editor=False,
                compression_algs=["none"],
                encoding=None,
            )
            for number, key in enumerate(self._keys.hosts)
        }
        for served, taken in zip(self._served, self._sockets, strict=True):
            self._acceptors.append(await self._accept(served, taken, options))

    async def close(self) -> None:
        """Let nobody in any more, and cut every connection."""
        for acceptor in self._acceptors:
            acceptor.close()
        for served in self._served:
            served.cut()
        await asyncio.sleep(0)
        for taken in self._sockets:
            taken.close()
        self._sockets.clear()

    async def _accept(
        self,
        served: "ServedHost",
        taken: socket.socket,
        options: Mapping[int, asyncssh.SSHServerConnectionOptions],
    ) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            sock=taken,
            config=None,
            options=options[served.host.number % len(options)],
            server_factory=lambda: _Server(served),
        )


class ServedHost:
    """What one host has under way: its connections, and its commands by their marks."""

    def __init__(self, host: SimulatedHost, fleet: SimulatedSsh) -> None:
        self.host, self.fleet = host, fleet
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.waiting = 0
        """How many connections have not signed in yet."""
        self.marks: dict[str, asyncio.Task[None] | None] = {}
        """The marks of the commands of late, with the task of those that run."""

    def takes_one_more(self) -> bool:
        """Decide about a new connection, as sshd does by its MaxStartups."""
        if self.host.manner is Manner.DROPPING:
            return False
        limit = self.fleet.max_startups
        return limit is None or self.fleet.chance.uniform(0, 100) >= limit.percent_dropped(self.waiting)

    def note(self, mark: str, work: asyncio.Task[None] | None) -> None:
        """Note that a command runs, or that it has ended."""
        self.marks[mark] = work
        if work and len(self.marks) > _MOST_MARKS:
            ended = (each for each, task in self.marks.items() if task is None)
            self.marks.pop(next(ended, ""), None)

    def cut(self) -> None:
        for connection in list(self.connections):
            connection.abort()


class _Server(asyncssh.SSHServer):
    """One connection: who may sign in, and what is opened for whom has."""

    def __init__(self, served: ServedHost) -> None:
        self._served = served
        self._connection: asyncssh.SSHServerConnection | None = None
        self._is_waiting = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if not self._served.takes_one_more():
            conn.abort()
            return
        self._connection = conn
        self._served.connections.add(conn)
        self._served.waiting += 1
        self._is_waiting = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection:
            self._served.connections.discard(self._connection)
        self._waits_no_more()

    async def begin_auth(self, username: str) -> bool:
        await asyncio.sleep(self._served.fleet.latency.network_seconds())
        return True

    def auth_completed(self) -> None:
        self._waits_no_more()

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.export_public_key("openssh") == self._served.fleet.client_key

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._served)

    def _waits_no_more(self) -> None:
        self._served.waiting -= self._is_waiting
        self._is_waiting = False


class _Session(asyncssh.SSHServerSession[bytes]):
    """One line of a client, carried out by steps; it ends with its connection."""

    def __init__(self, served: ServedHost) -> None:
        self._served = served
        self._line = ""
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._work: asyncio.Task[None] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        self._line = command
        return True

    def session_started(self) -> None:
        if self._channel:
            self._work = asyncio.ensure_future(self._answer(self._channel))

    def eof_received(self) -> bool:
        return True  # an empty input is no reason to end; asyncssh would close the channel

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._work:
            self._work.cancel()

    async def _answer(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        try:
            match read_line(self._line):
                case Running() as running:
                    await self._run(channel, running)
                case Ending(mark) if mark in self._served.marks:
                    await self._end(channel, mark)
                case Ending(line=command) | Plain(command):
                    await self._perform(channel, command)
        except asyncio.CancelledError:
            channel.exit_with_signal(_TERMINATED)
        except OSError:
            channel.abort()  # the client closed the channel in the middle of it

    async def _run(self, channel: asyncssh.SSHServerChannel[bytes], running: Running) -> None:
        channel.write_stderr(running.told(next(self._served.fleet.groups)))
        self._served.note(running.mark, asyncio.current_task())
        try:
            await self._perform(channel, running.command)
        finally:
            self._served.note(running.mark, None)

    async def _end(self, channel: asyncssh.SSHServerChannel[bytes], mark: str) -> None:
        await asyncio.sleep(self._served.fleet.latency.network_seconds())
        if work := self._served.marks.get(mark):
            work.cancel()
            await asyncio.wait({work})
        channel.write(b"gone\n")
        channel.exit(0)

    async def _perform(self, channel: asyncssh.SSHServerChannel[bytes], command: str) -> None:
        await asyncio.sleep(self._served.fleet.latency.command_seconds(self._served.host))
        for step in steps_of(self._served.host, command):
            await self._take(channel, step)

    async def _take(self, channel: asyncssh.SSHServerChannel[bytes], step: Step) -> None:
        await self._writable.wait()
        match step:
            case Out(data):
                channel.write(data)
            case Err(data):
                channel.write_stderr(data)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Exit(status):
                channel.exit(status)
