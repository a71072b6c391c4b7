"""The proof of an OpenID sign-in: an id token's signature and claims (OpenID Connect Core, 3.1.3.7)."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from quarterdeck.access.providers.claims import read_subject
from quarterdeck.access.providers.faults import Fault
from quarterdeck.access.providers.keys import Key, fitting
from quarterdeck.access.providers.outgoing import members
from quarterdeck.core.security import same

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
"""Never ``none``; never HS…, for whose secret a public key could be passed off."""
SKEW_SECONDS: Final = 60
_LONGEST: Final = 128 * 1024
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class _Registry(jws.JWSRegistry):
    """The library's algorithms without its warning of the name EdDSA, which providers still use."""

    max_header_length = 8 * 1024

    def get_alg(self, name: str) -> Any:  # Any: the library exports no name for it
        if name not in ALGORITHMS:
            raise Fault("the algorithm is not allowed")
        return self.algorithms[name]


@dataclass(frozen=True, slots=True)
class Expected:
    """What an id token has to say."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str


@dataclass(frozen=True, slots=True)
class Header:
    alg: str
    kid: str | None


def read_header(token: str) -> Header:
    """Return what a token says of its signature, which proves nothing yet; raises Fault."""
    if len(token) > _LONGEST or token.count(".") != 2 or not token.isascii():
        raise Fault("the id token has not the form of one")
    head = token.partition(".")[0]
    try:
        values = members(
            msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))), "header"
        )
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Fault("the id token's header is broken") from error
    alg, kid = values.get("alg"), values.get("kid")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise Fault("the id token is signed by an algorithm that is not allowed")
    if "crit" in values or "b64" in values or not (kid is None or isinstance(kid, str)):
        raise Fault("the id token's header asks for what is not known here")
    return Header(alg, kid)


def verify(token: str, header: Header, keys: Sequence[Key], expected: Expected, now: float) -> dict[str, Any]:
    """Return the claims of a token that one of the keys signed and that was meant for us; raises Fault."""
    payload = _payload(token, header, keys)
    try:
        claims = members(msgspec.json.decode(payload), "id token")
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Fault("the id token's claims are broken") from error
    if claims.get("iss") != expected.issuer:
        raise Fault("the id token is of another issuer")
    _check_audience(claims, expected.client_id)
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not same(nonce, expected.nonce):
        raise Fault("the id token's nonce is not the one of this sign-in")
    _check_access_token(claims, header.alg, expected.access_token)
    read_subject(claims)
    return claims


def _payload(token: str, header: Header, keys: Sequence[Key]) -> bytes:
    registry = _Registry(algorithms=[header.alg], strict_check_header=False)
    for key in fitting(keys, header.alg, header.kid):
        try:
            return jws.deserialize_compact(token, key, registry=registry).payload
        except (JoseError, ValueError):
            continue  # without a kid several keys may be meant
    raise Fault("the id token's signature is not by a key of the provider")


def _check_audience(claims: dict[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise Fault("the id token is for another audience")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != client_id:
        raise Fault("the id token was given to another party")


def _check_times(claims: dict[str, Any], now: float) -> None:
    if _time(claims, "exp") + SKEW_SECONDS <= now:
        raise Fault("the id token has expired")
    if _time(claims, "iat") - SKEW_SECONDS > now:
        raise Fault("the id token is from the future")
    if "nbf" in claims and _time(claims, "nbf") - SKEW_SECONDS > now:
        raise Fault("the id token is not valid yet")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise Fault(f"the id token has no time {name}")
    return value


def _check_access_token(claims: dict[str, Any], alg: str, access_token: str) -> None:
    """Compare ``at_hash`` where it is given and the algorithm says by which hash it was made."""
    told = claims.get("at_hash")
    if told is None or alg[-3:] not in _HASHES:
        return
    digest = _HASHES[alg[-3:]](access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(told, str) or not same(told, half):
        raise Fault("the access token is not the one of the id token")
