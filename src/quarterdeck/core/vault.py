"""Encryption at rest. Apart from security.py because the worker has no use for the 8 MB it loads."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quarterdeck.core.errors import Busy

_NONCE_BYTES: Final = 12


class Vault:
    """Encrypts secrets at rest with AES-256-GCM; a ciphertext is bound to the purpose it was sealed for."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, plain: str, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, plain.encode(), purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> str:
        """Return the secret; raises Busy when the key file is not the one it was sealed with."""
        try:
            plain = AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError) as error:  # another key, or no ciphertext at all
            raise Busy(
                "A stored secret can't be decrypted: keys/secret.key is not the one it was written with."
            ) from error
        return plain.decode()
