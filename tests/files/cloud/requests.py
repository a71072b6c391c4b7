"""What Bitbucket Cloud takes, operation by operation, and how a request is held against it.

The table is held against Bitbucket's OpenAPI document by ``test_document.py`` (paths, methods, query
parameters; scopes if the copy names them). The parameters ``fields``, ``pagelen``, ``page``, ``q`` and
``sort`` are described there once for all calls, and only in part with each.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from tests.files.loopback import Asked

REPOSITORY: Final = "/repositories/{workspace}/{repo_slug}"
READ, WRITE = "read:repository:bitbucket", "write:repository:bitbucket"
SEE_PULLS, PULL = "read:pullrequest:bitbucket", "write:pullrequest:bitbucket"
CLASSIC: Final[Mapping[str, frozenset[str]]] = {
    "repository": frozenset({READ}),
    "repository:write": frozenset({READ, WRITE}),
    "pullrequest": frozenset({READ, SEE_PULLS}),
    "pullrequest:write": frozenset({READ, WRITE, SEE_PULLS, PULL}),
}
"""Scopes of access tokens, and what they include."""
_PARTS: Final = {
    "workspace": "[^/]+",
    "repo_slug": "[^/]+",
    "commit": "[0-9a-f]{40}",  # never a branch: its name may hold a slash
    "name": ".+",
    "path": ".*",
    "pull_request_id": "[0-9]+",
    "spec": r"[0-9a-f]+\.\.[0-9a-f]+",
}
_HASH: Final = "[0-9a-f]{40}"
_NUMBER: Final = "[1-9][0-9]?|100"
_PAGED: Final = {"pagelen": _NUMBER, "page": "[0-9a-z]+", "fields": r"[a-z_.,]+"}
_DIFFERENCES: Final = {
    **_PAGED,
    "pagelen": "[1-9][0-9]?|[1-4][0-9]{2}|500",
    "topic": "true|false",
    "renames": "true|false",
}
_REFS: Final = {**_PAGED, "q": r'name ~ ".+"', "sort": "-target.date"}


class Misused(Exception):
    """A request that the real server would refuse, or may understand otherwise than it is meant."""


@dataclass(frozen=True)
class Operation:
    """One call: ``json`` has each member's type, "?" at the end of a name for those that may be missing."""

    method: str
    path: str
    scopes: frozenset[str]
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    is_form: bool = False

    def parts(self, path: str) -> dict[str, str] | None:
        """Return the parts of a path that fits, decoded; None when it does not."""
        pattern = re.sub(r"\{(\w+)\}", lambda found: f"(?P<{found[1]}>{_PARTS[found[1]]})", self.path)
        found = re.fullmatch(pattern, path)
        if found is None:
            return None
        return {name: unquote(value, errors="strict") for name, value in found.groupdict().items()}


def _read(path: str, **query: str) -> Operation:
    return Operation("GET", f"{REPOSITORY}{path}", frozenset({READ}), query)


_FIELDS: Final = {"fields": _PAGED["fields"]}
OPERATIONS: Final = (
    _read("", **_FIELDS),
    _read("/refs/branches", **_REFS),
    _read("/refs/tags", **_REFS),
    _read("/refs/branches/{name}", **_FIELDS),
    _read("/refs/tags/{name}", **_FIELDS),
    _read("/commit/{commit}", **_FIELDS),
    _read("/commits", include=_HASH, exclude=_HASH, **_PAGED),
    _read("/filehistory/{commit}/{path}", renames="true|false", **_PAGED),
    _read("/src/{commit}/{path}", format="meta", max_depth="[1-9][0-9]?", **_PAGED),
    _read("/file-conflicts/{spec}", **_PAGED),
    _read("/diffstat/{spec}", **_DIFFERENCES),
    Operation(
        "POST",
        f"{REPOSITORY}/refs/branches",
        frozenset({READ, WRITE}),
        json={"name": str, "target": {"hash": str}},
    ),
    Operation("DELETE", f"{REPOSITORY}/refs/branches/{{name}}", frozenset({WRITE})),
    Operation("POST", f"{REPOSITORY}/src", frozenset({WRITE}), is_form=True),
    Operation(
        "GET",
        f"{REPOSITORY}/pullrequests",
        frozenset({SEE_PULLS}),
        {**_PAGED, "state": "OPEN|MERGED|DECLINED|SUPERSEDED", "q": ".+"},
    ),
    Operation(
        "POST",
        f"{REPOSITORY}/pullrequests",
        frozenset({SEE_PULLS, PULL}),
        json={
            "type": str,
            "title": str,
            "description?": str,
            "source": {"branch": {"name": str}},
            "destination?": {"branch": {"name": str}},
            "close_source_branch?": bool,
            "draft?": bool,
            "reviewers?": [{"uuid": str}],
        },
    ),
    Operation("GET", f"{REPOSITORY}/pullrequests/{{pull_request_id}}", frozenset({SEE_PULLS}), _FIELDS),
    Operation("GET", f"{REPOSITORY}/pullrequests/{{pull_request_id}}/conflicts", frozenset({SEE_PULLS})),
)


@dataclass(frozen=True)
class FormPart:
    name: str
    content: bytes
    filename: str | None
    attributes: str


def operation_of(asked: Asked, path: str) -> tuple[Operation, dict[str, str]]:
    """Return the operation that a request is for and the parts of its path; raises Misused for none."""
    for operation in OPERATIONS:
        parts = operation.parts(path)
        if parts is not None and operation.method == asked.method:
            return operation, parts
    raise Misused("no such operation")


def query_of(asked: Asked, operation: Operation) -> dict[str, str]:
    """Return the parameters: each known, once, and of its kind."""
    found: dict[str, str] = {}
    for pair in asked.query.split("&") if asked.query else []:
        if "+" in pair:
            raise Misused("a plus in the query is read as a space by some and as a plus by others")
        name, _, value = (unquote(part, errors="strict") for part in pair.partition("="))
        if name in found or not re.fullmatch(operation.query.get(name, "(?!)"), value, re.DOTALL):
            raise Misused(f"parameter {name}={value!r} is unknown, there twice or of another kind")
        found[name] = value
    return found


def json_of(asked: Asked, operation: Operation) -> dict[str, Any]:
    if asked.headers.get("content-type") != "application/json":
        raise Misused("the body is not declared as JSON")
    assert operation.json is not None
    value = json.loads(asked.body)
    _hold(value, operation.json, "the body")
    assert isinstance(value, dict)
    return value


def form_of(asked: Asked) -> list[FormPart]:
    """Return the parts of a multipart form in order; files by a path from the root, with a file name."""
    found = re.fullmatch(
        r"multipart/form-data; boundary=([0-9a-zA-Z]+)", asked.headers.get("content-type", "")
    )
    if not found:
        raise Misused("the body is not a multipart form")
    first, *parts, last = (b"\r\n" + asked.body).split(b"\r\n--" + found[1].encode())
    if first or last != b"--\r\n":
        raise Misused("the form is not closed")
    return [_part(part.removeprefix(b"\r\n")) for part in parts]


def without_body(asked: Asked) -> None:
    if asked.body or "content-type" in asked.headers:
        raise Misused("a body where none is known")


def _part(part: bytes) -> FormPart:
    head, _, content = part.partition(b"\r\n\r\n")
    found = re.fullmatch(
        r'Content-Disposition: form-data; name="([^"\\\r\n]+)"(?:; filename="([^"\\\r\n]+)")?'
        r'(?:; x-attributes="(executable)")?(?:\r\nContent-Type: application/octet-stream)?',
        head.decode(),
    )
    if found is None:
        raise Misused(f"a part that begins with {head!r}")
    name, filename, attributes = found.groups()
    is_file = filename is not None
    if is_file != name.startswith("/") or is_file != (b"Content-Type" in head):
        raise Misused(f"{name} is half a field and half a file")
    return FormPart(name, content, filename, attributes or "")


def _hold(value: object, shape: object, where: str) -> None:
    """Hold JSON against a shape: no member more, none that is needed less, each of its type."""
    if isinstance(shape, Mapping):
        _hold_members(value, shape, where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise Misused(f"{where} is no list")
        for each in value:
            _hold(each, shape[0], where)
    elif type(value) is not shape:
        raise Misused(f"{where} is {value!r}")


def _hold_members(value: object, shape: Mapping[str, object], where: str) -> None:
    known = {name.removesuffix("?"): inner for name, inner in shape.items()}
    needed = {name for name in shape if not name.endswith("?")}
    if not isinstance(value, dict) or not needed <= set(value) <= set(known):
        raise Misused(f"{where} is {value!r}")
    for name, inner in value.items():
        _hold(inner, known[name], name)
