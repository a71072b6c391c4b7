"""Every route of the URL map, tried by the whole cast: a new route without a verb fails here."""

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from quarterdeck.access.permissions import RULES, WORKER_VERBS, may
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Role, Scope
from quarterdeck.master import MasterParts

CAST = {
    "ada": Role.ADMINISTRATOR,
    "oskar": Role.OPERATOR,
    "vera": Role.VIEWER,
    "nils": None,
}


@pytest.fixture(scope="session")
def access(parts: MasterParts) -> Access:
    for name, role in CAST.items():
        parts.access.add_person(SYSTEM, name, role=role)
    return parts.access


@pytest.fixture(scope="session")
def bearers(access: Access) -> dict[str, str]:
    """A token of each person, as wide as her role allows; and of Ada, one of each narrower scope."""
    widest = {"ada": Scope.ADMIN, "oskar": Scope.RUN, "vera": Scope.READ, "nils": None}
    made = {
        name: access.create_token(SYSTEM, name, "matrix", scope).secret
        for name, scope in widest.items()
        if scope
    }
    for scope in (Scope.READ, Scope.RUN, Scope.WRITE):
        made[f"ada {scope}"] = access.create_token(SYSTEM, "ada", scope, scope).secret
    return made


def test_every_route_says_which_verb_it_needs(app: APIFlask) -> None:
    known = {*RULES, *WORKER_VERBS, web.PUBLIC}
    silent = [rule.rule for rule in app.url_map.iter_rules() if verb_of(app, rule) not in known]
    assert silent == []


def test_nobody_gets_past_a_route_that_is_not_public(app: APIFlask) -> None:
    client = app.test_client()
    open_ = [
        f"{method} {rule.rule}"
        for rule, method in calls(app)
        if verb_of(app, rule) != web.PUBLIC
        and answer(client, rule, method).status_code not in (303, 401, 403)
    ]
    assert open_ == []


def test_a_bad_token_is_refused_by_every_route(app: APIFlask) -> None:
    client = app.test_client()
    answers = {
        f"{method} {rule.rule}": answer(client, rule, method, "no-such-token-" + "x" * 30).status_code
        for rule, method in calls(app)
    }
    assert set(answers.values()) == {401}


@pytest.mark.parametrize(
    "who", ["ada", "oskar", "vera", "ada read", "ada run", "ada write"], ids=lambda who: who.replace(" ", "-")
)
def test_a_token_passes_exactly_where_the_judge_says_so(
    who: str, app: APIFlask, bearers: dict[str, str]
) -> None:
    client = app.test_client()
    actor = token_actor(who)
    wrong = []
    for rule, method in calls(app):
        verb = verb_of(app, rule)
        if verb == web.PUBLIC or verb == "node.shutdown":
            continue
        status = answer(client, rule, method, bearers[who]).status_code
        if (status != 403) is not may(actor, str(verb)):
            wrong.append(f"{method} {rule.rule} ({verb}): {status}")
    assert wrong == []


def token_actor(who: str) -> Actor:
    name, _, scope = who.partition(" ")
    widest = {"ada": Scope.ADMIN, "oskar": Scope.RUN, "vera": Scope.READ}[name]
    return Actor(ActorKind.TOKEN, who, role=CAST[name], scope=Scope(scope) if scope else widest)


def calls(app: APIFlask) -> list[tuple[Rule, str]]:
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def verb_of(app: APIFlask, rule: Rule) -> str | None:
    return web.verb_of(app.view_functions[rule.endpoint])


def answer(client: FlaskClient, rule: Rule, method: str, bearer: str = "") -> TestResponse:
    values = dict.fromkeys(rule.arguments, "absent")
    _, path = rule.build(values) or ("", rule.rule)
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {"Accept": "text/html"}
    return client.open(path, method=method, headers=headers)
