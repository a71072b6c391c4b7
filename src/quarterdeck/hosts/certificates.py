"""OpenSSH certificates: a private key with the signature of an authority that hosts trust."""

from typing import Final

import asyncssh
from asyncssh.public_key import CERT_TYPE_USER, SSHOpenSSHCertificate

_REFUSED: Final = {
    "Invalid certificate type": "This is a certificate for a host; give one for a person.",
    "Certificate expired": "This certificate has expired; have the key signed again.",
}
_UNREADABLE: Final = (
    "This can't be read as a certificate. Paste the content of the file that ends in -cert.pub."
)


def read_certificate(text: str) -> SSHOpenSSHCertificate:
    """Return a certificate of OpenSSH's kind; raises ValueError when it is none."""
    certificate = asyncssh.import_certificate(text.strip())
    if not isinstance(certificate, SSHOpenSSHCertificate):
        raise ValueError("Not a certificate of OpenSSH")
    return certificate


def certificate_problem(text: str, private_key: str, passphrase: str) -> str:
    """Return why a certificate can't be kept for a private key, or an empty text.

    Without a private key only the certificate itself is looked at.
    """
    try:
        certificate = read_certificate(text)
    except ValueError:
        return _UNREADABLE
    try:
        certificate.validate(CERT_TYPE_USER, None)
    except ValueError as error:
        if refused := _REFUSED.get(str(error)):
            return refused  # one that is not valid yet may be by the time it is used
    if private_key:
        key = asyncssh.import_private_key(private_key, passphrase or None)
        if key.public_data != certificate.key.public_data:
            return "This certificate belongs to another key."
    return ""


def refusal_of(text: str, username: str) -> str:
    """Return what makes servers refuse a certificate for an account today, or an empty text."""
    try:
        read_certificate(text).validate(CERT_TYPE_USER, username)
    except ValueError as error:
        return str(error)
    return ""
