"""Faults that other systems had, tried on every route there is; the list is docs/security-cases.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from quarterdeck import worker
from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core import web
from quarterdeck.core.config import load_settings
from quarterdeck.core.security import new_token
from tests.contracts.access_matrix import Way, entries
from tests.contracts.matrix_world import World

ROOT = Path(__file__).parents[2]
FOREIGN = "https://evil.example"
UNSAFE = [name for name, need, _ in entries() if not name.startswith("GET") and need.way is Way.SIGNED_IN]
PROTECTED = [name for name, need, _ in entries() if need.way is not Way.ANYBODY]
_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def send(world: World, name: str, *, cookie: str = "", kind: str = "absent", **more: Any) -> TestResponse:
    """Send what only the headers given make good or bad (Any: handed on to werkzeug)."""
    method, rule = name.split(" ", 1)
    client = world.app.test_client()
    if cookie:
        client.set_cookie(SESSION_COOKIE, cookie)
    path = world.path(rule, kind)
    return client.open(path.partition("?")[0] if "query_string" in more else path, method=method, **more)


@pytest.mark.parametrize(
    "attack",
    [
        {},
        {"headers": {"X-CSRF-Token": "0" * 64}},
        {"headers": {"X-CSRF-Token": "OTHERS"}},
        {"headers": {"X-CSRF-Token": "OWN", "Origin": FOREIGN}},
        {"headers": {"X-CSRF-Token": "OWN", "Origin": "null"}},
        {"headers": {"X-CSRF-Token": "OWN", "Origin": "http://localhost.evil.example"}},
        {"headers": {"X-CSRF-Token": "OWN", "Origin": "http://localhost:81"}},
        {"headers": {"X-CSRF-Token": "OWN", "Sec-Fetch-Site": "cross-site"}},
        {"headers": {"X-CSRF-Token": "OWN", "Sec-Fetch-Site": "same-site"}},
        {"headers": {"Content-Type": "text/plain"}, "data": "{}"},
    ],
    ids=lambda attack: "-".join(attack.get("headers", {}).values())[:60] or "none",
)
def test_no_change_is_made_for_another_site(world: World, attack: dict[str, Any]) -> None:
    ada, vera = world.caller("ada"), world.caller("vera")
    tokens = {"OWN": world.client(ada).form_token, "OTHERS": world.client(vera).form_token}
    headers = {name: tokens.get(text, text) for name, text in attack.get("headers", {}).items()}
    answers = {
        name: send(world, name, cookie=ada.cookie, **attack | {"headers": headers}).status_code
        for name in UNSAFE
    }
    assert {name: status for name, status in answers.items() if status != 403} == {}


@pytest.mark.parametrize(
    "sent",
    [
        {"headers": {"X-Forwarded-User": "ada", "Remote-User": "ada", "X-Remote-User": "ada"}},
        {"headers": {"X-Original-URL": "/sign-in", "X-Rewrite-URL": "/static/dist/x"}},
        {"headers": {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}},
        {"headers": {"X-Api-Key": "TOKEN", "X-Auth-Token": "TOKEN", "Proxy-Authorization": "Bearer TOKEN"}},
        {"query_string": {"access_token": "TOKEN", "token": "TOKEN", "api_key": "TOKEN"}},
        {"headers": {"Cookie": "token=TOKEN; session=TOKEN; Authorization=TOKEN"}},
        {"headers": {"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET"}},
    ],
    ids=["names", "addresses", "proxies", "other headers", "query", "cookies", "methods"],
)
def test_nobody_gets_in_by_what_is_no_credential(world: World, sent: dict[str, Any]) -> None:
    token = world.caller("token-admin").bearer.removeprefix("Bearer ")
    given: dict[str, Any] = {
        where: {name: text.replace("TOKEN", token) for name, text in values.items()}
        for where, values in sent.items()
    }
    answers = {name: send(world, name, **given) for name in PROTECTED}
    assert [name for name, answer in answers.items() if not is_refused(answer)] == []


def test_head_and_options_tell_no_more_than_get(world: World) -> None:
    told = []
    for name in PROTECTED:
        rule = name.split(" ", 1)[1]
        head, options = send(world, f"HEAD {rule}"), send(world, f"OPTIONS {rule}")
        trace = send(world, f"TRACE {rule}")
        is_told = head.data or not (is_refused(head) or head.status_code == 405) or not is_refused(options)
        if is_told or trace.status_code not in (401, 403, 405):
            told.append(f"{rule}: {head.status_code}, {options.status_code}, {trace.status_code}")
    assert told == []


@pytest.mark.parametrize("origin", ["null", "*", FOREIGN, "http://localhost", "http://LOCALHOST:80", ""])
def test_no_answer_may_be_read_by_another_site(world: World, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    shared = []
    for name in [name for name, _, _ in entries() if name.startswith("GET")]:
        for method in ("GET", "OPTIONS"):
            answer = send(
                world, name.replace("GET", method, 1), cookie=world.caller("vera").cookie, headers=asked
            )
            shared += [
                f"{name}: {header}" for header, _ in answer.headers if "access-control" in header.lower()
            ]
    assert shared == []


@pytest.mark.parametrize(
    "id_",
    [
        "..", "../..", "..%2f..%2fkeys%2fweb.key", "%2e%2e%2fkeys", "..%252f..%252fkeys", "..\\..\\keys",
        "%00", "a%00b", "%0d%0aSet-Cookie:x=1", "keys%2fweb.key", "%2fetc%2fpasswd", "*", "%25", "~",
        "x" * 3000, "\u202e", "' OR 1=1 --", "{{7*7}}", "-oProxyCommand=x", "..;/", ".",
    ],
)  # fmt: skip
def test_an_id_is_never_a_path(world: World, id_: str) -> None:
    ada, odd = world.client(world.caller("ada")), []
    for name, need, _ in entries():
        method, rule = name.split(" ", 1)
        if "<" not in rule or need.way is not Way.SIGNED_IN:
            continue
        raw = quote(id_, safe="%/*~;\\")
        answer = ada(method, re.sub(r"<[^>]+>", raw.replace("\\", r"\\"), rule))
        is_harmless = answer.status_code in (303, 308, 400, 404, 405, 422) or "/shown" in rule
        if (
            not is_harmless
            or "Set-Cookie:x" in str(answer.headers)
            or leads_off(answer.headers.get("Location", "").removeprefix("http://localhost"))
        ):
            odd.append(f"{name}: {answer.status_code} {answer.location}")
    assert odd == []


@pytest.mark.parametrize(
    "target", ["//evil.example", "https:evil.example", "/\\evil.example", "\\\\evil.example",
               "javascript:alert(1)", "/\t/evil.example", "https://evil.example/"],
)  # fmt: skip
def test_no_answer_leads_to_another_site(world: World, target: str) -> None:
    off = []
    for caller in ("nobody", "nils", "ada"):
        ask = world.client(world.caller(caller))
        for name, need, _ in entries():
            method, rule = name.split(" ", 1)
            if rule.startswith("/api/") or name == "POST /sign-out" or need.way is Way.WORKER:
                continue
            sent = {"query_string": {"next": target, "url": target, "return_to": target}}
            if method == "POST":
                sent["data"] = {"next": target, "theme": "dark", "csrf_token": ask.form_token}
            answer = ask(method, world.path(rule, "absent").partition("?")[0], **sent)
            if leads_off(answer.headers.get("Location", "")) or "Refresh" in answer.headers:
                off.append(f"{caller}: {name}: {answer.headers.get('Location')}")
    assert off == []


def leads_off(location: str) -> bool:
    """Tell whether a browser would leave this site."""
    return bool(location) and not re.match(r"/(?![/\\\t])", location)


@pytest.fixture(scope="module")
def worker_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, str]]:
    home = tmp_path_factory.mktemp("worker") / "home"
    parts = worker.make_parts(
        load_settings({"QUARTERDECK_HOME": str(home), "QUARTERDECK_MASTER_BEARER_TOKEN": new_token()})
    )
    yield worker.create_app(parts.settings, parts), parts.bearer
    parts.history.close()


def test_a_worker_obeys_its_master_alone(world: World, worker_app: tuple[Flask, str]) -> None:
    app, bearer = worker_app
    callers = {caller.name: caller.bearer for caller in world.callers}
    assert len(callers) > 40
    for rule in app.url_map.iter_rules():
        path = (rule.build(dict.fromkeys(rule.arguments, "absent")) or ("", ""))[1]
        method = min((rule.methods or set()) - {"HEAD", "OPTIONS"})
        for name, shown in callers.items():
            headers = {"Authorization": shown} if shown else {}
            assert app.test_client().open(path, method=method, headers=headers).status_code == 401, (
                name,
                path,
            )
        if path == "/shutdown":
            continue  # it would be obeyed
        good = app.test_client().open(path, method=method, headers={"Authorization": f"Bearer {bearer}"})
        assert good.status_code not in (401, 403), path


def test_a_worker_offers_a_fixed_list_and_repeats_nothing(worker_app: tuple[Flask, str]) -> None:
    app, bearer = worker_app
    verbs = {web.verb_of(view) for view in app.view_functions.values()}
    assert verbs == {"master.order", "master.read"}
    for path in ("/_prep_auth_info", "/runner", "/wheel", "/keys/master-token", "/tasks/../keys", "/<b>x"):
        answer = app.test_client().get(path, headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == 404
        assert path.strip("/") not in answer.text


def test_every_case_names_tests_that_there_are() -> None:
    page = (ROOT / "docs/security-cases.md").read_text(encoding="utf-8")
    rows = [row for row in _ROW.findall(page) if not row.startswith(("| Case", "|---"))]
    named = [_TEST.findall(row) for row in rows]
    assert [row for row, found in zip(rows, named, strict=True) if not found and "not built" not in row] == []
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for found in named for path, _ in found}
    absent = [
        f"{path}::{name}"
        for found in named
        for path, name in found
        if not re.search(rf"^(?:async )?def {name}\(", texts[path], re.MULTILINE)
    ]
    assert absent == []


def is_refused(answer: TestResponse) -> bool:
    """Tell whether nobody was sent away or to the page of signing in."""
    if answer.status_code == 303:
        return urlsplit(answer.headers["Location"]).path == "/sign-in"
    return answer.status_code in (401, 403)
