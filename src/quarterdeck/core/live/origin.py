"""Where a Socket.IO connection comes from: the defence against cross-site WebSocket hijacking."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from quarterdeck.core.asgi import Scope, header, header_values
from quarterdeck.core.peer import peer_of

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def refusal(
    scope: Scope,
    *,
    public_url: str,
    trusted_proxies: int,
    began_with_bearer: bool = False,
    is_public: bool = False,
) -> str:
    """Return why a request to the socket server is refused, or an empty text when it is accepted.

    The Origin must be this site's, character by character: as browsers write it, in lower case and
    without a default port. Browsers send one with every WebSocket and POST; only clients with a bearer may
    come without; ``began_with_bearer`` says that the connection's first request had it, for some clients show
    it only then. Where a namespace is open to anybody (``is_public``), so may programs that show no cookie:
    nobody's rights are behind them. A polling GET from a page carries none either, and needs none: a foreign
    page can't read its answer, as long as it can't be asked for as a script (JSONP).
    """
    if "j" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        return "JSONP is not offered."
    origins = header_values(scope, b"origin")
    if not origins:
        is_bare = is_public and not header(scope, b"cookie") and not header(scope, b"sec-fetch-site")
        return "" if began_with_bearer or is_bare else _refusal_without_origin(scope)
    if len(origins) == 1 and origins[0] in _own_origins(scope, public_url, trusted_proxies):
        return ""
    return (
        "The page that asks is not from this address. Behind a proxy, set QUARTERDECK_PUBLIC_URL to the "
        "address that people open."
    )


def _refusal_without_origin(scope: Scope) -> str:
    if has_bearer(scope):
        return ""
    if scope["type"] == "http" and scope["method"] == "GET":
        site = header(scope, b"sec-fetch-site")
        return "" if site in ("", "same-origin") else "The page that asks is not from this address."
    return "The Origin header is missing."


def has_bearer(scope: Scope) -> bool:
    return header(scope, b"authorization").lower().startswith("bearer ")


def _own_origins(scope: Scope, public_url: str, trusted_proxies: int) -> set[str]:
    peer = peer_of(scope, trusted_proxies)
    return {origin_of(f"{peer.scheme}://{peer.host}"), origin_of(public_url)} - {""}


def origin_of(url: str) -> str:
    """Return the origin of an address as browsers write it, or an empty text for what has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"
