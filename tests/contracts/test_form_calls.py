"""Beside each form of a page stands the same as an API call, or here the reason why there is none."""

import re
from pathlib import Path
from typing import Any, Final, cast

import pytest
from apiflask import APIFlask

import quarterdeck
from quarterdeck.core.ui.pages import api_call

SOURCE: Final = Path(quarterdeck.__file__).parent
CALLS: Final = {
    "POST /access/grants": "POST /grants",
    "POST /access/grants/{}/take": "DELETE /grants/{}",
    "POST /access/providers/{}/check": "POST /providers/{}/check",
    "POST /account/profile": "PATCH /me",
    "POST /account/tokens": "POST /tokens",
    "POST {base}/{}/rotate": "POST /tokens/{}/rotate",
    "POST {base}/{}/revoke": "DELETE /tokens/{}",
    "POST /bases": "POST /bases",
    "POST /bases/{}/remove": "DELETE /bases/{}",
    "POST /files/{}/first": "POST /places/{}/first-commit",
    "POST /files/{}/new": "POST /changes",
    "POST /files/changes/{}/discard": "POST /changes/{}/discard",
    "POST /files/changes/{}/drop": "DELETE /changes/{}/drafts",
    "POST /files/changes/{}/files": "POST /changes/{}/files",
    "POST /files/changes/{}/merge": "POST /changes/{}/merge",
    "POST /files/changes/{}/propose": "POST /changes/{}/propose",
    "POST /files/changes/{}/remove-branch": "DELETE /changes/{}/branch",
    "POST /files/changes/{}/resume": "POST /changes/{}/resume",
    "POST {base}/commit": "POST /changes/{}/commit",
    "POST {base}/conflict": "POST /changes/{}/conflict",
    "POST {base}/edit": "PUT /changes/{}/drafts",
    "POST /files/places/add": "POST /places",
    "POST /files/places/{}/edit": "PATCH /places/{}",
    "POST /files/places/{}/remove": "DELETE /places/{}",
    "POST /files/places/{}/test": "POST /places/{}/test",
    "POST /fleet/rules/new": "POST /rules",
    "POST /fleet/rules/{}/edit": "PATCH /rules/{}",
    "POST /fleet/rules/{}/remove": "DELETE /rules/{}",
    "POST /fleet/rules/{}/switch": "PATCH /rules/{}",
    "POST /hosts/import": "POST /hosts/import",
    "POST /hosts/invitations": "POST /hosts/invitations",
    "POST /hosts/invitations/{}/revoke": "DELETE /hosts/invitations/{}",
    "POST /hosts/new": "POST /hosts",
    "POST /hosts/{}/edit": "PATCH /hosts/{}",
    "POST /hosts/{}/remove": "DELETE /hosts/{}",
    "POST /hosts/{}/revoke": "POST /hosts/{}/revoke",
    "POST {path}/host-key": "POST /hosts/{}/host-key",
    "POST {path}/scan": "POST /hosts/{}/scan",
    "POST {path}/test": "POST /hosts/{}/test",
    "POST /people": "POST /people",
    "POST {base}/role": "PATCH /people/{}",
    "POST {base}/enable": "PATCH /people/{}",
    "POST {base}/disable": "PATCH /people/{}",
    "POST {base}/link": "POST /people/{}/link",
    "POST /fleet/silences": "POST /silences",
    "POST /fleet/silences/{}/end": "POST /silences/{}/end",
    "POST /runs": "POST /runs",
    "POST /runs/{}/cancel": "POST /runs/{}/cancel",
}
_OF_BROWSER: Final = "sessions belong to browsers; a program ends its own sign-in by auth/revoke"
_PREFERENCE: Final = "a cookie of this browser alone"
_WAY_IN: Final = "how a browser gets its session; programs have auth/token"
REASONS: Final = {
    "POST {base}/{}/end": _OF_BROWSER,
    "POST {base}/sessions/end-all": _OF_BROWSER,
    "POST /account/sessions/end-others": _OF_BROWSER,
    "POST /sign-out": _OF_BROWSER,
    "POST /account/password": "who only holds a token must not be able to lock its owner out",
    "POST {base}/reset-password": "it ends in a link for a browser; programs set a password by PATCH",
    "POST /account/providers/{}/connect": "it leads a browser to the provider and back",
    "POST /account/providers/{}/disconnect": "it belongs to connecting, which needs a browser",
    "POST /sign-in": _WAY_IN,
    "POST access/link.html": _WAY_IN,
    "POST access/set_up.html": _WAY_IN,
    "POST /theme": _PREFERENCE,
    "POST home/keyboard.html": _PREFERENCE,
    "POST {base}/encoding": "programs send and read bytes, or say the encoding when they begin",
    "POST /toasts/{}/close": "closing says that somebody has seen it on a page",
    "POST /toasts/close-all": "closing says that somebody has seen it on a page",
}

Forms = dict[str, set[str]]


@pytest.fixture(scope="module")
def templates() -> dict[str, str]:
    paths = list(SOURCE.rglob("templates/**/*.html"))
    return {re.sub(r".*/templates/", "", path.as_posix()): path.read_text() for path in paths}


@pytest.fixture(scope="module")
def forms(templates: dict[str, str]) -> Forms:
    """Each form by what it sends, and the templates that have it."""
    found: Forms = {}
    for name, text in templates.items():
        for tag in re.findall(r'<form\b[^>]*method="post"[^>]*>', text, re.IGNORECASE):
            action = re.search(r'action="([^"]*)"', tag)
            sent = plain_action(action[1]) if action else name
            found.setdefault(f"POST {sent}", set()).add(name)
    return found


def plain_action(action: str) -> str:
    """Return an action with `{}` for what is put in; `base` and `path`, which begin one, keep their names."""
    kept = re.sub(r"^\{\{ *(base|path) *\}\}", r"{\1}", action)
    return re.sub(r"\{\{.*?\}\}", "{}", kept).partition("?")[0]


def calls_in(text: str) -> set[str]:
    """Return the calls that a template shows, with `{}` for what is put in."""
    return {
        f"{method} {plain_call(path)}"
        for method, path in re.findall(r'api_call\("([A-Z]+)", ("[^,()]*?)(?:, [{a-z]|\))', text)
    }


def plain_call(expression: str) -> str:
    parts = [part.strip() for part in expression.split("~")]
    path = "".join(part[1:-1] if part.startswith('"') else "{}" for part in parts)
    return re.sub(r"/(ID|NAME)\b", "/{}", path).partition("?")[0]


def shown_with(name: str, templates: dict[str, str]) -> set[str]:
    """Return the calls of a template and of those that name it: include or import it."""
    around = [text for text in templates.values() if f'"{name}"' in text]
    return set().union(*(calls_in(text) for text in [templates[name], *around]))


def test_each_form_has_a_call_or_a_reason(forms: Forms) -> None:
    assert set(CALLS) & set(REASONS) == set()
    assert sorted(forms) == sorted({*CALLS, *REASONS})


def test_each_call_stands_where_its_form_is(forms: Forms, templates: dict[str, str]) -> None:
    silent = [
        f"{name}: {sent} without {call}"
        for sent, call in CALLS.items()
        for name in forms[sent]
        if call not in shown_with(name, templates)
    ]
    assert silent == []


def test_each_call_that_is_shown_is_in_the_document(app: APIFlask, templates: dict[str, str]) -> None:
    with app.app_context():
        document = cast("dict[str, Any]", app.spec)
    known = {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path).removeprefix('/api/v1')}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    shown = {call: name for name, text in templates.items() for call in calls_in(text)}
    assert {call: name for call, name in shown.items() if call not in known} == {}
    assert len(shown) >= len(set(CALLS.values()))


def test_a_page_shows_the_call_as_a_shell_takes_it(app: APIFlask) -> None:
    with app.test_request_context("/", base_url="http://deck.example"):
        made = api_call("POST", "/people", {"name": "it's"})
    assert made.splitlines() == [
        "curl -X POST \\",
        '  -H "Authorization: Bearer $TOKEN" \\',
        "  -H 'Content-Type: application/json' \\",
        """  -d '{"name": "it'"'"'s"}' \\""",
        "  http://deck.example/api/v1/people",
    ]
