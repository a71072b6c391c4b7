"""Credentials of the foreign formats, each for the routes of its own surface and nowhere else.

The general reader of credentials doesn't know them: on every other route they are a bad bearer.
"""

import hmac
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Unauthenticated

_MAX_SECRET: Final = 2048
_BAD: Final = "This credential is not valid."


class Machine(StrEnum):
    """What a route asks for; the first word of the actor's name, by which the judge knows it."""

    PIPELINE = "pipeline"
    STATUS = "status"
    NOTEBOOK = "notebook"
    NOTEBOOK_REFRESH = "notebook-refresh"


class Expired(Unauthenticated):
    """A genuine credential past its end: the notebooks' clients renew on this answer only."""


class Machines:
    """Reads foreign credentials; a kind whose secret is not set accepts nothing."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._pipeline_token = settings.pipeline_token
        self._monitoring_key = settings.monitoring_key
        self._monitoring_claim = settings.monitoring_claim
        self._notebook_key = settings.notebook_key

    def identify(self, kind: Machine, headers: Mapping[str, str], address: str = "") -> Actor:
        """Return the actor behind bare headers (names in any case); raises Unauthenticated, Expired."""
        authorization = next((v for name, v in headers.items() if name.lower() == "authorization"), "")
        scheme, _, bearer = authorization.partition(" ")
        if kind is Machine.STATUS:
            scheme = scheme.capitalize()  # only the monitoring's format takes any case of letters
        if scheme != "Bearer" or not 0 < len(bearer) <= _MAX_SECRET:
            raise Unauthenticated(_BAD)
        return Actor(ActorKind.MACHINE, self._name(kind, bearer), address)

    def _name(self, kind: Machine, bearer: str) -> str:
        if kind is Machine.PIPELINE:
            self._check_pipeline(bearer)
            return kind.value
        if kind is Machine.STATUS:
            self._check_monitoring(bearer)
            return kind.value
        return f"{kind.value}:{self._notebook_subject(kind, bearer)}"

    def _check_pipeline(self, bearer: str) -> None:
        expected = self._pipeline_token.encode()
        if not expected or not hmac.compare_digest(expected, bearer.encode(errors="replace")):
            raise Unauthenticated(_BAD)

    def _check_monitoring(self, bearer: str) -> None:
        value = self._claims(bearer, self._monitoring_key).get(self._monitoring_claim)
        if value is None or (isinstance(value, int | float) and not value):
            raise Unauthenticated(_BAD)

    def _notebook_subject(self, kind: Machine, bearer: str) -> int:
        claims = self._claims(bearer, self._notebook_key)
        subject = str(claims.get("sub", ""))  # an integer, or its text by newer makers of such tokens
        wanted = "refresh" if kind is Machine.NOTEBOOK_REFRESH else "access"
        is_number = subject.isascii() and subject.isdecimal() and len(subject) <= 18
        if claims.get("type") != wanted or "exp" not in claims or not is_number:
            raise Unauthenticated(_BAD)
        return int(subject)

    def _claims(self, bearer: str, secret: str) -> dict[str, Any]:  # Any: whatever JSON holds
        if not secret:
            raise Unauthenticated(_BAD)
        try:
            claims = jwt.decode(bearer, OctKey.import_key(secret), algorithms=["HS256"]).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated(_BAD) from error
        times = [claims[name] for name in ("exp", "nbf", "iat") if name in claims]
        if "aud" in claims or not all(map(_is_time, times)):
            raise Unauthenticated(_BAD)
        now = self._clock.now().timestamp()
        if now < claims.get("nbf", now) or now < claims.get("iat", now):
            raise Unauthenticated(_BAD)
        if "exp" in claims and now >= claims["exp"]:
            raise Expired("This credential has expired.")
        return claims


def _is_time(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
