"""The OpenAPI document against the routes: whole, exact in what it names, and readable as pages."""

from typing import Any, cast

import pytest
from apiflask import APIFlask
from openapi_spec_validator import OpenAPIV31SpecValidator

from quarterdeck.access.permissions import RULES, WORKER_VERBS
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.openapi import path_of
from quarterdeck.core.openapi_names import name_plainly
from quarterdeck.core.ui.pages import Pages
from quarterdeck.home.reference import example_of, type_of
from quarterdeck.master_parts import MasterParts
from tests.contracts.test_limits import LIMITED

METHODS = ("get", "put", "post", "patch", "delete")
JOINING = {"POST /api/v1/hosts/join", "GET /api/v1/lines/{host_id}/{path}"}
"""What nodes say to each other is no part of the API: beside the verbs of workers, these."""

# fmt: off
SCHEMAS = [
    "AddedPerson", "Alert", "AlertLevel", "AlertList", "Base", "BaseList", "Builtin", "BuiltinTask",
    "CallBudget", "CallTask", "Caller", "Change", "ChangeDifference", "ChangeFile", "ChangeList",
    "ChangeState", "Check", "CommandTask", "Comparison", "ConflictDecision", "ConflictHunk", "DraftAction",
    "Entry", "EntryKind", "EntryList", "Facts", "Fault", "FigureSeries", "Figures", "File", "FileCommit",
    "FileConflict", "FileDifference", "FileDraft", "FileEntry", "FileList", "Fingerprint", "FirstCommit",
    "FleetHost", "FleetList", "FoundEntry", "Grant", "GrantList", "Host", "HostChange", "HostFigures",
    "HostImport", "HostKey", "HostKind", "HostList", "HostSamples", "HostState", "HostTags", "HostTest",
    "ImportedHost", "Interface", "Invitation", "InvitationList", "Keep", "KeyState", "Kind", "Level",
    "MadeInvitation", "MadeToken", "Mount", "NewBase", "NewChange", "NewChangeFile", "NewCommit",
    "NewDraft", "NewFirstCommit", "NewGrant", "NewHost", "NewHostImport", "NewInvitation", "NewPerson",
    "NewPlace", "NewPullRequest", "NewRule", "NewRun", "NewRunOptions", "NewSilence", "NewToast",
    "NewToken", "OnOutputLimit", "OwnDraft", "Person", "PersonChange", "PersonList", "Place", "PlaceChange",
    "PlaceKind", "PlaceList", "PlaceTest", "PreparedTask", "Problem", "ProfileChange", "Provider",
    "ProviderContact", "ProviderKind", "ProviderList", "ProviderState", "Ref", "RefList", "Result",
    "Revocation", "Role", "Rule", "RuleChange", "RuleList", "Run", "RunHost", "RunList", "RunState",
    "RunSummary", "SeenKey", "SentToast", "Side", "SignIn", "SignInLink", "Silence", "SilenceList",
    "SilencePhase", "Temperature", "Toast", "ToastLevel", "ToastList", "Token", "TokenList", "TokenPair",
    "TokenRotation", "UsualDuration", "Verdict", "VerdictList", "Verification", "VerificationScope",
]
# fmt: on
"""Generated clients make classes of these: a name that is here stays."""


@pytest.fixture(scope="session")
def document(app: APIFlask) -> dict[str, Any]:
    with app.app_context():
        return cast("dict[str, Any]", app.spec)


@pytest.fixture(scope="session")
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": document["paths"][path][method]
        for path in document["paths"]
        for method in METHODS
        if method in document["paths"][path]
    }


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_schemas_have_the_names_that_clients_know(document: dict[str, Any]) -> None:
    assert sorted(document["components"]["schemas"]) == sorted(SCHEMAS)


def test_two_schemas_of_one_name_are_refused() -> None:
    schemas = {"A.LevelOut": {"type": "string"}, "B.Level": {"type": "integer"}}
    with pytest.raises(ValueError, match="Two schemas are called Level"):
        name_plainly({"components": {"schemas": schemas}, "paths": {}})


def test_it_has_every_route_of_the_api_and_no_other(app: APIFlask, operations: dict[str, Any]) -> None:
    routes = {
        f"{method} {path_of(rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/v1/") and not is_of_nodes(app, rule.endpoint)
    }
    assert routes - set(operations) == JOINING
    assert set(operations) - routes == set()


def is_of_nodes(app: APIFlask, endpoint: str) -> bool:
    return web.verb_of(app.view_functions[endpoint]) in WORKER_VERBS


def test_each_operation_says_all_that_a_client_needs(operations: dict[str, Any]) -> None:
    poor = []
    for name, operation in operations.items():
        good = [status for status in operation["responses"] if status.startswith("2")]
        bad = [status for status in operation["responses"] if status >= "4"]
        is_whole = (
            operation.get("summary")
            and operation.get("operationId")
            and len(operation["tags"]) == 1
            and good
            and {"401", "503"} <= set(bad)
            and all("application/problem+json" in operation["responses"][status]["content"] for status in bad)
            and all("schema" in parameter for parameter in operation["parameters"])
        )
        if not is_whole:
            poor.append(name)
    assert poor == []


def test_operation_ids_and_tags_are_unique(document: dict[str, Any], operations: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations.values()]
    assert sorted(ids) == sorted(set(ids))
    tags = [tag["name"] for tag in document["tags"]]
    assert sorted(tags) == sorted(set(tags))
    assert {tag for operation in operations.values() for tag in operation["tags"]} == set(tags)


def test_who_may_is_what_the_judge_goes_by(operations: dict[str, Any]) -> None:
    for name, operation in operations.items():
        verb = operation.get("x-quarterdeck-verb")
        if verb is None:
            assert operation["security"] == [], name
            continue
        csrf: dict[str, list[str]] = {} if name.startswith("GET ") else {"csrf": []}
        assert operation["security"] == [{"token": []}, {"session": [], **csrf}], name
        assert operation["x-quarterdeck-scope"] == str(RULES[verb].scope), name


def test_a_session_counts_as_the_document_says(
    app: APIFlask, parts: MasterParts, document: dict[str, Any]
) -> None:
    ways = document["components"]["securitySchemes"]
    assert {(way["type"], way.get("in")) for way in ways.values()} == {
        ("http", None), ("apiKey", "cookie"), ("apiKey", "header"),
    }  # fmt: skip
    person = parts.access.add_person(
        SYSTEM, "browser", role=Role.ADMINISTRATOR, password="a long pass phrase"
    )
    session = parts.access.sign_in(person.name, "a long pass phrase")
    client = app.test_client()
    client.set_cookie(ways["session"]["name"], session)
    assert client.get("/api/v1/me").status_code == 200
    change = {"label": "page", "scope": "read"}
    assert client.post("/api/v1/tokens", json=change).status_code == 403
    with app.test_request_context("/", headers={"Cookie": f"{ways['session']['name']}={session}"}):
        shown = web.part(Pages).guard.token()
    headers = {ways["csrf"]["name"]: shown}
    assert client.post("/api/v1/tokens", json=change, headers=headers).status_code == 201
    assert client.get("/api/v1/me", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_waiting_and_ways_to_sign_in_are_told_in_headers(operations: dict[str, Any]) -> None:
    limited = {name for name, operation in operations.items() if "429" in operation["responses"]}
    costly = {route.replace("<", "{").replace(">", "}") for route in LIMITED if "/api/v1/" in route}
    assert limited - costly == {
        "POST /api/v1/auth/token", "POST /api/v1/auth/revoke", "POST /api/v1/people",
        "PATCH /api/v1/people/{name}", "POST /api/v1/providers/{name}/check",
    }  # fmt: skip
    assert costly <= limited
    for name in limited:
        assert "Retry-After" in operations[name]["responses"]["429"]["headers"]
    assert all("headers" in operation["responses"]["401"] for operation in operations.values())


def test_a_start_takes_an_idempotency_key_and_exports_name_their_media(operations: dict[str, Any]) -> None:
    headers = [each["name"] for each in operations["POST /api/v1/runs"]["parameters"]]
    assert headers == ["Idempotency-Key"]
    results = operations["GET /api/v1/runs/{run_id}/results"]["responses"]["200"]["content"]
    assert sorted(results) == ["application/json", "text/csv"]
    output = operations["GET /api/v1/runs/{run_id}/output"]["responses"]
    assert list(output["200"]["content"]) == ["text/plain"]


def test_each_body_has_an_example_that_names_what_is_needed(
    document: dict[str, Any], operations: dict[str, Any]
) -> None:
    for name, operation in operations.items():
        if "requestBody" not in operation:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        wanted = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]].get("required", [])
        assert set(wanted) <= set(example_of(schema, document)), name


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "array", "items": {"type": "integer"}}, "list of whole number"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"enum": ["a", "b"]}, "“a” or “b”"),
        ({}, "any value"),
    ],
)
def test_types_are_told_in_words(document: dict[str, Any], schema: dict[str, Any], words: str) -> None:
    assert type_of(schema, document) == words


def test_a_get_can_be_tried_from_its_page(app: APIFlask, parts: MasterParts) -> None:
    parts.access.add_person(SYSTEM, "trying", role=Role.VIEWER)
    secret = parts.access.create_token(SYSTEM, "trying", "docs", "read").secret
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/html"}
    client = app.test_client()
    page = client.get("/api/docs/runs", headers=headers).text
    assert 'action="/api/docs/try/run_results"' in page
    assert "/api/docs/try/run_start" not in page
    path = "/api/docs/try/run_results"
    there = client.get(f"{path}?run_id=a/b%3F&format=csv&q=&other=1", headers=headers)
    assert (there.status_code, there.location) == (303, "/api/v1/runs/a%2Fb%3F/results?format=csv")
    assert client.get("/api/docs/try/host_list?q=web", headers=headers).location == "/api/v1/hosts?q=web"
    assert {client.get(f"{path}?run_id={bad}", headers=headers).status_code for bad in ("", ".", "..")} == {
        422
    }
    assert client.get("/api/docs/try/run_start", headers=headers).status_code == 404


def test_the_pages_show_every_operation(
    app: APIFlask, parts: MasterParts, operations: dict[str, Any], document: dict[str, Any]
) -> None:
    access: Access = parts.access
    access.add_person(SYSTEM, "reader", role=Role.VIEWER)
    secret = access.create_token(SYSTEM, "reader", "docs", "read").secret
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/html"}
    client = app.test_client()
    overview = client.get("/api/docs", headers=headers).text
    pages = [client.get(f"/api/docs/{tag['name'].lower()}", headers=headers) for tag in document["tags"]]
    assert {page.status_code for page in pages} == {200}
    for name, operation in operations.items():
        assert f"#{operation['operationId']}" in overview, name
        assert any(f'id="{operation["operationId"]}"' in page.text for page in pages), name
    assert client.get("/api/docs/no-such-part", headers=headers).status_code == 404
    assert client.get("/api/docs").status_code in (303, 401)
