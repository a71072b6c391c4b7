"""Bad input by every form and every JSON route: refused beside its field, before anything happened."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.deck import Deck
from tests.end_to_end.visitor import Visitor, signed_in
from tests.sshd import ROOT

HOSTILE = {
    "option": "-oProxyCommand=touch${IFS}x",
    "dash": "-",
    "space": "a b",
    "quote": "a'b",
    "double quote": 'a"b',
    "percent": "a%b",
    "backslash": "a\\b",
    "backtick": "a`id`b",
    "slash": "../a",
    "line": "a\nb",
    "CR LF": "a\r\nX-More: 1",
    "NUL": "a\0b",
    "escape": "a\x1b[31mb",
    "line separator": "a\u2028b",
    "bidi": "a\u202eb",
    "full width": "\uff0doProxyCommand",
    "markup": "<script>alert(1)</script>",
    "template": "{{7*7}}",
    "long": "x" * 5000,
}
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Names that a header may have, by RFC 9110 section 5.6.2; some of the above are such."""
HOST = {"name": "bad-1", "address": "127.0.0.1", "username": ROOT}
COMMAND = {"kind": "command", "command": "echo hello"}
PLACE = {"name": "bad-1", "kind": "cloud", "project": "acme", "repository": "wiki"}
RULE = {"name": "bad-1", "figure": "memory", "threshold": 95}
VALID: dict[str, dict[str, Any]] = {
    "POST /api/v1/hosts": HOST,
    "PATCH /api/v1/hosts/{name}": {"tags": ["web"]},
    "POST /api/v1/hosts/{name}/host-key": {"fingerprint": "SHA256:x"},
    "POST /api/v1/hosts/import": {"text": "hosts: []"},
    "POST /api/v1/hosts/invitations": {"name": "bad-1"},
    "POST /api/v1/bases": {"name": "bad-1", "url": "https://api.example.org"},
    "POST /api/v1/places": PLACE,
    "POST /api/v1/places/{name}/first-commit": {"path": "README.md", "text": "# A", "message": "Begin"},
    "POST /api/v1/changes": {"place": "absent", "path": "conf/app.yml"},
    "POST /api/v1/changes/{change_id}/files": {"path": "conf/app.yml"},
    "PUT /api/v1/changes/{change_id}/drafts": {"text": "port: 8080"},
    "POST /api/v1/changes/{change_id}/commit": {"message": "Why"},
    "POST /api/v1/changes/{change_id}/conflict": {"commit": "0" * 40, "side": "target"},
    "POST /api/v1/changes/{change_id}/propose": {"title": "Title"},
    "PATCH /api/v1/places/{name}": {"read_role": "viewer"},
    "POST /api/v1/rules": RULE,
    "PATCH /api/v1/rules/{rule_id}": {"threshold": 90},
    "POST /api/v1/people": {"name": "bad-1"},
    "PATCH /api/v1/me": {"time_zone": "UTC"},
    "PATCH /api/v1/people/{name}": {"role": "viewer"},
    "POST /api/v1/tokens": {"label": "bad-1", "scope": "read"},
    "POST /api/v1/tokens/{token_id}/rotate": {"overlap_hours": 1},
    "POST /api/v1/grants": {"person": "vera", "level": "read", "object": "host:master"},
    "PUT /api/v1/hosts/{name}/tags": {"tags": ["web"]},
    "POST /api/v1/history/verify": {},
    "POST /api/v1/auth/token": {"grant_type": "refresh_token"},
    "POST /api/v1/auth/revoke": {"refresh_token": "qdr_x"},
    "POST /api/v1/silences": {"host": "master", "reason": "bad-1"},
    "POST /api/v1/toasts": {"text": "hello"},
    "POST /api/v1/runs": {"task": COMMAND, "hosts": ["master"]},
}
"""A good body for every JSON route that takes one."""

STRICT = [
    ("POST /api/v1/hosts", "name"),
    ("POST /api/v1/hosts", "address"),
    ("POST /api/v1/hosts", "username"),
    ("POST /api/v1/hosts", "jump"),
    ("POST /api/v1/hosts", "host_key"),
    ("PATCH /api/v1/hosts/{name}", "name"),
    ("PATCH /api/v1/hosts/{name}", "address"),
    ("PATCH /api/v1/hosts/{name}", "username"),
    ("PATCH /api/v1/hosts/{name}", "jump"),
    ("POST /api/v1/bases", "name"),
    ("POST /api/v1/bases", "url"),
    ("POST /api/v1/places", "name"),
    ("POST /api/v1/places", "repository"),
    ("POST /api/v1/people", "name"),
    ("POST /api/v1/toasts", "person"),
    ("POST /api/v1/toasts", "link"),
]
"""Fields whose text becomes a name, an address or an account: nothing hostile passes."""

FORMS: list[tuple[str, dict[str, str], str]] = [
    ("/hosts/new?kind=ssh", HOST, "name"),
    ("/hosts/new?kind=ssh", HOST, "address"),
    ("/hosts/new?kind=ssh", HOST, "username"),
    ("/hosts/new?kind=ssh", HOST, "port"),
    ("/hosts/new?kind=worker", {"name": "bad-1"}, "address"),
    ("/hosts/web1/edit", HOST | {"name": "web1"}, "address"),
    ("/hosts/web1/edit", HOST | {"name": "web1"}, "username"),
    ("/bases", {"name": "bad-1", "url": "https://api.example.org"}, "name"),
    ("/bases", {"name": "bad-1", "url": "https://api.example.org"}, "url"),
    ("/people", {"name": "bad-1", "role": "viewer"}, "name"),
    ("/files/places/add?kind=cloud", PLACE, "name"),
    ("/files/places/add?kind=cloud", PLACE, "repository"),
]


@pytest.fixture
def ada(deck: Deck) -> Iterator[Visitor]:
    with signed_in(deck, "ada") as visitor:
        yield visitor


@pytest.fixture(scope="module", autouse=True)
def untouched(deck: Deck) -> Iterator[None]:
    """Fail when anything in here left anything behind in any list."""
    before = standing(deck)
    yield
    assert standing(deck) == before


def test_the_table_has_every_json_route_that_takes_a_body(deck: Deck) -> None:
    paths = deck.api("GET", "/api/openapi.json").json()["paths"]
    taking = {
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert taking == set(VALID)


@pytest.mark.parametrize("route", VALID)
def test_an_unknown_field_is_refused_by_its_name(deck: Deck, route: str) -> None:
    refused = ask(deck, route, VALID[route] | {"surprise": 1})
    assert problem(refused)["errors"] == {"surprise": "There is no such field."}


@pytest.mark.parametrize("route", VALID)
def test_a_missing_field_is_asked_for_by_its_name(deck: Deck, route: str) -> None:
    for field in schema(deck, route).get("required", []):
        body = {name: value for name, value in VALID[route].items() if name != field}
        assert problem(ask(deck, route, body))["errors"][field] == "This is needed."


@pytest.mark.parametrize("route", VALID)
def test_a_value_of_the_wrong_type_is_refused_by_the_fields_name(deck: Deck, route: str) -> None:
    for field, described in schema(deck, route)["properties"].items():
        types = {each.get("type") for each in (described, *described.get("anyOf", ()))}
        for wrong in ({"deep": [1]}, [[1]], 10**30, *(() if "number" in types else (1.5,))):
            errors = problem(ask(deck, route, VALID[route] | {field: wrong}))["errors"]
            assert any(name.split(".")[0] == field for name in errors), (field, wrong, errors)


@pytest.mark.parametrize("route", VALID)
def test_json_that_is_no_object_is_refused(deck: Deck, route: str) -> None:
    for body in ("null", "[]", '"text"', "1", "true"):
        assert problem(ask(deck, route, content=body))["errors"] == {"form": "Send a JSON object."}


@pytest.mark.parametrize("route", VALID)
def test_what_is_no_json_is_refused_and_said_so(deck: Deck, route: str) -> None:
    for body in ("", "{", '{"a": }', '{"a": 1} x', "\xff", "[" * 100_000, '{"a": NaN}', '{"a":' * 50_000):
        refused = ask(deck, route, content=body.encode("latin-1"))
        assert refused.status_code in (400, 422), (body[:20], refused.text)
        # Python's parser takes NaN for a number: then it is the field that is refused.
        assert "NaN" in body or "JSON" in refused.json()["detail"], (body[:20], refused.text)
        assert refused.json()["request_id"] == refused.headers["X-Request-Id"]


@pytest.mark.parametrize("route", VALID)
def test_another_content_type_is_refused(deck: Deck, route: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = ask(deck, route, content=b'{"name": "bad-1"}', headers={"Content-Type": kind})
        assert refused.status_code == 415, (kind, refused.text)
        assert "Content-Type: application/json" in refused.json()["detail"]
        assert refused.json()["request_id"] == refused.headers["X-Request-Id"]


@pytest.mark.parametrize(("route", "field"), STRICT, ids=lambda value: value.replace(" ", "-"))
def test_hostile_text_is_refused_beside_its_field_before_any_connection(
    deck: Deck, route: str, field: str
) -> None:
    with nobody_connects() as port:
        for kind, text in HOSTILE.items():
            body = VALID[route] | {field: text}
            if route.endswith("/hosts"):
                body |= {"port": port}
            errors = problem(ask(deck, route, body))["errors"]
            assert field in errors, (kind, errors)


def test_a_hostile_tag_is_refused(deck: Deck) -> None:
    for text in HOSTILE.values():
        for route in ("POST /api/v1/hosts", "PATCH /api/v1/hosts/{name}"):
            errors = problem(ask(deck, route, VALID[route] | {"tags": [text]}))["errors"]
            assert "tags" in errors


def test_a_hostile_private_key_is_refused_and_never_taken_for_a_path(deck: Deck) -> None:
    for text in (*HOSTILE.values(), "/etc/ssh/ssh_host_ed25519_key", "file:///etc/passwd", "-----BEGIN"):
        errors = problem(ask(deck, "POST /api/v1/hosts", HOST | {"private_key": text}))["errors"]
        assert "private_key" in errors


def test_a_hostile_target_starts_no_run(deck: Deck) -> None:
    for text in HOSTILE.values():
        for targets in ({"hosts": [text]}, {"tags": [text]}):
            assert problem(ask(deck, "POST /api/v1/runs", {"task": COMMAND} | targets))["errors"]


def test_a_hostile_call_starts_no_run(deck: Deck, own_base: str) -> None:
    call = {"kind": "call", "method": "GET", "url": own_base}
    for text in HOSTILE.values():
        tasks = [call | {"url": text}, call | {"method": text}, call | {"headers": {"X-More": f"{text}\n"}}]
        if len(text) > 100 or not TOKEN.fullmatch(text):
            tasks.append(call | {"headers": {text: "a"}})
        for task in tasks:
            assert problem(ask(deck, "POST /api/v1/runs", {"task": task}))["errors"]


def test_an_empty_target_is_never_all_hosts(deck: Deck) -> None:
    empty: list[dict[str, list[str]]] = [{}, {"hosts": []}, {"tags": []}]
    for targets in (*empty, {"tags": ["no-such-tag"]}, {"hosts": ["no-such-host"]}):
        assert problem(ask(deck, "POST /api/v1/runs", {"task": COMMAND} | targets))["errors"]


@pytest.mark.parametrize(("path", "good", "field"), FORMS, ids=lambda value: str(value)[:30])
def test_a_form_says_what_is_wrong_beside_the_field_and_keeps_the_rest(
    deck: Deck, ada: Visitor, path: str, good: dict[str, str], field: str
) -> None:
    with nobody_connects() as port:
        more = {"port": str(port)} if "ssh" in path else {}
        for kind, text in HOSTILE.items():
            page = ada.submit(path, good | more | {field: text})
            assert page.status_code == 422, (kind, page.text)
            assert f'id="field-{field}-error"' in page.text, kind
            assert "<script>alert" not in page.text
            kept = [value for name, value in good.items() if name != field]
            assert all(f'"{value}"' in page.text for value in kept), (kind, kept)


def test_the_form_of_a_run_says_what_is_wrong_and_keeps_the_rest(deck: Deck, ada: Visitor) -> None:
    good = {"kind": "command", "command": "echo kept", "hosts": "master"}
    for field, text in (("command", ""), ("timeout_seconds", "soon"), ("hosts", "nowhere"), ("hosts", "")):
        page = ada.submit("/runs", good | {field: text})
        assert page.status_code == 422, page.text
        assert 'class="error"' in page.text, field
        assert field == "command" or "echo kept" in page.text


def test_a_missing_or_unknown_kind_or_field_of_a_form_is_refused(deck: Deck, ada: Visitor) -> None:
    for path in ("/hosts/new", "/hosts/new?kind=-o", "/hosts/new?kind=master"):
        assert ada.submit(path, HOST).status_code == 404
    for path, good, _ in FORMS:
        assert ada.submit(path, good | {"surprise": "1"}).status_code == 422, path
        assert ada.submit(path, {}).status_code == 422, path


def test_a_body_over_the_limit_is_refused_whole_and_chunked(deck: Deck) -> None:
    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 1_000_000 for _ in range(40))

    for content in (b"x" * 17_000_000, chunks()):
        refused = ask(deck, "POST /api/v1/runs", content=content)
        assert refused.status_code == 413
        assert refused.json()["request_id"]
    assert deck.is_ready()


def test_a_hundred_thousand_parts_of_a_form_are_refused(deck: Deck, ada: Visitor) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Origin": deck.url}
    for content, kind in (
        (part * 100_000 + b"--x--\r\n", headers),
        (b"&".join(b"a%d=b" % number for number in range(100_000)), {"Origin": deck.url}),
    ):
        form = {"Content-Type": "application/x-www-form-urlencoded"} | kind
        answer = ada.http.post("/bases", content=content, headers=form)
        assert answer.status_code in (403, 413, 422), answer.text[:500]
    assert deck.is_ready()


@pytest.mark.parametrize("where", ["query", "cookie", "header", "path", "method"])
def test_two_megabytes_of_head_are_refused_and_the_server_goes_on(deck: Deck, where: str) -> None:
    much = b"x" * 2_000_000
    lines = {
        "query": b"GET /hosts?q=%s HTTP/1.1\r\n" % much,
        "cookie": b"GET /hosts HTTP/1.1\r\nCookie: quarterdeck_session=%s\r\n" % much,
        "header": b"GET /hosts HTTP/1.1\r\nX-More: %s\r\n" % much,
        "path": b"GET /%s HTTP/1.1\r\n" % much,
        "method": b"%s / HTTP/1.1\r\n" % much,
    }
    answer = raw(deck, lines[where] + b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 414", b"HTTP/1.1 431"))
    assert deck.is_ready()


def test_a_length_beside_chunks_is_not_taken_for_two_requests(deck: Deck) -> None:
    body = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    answer = raw(deck, head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"smuggled" not in deck.log().encode()


@pytest.mark.parametrize(
    "path", ["/%2e%2e/%2e%2e/etc/passwd", "/hosts/..%2f..%2fx", "/runs/%00", "/hosts/%ff"]
)
def test_a_path_that_climbs_finds_nothing(deck: Deck, ada: Visitor, path: str) -> None:
    for answer in (ada.get(path), deck.api("GET", f"/api/v1{path}")):
        assert answer.status_code in (400, 404), answer.text
        assert "root:" not in answer.text


def ask(
    deck: Deck, route: str, body: dict[str, Any] | None = None, **more: Any
) -> httpx.Response:  # Any: JSON; handed on to httpx
    """Call a route of the table on things that are there."""
    method, _, path = route.partition(" ")
    name = "vera" if "/people/" in path else "web1"
    headers = {"Content-Type": "application/json"} | more.pop("headers", {})
    if body is not None:
        more["json"] = body
    if path.endswith(("/drafts", "/conflict")):
        more["params"] = {"path": "conf/app.yml"}  # beside the body, these say which file
    return deck.api(method, path.replace("{name}", name), headers=headers, **more)


def problem(answer: httpx.Response) -> dict[str, Any]:  # Any: JSON
    """Return the problem document of a refused input, which must be one."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == 422
    assert document["detail"]
    assert document["request_id"] == answer.headers["X-Request-Id"]
    return document


def schema(deck: Deck, route: str) -> dict[str, Any]:  # Any: JSON
    document = deck.api("GET", "/api/openapi.json").json()
    method, _, path = route.partition(" ")
    operation = document["paths"][path][method.lower()]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    found: dict[str, Any] = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
    return found


def standing(deck: Deck) -> dict[str, Any]:  # Any: JSON
    """Return what there is, without what changes by itself."""
    lists = {name: deck.api("GET", f"/api/v1/{name}").json() for name in ("hosts", "bases", "runs", "people")}
    lists |= {name: deck.api("GET", f"/api/v1/{name}").json() for name in ("tokens", "toasts")}
    changing = {"last_seen", "state", "state_reason", "last_used_at", "version", "locked_until"}
    return {kind: _without(content, changing) for kind, content in lists.items()}


def _without(content: Any, names: set[str]) -> Any:  # Any: JSON
    if isinstance(content, dict):
        return {
            name: _without(value, names)
            for name, value in content.items()
            if name not in names and not name.startswith("last_sign_in")
        }
    return [_without(item, names) for item in content] if isinstance(content, list) else content


@contextmanager
def nobody_connects() -> Iterator[int]:
    """Listen on a free port, and fail when anybody has knocked there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener.getsockname()[1]
        with pytest.raises(BlockingIOError):
            listener.accept()


def raw(deck: Deck, request: bytes) -> bytes:
    """Send bytes and return what comes back before the connection ends."""
    answer = b""
    with socket.create_connection(("127.0.0.1", deck.port), timeout=20) as connection:
        try:
            connection.sendall(request)
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionError, BrokenPipeError):
            return answer
    return answer
