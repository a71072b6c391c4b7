"""The requests of an edit against a copy of Bitbucket's own OpenAPI document."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.files.places.cloud import CloudPlace
from tests.files.cloud.factories import BRANCH, OSKAR, REVIEWER, begun, draft, written
from tests.files.cloud.requests import OPERATIONS, REPOSITORY, Operation
from tests.files.cloud.server import CloudServer

GENERAL = {"fields", "pagelen", "page", "q", "sort"}
"""Described once for all calls, in the document's prose."""
YOUNG = {"/pullrequests/{pull_request_id}/conflicts", "/file-conflicts/{spec}"}
"""Calls that are not in copies from before 2026."""
YOUNG_PARAMETERS = {"/diffstat/{spec}": {"renames"}}
"""Not in the oldest copies."""
IN_PROSE = {"/commits": {"include", "exclude"}, "/diffstat/{spec}": {"topic"}}
"""Parameters that some copies describe only in the text of a call."""


def document() -> dict[str, Any]:
    name = os.environ.get("BITBUCKET_OPENAPI")
    if not name:
        pytest.skip("no copy of Bitbucket's document: BITBUCKET_OPENAPI=$(scripts/bitbucket_openapi)")
    found = json.loads(Path(name).read_text())
    assert isinstance(found, dict)
    return found


def described(found: Mapping[str, Any], operation: Operation) -> dict[str, Any] | None:
    """Return an operation as the document has it."""
    if operation.path not in found["paths"] and operation.path.endswith(tuple(YOUNG)):
        return None
    entry = found["paths"][operation.path][operation.method.lower()]
    assert isinstance(entry, dict)
    return entry


def parameters_of(entry: Mapping[str, Any], operation: Operation) -> set[str]:
    """Return the names of a call's parameters, of which its text must have those that its table lacks."""
    path = operation.path.removeprefix(REPOSITORY)
    known = {each["name"] for each in entry.get("parameters", ()) if each["in"] == "query"}
    told = IN_PROSE.get(path, set())
    for name in told - known:
        assert re.search(rf"\b{name}=|`{name}`", entry["description"]), name
    return known | told | YOUNG_PARAMETERS.get(path, set())


def test_the_requests_of_an_edit_fit_bitbuckets_own_description(
    server: CloudServer, place: CloudPlace
) -> None:
    found = document()
    base = begun(place)
    place.refs("x")
    place.list_files(base)
    place.stat(base, "app.yml")
    place.last_change(base, "app.yml")
    place.commit(BRANCH, base, written({"app.yml": b"port: 2\n"}), "Port", OSKAR)
    place.proposal(place.open_proposal(draft(description="Why", reviewers=(REVIEWER,))).id)
    place.delete_branch(BRANCH)
    for asked in server.asked:
        path = asked.path.removeprefix("/2.0")
        operation = next(
            each for each in OPERATIONS if each.method == asked.method and each.parts(path) is not None
        )
        entry = described(found, operation)
        if entry is None:
            continue
        known = parameters_of(entry, operation)
        names = {pair.partition("=")[0] for pair in asked.query.split("&") if pair}
        assert names <= known | GENERAL, asked.line
        if operation.json is not None and "requestBody" in entry:
            schema = entry["requestBody"]["content"]["application/json"]["schema"]
            hold_against(json.loads(asked.body), schema, found)
        if operation.is_form:
            fields = set(re.findall(rb'form-data; name="([a-z]+)"\r\n\r\n', asked.body))
            assert {field.decode() for field in fields} <= known


def test_the_table_of_operations_fits_bitbuckets_own_description() -> None:
    found = document()
    for operation in OPERATIONS:
        entry = described(found, operation)
        if entry is None:
            continue
        assert set(operation.query) <= parameters_of(entry, operation) | GENERAL, operation.path
        scopes = {scope for each in entry.get("x-atlassian-oauth2-scopes", ()) for scope in each["scopes"]}
        assert not scopes or scopes == operation.scopes, operation.path


def hold_against(value: object, schema: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Validate JSON by a schema of the document; its references are within itself.

    By the schema each object within another needs a ``type``, which the document's own examples leave out.
    """
    from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # of openapi-spec-validator

    whole = {**schema, "components": found["components"]}
    errors = [
        (list(error.absolute_path), error.message)
        for error in Draft4Validator(whole).iter_errors(value)
        if not (error.absolute_path and error.validator_value == ["type"])
    ]
    assert errors == []
