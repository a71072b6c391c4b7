"""From the headers of a request to its actor: the same for pages, the JSON API and sockets."""

from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

from flask import request

from quarterdeck.access.service import Access
from quarterdeck.core.actors import NOBODY, Actor
from quarterdeck.core.errors import Unauthenticated

SESSION_COOKIE: Final = "quarterdeck_session"
_SCHEME: Final = "bearer "
_MAX_SECRET: Final = 2048

NodeLookup = Callable[[str, str], Actor | None]
"""From a bearer and an address to the node that showed it."""


class Identify:
    """Reads credentials. A bearer counts alone, never beside a cookie, and a bad one is refused."""

    def __init__(self, access: Access, node_lookup: NodeLookup = lambda _bearer, _address: None) -> None:
        self._access = access
        self._node_lookup = node_lookup

    def __call__(self) -> Actor:
        """Return the actor of the current Flask request; raises Unauthenticated for a bad bearer."""
        address = request.remote_addr or ""
        authorization = request.headers.get("Authorization")
        if authorization:
            return self._by_bearer(authorization, address)
        return self._by_cookie(request.cookies.get(SESSION_COOKIE, ""), address)

    def identify_headers(self, headers: Mapping[str, str], address: str) -> Actor:
        """Return the actor behind bare headers (names in any case); it looks in the database."""
        lowered = {name.lower(): value for name, value in headers.items()}
        if authorization := lowered.get("authorization"):
            return self._by_bearer(authorization, address)
        return self._by_cookie(_session_cookie(lowered.get("cookie", "")), address)

    def _by_bearer(self, authorization: str, address: str) -> Actor:
        bearer = authorization[len(_SCHEME) :].strip()
        if not authorization.lower().startswith(_SCHEME) or not 0 < len(bearer) <= _MAX_SECRET:
            raise Unauthenticated("Send the token as: Authorization: Bearer TOKEN")
        actor = self._access.actor_for_token(bearer, address) or self._node_lookup(bearer, address)
        if actor is None:
            self._access.note_bad_bearer(bearer, address)
            raise Unauthenticated("This token is not valid: it may be mistyped, expired or revoked.")
        return actor

    def _by_cookie(self, cookie: str, address: str) -> Actor:
        nobody = Actor(NOBODY.kind, NOBODY.name, address)
        if not 0 < len(cookie) <= _MAX_SECRET:
            return nobody
        return self._access.actor_for_session(cookie, address) or nobody


def _session_cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(SESSION_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
