"""What APIFlask leaves out of the OpenAPI document: who may, every error, and what is no JSON.

Each operation is completed from the routes and marks themselves, so nothing is written twice.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from apiflask import APIFlask
from werkzeug.routing import Rule

from quarterdeck.core import web
from quarterdeck.core.limits import Cost
from quarterdeck.core.openapi_names import name_plainly

Json = dict[str, Any]  # Any: a part of the document
ScopeOf = Callable[[str], str]
"""From a verb to the scope that a token needs for it."""

MEDIA: Final = "quarterdeck_media"
HEADERS: Final = "quarterdeck_headers"
_PREFIX: Final = "/api/"
_PROBLEM: Final = "application/problem+json"
_METHODS: Final = ("get", "put", "post", "patch", "delete")
_TAGS: Final = {
    "Runs": "Start tasks on hosts, follow them, read what they printed, and cancel them.",
    "Hosts": "SSH hosts, workers, and the remote APIs that tasks may call.",
    "Fleet": "How hosts are doing now, in figures.",
    "Files": "Repositories, what is in them, and changes on branches of their own.",
    "History": "Every action on record; read, export and prove it.",
    "Alerts": "What is wrong with the fleet, and the rules that say so.",
    "Toasts": "Messages on people's pages.",
    "People": "People, service accounts, tokens and grants.",
    "Sign-in": "Tokens for API clients that act for somebody who is there.",
}
_BEARER: Final = (
    "An API token, or the access token of a client that has signed in. Where there is an Authorization "
    "header nothing else counts, and a bad one is refused."
)
_SESSION: Final = "The session of a browser that has signed in: for scripts of Quarterdeck's own pages."
_CSRF: Final = (
    "What shows, beside the session's cookie, that a change was meant: the value of the field `csrf_token` "
    "of any form that a page of this session has. Not needed beside a token."
)
_ERROR_HEADERS: Final[Mapping[str, Json]] = {
    "401": {
        "WWW-Authenticate": {"description": "How to show who calls.", "schema": {"const": "Bearer"}},
    },
    "429": {
        "Retry-After": {
            "description": "Seconds after which it may go on, as `retry_after` of the problem.",
            "schema": {"type": "integer", "minimum": 1},
        },
    },
}
_PROBLEM_SCHEMA: Final[Json] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). `errors` has a message for each bad field.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "By which the log and the history know the request."},
        "errors": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": True,
}


def also_answers(*media: str) -> Callable[[web.Handler], web.Handler]:
    """Mark a handler whose good answers are of these media types, besides or instead of JSON."""
    return _marker(MEDIA, media)


def reads_header(name: str, description: str, schema: Json) -> Callable[[web.Handler], web.Handler]:
    """Mark a handler that reads a request header."""
    header = {"name": name, "in": "header", "required": False, "description": description, "schema": schema}
    return _marker(HEADERS, (header,))


def complete(
    app: APIFlask, document: Json, scope_of: ScopeOf, *, session_cookie: str, csrf_header: str
) -> Json:
    """Return the document with what APIFlask can't know; pages and node-to-node routes are left out."""
    routes = _routes(app)
    document["paths"] = {
        path: operations for path, operations in document["paths"].items() if path.startswith(_PREFIX)
    }
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _complete(operations[method], app, routes[(path, method)], method, scope_of)
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for foreign in ("HTTPError", "ValidationError"):
        schemas.pop(foreign, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    name_plainly(document)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": _BEARER},
        "session": {"type": "apiKey", "in": "cookie", "name": session_cookie, "description": _SESSION},
        "csrf": {"type": "apiKey", "in": "header", "name": csrf_header, "description": _CSRF},
    }
    return document


def path_of(rule: Rule) -> str:
    """Return a route's path as the document writes it: ``/runs/<run_id>`` is ``/runs/{run_id}``."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _routes(app: APIFlask) -> Mapping[tuple[str, str], str]:
    return {
        (path_of(rule), method.lower()): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _complete(operation: Json, app: APIFlask, endpoint: str, method: str, scope_of: ScopeOf) -> None:
    handler = app.view_functions[endpoint]
    verb = str(web.verb_of(handler))
    operation["operationId"] = endpoint.rpartition(".")[2]
    operation.setdefault("parameters", []).extend(getattr(handler, HEADERS, ()))
    if verb == web.PUBLIC:
        operation["security"] = []
    else:
        with_session: Json = {"session": []} if method == "get" else {"session": [], "csrf": []}
        operation["security"] = [{"token": []}, with_session]
        operation["x-quarterdeck-verb"] = verb
        operation["x-quarterdeck-scope"] = scope_of(verb)
    responses = operation["responses"]
    _name_media(responses, getattr(handler, MEDIA, ()))
    has_body = "requestBody" in operation
    if has_body:
        operation["requestBody"]["required"] = True
    limits = [cost for cost, _ in web.costs_of(handler)]
    if limits:
        operation["x-quarterdeck-limits"] = list(map(_limit, limits))
        responses.setdefault("429", {"description": f"Too many {', or '.join(cost.name for cost in limits)}"})
    for status in _errors(operation, verb, method, has_body=has_body):
        responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    for status, response in responses.items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            response["content"] = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        if status in _ERROR_HEADERS:
            response["headers"] = _ERROR_HEADERS[status]


def _limit(cost: Cost) -> Json:
    return {"of": cost.name, "a_minute": cost.a_minute, "at_once": cost.at_once}


def _errors(operation: Json, verb: str, method: str, *, has_body: bool) -> list[int]:
    """Return the errors that any such operation may answer with."""
    found = [401, 503] if verb == web.PUBLIC and method == "get" else [401, 403, 503]
    places = {parameter["in"] for parameter in operation["parameters"]}
    if "path" in places:
        found.append(404)
    if has_body:
        found += [400, 413, 415, 422]
    if "query" in places:
        found.append(422)
    if method != "get":
        found += [409, 422]
    return found


def _name_media(responses: Json, media: tuple[str, ...]) -> None:
    for status, response in responses.items():
        if not media or not status.startswith("2") or status == "204":
            continue
        known = response.get("content", {}).get("application/json", {}).get("schema")
        response["content"] = {
            kind: {"schema": (known or {}) if kind == "application/json" else {"type": "string"}}
            for kind in media
        }


def _marker(name: str, values: tuple[Any, ...]) -> Callable[[web.Handler], web.Handler]:
    def mark(handler: web.Handler) -> web.Handler:
        setattr(handler, name, (*getattr(handler, name, ()), *values))
        return handler

    return mark
