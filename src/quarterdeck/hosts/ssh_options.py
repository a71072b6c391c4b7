"""How asyncssh is set up: the fast algorithms first, and nothing read from anybody's home."""

import asyncio
import hashlib
from typing import Final

import asyncssh
from asyncssh.kex import get_kex_algs

from quarterdeck.core.config import KeyExchange
from quarterdeck.hosts.ssh_errors import Reason, SshError
from quarterdeck.hosts.ssh_target import SshTarget

WINDOW_BYTES: Final = 512 * 1024
KEEPALIVE_SECONDS: Final = 20
_KEPT_KEYS: Final = 256
_HYBRID_EXCHANGES: Final = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
)
_EXCHANGES: Final = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group-exchange-sha256",
)
_CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
HOST_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def shared_options(exchange: KeyExchange) -> asyncssh.SSHClientConnectionOptions:
    """Build what all connections have in common, once."""
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        client_keys=None,
        agent_path=None,
        known_hosts=([], [], []),
        x509_trusted_certs=None,
        gss_host=None,
        gss_kex=False,
        gss_auth=False,
        host_based_auth=False,
        kex_algs=key_exchanges(exchange),
        encryption_algs=list(_CIPHERS),
        mac_algs=list(_MACS),
        compression_algs=["none"],
        server_host_key_algs=list(HOST_KEY_ALGORITHMS),
        connect_timeout=None,
        login_timeout=0,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=3,
        request_pty=False,
        encoding=None,
        window=WINDOW_BYTES,
        env=None,
        send_env=None,
        command=None,
    )


def key_exchanges(exchange: KeyExchange) -> list[str]:
    """Return the key exchanges in the order of preference, as far as the library has them."""
    known = {name.decode() for name in get_kex_algs()}
    hybrid = _HYBRID_EXCHANGES if exchange is KeyExchange.POST_QUANTUM else ()
    return [name for name in (*hybrid, *_EXCHANGES) if name in known]


def host_key_algorithms(pinned: asyncssh.SSHKey) -> list[str]:
    """Return the signatures of the pinned key first; the others follow so that a changed key is seen."""
    first = [name.decode() for name in pinned.sig_algorithms if name.decode() in HOST_KEY_ALGORITHMS]
    return [*first, *(name for name in HOST_KEY_ALGORITHMS if name not in first)]


class PrivateKeys:
    """Private keys by their content, each parsed and decrypted once, off the loop."""

    def __init__(self) -> None:
        self._parsing: dict[bytes, asyncio.Future[asyncssh.SSHKey]] = {}

    async def get(self, target: SshTarget) -> asyncssh.SSHKey:
        """Return the target's key; raises SshError when it can't be read."""
        content = target.private_key.encode()
        digest = hashlib.sha256(content + b"\0" + target.passphrase.encode()).digest()
        parsing = self._parsing.get(digest)
        if parsing is None:
            self._drop_oldest()
            parsing = asyncio.ensure_future(
                asyncio.to_thread(asyncssh.import_private_key, content, target.passphrase or None)
            )
            self._parsing[digest] = parsing
        try:
            return await asyncio.shield(parsing)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
            self._parsing.pop(digest, None)
            raise _unreadable(target, error) from error

    def _drop_oldest(self) -> None:
        if len(self._parsing) >= _KEPT_KEYS:
            del self._parsing[next(iter(self._parsing))]


def _unreadable(target: SshTarget, error: Exception) -> SshError:
    problem = f"The private key of {target.name} can't be read"
    if isinstance(error, asyncssh.KeyEncryptionError):
        return SshError(Reason.KEY_UNREADABLE, f"{problem}: the passphrase is wrong.")
    if "assphrase" in str(error):
        return SshError(Reason.KEY_UNREADABLE, f"{problem}: it is encrypted. Give its passphrase.")
    return SshError(Reason.KEY_UNREADABLE, f"{problem}: it is no private key that OpenSSH would know.")
