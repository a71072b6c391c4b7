"""TLS to a server whose certificate is pinned: that one certificate counts, and no authority.

The fingerprint is compared at the end of the handshake, before anything is sent, in every kind of
connection that the context is used for.
"""

import base64
import binascii
import hashlib
import ssl
from typing import Final

_PREFIX: Final = "sha256:"


class WrongCertificate(ssl.SSLError):
    """The server showed another certificate than the pinned one; nothing was sent to it."""

    def __init__(self, shown: str) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, f"the certificate is not the pinned one but SHA256:{shown}")
        self.shown = shown


def read_pin(text: str) -> str:
    """Return a fingerprint as 64 hex digits, from those (with or without colons) or from base64.

    ``SHA256:`` may stand before it. Raises ValueError.
    """
    bare = text.strip()
    if bare.lower().startswith(_PREFIX):
        bare = bare[len(_PREFIX) :]
    digits = bare.replace(":", "").lower()
    if len(digits) == 64 and set(digits) <= set("0123456789abcdef"):
        return digits
    try:
        digest = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        raise ValueError("the SHA-256 fingerprint of a certificate, such as SHA256:6f5e… in 64 hex digits")
    return digest.hex()


def tls_context(pin: str = "") -> ssl.SSLContext:
    """Return a context that verifies as usual, or with a pin (64 hex digits) by the fingerprint alone."""
    if not pin:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The pin is stricter: it names the one certificate, and the handshake proves that its key is there.
    context.verify_mode = ssl.CERT_NONE

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self.getpeercert(binary_form=True), pin)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _check(self.getpeercert(binary_form=True), pin)

    context.sslobject_class = PinnedObject
    context.sslsocket_class = PinnedSocket
    return context


def _check(certificate: bytes | None, pin: str) -> None:
    shown = hashlib.sha256(certificate or b"").hexdigest()
    if shown != pin:
        raise WrongCertificate(shown)
