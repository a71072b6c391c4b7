"""Keys, tokens and files that only their owner may read."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter, also under a loose umask."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def private_file(path: Path) -> Path:
    """Make sure that a file is there and that only its owner can open it, also under a loose umask.

    One that is there is not opened: to close it again would end the locks that SQLite has on it here.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.chmod(0o600)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that is 0600 from its first byte on, atomically."""
    private_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def key_file(path: Path) -> bytes:
    """Read a 32-byte key kept as hex, making it on first use; two starters agree on one key."""
    return bytes.fromhex(_kept_text(path, secrets.token_bytes(32).hex()))


def token_file(path: Path) -> str:
    """Read a token kept in a file, making it on first use; two starters agree on one token."""
    return _kept_text(path, new_token())


def _kept_text(path: Path, candidate: str) -> str:
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        write_private(temporary, candidate.encode())
        try:
            os.link(temporary, path)  # unlike a rename, a link never replaces the other starter's secret
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text(encoding="ascii").strip()


def new_token() -> str:
    """Return 256 random bits for a cookie, bearer or link, safe in a URL."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Return the form in which a token of full entropy is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())
