"""The pages of the API: the OpenAPI document told to people, one page a tag."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from quarterdeck.core import web
from quarterdeck.core.errors import Invalid, NotFound

blueprint = Blueprint("reference", __name__, template_folder="templates")

Json = dict[str, Any]  # Any: a part of the document
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_DEEPEST: Final = 6
_NO_PLACE: Final = ("", ".", "..")
"""What would make another path of the one that is asked for."""
_KEPT: Final = "quarterdeck.openapi"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as its page shows it."""

    id: str
    method: str
    path: str
    about: Json
    body: Json | None
    """The schema of the body with its references followed."""
    answers: list[tuple[str, str, list[tuple[str, Json]]]]
    """Status, description, and the schema of each media type."""
    curl: str


@blueprint.get("/api/docs")
@web.allow("home.read")
def reference_show() -> str:
    document = _document()
    return render_template("home/reference.html", document=document, listed=_listed(document))


@blueprint.get("/api/docs/<tag>")
@web.allow("home.read")
def reference_tag(tag: str) -> str:
    document = _document()
    about = next((each for each in document["tags"] if each["name"].lower() == tag.lower()), None)
    if about is None:
        raise NotFound("There is no such part of the API.")
    operations = [
        _operation(document, method, path)
        for method, path in _operations(document)
        if about["name"] in document["paths"][path][method]["tags"]
    ]
    return render_template("home/reference_tag.html", document=document, tag=about, operations=operations)


@blueprint.get("/api/docs/try/<operation_id>")
@web.allow("home.read")
def reference_try(operation_id: str) -> Response:
    """Lead a browser to what a form of the reference asks for; the API judges it as any other call."""
    document = _document()
    for method, path in _operations(document):
        about = document["paths"][path][method]
        if method == "get" and about["operationId"] == operation_id:
            return redirect(_address(path, about["parameters"], request.args), 303)
    raise NotFound("There is no such operation that a browser can try.")


def _address(path: str, parameters: list[Json], values: Mapping[str, str]) -> str:
    """Return a path with its places filled, and the query of the fields that say something."""
    places = {each["name"]: quote(values.get(each["name"], ""), safe="") for each in _of(parameters, "path")}
    if missing := [name for name, value in places.items() if value in _NO_PLACE]:
        raise Invalid(dict.fromkeys(missing, "This is needed to try it."))
    asked = {each["name"]: value for each in _of(parameters, "query") if (value := values.get(each["name"]))}
    return path.format(**places) + (f"?{urlencode(asked)}" if asked else "")


def _of(parameters: list[Json], place: str) -> list[Json]:
    return [parameter for parameter in parameters if parameter["in"] == place]


def example_of(schema: Json, document: Json, depth: int = 0) -> Any:  # Any: JSON
    """Return a value that fits a schema, to start from: required members, and defaults."""
    schema = _followed(schema, document)
    if "examples" in schema:
        return schema["examples"][0]
    given = next((schema[key] for key in ("default", "const") if key in schema), None)
    if given is not None or depth > _DEEPEST:
        return given
    choices = next((schema[key] for key in ("oneOf", "anyOf", "allOf") if key in schema), None)
    if choices is not None:
        return example_of(choices[0], document, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    return _example_of_type(schema, document, depth + 1)


def _example_of_type(schema: Json, document: Json, depth: int) -> Any:  # Any: JSON
    match schema.get("type"):
        case "object":
            wanted = schema.get("required", ())
            members = schema.get("properties", {}).items()
            return {name: example_of(part, document, depth) for name, part in members if name in wanted}
        case "array":
            return [example_of(schema.get("items", {}), document, depth)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
    return "…"


def type_of(schema: Json, document: Json) -> str:
    """Return a schema's type in a few words: ``text``, ``list of whole numbers, or null``."""
    schema = _followed(schema, document)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_of(each, document) for each in schema[key]))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " or ".join(f"“{value}”" for value in values[:12])
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}), document)}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(str(schema.get("type")), str(schema.get("type", "any value")))


def _document() -> Json:
    """Return the document, which is made once: APIFlask makes it anew each time that it is asked."""
    if _KEPT not in current_app.extensions:
        current_app.extensions[_KEPT] = current_app.spec  # type: ignore[attr-defined]  # of APIFlask
    document: Json = current_app.extensions[_KEPT]
    return document


def _operations(document: Json) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, operations in sorted(document["paths"].items())
        for method in _METHODS
        if method in operations
    ]


def _listed(document: Json) -> list[tuple[Json, list[tuple[str, str, Json]]]]:
    """Return each tag with its operations: method, path and what the document says."""
    every = [(method, path, document["paths"][path][method]) for method, path in _operations(document)]
    return [(tag, [each for each in every if tag["name"] in each[2]["tags"]]) for tag in document["tags"]]


def _operation(document: Json, method: str, path: str) -> Operation:
    about = document["paths"][path][method]
    body = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = [
        (
            status,
            answer["description"],
            [
                (kind, _followed(media.get("schema", {}), document))
                for kind, media in answer.get("content", {}).items()
            ],
        )
        for status, answer in sorted(about["responses"].items())
    ]
    return Operation(
        id=about["operationId"],
        method=method.upper(),
        path=path,
        about=about,
        body=_followed(body, document) if body else None,
        answers=answers,
        curl=_curl(document, method, path, about, body),
    )


def _curl(document: Json, method: str, path: str, about: Json, body: Json | None) -> str:
    """Return the call in a shell; what is in braces and capitals is to be put in."""
    parts = [f"curl -X {method.upper()}" if method != "get" else "curl"]
    if about["security"]:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if body:
        example = json.dumps(example_of(body, document), ensure_ascii=False)
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(example)}"]
    return " \\\n  ".join([*parts, shlex.quote(request.host_url.rstrip("/") + path)])


def _followed(schema: Json, document: Json) -> Json:
    """Return what a reference leads to."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    return schema


@blueprint.app_template_global("api_type")
def _type(schema: Json) -> str:
    return type_of(schema, _document())


@blueprint.app_template_global("api_schema")
def _schema(schema: Json) -> Json:
    return _followed(schema, _document())
