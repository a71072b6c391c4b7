"""Who is at the other end of a request, as far as the proxies in front may be believed."""

from dataclasses import dataclass
from ipaddress import ip_address

from quarterdeck.core.asgi import Scope, header, header_values


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's address, and the scheme and host that it used."""

    address: str
    scheme: str
    host: str


def peer_of(scope: Scope, trusted_proxies: int) -> Peer:
    """Return the peer of an HTTP or WebSocket scope.

    Each of ``trusted_proxies`` proxies adds one entry at the end of ``X-Forwarded-For``; the entry that
    the outermost of them added is the client. What stands before it was written by the client and is
    not believed, nor is a header with fewer entries than there are proxies.
    """
    client = scope.get("client")
    scheme = str(scope["scheme"]).replace("ws", "http", 1)  # a WebSocket is opened by HTTP
    direct = Peer(client[0] if client else "", scheme, header(scope, b"host"))
    if not trusted_proxies:
        return direct
    forwarded = _entry(scope, b"x-forwarded-proto", trusted_proxies).lower()
    return Peer(
        _address(_entry(scope, b"x-forwarded-for", trusted_proxies)) or direct.address,
        forwarded if forwarded in ("http", "https") else direct.scheme,
        _entry(scope, b"x-forwarded-host", trusted_proxies) or direct.host,
    )


def _entry(scope: Scope, name: bytes, trusted_proxies: int) -> str:
    """Return the entry that the outermost trusted proxy added, or an empty text.

    Proxies that set a header anew instead of adding to it leave one entry: that one counts for
    scheme and host, which a proxy must overwrite anyway.
    """
    entries = [entry.strip() for value in header_values(scope, name) for entry in value.split(",")]
    if len(entries) >= trusted_proxies:
        return entries[-trusted_proxies]
    return entries[0] if len(entries) == 1 and name != b"x-forwarded-for" else ""


def _address(text: str) -> str:
    """Return an address without the port that some proxies add, or an empty text for anything else."""
    text = text.partition("]")[0].lstrip("[") if text.startswith("[") else text
    text = text.partition(":")[0] if text.count(":") == 1 else text
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
