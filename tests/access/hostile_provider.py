"""An OpenID provider that lies as it is told to: a real server on loopback with real keys.

Without a lie it is a good one, so that each test of a lie is one of nothing but that.
"""

import base64
import contextlib
import functools
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.clocks import SetClock

CLIENT_ID: Final = "quarterdeck"
CLIENT_SECRET: Final = "a secret: with + and %"

Sign = Callable[["HostileProvider", dict[str, Any]], str]


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@functools.cache
def first_key() -> RSAKey:
    """Making one takes longer than a whole test."""
    return RSAKey.generate_key(2048, {"kid": "one"})


@dataclass
class HostileProvider:
    """``claims``, ``userinfo``, ``document`` and ``answers`` are where the lies go."""

    now: Callable[[], datetime]
    claims: dict[str, Any] = field(default_factory=dict)
    """Written over those of the id token; None takes one away."""
    userinfo: dict[str, Any] | None = None
    """What is answered beside ``sub``; None offers no userinfo."""
    document: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    """By path: what is done instead of answering."""
    sign: Sign | None = None
    subject: str = "248289761001"
    key: Any = field(default_factory=lambda: first_key())
    alg: str = "RS256"
    announces_iss: bool = True
    requests: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    url: str = ""

    def authorize(self, url: str) -> str:
        """Do what a browser and a person do between start and callback; returns the callback's query."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert asked["response_type"] == "code"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"]}
        return urlencode(answer | ({"iss": self.url} if self.announces_iss else {}))

    def discovery(self) -> dict[str, Any]:
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "authorization_response_iss_parameter_supported": self.announces_iss,
        }
        if self.userinfo is not None:
            document["userinfo_endpoint"] = f"{self.url}/userinfo"
        return document | self.document

    def id_token(self, nonce: str) -> str:
        now = int(self.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": self.subject,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "preferred_username": "gilda",
            "groups": ["staff"],
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        if self.sign:
            return self.sign(self, claims)
        return signed(self.key, self.alg, claims)

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self.codes.get(form.get("code", ""))
        if asked is None or form["code"] in self.used or not self._is_client(authorization):
            return 400, {"error": "invalid_grant"}
        self.used.add(form["code"])
        assert form["redirect_uri"] == asked["redirect_uri"]
        assert challenge_of(form["code_verifier"]) == asked["code_challenge"]
        token = self.id_token(asked["nonce"])
        return 200, {"access_token": "an-access-token", "token_type": "Bearer", "id_token": token}

    def _is_client(self, authorization: str) -> bool:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        return pair == "quarterdeck:a+secret%3A+with+%2B+and+%25"


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def signed(key: RSAKey | ECKey | OKPKey | OctKey, alg: str, claims: dict[str, Any]) -> str:
    registry = jws.JWSRegistry(algorithms=[alg])
    header = {"alg": alg, **({"kid": key.kid} if key.kid else {})}
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, registry=registry)


def unsigned(_provider: HostileProvider, claims: dict[str, Any]) -> str:
    return f"{encoded({'alg': 'none', 'kid': 'one'})}.{encoded(claims)}."


def signed_with_the_public_key(provider: HostileProvider, claims: dict[str, Any]) -> str:
    """The oldest trick: the public key as the secret of an HMAC."""
    public = provider.key.as_pem(private=False)
    text = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims)}"
    digest = hmac.new(public, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def signed_by_another_key(_provider: HostileProvider, claims: dict[str, Any]) -> str:
    """A key swap: the same name, another key."""
    return signed(RSAKey.generate_key(2048, {"kid": "one"}), "RS256", claims)


class _Handler(BaseHTTPRequestHandler):
    provider: HostileProvider

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self._answer({name: values[0] for name, values in parse_qs(body).items()})

    def _answer(self, form: dict[str, str]) -> None:
        path, provider = urlsplit(self.path).path, self.provider
        provider.requests.append(path)
        if instead := provider.answers.get(path):
            with contextlib.suppress(OSError):
                instead(self)
            return
        if path == "/.well-known/openid-configuration":
            send_json(self, provider.discovery())
        elif path == "/keys":
            send_json(self, {"keys": [provider.key.as_dict(private=False)]})
        elif path == "/token":
            status, answer = provider.redeem(form, self.headers.get("Authorization", ""))
            send_json(self, answer, status)
        elif path == "/authorize":
            query = provider.authorize(self.path)
            send(self, "", 302, "text/plain", Location=f"{_asked(self.path, 'redirect_uri')}?{query}")
        elif path == "/end":
            location = _asked(self.path, "post_logout_redirect_uri")
            send(self, "", 302, "text/plain", Location=location)
        elif path == "/userinfo":
            send_json(self, {"sub": provider.subject} | (provider.userinfo or {}))
        else:
            send(self, "nothing", 404, "text/plain")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the terminal of the tests."""


def _asked(path: str, name: str) -> str:
    return parse_qs(urlsplit(path).query)[name][0]


def send(handler: BaseHTTPRequestHandler, body: str, status: int, kind: str, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())


def send_json(handler: BaseHTTPRequestHandler, value: object, status: int = 200) -> None:
    send(handler, json.dumps(value), status, "application/json")


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(1_000_000):
        handler.wfile.write(b" " * 65_536)


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Answer nothing until the other side has gone."""
    handler.rfile.read(1)


def trickling(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then: no single wait is long, all together are."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        threading.Event().wait(0.1)


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def running(now: Callable[[], datetime]) -> Iterator[HostileProvider]:
    provider = HostileProvider(now)
    handler = type("Handler", (_Handler,), {"provider": provider})
    with serving(handler) as url:
        provider.url = url
        yield provider


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with running(SetClock().now) as provider:
        yield provider
