"""How the Data Center stand-in reads requests: strictly, so that a careless one is seen."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from tests.files.loopback import Asked

REPOSITORY = r"/projects/(?P<key>[^/]+)/repos/(?P<slug>[^/]+)"


@dataclass(frozen=True)
class Caller:
    """Who a token is of; a project's or repository's own token is no person."""

    name: str
    mail: str
    can_read: bool = True
    can_write: bool = True
    is_person: bool = True


@dataclass
class Given:
    """A request; ``query`` and ``caller`` are there once they are known to be good."""

    asked: Asked
    query: dict[str, str] = field(default_factory=dict)
    caller: Caller | None = None


@dataclass
class Found:
    """What is to be answered; ``value`` None is no body."""

    value: Any = None
    status: int = 200
    raw: bytes | None = None
    kind: str = "application/json;charset=UTF-8"


class Misused(Exception):
    """A request that the real server may understand otherwise than it is meant."""


class Denied(Exception):
    """An answer of the documented kinds; ``name`` is below ``com.atlassian.bitbucket``."""

    def __init__(self, status: int, message: str, name: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.name, self.extra = status, message, name, extra or {}


def read_query(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters: each known, once, and of its kind ("text", "number", "bool", "A|B")."""
    found: dict[str, str] = {}
    for pair in text.split("&") if text else []:
        name, _, value = pair.partition("=")
        name, value = unquote_plus(name), unquote_plus(value, errors="strict")
        if name in found or name not in known:
            raise Misused(f"parameter {name} is unknown or there twice")
        allowed = {"text": ".+", "number": "[0-9]{1,9}", "bool": "true|false"}.get(known[name], known[name])
        if not re.fullmatch(allowed, value, re.DOTALL):
            raise Misused(f"parameter {name} can't be {value!r}")
        found[name] = value
    return found


def caller_of(given: Given, callers: Mapping[str, Caller], *, is_open: bool) -> Caller | None:
    """Return who asks; nobody only where that is allowed, and noted as a fault anywhere else."""
    kind, _, credential = given.asked.headers.get("authorization", "").partition(" ")
    if not kind:
        if is_open:
            return None
        raise Misused("no credential")
    caller = _bearer(credential, callers) if kind == "Bearer" else _basic(credential, callers)
    if caller is None:
        raise Denied(401, "Authentication failed.", "auth.IncorrectPasswordAuthenticationException")
    return caller


def read_json(given: Given, needed: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body: an object with the members needed, maybe others, each of its type, and no more."""
    if given.asked.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Misused("the body is not declared as JSON")
    return _object(json.loads(given.asked.body), needed, other, "the body")


def read_form(given: Given, needed: set[str], other: set[str]) -> dict[str, bytes]:
    """Return the fields of a multipart form, each once; only ``content`` may be a file."""
    kind = given.asked.headers.get("content-type", "")
    found = re.fullmatch(r'multipart/form-data; boundary="?([^";]+)"?', kind)
    if not found:
        raise Misused(f"a form is multipart, not {kind!r}")
    mark = b"--" + found[1].encode()
    first, *parts, last = (b"\r\n" + given.asked.body).split(b"\r\n" + mark)
    if first or last.strip(b"\r\n") != b"--":
        raise Misused("the form is not closed")
    form = dict(_field(part.removeprefix(b"\r\n")) for part in parts)
    if len(form) != len(parts) or not needed <= set(form) or not set(form) <= needed | other:
        raise Misused(f"fields {sorted(form)}")
    return form


def _field(part: bytes) -> tuple[str, bytes]:
    head, _, content = part.partition(b"\r\n\r\n")
    found = re.search(
        rb'^content-disposition: form-data; name="([^"\r\n]+)"(; filename="[^"\r\n]*")?\r?$',
        head,
        re.I | re.M,
    )
    if not found:
        raise Misused(f"a part without a name: {head!r}")
    name = found[1].decode()
    if found[2] and name != "content":
        raise Misused(f"{name} is sent as a file")
    return name, content


def _object(value: object, needed: Mapping[str, Any], other: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(needed) <= set(value) or not set(value) <= {*needed, *other}:
        raise Misused(f"{where} is {value!r}")
    for name, each in value.items():
        kind = {**needed, **other}[name]
        if isinstance(kind, dict):
            _object(each, kind, {}, name)
        elif type(each) is not kind:
            raise Misused(f"{name} is {each!r}")
    return value


def _bearer(token: str, callers: Mapping[str, Caller]) -> Caller | None:
    return callers.get(token)


def _basic(credential: str, callers: Mapping[str, Caller]) -> Caller | None:
    try:
        name, _, token = base64.b64decode(credential, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    caller = callers.get(token)
    return caller if caller and caller.is_person and caller.name == name else None
