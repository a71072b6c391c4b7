"""What the calls of the Cloud stand-in are given, and how it answers."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.files.cloud.requests import PULL, READ, SEE_PULLS, WRITE, FormPart, Misused, Operation
from tests.files.loopback import Asked, Result

Json = dict[str, Any]
ALL_SCOPES = frozenset({READ, WRITE, SEE_PULLS, PULL})


class Denied(Exception):
    """An answer of the documented kinds."""

    def __init__(self, status: int, message: str, key: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.key = status, message, key


@dataclass
class Token:
    """What a token may; ``mail`` is empty for an access token, which is a bearer's."""

    mail: str
    scopes: frozenset[str] = ALL_SCOPES
    can_write: bool = True


@dataclass
class Given:
    """A request that fits its operation."""

    asked: Asked
    operation: Operation
    parts: dict[str, str]
    query: dict[str, str]
    token: Token
    json: Json = field(default_factory=dict)
    form: list[FormPart] = field(default_factory=list)


def conditions_of(text: str) -> list[tuple[str, str, str]]:
    """Return field, operator and value of each condition of a query, all of which must hold."""
    one = r'([a-z_.]+) (~|=) "((?:[^"\\]|\\.)*)"'
    if not re.fullmatch(f"{one}(?: AND {one})*", text):
        raise Misused(f"a query {text!r}")
    return [(name, sign, re.sub(r"\\(.)", r"\1", value)) for name, sign, value in re.findall(one, text)]


def _trimmed(value: Any, fields: Iterable[str]) -> Any:
    """Return a value with no more members than asked for, as ``fields`` does."""
    if isinstance(value, list):
        return [_trimmed(each, fields) for each in value]
    if not isinstance(value, dict):
        return value
    groups: dict[str, list[str]] = {}
    for name, _, rest in (text.partition(".") for text in fields):
        groups.setdefault(name, []).extend([rest] if rest else [])
    return {
        name: _trimmed(value[name], rest) if rest else value[name]
        for name, rest in groups.items()
        if name in value
    }


def answer_json(value: Json, given: Given, status: int = 200) -> Result:
    if "fields" in given.query:
        value = _trimmed(value, given.query["fields"].split(","))
    return Result(status, json.dumps(value).encode(), "application/json; charset=utf-8")


def answer_error(status: int, message: str, key: str = "") -> Result:
    error: Json = {"message": message, "id": f"mark-{status}"}
    if key:
        error["data"] = {"key": key}
    return Result(status, json.dumps({"type": "error", "error": error}).encode())
