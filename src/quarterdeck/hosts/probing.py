"""Testing a host: connect and sign in, and say in plain words what came of it."""

import asyncio
from dataclasses import dataclass

import asyncssh

from quarterdeck import __version__
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import QuarterdeckError, Unreachable
from quarterdeck.hosts.contacts import Contacts
from quarterdeck.hosts.host_keys import HostKey, read_host_key
from quarterdeck.hosts.joining import Joining
from quarterdeck.hosts.links import Links
from quarterdeck.hosts.models import HostKind, HostRecord, HostState, WorkerLink
from quarterdeck.hosts.ssh import SshPool
from quarterdeck.hosts.ssh_errors import Reason, SshError
from quarterdeck.hosts.standing import skew_text
from quarterdeck.hosts.trust import Trust
from quarterdeck.hosts.worker_calls import WorkerCalls
from quarterdeck.protocol.orders import Health

_NOT_ITS_FAULT = frozenset({Reason.HOST_KEY_UNCONFIRMED, Reason.KEY_UNREADABLE})
"""Reasons that say nothing about whether the host is up."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a test of a host found; ``host_key`` is the one that waits for confirmation, if any."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    ok: bool
    message: str
    elapsed_seconds: float
    host_key: HostKey | None = None


class Probing:
    """Tests hosts of each kind; runs on the loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        links: Links,
        contacts: Contacts,
        trust: Trust,
        joining: Joining,
        calls: WorkerCalls,
        pool: SshPool,
    ) -> None:
        self._clock, self._links, self._contacts, self._trust = clock, links, contacts, trust
        self._joining, self._calls, self._pool = joining, calls, pool

    async def test(self, host: HostRecord) -> TestResult:
        """Try the host now; a failure is a result too and raises nothing."""
        began = self._clock.monotonic()
        try:
            message = await self._try(host)
        except Unreachable as error:
            key = await self._waiting_key(host)
            return TestResult(False, error.message, self._clock.monotonic() - began, key)
        return TestResult(True, message, self._clock.monotonic() - began)

    async def note_ssh_error(self, host_id: str, error: SshError) -> None:
        """Take in why an SSH connection failed; after a changed key, fetch that key to compare it."""
        if error.reason is Reason.HOST_KEY_CHANGED:
            await self._trust.look(host_id)
            # Only now: those who wait for this connection are told of the key, and not that it was ended.
            # If the key was confirmed meanwhile, connections are to the host that was meant.
            if await asyncio.to_thread(self._links.seen_key, host_id):
                await self._pool.forget(host_id)
            return
        state = HostState.UNKNOWN if error.reason in _NOT_ITS_FAULT else HostState.LOST
        waits = error.reason is Reason.HOST_KEY_UNCONFIRMED
        reason = "The host key waits for confirmation." if waits else error.message
        await asyncio.to_thread(self._contacts.note, host_id, state, reason)

    async def ask_worker(self, host: HostRecord, link: WorkerLink) -> tuple[Health, str]:
        """Ask a worker for its health, and join it when that is still to be done.

        Returns with it why joining failed, if so: such a worker takes orders, but can report nothing
        by itself. Raises Unreachable.
        """
        if not link.bearer:
            raise Unreachable(
                f"{host.name}: no token is stored for it. Edit the host and give the worker's bearer."
            )
        health = await self._calls.health(link)
        if host.joined:
            return health, ""
        try:
            await self._joining.join(host.id, link)
        except Unreachable as error:
            return health, f"Could not be joined: {reason_of(error, host.name)}"
        return health, ""

    async def _try(self, host: HostRecord) -> str:
        if host.kind is HostKind.MASTER:
            await asyncio.to_thread(self._contacts.note, host.id, HostState.WELL, "", __version__)
            return f"This node itself answers; it runs Quarterdeck {__version__}."
        if host.kind is HostKind.WORKER:
            return await self._try_worker(host)
        return await self._try_ssh(host)

    async def _try_worker(self, host: HostRecord) -> str:
        link = await asyncio.to_thread(self._links.worker_link, host.id)
        try:
            health, fault = await self.ask_worker(host, link)
        except Unreachable as error:
            await asyncio.to_thread(self._contacts.note, host.id, HostState.LOST, reason_of(error, host.name))
            raise
        reason, version = verdict(health.version, fault, host.clock_skew_seconds)
        await asyncio.to_thread(self._contacts.note, host.id, HostState.WELL, reason, version)
        return f"The worker answers; it runs Quarterdeck {health.version[:40]}."

    async def _try_ssh(self, host: HostRecord) -> str:
        # An open connection says nothing of the key that a new one would meet.
        await self._trust.look(host.id)
        try:
            banner = await self._sign_in(host)
        except SshError as error:
            await self.note_ssh_error(host.id, error)
            raise
        await asyncio.to_thread(self._contacts.note, host.id, HostState.WELL, "", banner)
        return f"Connected and signed in as {host.username}. The host answers with {banner or 'SSH'}."

    async def _sign_in(self, host: HostRecord) -> str:
        target = await asyncio.to_thread(self._links.ssh_target, host.id)
        async with self._pool.session(target) as connection:
            try:
                done = await asyncio.wait_for(connection.run("true"), target.connect_seconds)
            except (asyncssh.Error, OSError, TimeoutError) as error:
                raise SshError(
                    Reason.SESSION,
                    f"{host.name} let {host.username} in, but did not run a command. "
                    "Is the account's shell usable?",
                ) from error
            banner = str(connection.get_extra_info("server_version") or "")
        if done.exit_status != 0:
            raise SshError(
                Reason.SESSION,
                f"{host.name} let {host.username} in, but “true” ended with {done.exit_status}. "
                "Is the account's shell usable?",
            )
        return banner.removeprefix("SSH-2.0-").split(" ")[0][:40]

    async def _waiting_key(self, host: HostRecord) -> HostKey | None:
        if host.kind is not HostKind.SSH:
            return None
        line = await asyncio.to_thread(self._links.seen_key, host.id)
        return read_host_key(line) if line else None


def verdict(version: str, fault: str = "", skew: float | None = None) -> tuple[str, str]:
    """Return what there is to say of a worker that answered, and its version as it is kept.

    ``fault`` is what failed all the same, ``skew`` by how many seconds its clock is ahead.
    """
    version = version[:40]
    if fault or (version == __version__ and skew is None):
        return fault, version
    behind = "" if version == __version__ else _version_skew(version)
    return f"{behind} {skew_text(skew)}".strip(), version


def _version_skew(version: str) -> str:
    """Say which of the two is behind; both still understand each other one minor version apart."""
    order = "Older" if _numbers(version) < _numbers(__version__) else "Newer"
    behind = "the worker" if order == "Older" else "the master"
    return f"{order} than the master: {version}. The master runs {__version__}; update {behind}."


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparing; what is none counts as 0."""
    return tuple(int(part) if part.isascii() and part.isdecimal() else 0 for part in version.split("."))


def reason_of(error: QuarterdeckError, name: str) -> str:
    """Return why a host is unwell, without its name before it: the reason stands beside the name."""
    text = error.message.removeprefix(f"{name}: ")
    return text[:1].upper() + text[1:]
