"""Every operation of the document with made-up input, from everybody: `make fuzz` sends many thousands.

No answer may be a fault of ours, or one that the document doesn't tell, and no secret may show anywhere.
"""

import json
import logging
import math
import os
import random
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import pytest
import schemathesis
from apiflask import APIFlask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.specs.openapi import checks

from quarterdeck.core.log import configure_logging
from quarterdeck.master import create_app
from tests.contracts.fuzz.secrets_planted import Markers
from tests.contracts.fuzz.world import World
from tests.tasks.conftest import start_node

# The node's own threads use chance while Hypothesis draws, which it takes for the strategy's doing.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

REQUESTS: Final = int(os.environ.get("FUZZ_REQUESTS", "270"))
RESTOCK_EVERY: Final = 100
MANY: Final = 1_000
"""From here on each time with other input."""
CONFORMANCE: Final = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OWN_FAULTS: Final = (500, 501, 504, 505)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    node = start_node(tmp_path_factory.mktemp("fuzz") / "home", log_level="DEBUG", ssh_connect_seconds=1)
    handlers, level = logging.root.handlers[:], logging.root.level
    configure_logging(node.parts.settings)
    yield World(node, create_app(node.parts))
    for handler in logging.root.handlers:
        handler.close()
    logging.root.handlers[:], logging.root.level = handlers, level
    node.stop()


@dataclass
class Outcome:
    """What came of all calls; faults and leaks by what tells them apart, each with one call that shows it."""

    faults: dict[str, str] = field(default_factory=dict)
    leaks: dict[str, str] = field(default_factory=dict)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)

    def figures(self) -> Iterator[str]:
        """Yield, a line each, what was sent and how it was answered."""
        statuses: Counter[int] = Counter()
        for (_, status), count in self.answers.items():
            statuses[status] += count
        yield f"\n{self.callers.total()} requests; faults {len(self.faults)}, leaks {len(self.leaks)}"
        yield "by caller: " + ", ".join(f"{name} {count}" for name, count in sorted(self.callers.items()))
        yield "by status: " + ", ".join(f"{status} {count}" for status, count in sorted(statuses.items()))


@pytest.fixture(scope="module")
def outcome(world: World) -> Outcome:
    """Send everything; what was found is for the tests to say."""
    outcome = Outcome()
    operations = list(operations_of(world.app, document_of(world.app)))
    for operation in operations:
        send_all(world, operation, math.ceil(REQUESTS / len(operations)), outcome)
    return outcome


def document_of(app: APIFlask) -> dict[str, Any]:  # Any: JSON
    with app.app_context():
        return cast("dict[str, Any]", json.loads(json.dumps(app.spec)))


def operations_of(app: APIFlask, document: dict[str, Any]) -> Iterator[Any]:  # Any: Schemathesis' own
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


def send_all(world: World, operation: Any, count: int, outcome: Outcome) -> None:
    # Nothing learnt from the source: what has been imported by then changes, and the cases with it.
    plain = FeedbackSources()
    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE, feedback=plain)
    if operation.body or operation.query or operation.path_parameters:
        cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, feedback=plain)
    # Whom most is open to comes first, and often: Hypothesis likes beginnings.
    callers = ["administrator"] * len(world.callers) + world.callers
    world.restock()

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=REQUESTS < MANY,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases, caller=st.sampled_from(callers), seed=st.integers(0, 1 << 30))
    def send(case: Any, caller: str, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - chance for tests
        world.aim(case.path, case.path_parameters or {}, chance)
        world.dress(case.path, case.body, chance)
        send_one(world, case, caller, outcome)
        if outcome.callers.total() % RESTOCK_EVERY == 0:
            world.restock()

    send()


def send_one(world: World, case: Any, caller: str, outcome: Outcome) -> None:
    name = f"{case.method} {case.operation.path}"
    response = case.call(headers=world.headers_of(caller), cookies=world.cookies_of(caller))
    outcome.callers[caller] += 1
    outcome.answers[name, response.status_code] += 1
    sent = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"
    shown = f"{caller}: {sent} -> {response.content[:300]!r}"
    if response.status_code in OWN_FAULTS:
        outcome.faults.setdefault(f"{name} {response.status_code}", shown)
    try:
        case.validate_response(response, checks=CONFORMANCE)
    except FailureGroup as group:
        for failure in group.exceptions:
            what = f"{name} {response.status_code} {failure.title}"
            outcome.faults.setdefault(what, f"{shown}\n{failure.message}")
    seen = response.content + repr(dict(response.headers)).encode()
    for marker in world.markers.in_bytes(seen):
        outcome.leaks.setdefault(f"{name} {marker}", shown)
    if response.content and "application/json" in str(response.headers.get("content-type")):
        world.markers.learn(response.json())


def test_no_answer_is_a_fault_or_one_that_the_document_does_not_tell(outcome: Outcome) -> None:
    assert not outcome.faults, told(outcome.faults)


def test_no_answer_shows_a_secret(outcome: Outcome) -> None:
    assert not outcome.leaks, told(outcome.leaks)


def test_no_file_of_the_home_shows_a_secret(outcome: Outcome, world: World) -> None:
    home = world.node.parts.settings.home
    for handler in logging.root.handlers:
        handler.flush()
    assert (home / "logs" / "master.log").stat().st_size > 0
    assert outcome.callers.total() >= REQUESTS
    assert world.markers.in_folder(home) == {}


def test_every_caller_was_heard_and_most_operations_succeeded(
    outcome: Outcome, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    if REQUESTS >= MANY:
        with capsys.disabled():
            sys.stdout.write("\n".join([*outcome.figures(), ""]))
    assert set(outcome.callers) == set(world.callers)
    reached = {name for name, status in outcome.answers if status < 300}
    assert len(reached) >= 20, sorted(reached)
    assert {status for _, status in outcome.answers} >= {200, 201, 401, 403, 404, 422}


def test_an_answer_that_the_document_lacks_is_found_and_so_is_a_secret(world: World) -> None:
    document, outcome = document_of(world.app), Outcome()
    del document["paths"]["/api/v1/me"]["get"]["responses"]["401"]
    document["components"]["schemas"]["Caller"]["properties"]["name"] = {"type": "integer"}
    [operation] = [
        each
        for each in operations_of(world.app, document)
        if (each.method.upper(), each.path) == ("GET", "/api/v1/me")
    ]
    for caller in ("nobody", "operator"):
        send_one(world, operation.Case(), caller, outcome)
    assert sorted(outcome.faults) == [
        "GET /api/v1/me 200 Response violates schema", "GET /api/v1/me 401 Undocumented status code",
    ]  # fmt: skip
    assert outcome.leaks == {}


def test_secrets_are_found_as_they_are_and_in_base64(tmp_path: Path) -> None:
    markers = Markers()
    markers.plant("a password", "Zk3vWq8mRt5yLp2x")
    markers.learn({"token": "qd_told-this-once", "label": "no secret"})
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_bytes(b"password=Zk3vWq8mRt5yLp2x\n" + b64encode(b"qd_told-this-once"))
    assert list(markers.in_folder(tmp_path).values()) == [["a password", "token of an answer in base64"]]


def told(found: dict[str, str]) -> str:
    return "\n\n".join(f"{what}\n{call}" for what, call in sorted(found.items()))
