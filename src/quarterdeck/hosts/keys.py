"""SSH keys as people paste them: private keys to sign in with, public keys of hosts."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

import asyncssh

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts import host_keys

_NOT_OPENED: Final = "The passphrase does not open this private key."


@dataclass(frozen=True, slots=True)
class KeyFault:
    """What is wrong with a private key, and beside which field to say so."""

    field: str
    message: str


def private_key_fault(text: str, passphrase: str) -> KeyFault | None:
    """Return why a private key can't be used, or None when it can."""
    if text.lstrip().startswith(("ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC", "-----BEGIN PUBLIC")):
        return KeyFault(
            "private_key", "This is the public half. Paste the private key: the file without .pub."
        )
    try:
        asyncssh.import_private_key(text, passphrase or None)
    except asyncssh.KeyEncryptionError:
        return KeyFault("passphrase", _NOT_OPENED)
    except asyncssh.KeyImportError as error:
        if "passphrase" in str(error).lower() and not passphrase:
            return KeyFault("passphrase", "The private key is encrypted; give its passphrase.")
        if passphrase and "ENCRYPTED" in text:
            return KeyFault("passphrase", _NOT_OPENED)
        return KeyFault(
            "private_key",
            "This can't be read as a private key. Paste the whole file, from -----BEGIN to -----END.",
        )
    return None


def read_host_key(text: str) -> str:
    """Return a host's public key as ``algorithm base64``; ValueError says what was expected.

    Takes a line of ``ssh-keyscan`` or of a known_hosts file too, by leaving its host names out.
    """
    words = text.split()
    while words and not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        words = words[1:]
    try:
        return host_keys.read_host_key(" ".join(words[:2])).line
    except Invalid as error:
        raise ValueError(
            "This is not a host key. Paste a line of ssh-keyscan, such as “ssh-ed25519 AAAA…”."
        ) from error


def fingerprint_of(line: str) -> str:
    """Return the fingerprint of a stored host key as ``ssh-keygen -lf`` prints it; empty for no key.

    Reckoned from the line alone: parsing 1,000 keys for a list would cost more than the list.
    """
    if not line:
        return ""
    digest = hashlib.sha256(base64.b64decode(line.split(" ")[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
