"""The Data Center stand-in notices what the real one might take otherwise than meant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.files.datacenter.server import DataCenter

REPOSITORY = "/rest/api/latest/projects/OPS/repos/config"
TOKEN = {"Authorization": "Bearer oskars-token"}
FORM = TOKEN | {"X-Atlassian-Token": "no-check"}
GOOD = {"content": b"2", "branch": b"main", "message": b"m"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataCenter]:
    server = DataCenter(tmp_path / "origin.git")
    server.git.commit("main", {"README.md": b"1"})
    yield server
    server.close()


def asked(server: DataCenter, method: str, path: str, **how: Any) -> httpx.Response:
    with httpx.Client(headers=how.pop("headers", TOKEN), trust_env=False) as client:
        return client.request(method, server.url + path, **how)


def form(**fields: bytes) -> dict[str, tuple[str | None, bytes]]:
    return {name: (None, value) for name, value in fields.items()}


@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        ("GET", f"{REPOSITORY}/branches?filter=x", {}),
        ("GET", f"{REPOSITORY}/branches?details=True", {}),
        ("GET", f"{REPOSITORY}/branches?limit=1&limit=2", {}),
        ("GET", f"{REPOSITORY}/branches?boostMatches=true", {}),
        ("GET", f"{REPOSITORY}/browse/README.md?at=main", {}),
        ("GET", f"{REPOSITORY}/browse/README.md?at=main&size", {}),
        ("GET", f"{REPOSITORY}/nothing", {}),
        ("GET", f"{REPOSITORY}/branches", {"headers": {}}),
        ("POST", f"{REPOSITORY}/branches", {"json": {"name": "x", "startPoint": "main", "force": True}}),
        ("POST", f"{REPOSITORY}/branches", {"json": {"name": "x"}}),
        ("POST", f"{REPOSITORY}/branches", {"content": b"{}", "headers": TOKEN}),
        ("POST", f"{REPOSITORY}/branches", {"json": {"name": "x", "startPoint": None}}),
        ("PUT", f"{REPOSITORY}/browse/a", {"data": {"branch": "main"}, "headers": FORM}),
        ("PUT", f"{REPOSITORY}/browse/a", {"files": form(**GOOD, author=b"x"), "headers": FORM}),
        ("PUT", f"{REPOSITORY}/browse/a", {"files": form(content=b"2"), "headers": FORM}),
    ],
)
def test_what_is_not_meant_so_is_a_fault(
    server: DataCenter, method: str, path: str, how: dict[str, Any]
) -> None:
    assert asked(server, method, path, **how).status_code == 400
    assert len(server.faults) == 1


def test_a_form_without_the_mark_against_forgery_is_refused(server: DataCenter) -> None:
    answer = asked(server, "PUT", f"{REPOSITORY}/browse/a", files=form(**GOOD))
    assert answer.status_code == 403
    assert list(server.git.files(server.git.tip("main") or "")) == ["README.md"]


def test_a_good_request_is_no_fault_and_names_the_account(server: DataCenter) -> None:
    answer = asked(server, "PUT", f"{REPOSITORY}/browse/a", files=form(**GOOD), headers=FORM)
    assert (answer.status_code, answer.headers["X-AUSERNAME"], server.faults) == (200, "oskar", [])
    assert answer.json()["id"] == server.git.tip("main")
