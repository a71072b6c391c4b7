"""A provider's public keys: those that may verify a signature, and when they are asked for again."""

from collections.abc import Sequence
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from quarterdeck.access.providers.faults import Fault
from quarterdeck.access.providers.outgoing import members

Key = RSAKey | ECKey | OKPKey
_KINDS: Final[dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}
_FAMILIES: Final = {"R": "RSA", "P": "RSA", "E": "EC"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_LEAST_RSA_BITS: Final = 2_048
_MOST_KEYS: Final = 100
_OWNERS_ONLY: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def read_keys(document: object) -> tuple[Key, ...]:
    """Return the keys of a JWK set that are of a kind we know; one odd key does not spoil the others."""
    listed = members(document, "keys").get("keys")
    if not isinstance(listed, list):
        raise Fault("keys: no list of keys")
    found = [_key(each) for each in listed[:_MOST_KEYS] if isinstance(each, dict)]
    return tuple(key for key in found if key is not None)


def fitting(keys: Sequence[Key], alg: str, kid: str | None) -> list[Key]:
    """Return the keys that a signature with this header may have been made by."""
    family = "OKP" if alg in ("EdDSA", "Ed25519") else _FAMILIES.get(alg[:1], "")
    return [
        key
        for key in keys
        if key.key_type == family
        and (kid is None or key.get("kid") == kid)
        and key.get("alg") in (None, alg)
        and (alg not in _CURVES or key.get("crv") == _CURVES[alg])
    ]


def _key(values: dict[str, Any]) -> Key | None:
    kind = _KINDS.get(str(values.get("kty")))
    if kind is None or values.get("use") not in (None, "sig"):
        return None
    # A private part has no business here; without it, nothing but the public key is taken over.
    public = {name: value for name, value in values.items() if name not in (*_OWNERS_ONLY, "key_ops")}
    if kind is RSAKey and len(str(values.get("n"))) * 6 < _LEAST_RSA_BITS - 8:
        return None  # before the library warns of it; the number is base64url
    try:
        return kind.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
