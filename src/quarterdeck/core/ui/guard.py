"""What stands between a page and other sites: the headers of every answer, and the check of every change.

A change (any method but GET, HEAD, OPTIONS) that is not authenticated by an Authorization header must
come from this site (Origin, Sec-Fetch-Site) and carry the token of its session: an HMAC over the
session's cookie, or over a random visit cookie where nobody is signed in.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Response, g, request

from quarterdeck.core.errors import Forbidden
from quarterdeck.core.security import same

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HTTPS_ONLY: Final = "max-age=31536000; includeSubDomains"
FIELD: Final = "csrf_token"
HEADER: Final = "X-CSRF-Token"
VISIT_COOKIE: Final = "qd_visit"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Guard:
    """``session_cookie`` is the name of the cookie that signs a person in."""

    key: bytes
    session_cookie: str
    public_url: str = ""

    def token(self) -> str:
        """Return the token that forms of this visit must carry; a new visitor gets a cookie with it."""
        return self._sign(self._anchor() or self._begin_visit())

    def check(self) -> None:
        """Refuse a change that another site caused. Raises Forbidden."""
        if request.method in _SAFE_METHODS:
            return
        self._check_origin()
        if request.headers.get("Authorization"):
            return  # the edge honours no cookie beside it
        if self._is_call_of_nobody():
            return
        anchor = self._anchor()
        given = request.headers.get(HEADER) or request.form.get(FIELD, "")
        if not anchor or not same(given, self._sign(anchor)):
            raise Forbidden("This form is no longer valid. Load the page again and send it once more.")

    def seal(self, response: Response) -> Response:
        """Put the headers on an answer, and the visit cookie where one has just begun."""
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        if self._is_https():
            response.headers["Strict-Transport-Security"] = HTTPS_ONLY
        if visit := g.get("new_visit"):
            response.set_cookie(
                VISIT_COOKIE, visit, secure=self._is_https(), httponly=True, samesite="Lax", path="/"
            )
        return response

    def _check_origin(self) -> None:
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site")
        # An own page with Referrer-Policy no-referrer sends Origin null; what the browser says of the site
        # can't be forged by another one (an opaque origin counts as cross-site there).
        if origin == "null" and site == "same-origin":
            return
        if origin is not None and origin not in self._own_origins():
            raise Forbidden(
                "This request comes from another site. Open Quarterdeck at its own address; behind a "
                "proxy, QUARTERDECK_PUBLIC_URL must say that address."
            )
        if site is not None and site not in _OWN_SITES:
            raise Forbidden("This request comes from another site. Open Quarterdeck itself and try there.")

    def _own_origins(self) -> set[str]:
        own = {request.host_url.rstrip("/")}
        if self.public_url:
            parts = urlsplit(self.public_url)
            own.add(f"{parts.scheme}://{parts.netloc}".lower())
        return own

    def _is_call_of_nobody(self) -> bool:
        """A JSON call without any cookie has nothing that another site could make use of."""
        return request.path.startswith("/api/") and self.session_cookie not in request.cookies

    def _is_https(self) -> bool:
        return request.is_secure or self.public_url.startswith("https:")

    def _anchor(self) -> str:
        if session := request.cookies.get(self.session_cookie):
            return f"session:{session}"
        visit = request.cookies.get(VISIT_COOKIE)
        return f"visit:{visit}" if visit else ""

    def _begin_visit(self) -> str:
        if "new_visit" not in g:
            g.new_visit = secrets.token_urlsafe(24)
        return f"visit:{g.new_visit}"

    def _sign(self, anchor: str) -> str:
        return hmac.new(self.key, b"csrf\0" + anchor.encode(), hashlib.sha256).hexdigest()
