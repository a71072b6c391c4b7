"""What a setting of an identity provider may be: each reader raises ValueError with what it must be."""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from quarterdeck.core.actors import Role

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_GROUP: Final = re.compile(r"[^\s;,=\x00-\x1f\x7f]{1,64}\Z")
_MOST_VALUES: Final = 100

Rules = tuple[tuple[str, tuple[str, ...]], ...]
"""What is given, and the values of the claim any one of which gives it."""


class ProviderKind(StrEnum):
    OIDC = "oidc"
    GITHUB = "github"


def web_address(text: str) -> str:
    """Return an address that secrets may be sent to: https, or plain http on loopback. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an http or https address such as https://deck.example.org")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        raise ValueError("an https address (plain http is accepted on loopback only)")
    return text


def _text(least: int, most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value.strip()) <= most or not value.isprintable():
            raise ValueError(f"a text of {least} to {most} characters")
        return value.strip()

    return read


def _kind(value: Any) -> ProviderKind:
    try:
        return ProviderKind(str(value).lower())
    except ValueError as error:
        raise ValueError(" or ".join(ProviderKind)) from error


def _role(value: Any) -> Role | None:
    if value in ("none", ""):
        return None
    try:
        return Role(str(value).lower())
    except ValueError as error:
        raise ValueError(" or ".join(("none", *Role))) from error


def _issuer(value: Any) -> str:
    text = _text(1, 255)(value)
    return web_address(text)  # as it stands: an issuer is compared letter by letter, the last slash too


def _base(value: Any) -> str:
    return web_address(_text(1, 255)(value)).rstrip("/")


def _scopes(value: Any) -> tuple[str, ...]:
    scopes = tuple(value) if isinstance(value, list) else tuple(str(value).split())
    if not scopes or not all(isinstance(scope, str) and scope.isprintable() for scope in scopes):
        raise ValueError("scopes with a space between, or a list of them")
    return scopes


def _values(value: Any) -> tuple[str, ...]:
    items: Iterable[Any] = value if isinstance(value, list) else str(value).split(",")
    texts = [item.strip() for item in items if isinstance(item, str) and item.strip()]
    if not 1 <= len(texts) <= _MOST_VALUES:
        raise ValueError("one or more values")
    return tuple(texts)


def _rules(value: Any) -> Rules:
    try:
        if isinstance(value, Mapping):
            return tuple((str(given), _values(values)) for given, values in value.items())
        parts = [part.partition("=") for part in str(value).split(";") if part.strip()]
        return tuple((given.strip(), _values(values)) for given, _, values in parts)
    except ValueError as error:
        raise ValueError("rules such as “operator=ops,sre; viewer=staff”, or a table of lists") from error


def _role_rules(value: Any) -> Rules:
    rules = _rules(value)
    if any(role not in tuple(Role) for role, _ in rules):
        raise ValueError(f"rules that give {', '.join(Role)}, such as “operator=ops,sre; viewer=staff”")
    return rules


def _group_rules(value: Any) -> Rules:
    rules = _rules(value)
    if not all(_GROUP.match(group) for group, _ in rules):
        raise ValueError("rules that give groups of 1 to 64 characters, such as “oncall=ops,sre”")
    return rules


READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": _kind,
    "label": _text(1, 40),
    "issuer": _issuer,
    "client_id": _text(1, 255),
    "client_secret": _text(1, 1024),
    "scopes": _scopes,
    "groups_claim": _text(1, 128),
    "required_group": _text(1, 255),
    "default_role": _role,
    "role_rules": _role_rules,
    "group_rules": _group_rules,
    "web_url": _base,
    "api_url": _base,
}
