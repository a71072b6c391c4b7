"""The costly routes of the real master: each is limited, says so in its document, and when to come back."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from apiflask import APIFlask

from quarterdeck.core import costs, web
from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.limits import Cost
from quarterdeck.master_parts import MasterParts

LIMITED = {
    "GET /history": costs.SEARCHES,
    "GET /api/v1/history": costs.SEARCHES,
    "GET /runs/<run_id>/find": costs.SEARCHES,
    "GET /runs/<run_id>/first-error": costs.SEARCHES,
    "GET /runs/<run_id>/difference": costs.SEARCHES,
    "GET /runs/<run_id>/results.csv": costs.SEARCHES,
    "GET /runs/<run_id>/results.json": costs.SEARCHES,
    "GET /api/v1/runs/<run_id>/results": costs.SEARCHES,
    "GET /history.csv": costs.EXPORTS,
    "GET /history.json": costs.EXPORTS,
    "GET /api/v1/history/export": costs.EXPORTS,
    "GET /runs/<run_id>/output": costs.DOWNLOADS,
    "GET /api/v1/runs/<run_id>/output": costs.DOWNLOADS,
    "GET /files/changes.csv": costs.EXPORTS,
    "GET /files/changes.json": costs.EXPORTS,
    "GET /files/changes/<change_id>/commit": costs.SEARCHES,
    "GET /files/changes/<change_id>/difference": costs.SEARCHES,
    "GET /files/changes/<change_id>/download": costs.DOWNLOADS,
    "GET /api/v1/changes/<change_id>/difference": costs.SEARCHES,
    "GET /api/v1/changes/<change_id>/download": costs.DOWNLOADS,
    "GET /api/v1/changes/<change_id>/patch": costs.SEARCHES,
    "GET /files/<name>/raw": costs.DOWNLOADS,
    "GET /api/v1/places/<name>/raw": costs.DOWNLOADS,
    "POST /files/places/<name>/test": costs.CONTACTS,
    "POST /api/v1/places/<name>/test": costs.CONTACTS,
    "POST /api/v1/history/verify": costs.PROOFS,
    "POST /hosts/<name>/test": costs.CONTACTS,
    "POST /hosts/<name>/scan": costs.CONTACTS,
    "POST /api/v1/hosts/<name>/test": costs.CONTACTS,
    "POST /api/v1/hosts/<name>/scan": costs.CONTACTS,
    "POST /hosts/import": costs.IMPORTS,
    "POST /api/v1/hosts/import": costs.IMPORTS,
    "GET /api/v1/hosts/<name>/samples": costs.SERIES,
    "GET /fleet/<name>": costs.SERIES,
    "GET /fleet/compare": costs.SERIES,
    "GET /fleet/<name>/processes": costs.CONTACTS,
}
DOCS = Path(__file__).parents[2] / "docs" / "limits.md"


@pytest.fixture(scope="module")
def bearer(parts: MasterParts) -> str:
    parts.access.add_person(SYSTEM, "lima", role=Role.ADMINISTRATOR)
    return parts.access.create_token(SYSTEM, "lima", "limits", Level.ADMIN).secret


def test_each_costly_route_is_limited_and_no_other(app: APIFlask) -> None:
    found = {
        f"{method} {rule.rule}": first_cost(app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {route: cost for route, cost in found.items() if cost} == LIMITED


def test_what_is_too_much_is_refused_with_the_time_to_wait(
    parts: MasterParts, app: APIFlask, bearer: str
) -> None:
    actor = parts.access.actor_for_token(bearer, "127.0.0.1")
    edge = cast("web.Edge", app.extensions["quarterdeck.Edge"])
    headers = {"Authorization": f"Bearer {bearer}"}
    assert actor is not None
    for route, cost in LIMITED.items():
        method, _, path = route.partition(" ")
        path = path.replace("<run_id>", "absent").replace("<name>", "absent")
        query = "?q=x" if path.endswith("/history") else ""
        with ExitStack() as under_way:
            for _ in range(cost.at_once):
                under_way.callback(edge.work.begin(cost, actor).end)
            answer = app.test_client().open(path + query, method=method, headers=headers)
            assert (answer.status_code, answer.headers.get("Retry-After")) == (429, "5"), route
            assert f"{cost.name} of yours are under way. Wait 5 s" in answer.get_json(force=True)["detail"]
        answer = app.test_client().open(path + query, method=method, headers=headers)
        assert answer.status_code != 429, route
        answer.close()
    assert edge.work.under_way() == 0


def test_what_makes_no_sense_does_not_count(app: APIFlask, bearer: str) -> None:
    for _ in range(2 * costs.PROOFS.a_minute):
        answer = app.test_client().post(
            "/api/v1/history/verify", json={"nonsense": 1}, headers={"Authorization": f"Bearer {bearer}"}
        )
        assert answer.status_code == 422


def test_the_newest_of_the_history_is_no_search(parts: MasterParts, app: APIFlask, bearer: str) -> None:
    actor = parts.access.actor_for_token(bearer, "127.0.0.1")
    assert actor is not None
    edge = cast("web.Edge", app.extensions["quarterdeck.Edge"])
    turns = [edge.work.begin(costs.SEARCHES, actor) for _ in range(costs.SEARCHES.at_once)]
    answer = app.test_client().get("/api/v1/history", headers={"Authorization": f"Bearer {bearer}"})
    for turn in turns:
        turn.end()
    assert answer.status_code == 200


def test_the_document_tells_the_limits(app: APIFlask) -> None:
    with app.app_context():
        document = cast("dict[str, Any]", app.spec)
    for route, cost in LIMITED.items():
        method, _, path = route.partition(" ")
        if not path.startswith("/api/v1"):
            continue
        operation = document["paths"][path.replace("<", "{").replace(">", "}")][method.lower()]
        told = {"of": cost.name, "a_minute": cost.a_minute, "at_once": cost.at_once}
        assert told in operation["x-quarterdeck-limits"], route
        assert "Retry-After" in operation["responses"]["429"]["headers"], route


def test_the_limits_are_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for cost in costs.ALL:
        row = f"| {cost.name} | {cost.a_minute:,} | {cost.at_once} | {cost.at_once_in_all} |"
        assert row in text, row


def first_cost(handler: object) -> Cost | None:
    marks = web.costs_of(handler)
    return marks[-1][0] if marks else None
