"""Addresses at a place: made from parts that are encoded one by one, and kept below the configured one."""

import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from quarterdeck.core.identity_values import LOOPBACK_NAMES

_MOST_LENGTH: Final = 8192
_PORTS: Final = {"https": 443, "http": 80}


def read_base(text: str) -> str:
    """Return an API's base address without a slash at its end; raises ValueError with words for people."""
    text = text.strip()
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 500:
        raise ValueError("Write an address such as https://bitbucket.example.org/rest.")
    parts = _split(text)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname or "\\" in text:
        raise ValueError("Write an address that begins with https://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave the name and the token out of the address; they have fields of their own.")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("Leave out what follows “?” or “#”.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        raise ValueError("Use https; plain http is accepted for this machine only (127.0.0.1, localhost).")
    if _is_climbing(parts.path):
        raise ValueError("Leave “.” and “..” out of the address.")
    return text.rstrip("/")


def read_authorities(pem: str) -> str:
    """Return the certificates of authorities as they are; raises ValueError when there is none in it."""
    try:
        tls_context(pem)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            "Paste certificates in PEM form: each begins with “-----BEGIN CERTIFICATE-----”."
        ) from error
    return pem


@lru_cache(maxsize=32)
def tls_context(authorities: str) -> ssl.SSLContext:
    """Return how certificates are verified: the machine's authorities, and these besides.

    Authorities of companies often lack an extension that RFC 5280 demands; who trusts one by hand wants it
    to work, so the strictest check is left out for them. Raises ssl.SSLError or ValueError for a bad PEM.
    """
    context = ssl.create_default_context()
    if authorities.strip():
        context.load_verify_locations(cadata=authorities)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def join(base: str, segments: Iterable[str], query: Iterable[tuple[str, str]] = ()) -> str:
    """Return the address of a resource; a last segment that is empty makes the slash at the end.

    Raises ValueError for segments that a server would take away or climb by.
    """
    parts = list(segments)
    if any(part in (".", "..") or "\0" in part for part in parts) or "" in parts[:-1]:
        raise ValueError("a path with empty parts, “.” or “..”")
    path = "".join("/" + quote(part, safe="") for part in parts)
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    return f"{base}{path}{'?' + pairs if pairs else ''}"


def own_link(base: str, link: object, *, relative_to: str = "") -> str | None:
    """Return a link that a place gave as an absolute one when it is on its own origin and below its path.

    None for everything else: the token must not leave the place.
    """
    if not isinstance(link, str) or not link or len(link) > _MOST_LENGTH:
        return None
    if not link.isascii() or not link.isprintable() or "\\" in link or " " in link:
        return None
    try:
        absolute = urljoin(relative_to, link) if relative_to else link
    except ValueError:
        return None
    wanted, found = _split(base), _split(absolute)
    if wanted is None or found is None or _origin(wanted) != _origin(found):
        return None
    if found.username is not None or found.password is not None or found.fragment:
        return None
    if _is_climbing(found.path) or not found.path.startswith(wanted.path.rstrip("/") + "/"):
        return None
    return absolute


def host_of(address: str) -> str:
    """Return host and port of an address, for messages; empty when it has none."""
    parts = _split(address)
    return parts.netloc.rpartition("@")[2][:100] if parts else ""


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _is_climbing(path: str) -> bool:
    plain = path.lower().replace("%2e", ".").replace("%2f", "/")
    return any(part in (".", "..") for part in plain.split("/"))
