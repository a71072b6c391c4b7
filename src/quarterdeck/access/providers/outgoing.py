"""Calls to providers: JSON with a limit on size and time, no redirect, no proxy, nothing in plain text."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from quarterdeck.access.providers.faults import UNREACHABLE, Fault
from quarterdeck.core.identity_values import LOOPBACK_NAMES

MOST_BYTES: Final = 512 * 1024
CALL_SECONDS: Final = 8.0
_ERROR_WORD: Final = re.compile(r"[a-z_]{1,40}\Z")
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # nothing that grows when it is unpacked
    "User-Agent": "Quarterdeck",
}


class Outgoing:
    """Makes calls; each has a connection of its own, since sign-ins are rare and providers many."""

    def __init__(self, call_seconds: float = CALL_SECONDS) -> None:
        self._seconds = call_seconds
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str, what: str, *, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at an address; ``what`` names it in a Fault."""
        return await self._call("GET", url, what, headers=headers or {})

    async def post(
        self, url: str, what: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send a form and return the JSON that is answered."""
        return await self._call("POST", url, what, headers=headers or {}, form=form)

    async def _call(
        self,
        method: str,
        url: str,
        what: str,
        *,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Any:
        try:
            async with asyncio.timeout(self._seconds), self._client() as client:
                request = client.build_request(method, url, headers=_HEADERS | dict(headers), data=form)
                response = await client.send(request, stream=True)
                try:
                    body = await _bounded(response, what)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise Fault(f"{what}: no answer within {self._seconds:g} s", UNREACHABLE) from error
        except httpx.HTTPError as error:
            raise Fault(f"{what}: {_in_words(error, url)}", UNREACHABLE) from error
        return _json(response, body, what)

    def _client(self) -> httpx.AsyncClient:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return httpx.AsyncClient(
            verify=self._tls, timeout=self._seconds, follow_redirects=False, trust_env=False
        )


def checked_endpoint(url: object, issuer: str, what: str) -> str:
    """Return an address that secrets may go to: https, or plain http on loopback for a provider there."""
    if not isinstance(url, str) or not url.isascii() or len(url) > 2048 or not url.isprintable():
        raise Fault(f"{what} is no address")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise Fault(f"{what} is no address") from error
    is_local = parts.scheme == "http" and host in LOOPBACK_NAMES and issuer.startswith("http:")
    if not host or parts.fragment or parts.username or not (parts.scheme == "https" or is_local):
        raise Fault(f"{what} is not an https address")
    return url


def _in_words(error: httpx.HTTPError, url: str) -> str:
    """Say what went wrong, without the library's text: it may hold an address with a code in it."""
    place = urlsplit(url).netloc
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"the certificate of {place} is not one that this machine trusts"
    if isinstance(error, httpx.ConnectError):
        return f"no connection to {place}"
    return f"the answer of {place} broke off ({type(error).__name__})"


def members(value: object, what: str) -> dict[str, Any]:
    """Return a JSON object; raises Fault for anything else."""
    if not isinstance(value, dict):
        raise Fault(f"{what}: no JSON object")
    return value


async def _bounded(response: httpx.Response, what: str) -> bytes:
    if response.is_redirect or response.status_code // 100 == 3:
        raise Fault(f"{what}: a redirect, which is not followed", UNREACHABLE)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Fault(f"{what}: a packed answer, which was not asked for", UNREACHABLE)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Fault(f"{what}: more than {MOST_BYTES} bytes", UNREACHABLE)
    return bytes(body)


def _json(response: httpx.Response, body: bytes, what: str) -> Any:
    if response.status_code != 200:
        error = _error_word(body)
        raise Fault(f"{what}: status {response.status_code}{f' ({error})' if error else ''}", UNREACHABLE)
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Fault(f"{what}: no JSON", UNREACHABLE)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Fault(f"{what}: broken JSON", UNREACHABLE) from error


def _error_word(body: bytes) -> str:
    """Return the code of an OAuth error (RFC 6749, 5.2); the description is a stranger's text."""
    try:
        return error_word(msgspec.json.decode(body).get("error"))
    except (msgspec.DecodeError, RecursionError, ValueError, AttributeError):
        return ""


def error_word(value: object) -> str:
    """Return an OAuth error code if it is one, else an empty text."""
    return value if isinstance(value, str) and _ERROR_WORD.match(value) else ""
