"""What both ways of signing in give to a browser and take from it."""

from typing import Any

from flask import redirect, request

from quarterdeck.access.agents import Client
from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core import web
from quarterdeck.core.ui.pages import Pages


def client_of_request() -> Client:
    """Return the browser at the other end, as it says itself."""
    return Client(request.remote_addr or "", request.user_agent.string)


def base_url() -> str:
    """Return the address of this site as its visitors know it."""
    return web.part(Pages).guard.public_url or request.host_url.rstrip("/")


def is_https() -> bool:
    """Tell whether cookies may be limited to https."""
    return request.is_secure or web.part(Pages).guard.public_url.startswith("https:")


def signed_in(cookie: str, target: str) -> Any:  # Any: werkzeug's own response of a redirect
    """Answer with a new session's cookie, on the way to a path of this site."""
    response = redirect(web.safe_path(target), 303)
    response.set_cookie(SESSION_COOKIE, cookie, path="/", secure=is_https(), httponly=True, samesite="Lax")
    return response


def signed_out(response: Any) -> Any:
    """Take the session's cookie away with an answer."""
    response.delete_cookie(SESSION_COOKIE, path="/", secure=is_https(), httponly=True, samesite="Lax")
    return response
