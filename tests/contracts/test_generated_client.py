"""A client generated from the document, as a stranger would make one, against the running app."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.master import create_app
from tests.tasks.conftest import Node, start_node

PACKAGE = "generated_client"
LEVELS = {Role.ADMINISTRATOR: Level.ADMIN, Role.OPERATOR: Level.RUN, Role.VIEWER: Level.READ}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = start_node(tmp_path_factory.mktemp("deck") / "home")
    yield node
    node.stop()


@pytest.fixture(scope="module")
def app(node: Node) -> Any:
    return create_app(node.parts)


@pytest.fixture(scope="module")
def generated(app: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Make the client; what the generator can't make sense of is a fault of the document."""
    folder = tmp_path_factory.mktemp("client")
    with app.app_context():
        (folder / "openapi.json").write_text(json.dumps(app.spec))
    (folder / "options.yaml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    made = subprocess.run(
        [generator, "generate", "--path", "openapi.json", "--config", "options.yaml", "--meta", "none",
         "--output-path", PACKAGE, "--fail-on-warning"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield PACKAGE
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


class Client:
    """The generated client with a token of a person in a role."""

    def __init__(self, package: str, app: Any, token: str) -> None:
        module = importlib.import_module(f"{package}.client")
        self._package = package
        self._client = module.AuthenticatedClient(base_url="http://deck", token=token)
        headers = {"Authorization": f"Bearer {token}"}
        wire = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://deck", headers=headers)
        self._client.set_httpx_client(wire)

    def call(self, operation: str, *parts: Any, **more: Any) -> Any:
        """Return the response: its status, headers and the parsed body."""
        module = importlib.import_module(f"{self._package}.api.{operation}")
        return module.sync_detailed(*parts, client=self._client, **more)

    def model(self, name: str) -> Any:
        return getattr(importlib.import_module(f"{self._package}.models"), name)


ClientOf = Callable[[Role], Client]


@pytest.fixture(scope="module")
def as_(generated: str, node: Node, app: Any) -> ClientOf:
    access, made = node.parts.access, {}
    for role, level in LEVELS.items():
        access.add_person(SYSTEM, f"client-{role}", role=role)
        made[role] = Client(
            generated, app, access.create_token(SYSTEM, f"client-{role}", "api", level).secret
        )
    return made.__getitem__


def test_it_lists_hosts_and_reads_one(as_: ClientOf) -> None:
    viewer = as_(Role.VIEWER)
    listed = viewer.call("hosts.host_list", tag="own").parsed
    assert [(host.name, host.kind) for host in listed.hosts] == [("master", viewer.model("HostKind").MASTER)]
    assert viewer.call("hosts.host_show", "master").parsed == listed.hosts[0]


def test_it_starts_a_run_and_reads_how_it_ended(as_: ClientOf, node: Node) -> None:
    operator = as_(Role.OPERATOR)
    task = operator.model("CommandTask")(kind="command", command="echo from-a-client; exit 3")
    body = operator.model("NewRun")(task=task, hosts=["master"])
    started = operator.call("runs.run_start", body=body, idempotency_key="generated-1")
    assert started.status_code == HTTPStatus.CREATED
    again = operator.call("runs.run_start", body=body, idempotency_key="generated-1")
    assert again.parsed.id == started.parsed.id
    node.end_of(started.parsed.id)
    run = operator.call("runs.run_show", started.parsed.id).parsed
    assert (run.state, run.hosts[0].exit_status) == (operator.model("RunState").FAILED, 3)
    assert operator.call("runs.run_output", run.id).parsed == "from-a-client\n"
    [result] = operator.call("runs.run_results", run.id).parsed
    assert (result.host, result.exit_status, result.out_bytes) == ("master", 3, 14)


def test_it_adds_and_removes_somebody(as_: ClientOf) -> None:
    ada = as_(Role.ADMINISTRATOR)
    body = ada.model("NewPerson")(name="by-client", role=ada.model("Role").VIEWER)
    added = ada.call("people.person_create", body=body)
    assert added.status_code == HTTPStatus.CREATED
    assert added.parsed.sign_in_path.startswith("/sign-in/link/")
    grant = ada.model("NewGrant")(person="by-client", level="run", object_="tag:own")
    given = ada.call("people.grant_give", body=grant).parsed
    taken = ada.call("people.grant_take", given.id)
    assert (taken.status_code, taken.parsed) == (HTTPStatus.NO_CONTENT, None)


def test_refusals_are_problems_that_it_can_read(as_: ClientOf) -> None:
    viewer, ada = as_(Role.VIEWER), as_(Role.ADMINISTRATOR)
    absent = viewer.call("runs.run_show", "0" * 26)
    assert (absent.status_code, absent.parsed.title) == (HTTPStatus.NOT_FOUND, "Not found")
    host = ada.model("NewHost")(name="not a name!", address="web1.example")
    bad = ada.call("hosts.host_add", body=host)
    assert bad.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "name" in bad.parsed.errors.additional_properties
    assert bad.parsed.request_id == bad.headers["X-Request-Id"]
    refused = viewer.call("people.person_list")
    assert (refused.status_code, refused.parsed.status) == (HTTPStatus.FORBIDDEN, 403)


def test_what_others_cause_is_told_too(as_: ClientOf) -> None:
    ada = as_(Role.ADMINISTRATOR)
    host = ada.model("NewHost")(name="gone", address="127.0.0.1", port=1, username="nobody")
    assert ada.call("hosts.host_add", body=host).status_code == HTTPStatus.CREATED
    grant = ada.model("NewGrant")(person="not-here", object_="tag:own")
    answers = [
        (ada.call("hosts.host_scan", "gone"), 502),
        (ada.call("people.token_list", person="not-here"), 404),
        (ada.call("people.grant_give", body=grant), 404),
        (ada.call("sign_in.api_sign_out", body=ada.model("Revocation")(refresh_token="qdr_made.up")), 401),
        (ada.call("history.history_list", node="not-here"), 422),
    ]
    for answer, status in answers:
        assert (answer.status_code, answer.parsed.status) == (status, status)
