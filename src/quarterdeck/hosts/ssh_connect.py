"""One SSH connection, from the name of the host to the sign-in."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncssh

from quarterdeck.core.config import KeyExchange
from quarterdeck.hosts.certificates import read_certificate
from quarterdeck.hosts.host_keys import HostKey, HostKeyGate, parse_host_key, unconfirmed
from quarterdeck.hosts.ssh_errors import Reason, SshError, explain, lost_before_sign_in, tunnel_refused
from quarterdeck.hosts.ssh_options import PrivateKeys, host_key_algorithms, shared_options
from quarterdeck.hosts.ssh_target import SshTarget

EARLY_DROPS: Final = 16
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.5

# sshd closes connections before sign-in when it has too many that have not signed in yet (MaxStartups).
_DROPS: Final = (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)

T = TypeVar("T")
Tunnel = asyncssh.SSHClientConnection | None
KeyChanged = Callable[[SshTarget, str], None]


class Connector:
    """Makes connections; keeps only what all of them share."""

    def __init__(
        self,
        *,
        exchange: KeyExchange = KeyExchange.FAST,
        agent_path: str | None = None,
        on_key_changed: KeyChanged | None = None,
    ) -> None:
        """``agent_path`` is the SSH agent's socket; None means the one of this node's environment."""
        self._options = shared_options(exchange)
        self._keys = PrivateKeys()
        self._agent_path = agent_path
        self._on_key_changed = on_key_changed

    async def connect(
        self, target: SshTarget, tunnel: Tunnel, dropped: Callable[[], None]
    ) -> tuple[asyncssh.SSHClientConnection, HostKeyGate]:
        """Connect and sign in within the target's time; raises SshError.

        Early drops are tried again after a random pause, and told to ``dropped``.
        """
        if not target.host_key:
            raise unconfirmed(target)
        keys = [await self._keys.get(target)] if target.private_key else []
        return await _within(target, dropped, lambda: self._sign_in(target, tunnel, keys))

    async def scan(self, target: SshTarget, tunnel: Tunnel) -> HostKey:
        """Read the key that the server shows, without signing in; raises SshError."""
        return await _within(target, lambda: None, lambda: self._read_key(target, tunnel))

    async def _sign_in(
        self, target: SshTarget, tunnel: Tunnel, keys: list[asyncssh.SSHKey]
    ) -> tuple[asyncssh.SSHClientConnection, HostKeyGate]:
        pinned = parse_host_key(target.host_key)
        gate = HostKeyGate()
        try:
            async with self._agent_keys(target) as agent_keys, _transport(target, tunnel) as transport:
                connection = await asyncssh.connect(
                    **transport,
                    **_credentials(target, keys, agent_keys),
                    options=self._options,
                    config=None,
                    client_factory=lambda: gate,
                    username=target.username,
                    known_hosts=([pinned], [], []),
                    server_host_key_algs=host_key_algorithms(pinned),
                )
        except asyncssh.HostKeyNotVerifiable as error:
            if self._on_key_changed:
                self._on_key_changed(target, gate.offered)
            raise gate.changed(target) from error
        return connection, gate

    async def _read_key(self, target: SshTarget, tunnel: Tunnel) -> HostKey:
        # A host has a key of each kind: the pinned one's kind comes first, or another would seem a change.
        pinned = parse_host_key(target.host_key) if target.host_key else None
        algorithms = host_key_algorithms(pinned) if pinned else self._options.server_host_key_algs
        async with _transport(target, tunnel) as transport:
            key = await asyncssh.get_server_host_key(
                **transport,
                options=self._options,
                config=None,
                server_host_key_algs=algorithms,
            )
        if key is None:
            raise SshError(Reason.PROTOCOL, f"{target.place} showed no host key.")
        return HostKey.of(key)

    @contextlib.asynccontextmanager
    async def _agent_keys(self, target: SshTarget) -> AsyncIterator[list[asyncssh.SSHKeyPair]]:
        """Give the agent's keys while they are needed for signing; none when the target uses no agent."""
        if not target.use_agent:
            yield []
            return
        try:
            agent = await asyncssh.connect_agent(self._agent_path or "")
            keys = list(await agent.get_keys())
        except (OSError, ValueError, asyncssh.ChannelOpenError) as error:
            raise SshError(
                Reason.AUTH,
                f"{target.name} is set to use the SSH agent, but none answers. Start an agent for this "
                "node and set SSH_AUTH_SOCK, or give the host a key of its own.",
            ) from error
        try:
            yield keys
        finally:
            agent.close()
            await agent.wait_closed()


def _credentials(
    target: SshTarget, own: list[asyncssh.SSHKey], of_agent: list[asyncssh.SSHKeyPair]
) -> dict[str, Any]:  # Any: keyword arguments of asyncssh
    keys: list[Any] = [*own, *of_agent]  # Any: a key, or a key with its certificate
    if target.certificate:
        keys = [*((key, read_certificate(target.certificate)) for key in own), *of_agent]
    methods = ["publickey"] if keys else []
    if target.password:
        methods += ["password", "keyboard-interactive"]
    return {
        # None and not an empty list, for which asyncssh would look into the home.
        "client_keys": keys or None,
        "password": target.password or None,
        "preferred_auth": methods or ["none"],
    }


async def _within(target: SshTarget, dropped: Callable[[], None], attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it works, an error says that it can't, or the target's time is over."""
    drops = 0
    try:
        async with asyncio.timeout(target.connect_seconds):
            while True:
                try:
                    return await attempt()
                except _DROPS:
                    drops += 1
                    dropped()
                    if drops >= EARLY_DROPS:
                        raise
                await asyncio.sleep(_pause_seconds(drops))
    except SshError:
        raise
    except (OSError, TimeoutError, ValueError, asyncssh.Error) as error:
        was_dropped = drops > 0 and isinstance(error, (TimeoutError, *_DROPS))
        raise (lost_before_sign_in(target) if was_dropped else explain(error, target)) from error


def _pause_seconds(drops: int) -> float:
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**drops)
    return random.uniform(longest / 4, longest)  # noqa: S311 - spreads load, guards nothing


@contextlib.asynccontextmanager
async def _transport(target: SshTarget, tunnel: Tunnel) -> AsyncIterator[dict[str, Any]]:
    """Give what asyncssh connects over: a socket, or a channel of the jump host's connection."""
    if tunnel is None:
        connected = await _dial(target)
        try:
            yield {"sock": connected}
        except BaseException:
            connected.close()
            raise
        return
    try:
        yield {"tunnel": tunnel, "host": target.address, "port": target.port}
    except asyncssh.ChannelOpenError as error:
        if target.jump is None or tunnel.is_closed():
            raise asyncssh.ConnectionLost("The jump host's connection was cut") from error
        raise tunnel_refused(target.jump, target, error) from error


async def _dial(target: SshTarget) -> socket.socket:
    """Connect to the first address that answers; raises the last one's OSError."""
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM)
    *others, last = places
    for place in others:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(target.connect_seconds / len(places)):
                return await _connect_socket(place)
    try:
        return await _connect_socket(last)
    except ConnectionResetError as error:
        raise ConnectionRefusedError(*error.args) from error


async def _connect_socket(place: tuple[Any, ...]) -> socket.socket:  # Any: an entry of getaddrinfo
    family, kind, protocol, _, address = place
    connecting = socket.socket(family, kind, protocol)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting
