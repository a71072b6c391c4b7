"""The requests of an edit against a copy of Bitbucket's own OpenAPI document, when there is one."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.files.places.cloud import CloudPlace
from tests.files.cloud.factories import BRANCH, OSKAR, REVIEWER, begun, draft, written
from tests.files.cloud.requests import OPERATIONS, Operation
from tests.files.cloud.server import CloudServer

GENERAL = {"fields", "pagelen", "page", "q", "sort"}
"""Described once for all calls, in the document's prose."""
YOUNG = {"/pullrequests/{pull_request_id}/conflicts", "/file-conflicts/{spec}"}
"""Not in copies from before 2026."""


def document() -> dict[str, Any]:
    name = os.environ.get("BITBUCKET_OPENAPI")
    if not name:
        pytest.skip("BITBUCKET_OPENAPI does not name a copy of Bitbucket's OpenAPI document")
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
        known = {each["name"] for each in entry.get("parameters", ()) if each["in"] == "query"}
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
        known = {each["name"] for each in entry.get("parameters", ()) if each["in"] == "query"}
        assert set(operation.query) <= known | GENERAL, operation.path
        scopes = {scope for each in entry.get("x-atlassian-oauth2-scopes", ()) for scope in each["scopes"]}
        assert not scopes or scopes == operation.scopes, operation.path


def hold_against(value: object, schema: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Validate JSON by a schema of the document; its references are within itself."""
    from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # of openapi-spec-validator

    whole = {**schema, "components": found["components"]}
    errors = [error.message for error in Draft4Validator(whole).iter_errors(value)]
    assert errors == []
